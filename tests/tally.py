#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Sums the logs of several `meson test` runs: tally.py FAILED_STEPS LOG…

Prints `N passed, N failed, N skipped` (each case of a program that reports its cases counts one).
Ends non-zero when anything failed, when a step did, or when nothing passed.
"""
import json
import re
import sys


def cases(run):
    """passed, failed, skipped of one test program."""
    lines = run.get("stdout", "").splitlines()
    good = [line for line in lines if line.startswith("ok ")]
    bad = sum(line.startswith("not ok ") for line in lines)
    result = run["result"]
    if result == "SKIP":
        return 0, 0, 1
    if result not in ("OK", "EXPECTEDFAIL"):
        return len(good), max(bad, 1), 0
    skipped = sum(bool(re.search(r"# skip", line, re.IGNORECASE)) for line in good)
    return (len(good) - skipped, 0, skipped) if good else (1, 0, 0)


def main(failed_steps, logs):
    total = [0, 0, 0]
    for log in logs:
        try:
            with open(log, encoding="utf-8") as lines:
                for line in lines:
                    total = [sum(pair) for pair in zip(total, cases(json.loads(line)))]
        except FileNotFoundError:
            failed_steps = max(failed_steps, 1)
    passed, failed, skipped = total
    failed = failed or failed_steps
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
