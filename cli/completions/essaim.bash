# SPDX-License-Identifier: EUPL-1.2
# bash completion for essaim(1)
_essaim()
{
    local commands="init id publish withdraw list show status peers sync watch verify prove verify-proof fork repair bundle key recover history receipts compact backup restore version help"
    local general="--dir --json --ndjson --csv --quiet --fields --limit --cursor --lang --color
        --yes --no-input --dry-run --timeout --help --version"
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command="" own="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ " $commands " == *" ${COMP_WORDS[i]} "* ]]; then
            command=${COMP_WORDS[i]}
            break
        fi
    done
    case $previous in
    --dir | -d)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --color)
        mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$word")
        return
        ;;
    --lang)
        mapfile -t COMPREPLY < <(compgen -W "fr en" -- "$word")
        return
        ;;
    --kind)
        mapfile -t COMPREPLY < <(compgen -W "lab innovation need resource training event adoption
            feedback" -- "$word")
        return
        ;;
    --fields | --limit | --cursor | --timeout | --name | --listen | --if-rev | --reason | --lab | \
        --alias | --wait | --from | --since)
        return
        ;;
    --root-key)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    case $command in
    init) own="--name --listen" ;;
    publish) own="--if-rev" ;;
    withdraw) own="--reason --erase" ;;
    list) own="--lab --kind --mine" ;;
    bundle) own="--lab" ;;
    peers) own="--alias" ;;
    sync) own="--wait" ;;
    repair) own="--force" ;;
    receipts) own="--since" ;;
    key) own="--root-key" ;;
    recover) own="--root-key --from --name --listen --force" ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$own $general" -- "$word")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    else
        case $command in
        publish | backup | restore) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        init | recover) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        key) mapfile -t COMPREPLY < <(compgen -W "export-root rotate" -f -- "$word") ;;
        bundle) mapfile -t COMPREPLY < <(compgen -W "export import" -f -- "$word") ;;
        peers) mapfile -t COMPREPLY < <(compgen -W "list add remove" -- "$word") ;;
        fork) mapfile -t COMPREPLY < <(compgen -W "list show" -- "$word") ;;
        repair) mapfile -t COMPREPLY < <(compgen -W "lost forget" -- "$word") ;;
        help) mapfile -t COMPREPLY < <(compgen -W "$commands scripting" -- "$word") ;;
        show | withdraw | history)
            mapfile -t COMPREPLY < <(compgen -W \
                "$("${COMP_WORDS[0]}" list --mine --fields slug --limit 500 2>/dev/null)" -- "$word")
            ;;
        esac
    fi
}
complete -F _essaim essaim
