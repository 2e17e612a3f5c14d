#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Tells of every failed test of a `meson test` run what it said: failures.py BUILD LOG.

LOG is the run's JSON log. meson keeps the output of TAP programs to itself; here are their failed
cases with all that was said about them, seeds, tracebacks and logs of daemons, and stderr, and how
to run the program again.
"""
import json
import os
import re
import shlex
import sys

GOOD = ("OK", "SKIP", "EXPECTEDFAIL")
LINES_MAX = 400  # of either stream of one program: its last ones
ENVIRONMENT = re.compile(r"ESSAIM_|MALLOC_PERTURB_$|[AU]BSAN_OPTIONS$|CMOCKA_")
CONTROLS = re.compile(r"[^\t -~\u00a0-\ud7ff\ue000-\uffef]")


def told(text):
    """The lines of a stream without the cases that passed."""
    lines = [line for line in text.splitlines() if not line.startswith("ok ")]
    left_out = max(len(lines) - LINES_MAX, 0)
    if left_out:
        yield f"  [{left_out} lines before]"
    for line in lines[left_out:]:
        yield "  " + CONTROLS.sub("?", line)


def report(run, build):
    """What is to be known of one program that failed."""
    seconds = f"{run.get('duration', 0):.0f} s"
    yield f"---- {run['name']}: {run['result']}, status {run.get('returncode')}, {seconds}"
    yield from told(run.get("stdout") or "")
    if run.get("stderr"):
        yield "  -- stderr"
        yield from told(run["stderr"])
    given = {name: value for name, value in sorted((run.get("env") or {}).items())
             if ENVIRONMENT.match(name) and value}
    seeds = set(re.findall(r"^# seed (\d+)", run.get("stdout") or "", re.MULTILINE))
    if len(seeds) == 1:
        given["ESSAIM_SEED"] = seeds.pop()
    words = [f"{name}={shlex.quote(value)}" for name, value in given.items()]
    yield f"  -- again, in {build}: " + " ".join(words + [shlex.join(run["command"])])


def main(build, log):
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with open(log, encoding="utf-8") as lines:
            runs = [json.loads(line) for line in lines]
    except FileNotFoundError:
        sys.exit(f"{log} is not there: meson ran no test")
    for run in runs:
        if run["result"] not in GOOD:
            print("\n".join(report(run, os.path.abspath(build))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
