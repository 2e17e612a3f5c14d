# SPDX-License-Identifier: EUPL-1.2
"""What the lints share: the files of a tree, C without its comments, and how a finding is told.

A lint is a program `lint.py TREE […]`: one line a finding on stdout, `path:line: what`, and exit 1
when there was one.
"""
import os
import re
import sys

ROOMS = ("base", "proto", "store", "node", "daemon", "conf", "cli", "web")
SKIPPED = {".git", "build", "__pycache__"}
LEXEME = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def files(tree, *endings):
    """(path from the tree's top, text) of every file with one of the endings, in order."""
    for folder, folders, names in os.walk(tree):
        folders[:] = sorted(
            name for name in folders if name not in SKIPPED and not name.startswith("build-"))
        for name in sorted(names):
            if name.endswith(endings):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, tree), file.read()


def code(text):
    """C with comments and the insides of literals blanked; every line keeps its number."""

    def blank(found):
        lexeme = found.group()
        if lexeme[0] in "\"'":
            return lexeme[0] + " " * (len(lexeme) - 2) + lexeme[0]
        return re.sub(r"[^\n]", " ", lexeme)

    return LEXEME.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def report(findings):
    """Prints the findings and ends the program."""
    findings = list(findings)
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
