#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""mutants.py BUILD [--fast | --swarm] [NAME…]: a disabled check is caught.

For each mutant of mutations.py: its change is made in a copy of one source file, that file alone is
compiled, the simulator's programs are linked with it in front of the rooms' libraries, and the
stories and swarm seeds run until one fails. Prints a table; ends non-zero when a mutant survives,
or when one is stale. --fast tries three; --swarm lets the seeds alone try, to find those that are
worth keeping in seeds.txt.
"""
import concurrent.futures
import glob
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from mutations import FAST, MUTANTS

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEEDS = 150  # of the swarm, for whom no story and no kept seed catches
LIMIT_S = 60  # of CPU, one program; whoever hangs is caught, too
SLOW = ("test_stories", "test_stories2", "test_order")  # tried last
KEPT = os.path.join(TREE, "tests", "sim", "seeds.txt")
WORKERS = 2


class Stale(Exception):
    """The text to be replaced does not stand exactly once in its room."""


def mutate(mutant):
    """{path: new text} of the files that the mutant changes."""
    texts = {}
    for room, old, new in mutant.changes:
        found = []
        for path in sorted(glob.glob(os.path.join(TREE, room, "*.c"))):
            if path not in texts:
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            else:
                text = texts[path]
            found += [(path, text)] * text.count(old)
        if len(found) != 1:
            raise Stale(f"stands {len(found)} times in {room}/: {old.strip().splitlines()[0]!r}")
        path, text = found[0]
        texts[path] = text.replace(old, new)
    return texts


class Build:
    """How the build directory compiles and links."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        with open(os.path.join(path, "compile_commands.json"), encoding="utf-8") as file:
            units = json.load(file)
        self.units = {os.path.realpath(os.path.join(unit["directory"], unit["file"])):
                      shlex.split(unit["command"]) for unit in units}
        programs = glob.glob(os.path.join(self.path, "tests", "sim", "test_*"))
        stories = (os.path.basename(path) for path in programs
                   if os.path.isfile(path) and os.access(path, os.X_OK))
        self.stories = sorted(stories, key=lambda name: (name in SLOW, name))

    def compile(self, source, text, folder):
        """The object of `source` with another text."""
        room = os.path.basename(os.path.dirname(source))
        copy = os.path.join(folder, f"{room}_{os.path.basename(source)}")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text)
        command = [word for word in self.units[source] if word not in ("-Werror", "-MD")]
        while "-MQ" in command:
            del command[command.index("-MQ"):command.index("-MQ") + 2]
        while "-MF" in command:
            del command[command.index("-MF"):command.index("-MF") + 2]
        command[command.index("-o") + 1] = copy + ".o"
        command[command.index("-c") + 1] = copy
        self.run([*command, "-w", "-O1"])
        return copy + ".o"

    def link(self, program, objects, folder):
        """The program with these objects in front of the libraries that hold them, too."""
        out = subprocess.run(
            ["ninja", "-C", self.path, "-t", "commands", f"tests/sim/{program}"],
            check=True, capture_output=True, text=True).stdout
        command = shlex.split(out.strip().splitlines()[-1])
        at = command.index("-o")
        command[at + 1] = os.path.join(folder, program)
        self.run([*command[:at + 2], *objects, *command[at + 2:]])
        return command[at + 1]

    def run(self, command):
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:3])}…: {done.stderr}")


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))


def run(command, folder):
    """(what failed, or None) of one program."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="STDOUT", ESSAIM_SIM_DIR=folder)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env,
                              preexec_fn=limit, timeout=20 * LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode == 0:
        return None
    seed = re.search(r"^seed (\d+) (.*)", done.stdout, re.MULTILINE)
    if seed:
        return f"seed {int(seed.group(1))} {seed.group(2)}"
    story = re.search(r"\[  FAILED  \] (\w+)", done.stdout)
    begun = re.findall(r"\[ RUN      \] (\w+)", done.stdout)
    if story:
        return story.group(1)
    how = "hangs" if done.returncode == -signal.SIGXCPU else f"code {done.returncode}"
    return f"{begun[-1]} ({how})" if begun else how


def attempts(build, mutant, swarm):
    """The programs with their arguments, the likely and the quick ones first."""
    seeds = "essaim-sim", ["--quiet", "--fail-fast", "--seed", "1", "--count", str(SEEDS)]
    if swarm:
        yield seeds
        return
    if mutant.first in build.stories:
        yield mutant.first, []
    yield "essaim-sim", ["--quiet", "--fail-fast", "--file", KEPT]
    for story in build.stories:
        if story != mutant.first:
            yield story, []
    yield seeds


def caught(build, mutant, folder, swarm):
    """Who catches it; None when nobody does."""
    objects = [build.compile(os.path.realpath(path), text, folder)
               for path, text in mutate(mutant).items()]
    programs = {}
    for program, args in attempts(build, mutant, swarm):
        if program not in programs:
            programs[program] = build.link(program, objects, folder)
        failed = run([programs[program], *args], folder)
        if failed:
            return f"{program}: {failed}"
    return None


def trial(build, mutant, swarm):
    """(mutant, verdict, by whom, seconds)"""
    begin = time.monotonic()
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="essaim-mutant-", dir=base) as folder:
        try:
            by = caught(build, mutant, folder, swarm)
            verdict = "caught" if by else "SURVIVED"
        except Stale as stale:
            verdict, by = "STALE", str(stale)
        except RuntimeError as error:
            verdict, by = "BROKEN", str(error)
    return mutant, verdict, by or "", time.monotonic() - begin


def main(argv):
    build = Build(argv[0])
    swarm = "--swarm" in argv
    names = [word for word in argv[1:] if word[:2] != "--"] or (FAST if "--fast" in argv else [])
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        sys.exit(f"mutants.py: no such mutant: {' '.join(sorted(unknown))}")
    bad = 0
    for mutant in MUTANTS:  # those not tried now must not be stale, either
        try:
            mutate(mutant)
        except Stale as stale:
            if names and mutant.name not in names:
                bad += 1
                print(f"{mutant.name:<20} STALE     {stale}", flush=True)
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for mutant, verdict, by, seconds in pool.map(lambda one: trial(build, one, swarm), chosen):
            bad += verdict != "caught"
            print(f"{mutant.name:<20} {verdict:<9} {seconds:5.1f} s  {by[:110]}", flush=True)
    print(f"{len(chosen)} mutants, {bad} not caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
