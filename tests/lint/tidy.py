#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""tidy.py TREE: lengths, banned names, opening lines, no goto backwards, no recursion."""
import re
import sys

import tree

LINE_MAX = 100
FUNCTION_MAX = 70
SOURCES = (".c", ".h", ".py", ".sh", ".build", "dev", "run")
LICENCE = "SPDX-License-Identifier: EUPL-1.2"
MARK = re.compile(r"\b(" + "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK")) + r")\b")
BANNED = re.compile(
    r"\b(assert\s*\(|(?:strcpy|strcat|v?sprintf|gets|atoi|atol|atof|alloca)\s*\("
    r"|MDB_NOSYNC|MDB_NOMETASYNC|MDB_WRITEMAP|MDB_MAPASYNC|MDB_DUPSORT"
    r"|msgpack_unpacker_\w+|msgpack_vrefbuffer_\w+)"
)
# The control of the power-loss harness shows what never syncing would cost.
MAY = {("tests/power/life.c", "MDB_" "NOSYNC")}
FUNCTION = re.compile(
    r"^([^\n#{};][^{};]*?\b(\w+)\([^{};]*\))\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def functions(path, bare):
    for found in FUNCTION.finditer(bare):
        name, body = found.group(2), found.group(3)
        start = tree.line_of(bare, found.start(3)) - 1  # the line of the opening brace
        length = body.count("\n") + 2
        if length > FUNCTION_MAX:
            yield f"{path}:{start}: {name} has {length} lines, at most {FUNCTION_MAX}"
        if re.search(rf"(?<![.>\w]){name}\s*\(", body):
            yield f"{path}:{start}: {name} calls itself"
        for jump in re.finditer(r"\bgoto\s+(\w+)\s*;", body):
            label = re.search(rf"^\s*{jump.group(1)}:", body, re.MULTILINE)
            if label and label.start() < jump.start():
                yield f"{path}:{start + tree.line_of(body, jump.start())}: goto backwards"


def check_c(path, text):
    bare = tree.code(text)
    for found in BANNED.finditer(bare):
        if (path, found.group()) in MAY:
            continue
        yield f"{path}:{tree.line_of(bare, found.start())}: banned: {found.group()}"
    if path != "base/limits.h" and re.search(r"#\s*include\s*<assert\.h>", text):
        yield f"{path}:1: <assert.h> stands in base/limits.h only, for static_assert"
    if not text.startswith("/* " + LICENCE + " */\n/*"):
        yield f"{path}:1: must open with its licence and a comment on what it is for"
    guard = "ESSAIM_" + re.sub(r"\W", "_", path).upper()
    in_room = path.split("/")[0] in tree.ROOMS
    if in_room and path.endswith(".h") and f"#ifndef {guard}\n#define {guard}\n" not in text:
        yield f"{path}:1: the include guard is not {guard}"
    yield from functions(path, bare)


def check(root):
    for path, text in tree.files(root, *SOURCES):
        lines = text.splitlines()
        if not any(LICENCE in line for line in lines[:3]):
            yield f"{path}:1: no {LICENCE}"
        for number, line in enumerate(lines, 1):
            if MARK.search(line):
                yield f"{path}:{number}: a mark left behind: {MARK.search(line).group()}"
            if path.endswith((".c", ".h")) and len(line) > LINE_MAX:
                yield f"{path}:{number}: {len(line)} columns, at most {LINE_MAX}"
        if path.endswith((".c", ".h")):
            yield from check_c(path, text)


tree.report(check(sys.argv[1]))
