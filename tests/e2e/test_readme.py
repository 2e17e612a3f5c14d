#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""test_readme.py: the tour in README.md works as it is written, and its links lead somewhere.

Runs the ```sh blocks in one shell, in order. What differs from a reader's terminal: the programs
come from ESSAIM_BUILD, the port is a free one, temporary files go where this test removes them,
and after a daemon was started the shell waits until its socket answers (a reader types slowly).
"""
import os
import re
import socket
import subprocess
import sys
import tempfile

import tap

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LIMIT_S = 120 * tap.SLOW
PRELUDE = r"""
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
ready() {
    /usr/bin/python3 - "$1/control.sock" <<'END'
import socket, sys, time
deadline = time.monotonic() + 120
while True:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(sys.argv[1])
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit(f"{sys.argv[1]} does not answer")
        time.sleep(0.02)
END
}
"""


def tour(build):
    """The blocks of README.md as one script."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks)
    with socket.create_server(("127.0.0.1", 0)) as free:
        text = text.replace("7701", str(free.getsockname()[1]))
    text = text.replace("./dev build\n", "").replace("$PWD/build/gcc", os.path.abspath(build))
    started = re.compile(r"^(essaimd --dir (\S+).*&)$", re.MULTILINE)
    return PRELUDE + started.sub(r"\1\nready \2", text)


def dead_links():
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        targets = re.findall(r"\]\(([^)#:]+)\)", file.read())
    return [target for target in targets if not os.path.exists(os.path.join(TOP, target))]


def main(build):
    script = tour(build)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["bash", "-c", script], cwd=TOP,
            env={**os.environ, "TMPDIR": folder, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT_S, check=False)
    checks = [
        ("the tour ends well", done.returncode == 0),
        ("both labs list the entry", done.stdout.count("velo-cargo") >= 3),
        ("the second lab shows what the first wrote", "Trois services partagent" in done.stdout),
        ("every link of the page leads somewhere", not dead_links()),
    ]
    for number, (name, good) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    print(f"1..{len(checks)}")
    failed = not all(good for _, good in checks)
    if failed:
        print("".join(f"# {line}\n" for line in done.stdout.splitlines() + dead_links()), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ["ESSAIM_BUILD"]))
