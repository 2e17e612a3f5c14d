#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""purity.py BUILD ROOM…: what the objects of a room's library ask for from outside (nm -u).

proto and node: no network, disk, clock, dice, printing, loop, database, nor an end of the process.
store: disk and database, and nothing else of it. base: prints and aborts in must.c alone.
"""
import os
import re
import subprocess
import sys

import tree

FORBIDDEN = {
    "loop": r"uv_\w+",
    "database": r"mdb_\w+|sqlite3_\w+",
    "network": r"socket|socketpair|accept4?|bind|listen|connect|shutdown|send\w*|recv\w*"
               r"|getaddrinfo|poll|epoll_\w+|select",
    "disk": r"f?open(at)?(64)?|creat(64)?|f?close|p?read(v|64)?|p?write(v|64)?|fread|unlink(at)?"
            r"|rename(at)?|mkdir(at)?|f?stat(at|vfs)?(64)?|fsync|fdatasync|mmap(64)?|opendir|flock",
    "clock": r"time|clock|clock_\w+|gettimeofday|nanosleep|sleep|usleep|localtime\w*|gmtime\w*",
    "dice": r"rand\w*|srand\w*|[dlm]rand48|getrandom|getentropy|arc4random\w*"
            r"|crypto_\w+(?<!seed)_keypair|crypto_\w+_keygen|crypto_secretstream_\w+_init_push",
    "printing": r"v?f?printf|v?dprintf|f?puts|f?putc|putchar|fwrite|perror|(v?sys|open)log"
                r"|stdout|stderr|stdin",
    "end": r"abort|_?exit|_Exit|quick_exit|raise|kill|fork|exec\w+|signal|sigaction|pthread_\w+",
    "environment": r"(secure_)?getenv|setenv|setlocale|getpid|gettid",
}
ALLOWED = {"base": "", "proto": "", "node": "", "store": "database disk"}
EXCEPT = {"base": {"must.c.o": "printing end"}}
ALIAS = {"__assert_fail": "abort"}


def plain(symbol):
    """The function meant: without version, the fortified __x_chk form, and glibc's __isoc99_."""
    symbol = ALIAS.get(symbol, symbol.split("@")[0])
    fortified = re.fullmatch(r"__(\w+)_chk", symbol)
    symbol = fortified.group(1) if fortified else symbol
    return re.sub(r"^__isoc\d+_", "", symbol)


def check_room(build, room):
    archive = os.path.join(build, room, f"lib{room}.a")
    listing = subprocess.run(["nm", "-u", archive], check=True, capture_output=True, text=True)
    member = ""
    for line in listing.stdout.splitlines():
        if line.endswith(":"):
            member = os.path.basename(line[:-1])
        elif line.strip():
            symbol = line.split()[-1]
            allowed = (ALLOWED[room] + " " + EXCEPT.get(room, {}).get(member, "")).split()
            for what, names in FORBIDDEN.items():
                if what not in allowed and re.fullmatch(names, plain(symbol)):
                    yield f"lib{room}.a({member}): {symbol}: {room} has no {what}"


tree.report(
    finding for room in sys.argv[2:] for finding in check_room(sys.argv[1], room))
