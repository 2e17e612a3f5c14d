# SPDX-License-Identifier: EUPL-1.2
"""costs.py: what a publication and an entry of a first sync cost, in units that a busy machine does
not change: system calls (strace) and instructions of user space (callgrind).

Two labs A and B, linked. B holds a publication, durable and visible, before the next one is sent,
so that each is a turn of its own at both sides. What the two tools need and the machine lacks or
forbids is left out, and said.
"""
import os
import re
import shutil
import signal
import subprocess

import entries
from labs import Failure, Lab

PRESENT, TRACED = 1000, 300  # where LMDB finds free pages, hence its writes, varies a little
FEW, MANY = 40, 160  # publications counted by difference, so that start and end do not count
SMALL, LARGE = 200, 1200  # entries of the first sync, the same way
LIMIT_S = 60


def records(first, count, more=""):
    """As `publish` takes them, with `more` in their titles."""
    made = [entries.record(number) for number in range(first, first + count)]
    return [[each["slug"], each["kind"], entries.body({**each, "title": each["title"] + more})]
            for each in made]


class Pair:
    """Two labs in a directory of their own, ended and removed with it."""

    def __init__(self, build, top):
        self.top = top
        os.makedirs(top)
        self.a, self.b = [Lab(build, top, key) for key in "ab"]
        self.next = PRESENT * 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.top)

    def stop(self):
        self.b.stop()
        self.a.stop()

    def begin(self, count):
        """A holds `count` entries; B dials it and gets them."""
        self.a.start()
        self.b.start()
        ndjson = os.path.join(self.top, "entries.ndjson")
        with open(ndjson, "w", encoding="utf-8") as text:
            text.writelines(entries.line(entries.record(number)) for number in range(count))
        self.a.essaim("publish", ndjson)
        self.a.allow(self.b)
        self.b.dial(self.a)
        # One question: those asked again and again would be counted, too.
        self.a.ask("sync", {"wait": 1, "timeout_ms": LIMIT_S * 1000})

    def verify(self):
        rpc, page = self.b.rpc(), {"next": None}
        while page["next"] is not None or "problems" not in page:
            page = rpc.call("verify", {} if page["next"] is None else {"after": page["next"]})
            if page["problems"]:
                raise Failure(f"verify: {page['problems'][:3]}")
        rpc.close()

    def publish(self, count):
        """One by one."""
        self.send(records(self.next, count))
        self.next += count

    def revise(self, count):
        """The first ones again, one by one, with other words."""
        self.send(records(0, count, more=", revu"))

    def send(self, made):
        publisher, watcher = self.a.rpc(), self.b.rpc()
        watcher.call("watch")
        for record in made:
            answer = publisher.call("publish", {"entries": [record]})
            if answer["statuses"] not in (b"\0", b"\1"):  # created, updated
                raise Failure(f"publish: {answer}")
            while not any(message[0] == 2 for message in watcher.receive()):
                pass
        publisher.close()
        watcher.close()


class Strace:
    """Counts the calls of a process while it stands."""

    def __init__(self, pid, path):
        self.path = path
        self.process = subprocess.Popen(
            ["strace", "-f", "-c", "-U", "calls,name", "-o", path, "-p", str(pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "attached" not in line:
            self.process.wait(LIMIT_S)
            raise Failure(f"strace: {line.strip()}")

    def done(self):
        """Calls by name."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT_S)
        self.process.stderr.close()
        with open(self.path, encoding="ascii") as file:
            found = re.findall(r"^ *(\d+) (\w+)$", file.read(), re.MULTILINE)
        return {name: int(count) for count, name in found if name != "total"}


def calls(build, top, add):
    """System calls of each side, by publication."""
    with Pair(build, top) as pair:
        pair.begin(PRESENT)
        pair.publish(10)
        for name, send in (("publish", pair.publish), ("revise", pair.revise)):
            traces = [Strace(lab.pid, lab.folder + ".strace") for lab in (pair.a, pair.b)]
            written = [written_bytes(lab.pid) for lab in (pair.a, pair.b)]
            send(TRACED)
            for side, lab, trace, before in zip("ab", (pair.a, pair.b), traces, written):
                add(f"{name}_written_{side}", (written_bytes(lab.pid) - before) / TRACED, "B")
                calls_add(f"{name}_{{}}_{side}", trace.done(), add)


def calls_add(name, found, add):
    syncs = sum(found.pop(each, 0) for each in ("fdatasync", "fsync", "msync"))
    for each in ("epoll_wait", "epoll_pwait", "futex"):  # how often it is woken: the machine's matter
        found.pop(each, None)
    add(name.format("syncs"), syncs / TRACED, "calls")
    add(name.format("calls"), sum(found.values()) / TRACED, "calls",
        by={each: round(count / TRACED, 2) for each, count in sorted(found.items())
            if count >= TRACED / 20})


def written_bytes(pid):
    """Through write calls: pages of the store, and what was said."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(re.search(r"^wchar: (\d+)", file.read(), re.MULTILINE).group(1))


def counted(build, top, smaller_map, count, publications, verifies=0, revisions=0):
    """Instructions of A and B for a whole life; valgrind's address space wants a smaller map."""
    with Pair(build, top) as pair:
        paths = [lab.folder + ".callgrind" for lab in (pair.a, pair.b)]
        for lab, path in zip((pair.a, pair.b), paths):
            lab.wrapper = ("env", f"LD_PRELOAD={smaller_map}", "valgrind", "--tool=callgrind",
                           "-q", f"--callgrind-out-file={path}")
        pair.begin(count)
        pair.publish(publications)
        pair.revise(revisions)
        for _ in range(verifies):
            pair.verify()
        pair.stop()
        totals = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                totals.append(int(re.search(r"^totals: (\d+)", file.read(),
                                            re.MULTILINE).group(1)))
        return totals


def instructions(build, top, smaller_map, add):
    """By publication, by entry of a batch and its first sync, by entry of verify; and a life in
    which next to nothing happens."""
    few, many, large, verified, revised, little = (
        counted(build, top, smaller_map, *sizes)
        for sizes in ((SMALL, FEW), (SMALL, MANY), (LARGE, FEW), (LARGE, FEW, 2),
                      (SMALL, FEW, 0, MANY - FEW), (1, 1)))
    for at, side in enumerate("ab"):
        add(f"publish_instructions_{side}", (many[at] - few[at]) / (MANY - FEW), "1")
        add(f"revise_instructions_{side}", (revised[at] - few[at]) / (MANY - FEW), "1")
        add(f"sync_instructions_{side}", (large[at] - few[at]) / (LARGE - SMALL), "1")
        add(f"life_instructions_{side}", little[at], "1")
    add("verify_instructions", (verified[1] - large[1]) / (2 * LARGE), "1")


def measure(build, tools, top, add, say):
    """All of it; add(figure, value, unit, **more). `tools` is the newer build."""
    smaller_map = os.path.join(tools, "tests", "bench", "libsmaller_map.so")
    for tool, count in (("strace", lambda: calls(build, top, add)),
                        ("valgrind", lambda: instructions(build, top, smaller_map, add))):
        if shutil.which(tool) is None:
            say(f"no {tool} on this machine: what it would count is left out")
            continue
        try:
            count()
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            say(f"what {tool} would count is left out: {failure}")
