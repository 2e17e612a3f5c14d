#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""coverage.py BUILD [--missing [PATH…]]: how much of each room the tests reach, against its bar.

BUILD was configured with -Db_coverage=true and its tests have run. Prints a table a room, the worst
files, and how much each rule of EXCEPTIONS leaves out; --missing lists what is not reached, line by
line. Ends non-zero when a room is below its bar. doc/coverage.md says what the rules are good for.
"""
import collections
import json
import os
import re
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORST = 12  # files shown

# Issue and promise S3: percent of lines, of branches (None: no bar).
BARS = {
    "base": (85, None),
    "proto": (95, 85),
    "store": (95, 85),
    "conf": (85, None),
    "node": (95, 85),
    "daemon": (85, None),
    "cli": (85, None),
}

# What no test can take: (name, pattern of the statement, what is left out, why). A statement is
# looked at from the line on which it begins to the bracket that closes it.
EXCEPTIONS = [
    ("must", re.compile(r"^\s*must\("), "branches",
     "the failing side of an assertion ends the process, which writes no figures"),
]


def figures(build):
    """gcovr's files: what each line and each branch of the rooms' sources was run."""
    words = ["gcovr", "--root", TREE, "--object-directory", build, "--exclude-throw-branches",
             "--exclude-unreachable-branches", "--json", "-"]
    for room in BARS:
        words += ["--filter", f"{TREE}/{room}/"]
    done = subprocess.run([*words, build], check=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)["files"]


def statement(lines, at):
    """The numbers of the lines from `at` to the end of the call that begins there."""
    depth = 0
    for number in range(at, len(lines) + 1):
        depth += lines[number - 1].count("(") - lines[number - 1].count(")")
        if depth <= 0:
            return range(at, number + 1)
    return range(at, at + 1)


class Source:
    """One file: what was reached, and what the exceptions leave out."""

    def __init__(self, measured):
        self.path = measured["file"]
        self.room = self.path.split("/")[0]
        with open(os.path.join(TREE, self.path), encoding="utf-8") as file:
            self.text = file.read().splitlines()
        excepted = self.excepted()
        self.left_out = collections.Counter()
        self.lines, self.branches, self.functions = [0, 0], [0, 0], [0, 0]
        self.missing = {}
        for line in measured["lines"]:
            if not line["gcovr/noncode"] and not line["gcovr/excluded"]:
                self.add(line, excepted.get(line["line_number"]))
        for function in measured["functions"]:
            self.functions[0] += function["execution_count"] > 0
            self.functions[1] += 1

    def excepted(self):
        """{line number: (name, what)}"""
        found = {}
        for at, text in enumerate(self.text, 1):
            for name, pattern, what, _ in EXCEPTIONS:
                if pattern.search(text):
                    found.update({number: (name, what) for number in statement(self.text, at)})
        return found

    def add(self, line, exception):
        name, what = exception or (None, None)
        untaken = sum(branch["count"] == 0 for branch in line["branches"])
        if what == "lines" and line["count"] == 0:
            self.left_out[name, "lines"] += 1
            return
        self.lines[0] += line["count"] > 0
        self.lines[1] += 1
        if exception is not None:
            self.left_out[name, "branches"] += untaken
            untaken, branches = 0, len(line["branches"]) - untaken
        else:
            branches = len(line["branches"])
        self.branches[0] += branches - untaken
        self.branches[1] += branches
        if line["count"] == 0 or untaken:
            self.missing[line["line_number"]] = (line["count"], untaken, branches)


def percent(pair):
    return 100 * pair[0] / pair[1] if pair[1] else 100.0


def row(name, lines, branches, functions, verdict):
    return f"{name:<24}{lines:>22}{branches:>22}{functions:>22}  {verdict}"


def told(pair):
    return f"{percent(pair):5.1f} % {pair[0]}/{pair[1]}"


def summed(sources, what):
    return [sum(getattr(source, what)[i] for source in sources) for i in (0, 1)]


def table(sources):
    """Prints a line a room; the rooms below their bars."""
    print(row("room", "lines", "branches", "functions", "bar: lines, branches"))
    low = []
    for room, bars in BARS.items():
        own = [source for source in sources if source.room == room]
        sums = [summed(own, what) for what in ("lines", "branches", "functions")]
        good = bool(own) and all(
            bar is None or percent(pair) >= bar for pair, bar in zip(sums, bars))
        wanted = ", ".join("-" if bar is None else str(bar) for bar in bars)
        print(row(room, *map(told, sums), f"{wanted:<8}{'ok' if good else 'LOW'}"))
        low += [] if good else [room]
    sums = [summed(sources, what) for what in ("lines", "branches", "functions")]
    print(row("all", *map(told, sums), ""))
    return low


def worst(sources):
    """Prints the files that pull their rooms down most."""
    print(f"\nthe {WORST} files with most lines and branches not reached")
    def lack(source):
        return sum(pair[1] - pair[0] for pair in (source.lines, source.branches))
    for source in sorted(sources, key=lack, reverse=True)[:WORST]:
        print(row(source.path, told(source.lines), told(source.branches), told(source.functions),
                  "").rstrip())


def exceptions(sources):
    """Prints what was left out of the figures above, by rule."""
    print("\nleft out, by rule (doc/coverage.md)")
    left_out = sum((source.left_out for source in sources), collections.Counter())
    for name, _, _, why in EXCEPTIONS:
        print(f"  {name:<10} {left_out[name, 'lines']:>4} lines, "
              f"{left_out[name, 'branches']:>4} branches: {why}")


def missing(sources, paths):
    for source in sources:
        if not paths or any(source.path.startswith(path) for path in paths):
            for number, (count, untaken, branches) in sorted(source.missing.items()):
                what = "-----" if count == 0 else f"{untaken:>2}/{branches:<2}"
                print(f"{source.path}:{number}: {what} {source.text[number - 1]}")


def main(build, *words):
    sources = [Source(measured) for measured in figures(build)]
    if words:
        missing(sources, words[1:])
        return 0
    low = table(sources)
    worst(sources)
    exceptions(sources)
    print("\n" + (f"below the bar: {', '.join(low)}" if low else "every room reaches its bar"))
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
