# SPDX-License-Identifier: EUPL-1.2
"""against.py: two builds, before and after, measured in turns in one run (bench.py --against REV).

The older one is built from its own sources, beside the build directory, and driven by the same
scripts through the command line and the control socket. Each figure is taken from both within
seconds, again and again, and the first to go alternates: a machine that becomes slower becomes so
for both. Times are compared by their medians; what a busy machine does not change (processor time
little, bytes, system calls and instructions not at all) stands beside them.

A figure is `within` when after is at most 5 % worse than before; `OVER` when it is worse by more and
the pairs leave no doubt: hardly ever (1 %) would chance alone make it worse in so many of them, or
all are over and agree. Else the verdict is `unclear`: the machine was too busy, or the pairs too few.
"""
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time

import costs
import report
from labs import Failure
from measure import Bench

BOUND = 1.05
CHANCE, AGREE = 0.01, 1.1
PAIRS_LARGE, LARGE = 3, 20000  # above so many entries
BESIDE = ("primitive_", "limit", "entry_bytes", "wire_check", "initial_sync_per_entry")
SIDES = ("before", "after")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
now = time.monotonic


# ---- the older build ----

def git(*arguments, **more):
    done = subprocess.run(["git", "-C", ROOT, *arguments], check=False, capture_output=True,
                          **more)
    if done.returncode != 0:
        raise Failure(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def command(*arguments):
    done = subprocess.run(arguments, check=False, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env={**os.environ, "CC": "gcc"})
    if done.returncode != 0:
        raise Failure(f"{' '.join(arguments)}:\n{done.stdout[-4000:]}")


def built(revision, build):
    """Where the daemon and the command line of that revision are, optimised."""
    commit = git("rev-parse", "--verify", revision + "^{commit}").decode().strip()
    place = os.path.join(os.path.dirname(build), "against-" + commit[:12])
    source, target = os.path.join(place, "source"), os.path.join(place, "build")
    if not os.path.exists(source):
        fresh = source + ".part"
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(fresh)
        subprocess.run(["tar", "-x", "-C", fresh], input=git("archive", commit), check=True)
        os.rename(fresh, source)
    if not os.path.exists(os.path.join(target, "build.ninja")):
        command("meson", "setup", "--buildtype=release", target, source)
    command("ninja", "-C", target, "daemon/essaimd", "cli/essaim")
    return target


# ---- one side of a pair ----

class Kept(report.Figures):
    """Figures that are not told one by one."""

    def __init__(self):
        super().__init__(json_only=True)

    def add(self, row, name, count, value, unit, bar=None, want="at most", **more):
        self.all.append({"figure": name, "n": count, "value": value, "unit": unit, "row": row,
                         "want": want, **more})


class Compared(Bench):
    """The steps that both builds go through; the machine was measured once for both."""

    syncs, reconnects = 2, 2

    def __init__(self, build, top, ground):
        super().__init__(build, top, ground.count, Kept())
        self.base, self.limit, self.ndjson = ground.base, ground.limit, ground.ndjson

    def primitive(self, *only):
        return self.base

    def many_labs(self, wire, d):
        """Known labs change no bytes: P2's own figure shows it."""

    def steps(self):
        steps = super().steps()
        steps.remove(self.primitives)
        if self.count > LARGE:
            steps.remove(self.wire)
        return steps


# ---- the comparison ----

class Comparison:
    """Every value of both sides, by figure and size."""

    def __init__(self, say):
        self.say = say
        self.all = {}

    def take(self, kept, counted=False):
        """One pair's figures; only what both sides have. Counts need no second pair."""
        sides = [{figure["figure"]: figure for figure in figures} for figures in kept]
        for name, figure in sides[0].items():
            if name.startswith(BESIDE) or name not in sides[1]:
                continue
            held = self.all.setdefault((name, figure["n"]),
                                       {**figure, "counted": counted, "values": [[], []]})
            for side, values in zip(sides, held["values"]):
                values.append(side[name]["value"])
            if "by" in figure:
                held["by"] = [side[name]["by"] for side in sides]

    def rows(self):
        """One line a figure and size, judged."""
        for (name, count), held in self.all.items():
            before, after = (statistics.median(values) for values in held["values"])
            least = held["want"] == "at least"
            each = [worse(*values, least) for values in zip(*held["values"])]
            ratio = worse(before, after, least)
            sure = surely(each) and (held["counted"] or len(each) > 1)
            verdict = "within" if ratio <= BOUND else "OVER" if sure else "unclear"
            yield {"figure": name, "n": count, "unit": held["unit"], "row": held["row"],
                   "before": report.digits(before), "after": report.digits(after),
                   "worse": round(ratio, 4), "spread": [round(min(each), 3), round(max(each), 3)],
                   "pairs": len(each), "counted": held["counted"], "verdict": verdict,
                   **({"by": dict(zip(SIDES, held["by"]))} if "by" in held else {})}


def worse(before, after, least):
    """How many times worse after is; 1 is the same."""
    if least:
        before, after = after, before
    if before == after:
        return 1.0
    return after / before if before > 0 else math.inf


def surely(each):
    """Is it worse beyond doubt, by the ratios of the pairs?"""
    count, worse_count = len(each), sum(ratio > 1 for ratio in each)
    chance = sum(math.comb(count, k) for k in range(worse_count, count + 1)) / 2 ** count
    return chance <= CHANCE or (min(each) > BOUND and max(each) / min(each) <= AGREE)


def pair(builds, top, ground, first):
    """Every step at one build, then at the other; the figures of both."""
    order = (first, 1 - first)
    os.makedirs(top)
    sides = [Compared(build, os.path.join(top, name), ground)
             for build, name in zip(builds, "ba")]
    try:
        for steps in zip(*[side.steps() for side in sides]):
            for at in order:
                steps[at]()
    finally:
        for side in sides:
            side.done()
        shutil.rmtree(top, ignore_errors=True)
    return [side.figures.all for side in sides]


def ground_of(given, top, count):
    """The machine, and the entries, for both sides."""
    ground = Bench(given.build, os.path.join(top, "g"), count, Kept())
    ground.primitives()
    return ground


def pairs(given, top, builds, comparison, end):
    """Round after round, every size in each, while there is time."""
    lasted, failed = {}, False
    sizes = sorted(given.sizes) if given.pairs > 0 else []
    grounds = {count: ground_of(given, top, count) for count in sizes}
    for at in range(given.pairs):
        for count in sizes:
            few = min(PAIRS_LARGE, given.pairs)
            if count > LARGE and at >= few or now() + lasted.get(count, 0) > end:
                continue
            comparison.say(f"{count:,} entries: pair {at + 1}")
            begin = now()
            try:
                comparison.take(pair(builds, os.path.join(top, str(at)), grounds[count], at % 2))
            except (Failure, OSError, subprocess.SubprocessError) as failure:
                print(f"bench: {count} entries: {failure}", file=sys.stderr)
                failed = True
            lasted[count] = now() - begin
    return not failed


def counts(top, builds, comparison):
    """Calls and instructions: once is enough."""
    kept = []
    for build, name in zip(builds, SIDES):
        comparison.say(f"calls and instructions, {name}")
        figures = Kept()
        costs.measure(build, builds[1], os.path.join(top, "c"), figures_add(figures),
                      comparison.say)
        kept.append(figures.all)
    comparison.take(kept, counted=True)


def figures_add(figures):
    return lambda name, value, unit, **more: figures.add("", name, costs.PRESENT, value, unit,
                                                         **more)


def table(rows):
    out = sys.stderr
    print(f"\n{'row':<4} {'what':<28} {'entries':>8} {'before':>10} {'after':>10} {'':<4} "
          f"{'worse':>6} {'pairs':>15}", file=out)
    for row in rows:
        low, high = row["spread"]
        spread = f"{low:.2f}–{high:.2f} ({row['pairs']})" if row["pairs"] > 1 else ""
        print(f"{row['row']:<4} {row['figure']:<28} {row['n']:>8,} {report.short(row['before']):>10} "
              f"{report.short(row['after']):>10} {row['unit']:<5} {row['worse']:>6.3f} "
              f"{'counted' if row['counted'] else spread:>15}  {row['verdict']}", file=out)
        for name in sorted({*row["by"]["before"], *row["by"]["after"]}) if "by" in row else ():
            before, after = (row["by"][side].get(name, 0) for side in SIDES)
            if before != after:
                print(f"{'':<4}   {name}: {before} → {after}", file=out)
    verdicts = [row["verdict"] for row in rows]
    print(f"\n{len(rows)} figures: " + ", ".join(
        f"{verdicts.count(each)} {each}" for each in ("within", "unclear", "OVER")), file=out)


def order(row):
    """Bars first, by their numbers; then processor time and counts."""
    number = int(row["row"][1:]) if row["row"] else 99
    return number, row["figure"], row["n"]


def run(given, top):
    """The whole; is it right?"""
    end = now() + given.minutes * 60
    comparison = Comparison(report.Figures(given.json_only).say)
    try:
        comparison.say(f"building {given.against}")
        builds = (built(given.against, given.build), given.build)
        counts(top, builds, comparison)
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return False
    right = pairs(given, top, builds, comparison, end)
    rows = sorted(comparison.rows(), key=order)
    for row in rows:
        print(json.dumps(row), flush=True)
    if not given.json_only:
        table(rows)
    return right and not (given.strict and any(row["verdict"] == "OVER" for row in rows))
