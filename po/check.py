#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Is the French catalogue whole? Prints TAP.

    check.py SOURCE    every msgid of the sources in POTFILES has a translation, none is fuzzy or
                       left over; every file of cli/ that speaks is in POTFILES; formats agree
"""
import os
import re
import subprocess
import sys
import tempfile

KEYWORDS = ["--keyword=_", "--keyword=N_", "--keyword=X:4", "--from-code=UTF-8"]


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
                          check=False)


def report(number, sentence, troubles):
    print(f"{'not ok' if troubles else 'ok'} {number} - {sentence}")
    for trouble in troubles:
        print("# " + trouble)
    return not troubles


def speaking():
    """Files of cli/ with a marked text."""
    names = [f"cli/{name}" for name in sorted(os.listdir("cli")) if name.endswith((".c", ".h"))]
    marks = re.compile(r"\bN?_\(\s*\"")
    return [name for name in names if marks.search(open(name, encoding="utf-8").read())]


def main(source):
    os.chdir(source)
    good = True
    with open("po/POTFILES", encoding="utf-8") as file:
        listed = file.read().split()
    print("1..3")
    good &= report(1, "every file that speaks is in POTFILES",
                   [name for name in speaking() if name not in listed])
    with tempfile.TemporaryDirectory() as scratch:
        pot, catalogue = os.path.join(scratch, "essaim.pot"), os.path.join(scratch, "fr.po")
        made = run("xgettext", *KEYWORDS, "-o", pot, *listed)
        merged = run("msgmerge", "-q", "-o", catalogue, "po/fr.po", pot)
        told = run("msgfmt", "--check-format", "--statistics", "-o", "/dev/null", catalogue).stderr
        troubles = [told.strip()] if re.search(r"fuzzy|untranslated|error", told) else []
        troubles += made.stderr.split("\n") if made.returncode or merged.returncode else []
        good &= report(2, "every msgid has a French translation", troubles)
        left = run("msgattrib", "--only-obsolete", catalogue).stdout
        good &= report(3, "no translation is left over",
                       re.findall(r"^#~ msgid .*", left, re.M))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
