#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""words.py TREE BUILD: `essaim help`, the man page and the completions name the same words.

The commands and options that help lists are the truth (they come from the program's own tables).
The man page must have them all and no others; a completion, for whatever shell, must have them all.
"""
import os
import re
import subprocess
import sys

import tree

MAN = "doc/man/essaim.1.scd"


def help_of(program, *words):
    done = subprocess.run([program, "--lang", "en", "help", *words], check=True,
                          capture_output=True, text=True)
    return done.stdout


def words_of(program):
    """commands, options."""
    overview = help_of(program)
    listed = overview.split("Commands\n")[1].split("\n\n")[0]
    commands = set(re.findall(r"^  (\w+)", listed, re.MULTILINE))
    texts = [overview] + [help_of(program, command) for command in sorted(commands)]
    return commands, set(re.findall(r"^  (--[\w-]+)", "\n".join(texts), re.MULTILINE))


def check(root, build):
    commands, options = words_of(os.path.join(build, "cli", "essaim"))
    if not commands or not options:
        yield "essaim help: no commands or options found"
    with open(os.path.join(root, MAN), encoding="utf-8") as file:
        text = file.read()
    section = re.search(r"^# COMMANDS$(.*?)^# ", text, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"^\*(\w+)\*", section.group(1), re.MULTILINE)) if section else set()
    named_options = set(re.findall(r"(--[a-z][\w-]*)", text))
    for word in sorted(commands - named):
        yield f"{MAN}:1: lacks the command {word}"
    for word in sorted(named - commands):
        yield f"{MAN}:1: there is no command {word}"
    for word in sorted(options - named_options):
        yield f"{MAN}:1: lacks the option {word}"
    for word in sorted(named_options - options):
        yield f"{MAN}:1: there is no option {word}"
    for path, script in tree.files(root, "_essaim", "essaim.bash", "essaim.fish", "essaim.zsh"):
        present = set(re.findall(r"[\w-]+", script))
        for word in sorted(commands | {option[2:] for option in options}):
            if word not in present and "--" + word not in present:
                yield f"{path}:1: lacks {word}"


tree.report(check(sys.argv[1], sys.argv[2]))
