#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""bench.py [BUILD] [--build BUILD] [--sizes N,…] [--json-only] [--strict] [--no-others] [--keep]
[--against REV [--pairs K] [--minutes M]]

The performance figures (./dev bench), for catalogues of N entries of about 1,080 bytes: one JSON
line each on stdout, and a table of the bars on stderr. doc/performance.md explains both.

Every bar is a ratio against something measured in the same run: tests/bench/primitives.c measures
the machine, git and rsync carry the same entries as files. With --against, the same figures of two
builds alternate in one run: against.py.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import against
import entries
import others
import report
from labs import Failure
from measure import Bench

OTHERS_WITHIN_S = 240  # they begin by then: the whole must stay under eight minutes
now = time.monotonic


def compared(bench):
    """Git and rsync with the same entries."""
    made = [entries.record(number) for number in range(bench.count + 10)]
    files = [(each["slug"], entries.canonical(each)) for each in made]
    mine = {"initial_s": bench.initial_s, "delta_s": bench.delta_s,
            "delta_bytes": bench.delta_bytes}
    for name, found in others.measure(bench.top, files[:bench.count],
                                      files[bench.count:]).items():
        for key, value in found.items():
            unit = "B" if key.endswith("_bytes") else "s"
            more = {"essaim_to_it": round(mine[key] / value, 5)} if key in mine else {}
            bench.figure("", f"{name}_{key.removesuffix('_s')}", value, unit, **more)


def run(bench, others_until):
    try:
        for step in bench.steps():
            bench.figures.say(f"{bench.count:,} entries: {step.__name__}")
            step()
    finally:
        bench.done()
    if now() < others_until:
        bench.figures.say(f"{bench.count:,} entries: git, rsync")
        compared(bench)
    elif others_until > 0:
        bench.figures.say("no time left for git and rsync on this busy machine")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("place", nargs="?", help="the build directory")
    parser.add_argument("--build", help="the same")
    parser.add_argument("--sizes", default="1000,10000,100000",
                        type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--json-only", action="store_true", help="no table")
    parser.add_argument("--strict", action="store_true",
                        help="end with 1 when a bar is missed, or a figure grew by more than 5 %%")
    parser.add_argument("--no-others", action="store_true", help="without git and rsync")
    parser.add_argument("--keep", action="store_true", help="leave the directories")
    parser.add_argument("--against", metavar="REV",
                        help="compare with the build of that revision, in turns")
    parser.add_argument("--pairs", type=int, default=8,
                        help="runs of each build; 0: calls and instructions alone (--against)")
    parser.add_argument("--minutes", type=float, default=14,
                        help="no new pair begins that would end later (--against)")
    given = parser.parse_args()
    given.build = os.path.abspath(given.build or given.place or "build/bench")
    return given


def place(build):
    """A directory on a real disk, short enough for a socket's path."""
    top = build if len(build) < 60 else "/var/tmp"
    return tempfile.mkdtemp(prefix="run-", dir=top)


def figures_of_one(given, top):
    """Every size; were all measured, and all bars held if that was asked?"""
    figures = report.Figures(given.json_only)
    others_until = 0 if given.no_others else now() + OTHERS_WITHIN_S
    failed = False
    for count in sorted(given.sizes):
        try:
            run(Bench(given.build, top, count, figures), others_until)
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            print(f"bench: {count} entries: {failure}", file=sys.stderr)
            failed = True
    figures.table()
    return not failed and not (given.strict and figures.missed())


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # daemons and directories go, too
    top = place(given.build)
    try:
        right = against.run(given, top) if given.against else figures_of_one(given, top)
    finally:
        if given.keep:
            print(f"bench: everything is left in {top}", file=sys.stderr)
        else:
            shutil.rmtree(top)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
