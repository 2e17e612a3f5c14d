# SPDX-License-Identifier: EUPL-1.2
# fish completion for essaim(1)
set -l commands init id publish withdraw list show status peers sync watch verify prove verify-proof fork repair bundle key recover history receipts compact backup restore version help
complete -c essaim -f
complete -c essaim -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c essaim -s d -l dir -r -a "(__fish_complete_directories)" -d "the lab's directory"
complete -c essaim -l json -d "one JSON document"
complete -c essaim -l ndjson -d "one JSON object a line"
complete -c essaim -l csv -d "comma-separated values"
complete -c essaim -s q -l quiet -d "identifiers only"
complete -c essaim -l fields -x -d "these fields"
complete -c essaim -l limit -x -d "at most N items"
complete -c essaim -l cursor -x -d "go on where a page ended"
complete -c essaim -l lang -x -a "fr en" -d "language"
complete -c essaim -l color -x -a "auto always never" -d "colours"
complete -c essaim -s y -l yes -d "do not ask"
complete -c essaim -l no-input -d "never ask anything"
complete -c essaim -l dry-run -d "change nothing"
complete -c essaim -l timeout -x -d "how long to wait"
complete -c essaim -s h -l help -d "help"
complete -c essaim -s V -l version -d "the version"
complete -c essaim -n "__fish_seen_subcommand_from init" -l name -x -d "the lab's name"
complete -c essaim -n "__fish_seen_subcommand_from init" -l listen -x -d "HOST:PORT"
complete -c essaim -n "__fish_seen_subcommand_from publish" -F -l if-rev -x -d "only at this revision"
complete -c essaim -n "__fish_seen_subcommand_from publish" -F
complete -c essaim -n "__fish_seen_subcommand_from withdraw" -l reason -x -d "why"
complete -c essaim -n "__fish_seen_subcommand_from withdraw" -l erase -d "wait until the bytes are gone here"
complete -c essaim -n "__fish_seen_subcommand_from backup restore" -F
complete -c essaim -n "__fish_seen_subcommand_from list" -l lab -x -d "only this lab"
complete -c essaim -n "__fish_seen_subcommand_from list" -l mine -d "only this lab's own"
complete -c essaim -n "__fish_seen_subcommand_from list" -l kind -x -d "only this kind" \
    -a "lab innovation need resource training event adoption feedback"
complete -c essaim -n "__fish_seen_subcommand_from bundle" -a "export import" -F
complete -c essaim -n "__fish_seen_subcommand_from bundle" -l lab -x -d "only this lab"
complete -c essaim -n "__fish_seen_subcommand_from peers" -a "list add remove"
complete -c essaim -n "__fish_seen_subcommand_from peers" -l alias -x -d "a short name"
complete -c essaim -n "__fish_seen_subcommand_from fork" -a "list show"
complete -c essaim -n "__fish_seen_subcommand_from repair" -a "lost forget"
complete -c essaim -n "__fish_seen_subcommand_from key" -a "export-root rotate" -F
complete -c essaim -n "__fish_seen_subcommand_from key recover" -l root-key -r -F -d "where the root key is"
complete -c essaim -n "__fish_seen_subcommand_from recover" -a "(__fish_complete_directories)"
complete -c essaim -n "__fish_seen_subcommand_from recover" -l from -x -d "a peer to come back from"
complete -c essaim -n "__fish_seen_subcommand_from recover" -l name -x -d "the lab's name"
complete -c essaim -n "__fish_seen_subcommand_from recover" -l listen -x -d "HOST:PORT"
complete -c essaim -n "__fish_seen_subcommand_from recover repair" -l force -d "sign on although heads are lost"
complete -c essaim -n "__fish_seen_subcommand_from receipts" -l since -x -d "up to this head"
complete -c essaim -n "__fish_seen_subcommand_from sync" -l wait -x -d "until N peers hold them"
complete -c essaim -n "__fish_seen_subcommand_from help" -a "$commands scripting"
