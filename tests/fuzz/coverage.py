#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""How much of proto/ the kept inputs cover alone: `./dev fuzz --coverage`

Builds the targets with clang's source-based coverage under build/fuzz-coverage, replays corpora and
crashes without any dice, and prints lines and branches of each file of proto/ (codec and handshake).
Ends non-zero below the bar. A must() is a branch that no input may ever take: it is not counted.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TREE, "build", "fuzz-coverage")
LINES_MIN, BRANCHES_MIN = 95.0, 90.0
MUST = re.compile(r"\bmust\(")


def build():
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        flags = "-fprofile-instr-generate -fcoverage-mapping"
        subprocess.run(["meson", "setup", "-Dc_args=" + flags, "-Dc_link_args=" + flags,
                        "-Dbuildtype=debugoptimized", BUILD, TREE], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "CC": "clang-14"})
    subprocess.run(["ninja", "-C", BUILD, "--quiet", "fuzzers"], check=True,
                   stdout=subprocess.DEVNULL)
    return sorted(path for path in glob.glob(os.path.join(BUILD, "tests", "fuzz", "fuzz_*"))
                  if os.path.isfile(path) and "." not in os.path.basename(path))


def replay(programs, scratch):
    profiles = []
    for program in programs:
        target = os.path.basename(program)[5:]
        profiles.append(os.path.join(scratch, target + ".profraw"))
        folders = [os.path.join(HERE, kind, target) for kind in ("corpus", "crashes")]
        subprocess.run([program, "0", *filter(os.path.isdir, folders)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "LLVM_PROFILE_FILE": profiles[-1]})
    merged = os.path.join(scratch, "all.profdata")
    subprocess.run(["llvm-profdata-14", "merge", "-sparse", "-o", merged, *profiles], check=True)
    return merged


def export(programs, merged):
    objects = [word for program in programs[1:] for word in ("-object", program)]
    out = subprocess.run(
        ["llvm-cov-14", "export", "-instr-profile", merged, programs[0], *objects],
        check=True, stdout=subprocess.PIPE).stdout
    return [(os.path.relpath(file["filename"], TREE), file)
            for file in json.loads(out)["data"][0]["files"]]


def branches(file, lines):
    """(line, taken?) of each way of each condition; one that stands twice, in two programs, once."""
    seen = {}
    for at, column, end, end_column, yes, no, *_ in file["branches"]:
        if MUST.search(lines[at - 1]):
            continue
        place = (at, column, end, end_column)
        before = seen.get(place, (0, 0))
        seen[place] = (before[0] + yes, before[1] + no)
    return [(place[0], count > 0) for place, counts in seen.items() for count in counts]


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def main():
    programs = build()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        files = export(programs, replay(programs, scratch))
    total = [0, 0, 0, 0]
    print(f"{'':20} {'lines':>13} {'branches':>13}   branches not taken both ways, by line")
    for name, file in sorted(files, key=lambda one: one[0]):
        if not re.match(r"proto/.*\.c$", name):
            continue
        with open(file["filename"], encoding="utf-8") as text:
            taken = branches(file, text.read().splitlines())
        lines = file["summary"]["lines"]
        counts = [lines["covered"], lines["count"], sum(yes for _, yes in taken), len(taken)]
        total = [a + b for a, b in zip(total, counts)]
        missing = " ".join(str(line) for line in sorted({at for at, yes in taken if not yes}))
        print(f"{name:20} "
              f"{percent(*counts[:2]):6.1f} %{counts[1]:5} {percent(*counts[2:]):6.1f} %{counts[3]:5}"
              f"   {missing}")
    reached = percent(*total[:2]), percent(*total[2:])
    print(f"in all: {reached[0]:.1f} % of {total[1]} lines (bar {LINES_MIN:.0f} %), "
          f"{reached[1]:.1f} % of {total[3]} branches (bar {BRANCHES_MIN:.0f} %)")
    return 0 if reached[0] >= LINES_MIN and reached[1] >= BRANCHES_MIN else 1


sys.exit(main())
