# SPDX-License-Identifier: EUPL-1.2
"""report.py: figures as lines of JSON on stdout, and the table of the bars on stderr.

A figure with a bar has `ratio` (value to bar) and `pass`: at most 1 is right, or at least 1 where
`want` says so.
"""
import json
import sys

loads = json.loads
NAMES = {
    "P1": "initial sync", "P2": "nothing new", "P3": "10 new entries", "P4": "live",
    "P5": "durable publish", "P6": "private memory", "P7": "disk", "P8": "wire", "P9": "lag",
    "P10": "verify", "P11": "start",
}


def digits(value):
    """Whole, or six digits: more would be noise."""
    return value if isinstance(value, int) else float(f"{value:.6g}")


def short(value):
    """Four digits are enough to read."""
    if isinstance(value, float):
        value = float(f"{value:.4g}")
        value = int(value) if value >= 1000 else value
    return f"{value:,}" if isinstance(value, int) else f"{value}"


class Figures:
    """Everything measured so far."""

    def __init__(self, json_only):
        self.json_only = json_only
        self.all = []

    def say(self, text):
        if not self.json_only:
            print(f"bench: {text}", file=sys.stderr, flush=True)

    def add(self, row, name, count, value, unit, bar=None, want="at most", **more):
        figure = {"figure": name, "n": count, "value": digits(value), "unit": unit}
        if row:
            figure["row"] = row
        if bar is not None:
            ratio = value / bar
            figure.update(bar=digits(bar), want=want, ratio=round(ratio, 4))
            figure["pass"] = bool(ratio <= 1 if want == "at most" else ratio >= 1)
        figure.update(more)
        self.all.append(figure)
        print(json.dumps(figure), flush=True)

    def sizes(self):
        return sorted({figure["n"] for figure in self.all})

    def find(self, name, count):
        for figure in self.all:
            if figure["figure"] == name and figure["n"] == count:
                return figure
        return None

    def missed(self):
        return [figure for figure in self.all if figure.get("pass") is False]

    def table(self):
        """One line a bar and size, for people."""
        if self.json_only:
            return
        rows = [figure for figure in self.all if "row" in figure]
        rows.sort(key=lambda figure: (int(figure["row"][1:]), figure["figure"], figure["n"]))
        print(f"\n{'row':<4} {'what':<32} {'entries':>8} {'figure':>12} {'bar':>14} "
              f"{'ratio':>7}  unit", file=sys.stderr)
        for figure in rows:
            sign = "≥" if figure.get("want") == "at least" else "≤"
            bar = f"{sign} {short(figure['bar'])}" if "bar" in figure else ""
            ratio = f"{figure['ratio']:.2f}" if "bar" in figure else ""
            verdict = {True: "pass", False: "MISS", None: ""}[figure.get("pass")]
            print(f"{figure['row']:<4} {figure['figure']:<32} {figure['n']:>8,} "
                  f"{short(figure['value']):>12} {bar:>14} {ratio:>7}  {figure['unit']:<9}"
                  f"{verdict}", file=sys.stderr)
        missed = self.missed()
        print(f"\n{len(rows)} figures, {len(missed)} over their bar", file=sys.stderr)
