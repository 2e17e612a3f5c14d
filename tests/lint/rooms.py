#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""rooms.py TREE: every #include follows the arrows; libraries and transactions keep their room."""
import re
import sys

import tree

# The arrows: a room may include what is named here, and itself.
MAY = {
    "base": "",
    "proto": "base",
    "store": "base proto",
    "node": "base proto store",
    "daemon": "base proto store node conf",
    "conf": "base",
    "cli": "base proto conf",
    "web": "base proto conf",
}
# But a key file must fit a lab record: doc/decisions/0004-keys-in-conf.md.
MAY_FILE = {f"conf/{name}.{end}": "base proto"
            for name in ("keys", "renew", "rootkey") for end in "ch"}
# Libraries: header -> the rooms that may use it (tests may use anything).
LIBRARY = {
    "lmdb.h": "store",
    "sqlite3.h": "store",
    "utf8proc.h": "store",
    "libstemmer.h": "store",
    "uv.h": "daemon",
    "pthread.h": "daemon",
    "sodium.h": "proto conf daemon",
    "msgpack.h": "proto",
    "ini.h": "conf",
    "jansson.h": "cli",
    "libfyaml.h": "cli",
    "libintl.h": "cli",
    "locale.h": "cli",
    "microhttpd.h": "web",
}
# What the quiet rooms may take from libc. The others may take all of it.
PURE = """assert.h errno.h inttypes.h limits.h stdarg.h stdbool.h stddef.h stdint.h stdio.h
    stdlib.h string.h"""
DISK = PURE + """ dirent.h fcntl.h malloc.h stdatomic.h sys/file.h sys/mman.h sys/resource.h
    sys/stat.h sys/statvfs.h sys/types.h unistd.h"""
LIBC = {"base": PURE, "proto": PURE, "node": PURE, "store": DISK}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def include_wrong(path, quoted, name):
    room = path.split("/")[0]
    if quoted:
        target = name.split("/")[0]
        if "/" not in name or target not in MAY:
            return f'"{name}" does not name a room'
        allowed = target == room or target in MAY_FILE.get(path, MAY[room]).split()
        return None if allowed else f"{room} may not include {target}"
    library = re.sub(r"^(\w+)/.*", r"\1.h", name)
    if library in LIBRARY:
        return None if room in LIBRARY[library].split() else f"{room} may not use <{name}>"
    if room in LIBC and name not in LIBC[room].split():
        return f"{room} may not use <{name}>"
    return None


def check(root):
    for path, text in tree.files(root, ".c", ".h"):
        room = path.split("/")[0]
        if room not in MAY:
            continue
        for found in INCLUDE.finditer(text):
            wrong = include_wrong(path, found.group(1) == '"', found.group(2))
            if wrong:
                yield f"{path}:{tree.line_of(text, found.start())}: {wrong}"
        bare = tree.code(text)
        calls = list(re.finditer(r"\bmdb_txn_\w+", bare))
        if path != "store/txn.c":
            for found in calls:
                yield f"{path}:{tree.line_of(bare, found.start())}: {found.group()} outside txn.c"
        elif sum(found.group() == "mdb_txn_commit" for found in calls) != 1:
            yield f"{path}:1: mdb_txn_commit must stand in exactly one place"


tree.report(check(sys.argv[1]))
