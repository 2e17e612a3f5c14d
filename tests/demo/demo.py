#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""demo.py BUILD [--once]: three labs on this machine (./dev run).

Ti Lab — Région Sud — a ministry's lab, linked in a row on loopback. Each publishes, all end with
the same catalogue; one stops, the others publish, it comes back and catches up; every lab verifies
what it holds. Then it stays up until Ctrl-C, or ends by itself with --once. Ends non-zero when a
check fails or something takes too long. Speaks French on stdout.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRIES = os.path.join(HERE, "..", "data", "demo")
TOTAL_S = 240  # for the whole story
os.environ["ESSAIM_BUILD"] = sys.argv[1]
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import lab as labs_of  # pylint: disable=wrong-import-position


class Failure(Exception):
    """A check of the story that did not hold."""


def say(text=""):
    print(text, flush=True)


def publish(lab, pattern, labs):
    """Publishes the files that match, as one batch; how many."""
    texts = []
    for path in sorted(glob.glob(os.path.join(ENTRIES, pattern))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for other in labs:
            text = text.replace("{" + os.path.basename(other.dir) + "}", other.did)
        texts.append(text)
    lab.good("publish", "-", stdin="\n---\n".join(texts))
    return len(texts)


def same_everywhere(labs, expected):
    """Waits until every lab holds the same heads with so many entries in all, and shows them."""

    def same():
        heads = labs[0].heads()
        return (all(lab.heads() == heads for lab in labs[1:])
                and sum(count for _, count, *_ in heads.values()) == expected)

    began = time.monotonic()
    labs_of.until(same, labs, what="le même catalogue partout")
    say(f"  {1000 * (time.monotonic() - began):.0f} ms plus tard, le même catalogue partout : "
        f"{expected} fiches.")
    for lab in labs:
        n, count, _, root, _ = lab.heads()[(lab.id, "public")]
        say(f"    {lab.name:<18} tête n° {n}  {count:>2} fiches  racine {root.hex()[:24]}…")


def titles(lab):
    return {row["title"] for row in json.loads(lab.good("--json", "list"))["items"]}


def verify(lab):
    report = json.loads(lab.good("--json", "verify"))["items"]
    if not report or not all(row["ok"] for row in report):
        raise Failure(f"{lab.name} : verify trouve des dégâts")
    say(f"  {lab.name} :")
    for row in report:
        say(f"    {row['name']:<18} complet jusqu’à la tête n° {row['n']}, "
            f"signée le {row['issued_at']}")


def story(labs):
    """The story, with its checks. The three daemons run at its end."""
    ti, sud, ministry = labs
    say("1. Trois laboratoires, trois clés, trois démons.")
    for lab in labs:
        lab.start()
        lab.keep_address()
        say(f"    {lab.name:<18} {lab.did}")
    say("\n2. Ils se lient en chaîne : Ti Lab — Région Sud — ministère.")
    say("  Le Ti Lab et le ministère ne se connaissent pas ; la Région Sud relaie.")
    for outer in (ti, ministry):
        sud.good("peers", "add", outer.did)
        outer.good("peers", "add", f"{sud.did}@{sud.address}")
    say("\n3. Chacun publie ses fiches, signées, chez lui.")
    total = 0
    for lab in labs:
        count = publish(lab, os.path.basename(lab.dir) + "/*.yaml", labs)
        total += count
        say(f"    {lab.name:<18} {count} fiches")
    same_everywhere(labs, total)
    known = titles(ministry)
    say("\n4. Le ministère s’absente : son démon s’arrête. La vie continue.")
    if ministry.stop() != 0:
        raise Failure("le démon du ministère ne finit pas bien")
    total += publish(ti, "pendant/ti-lab.yaml", labs)
    say("  Le Ti Lab répond au défi des habitants ;")
    total += publish(sud, "pendant/region-sud.yaml", labs)
    say("  la Région Sud adopte le site « en blanc » du Ti Lab.")
    same_everywhere([ti, sud], total)
    say("\n5. Le ministère revient, et rattrape ce qu’il a manqué.")
    ministry.start()
    same_everywhere(labs, total)
    for title in sorted(titles(ministry) - known):
        say(f"    nouveau au ministère : {title}")
    for lab in labs:
        lab.good("sync", "--wait", "1", "--timeout", "60")
    say("\n6. Chacun vérifie tout ce qu’il tient : signatures, empreintes, racines, histoire.")
    for lab in labs:
        verify(lab)


def stay(labs, top):
    """What to try, until Ctrl-C."""
    program = os.path.relpath(labs_of.ESSAIM)
    say("\nLes trois laboratoires tournent. À essayer dans un autre terminal :\n")
    say(f"  export ESSAIM_DIR={labs[2].dir}   # on est au ministère")
    for words in ("list", "list --kind adoption", "show ti-lab/site-en-blanc", "status",
                  "peers list", "watch", "verify", "help"):
        say(f"  {program} {words}")
    say(f"\nLes journaux des démons : {top}/*.log")
    say("Ctrl-C arrête et efface tout.")
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # Ctrl-C, or a daemon that should not end
    raise Failure("un démon s’est arrêté")


def interrupted(*_):
    raise KeyboardInterrupt


def late(*_):
    raise Failure("l’ensemble a pris trop de temps")


def told(work, *arguments):
    """Runs work; what failed goes to stderr. True when nothing did."""
    try:
        work(*arguments)
        return True
    except KeyboardInterrupt:
        say("\nArrêt.")
        return True
    except (Failure, labs_of.Failure, labs_of.RpcError, OSError, ValueError, KeyError,
            subprocess.SubprocessError) as failure:
        print(f"demo : {failure}", file=sys.stderr)
        return False


def stop(lab):
    if lab.stop() != 0:
        raise Failure(f"{lab.name} : le démon ne finit pas bien")


def main(once):
    top = tempfile.mkdtemp(prefix="essaim-demo-")
    labs = []
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGALRM, late)

    def tell():
        signal.alarm(TOTAL_S)
        for key, name in (("ti-lab", "Ti Lab"), ("region-sud", "Région Sud"),
                          ("ministere", "Lab du ministère")):
            labs.append(labs_of.Lab(top, name, folder=key))
        story(labs)
        signal.alarm(0)
        if not once:
            stay(labs, top)

    good = told(tell)
    signal.alarm(0)
    for lab in labs:
        good = told(stop, lab) and good
    if not good:
        for lab in labs:
            print(f"--- {lab.name}\n{lab.log_tail()}", file=sys.stderr)
    shutil.rmtree(top, ignore_errors=True)
    if good:
        say("\nTout s’est passé comme prévu.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main("--once" in sys.argv[2:]))
