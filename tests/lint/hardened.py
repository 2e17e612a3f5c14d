#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""hardened.py BUILD: the built programs are hardened (promise S11).

PIE, full RELRO, no executable stack, CET, stack protector and fortified calls are read in the
programs; the level of _FORTIFY_SOURCE in the commands that compiled them.
"""
import json
import os
import platform
import subprocess
import sys

import tree

PROGRAMS = ("cli/essaim", "daemon/essaimd")


def readelf(path):
    options = ["-hldnW", "--dyn-syms"]
    return subprocess.run(
        ["readelf", *options, path], check=True, capture_output=True, text=True).stdout


def lacks(elf):
    lines = elf.splitlines()

    def some(*words):
        return any(all(word in line for word in words) for line in lines)

    if not (some("Type:", "DYN") and some("FLAGS_1", "PIE")):
        yield "PIE"
    if not (some("GNU_RELRO") and some("FLAGS_1", "NOW")):
        yield "full RELRO"
    if not some("GNU_STACK", "RW ") or some("GNU_STACK", "RWE"):
        yield "a stack that is not executable"
    if platform.machine() == "x86_64" and not some("x86 feature:", "IBT", "SHSTK"):
        yield "control-flow enforcement"
    if not some("UND", "__stack_chk_fail"):
        yield "stack protector"
    if not some("UND", "_chk@"):
        yield "fortified calls"


def check(build):
    for program in PROGRAMS:
        for lack in lacks(readelf(os.path.join(build, program))):
            yield f"{program}: lacks {lack}"
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as commands:
        for unit in json.load(commands):
            if "-D_FORTIFY_SOURCE=3" not in unit["command"]:
                yield f"{unit['file']}: compiled without _FORTIFY_SOURCE=3"


tree.report(check(sys.argv[1]))
