#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""links.py BUILD: what our programs need at run time is what their room may use (promise S13)."""
import os
import re
import subprocess
import sys

import tree

LIBC = {"libc", "ld-linux-x86-64", "ld-linux-aarch64"}
MAY = {
    "cli/essaim": LIBC | {"libsodium", "libmsgpackc", "libinih", "libfyaml", "libjansson"},
    "daemon/essaimd": LIBC | {"libsodium", "libmsgpackc", "libinih", "liblmdb", "libuv",
                              "libsqlite3", "libutf8proc", "libstemmer"},
}


def check(build):
    for program, may in MAY.items():
        path = os.path.join(build, program)
        dynamic = subprocess.run(["readelf", "-dW", path], check=True, capture_output=True)
        needed = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", dynamic.stdout.decode())
        if not needed:
            yield f"{program}: needs no library at all"
        for library in needed:
            if library.split(".so")[0] not in may:
                yield f"{program}: links {library}"


tree.report(check(sys.argv[1]))
