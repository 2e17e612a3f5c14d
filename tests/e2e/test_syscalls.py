#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Promise D4: any one system call on its files fails, and essaimd loses nothing and lies to nobody.

A daemon lives a short life (start, publish, withdraw, fetch from another, stop) again and again; each
time the k-th call on a file below its directory gives EIO, ENOSPC or EINTR (tests/power/failing.c).
It must refuse, or end by itself with a status of its own; a failed start says why. After a restart
everything acknowledged is there and verify is clean. After a sync that failed with EIO that process
acknowledges nothing any more. A sample in CI, every k with ESSAIM_LONG=1.
"""
import collections
import errno
import os
import random
import re
import time

import msgpack

import lab
import tap
from lab import resource, until

FAILING = os.environ.get("ESSAIM_FAILING", os.path.join(lab.BUILD, "tests", "power", "failing.so"))
CODES = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR}
SYNCS = ("fdatasync", "fsync", "dsync")
SECONDS = 22  # of a merge, for all that is tried


class Fault:
    """What the preloaded library noted in one life."""

    def __init__(self, path):
        self.calls, self.failed, self.said = [], None, []
        with open(path, encoding="ascii", errors="replace") as log:
            for line in log:
                word, *rest = line.split(" ")
                if word == "said":
                    self.said.append(bytes.fromhex(rest[0].strip()[:600]))
                    continue
                self.calls.append((rest[1], rest[2].strip()))
                if word == "fail":
                    self.failed = self.calls[-1]

    def acknowledged(self):
        """Good answers to a write that went out after the failure."""
        found = []
        for octets in self.said:
            unpacker = msgpack.Unpacker(raw=False)
            unpacker.feed(octets)
            try:
                found += [message for message in unpacker
                          if isinstance(message, list) and message[:1] == [1]
                          and message[2] is None and "statuses" in message[3]]
            except (msgpack.UnpackException, ValueError, TypeError):
                pass  # a link's bytes
        return found


@lab.unittest.skipUnless(os.path.exists(FAILING), "NO PRELOADING in this build")
class Syscalls(lab.Case):
    """One call fails."""

    limit_s = 100

    def setUp(self):
        super().setUp()
        self.said, self.asked, self.round, self.case = {}, {}, 0, ""
        self.log = os.path.join(self.top, "calls.log")
        self.fired = collections.Counter()
        self.ends = collections.Counter()

    def ask(self, a, slug, text, size=0):
        """Publishes or withdraws (text None) one entry; keeps what was answered."""
        self.asked.setdefault(slug, []).append(text)
        if text is None:
            result = a.withdraw(slug)
        else:
            result = a.publish([resource(slug, text, filler="x" * size)])
        status = result["statuses"][0]
        if status != lab.REFUSED:
            self.said[slug] = text
            self.asked[slug].clear()

    def live(self, a, b):
        """What a lab does in a life; ends early when the daemon does."""
        n = self.round
        self.ask(a, f"un-{n % 20}", f"{n}")
        self.ask(a, f"grand-{n % 5}", f"{n}", 9000)
        self.ask(a, f"un-{n % 20}", f"{n} encore")
        self.ask(a, f"un-{(n + 7) % 20}", None)
        self.fetched(a, b)
        if self.batch:
            body = lab.pack(resource("x", f"{n}")[2])
            lot = [[f"lot-{k}", "resource", body] for k in range(2100)]
            a.rpc("publish", entries=lot, more=True)
            slug, text = f"fin-{n % 20}", f"{n}"
            self.asked.setdefault(slug, []).append(text)
            a.rpc("publish", entries=[[slug, "resource", lab.pack(resource(slug, text)[2])]])
            self.said[slug] = text
            self.asked[slug].clear()

    def fetched(self, a, b):
        """Waits a while until the lab under test has said that it holds what B has."""
        for _ in range(10):
            if not a.alive():
                return
            try:
                b.rpc("sync", wait=1, timeout_ms=150)
                self.held = b.heads()[b.id, "public"][0]
                return
            except lab.RpcError:
                pass

    def life(self, a, b, at, code):
        """One life with the at-th call failing; the Fault. The lab is off afterwards."""
        self.round += 1
        if os.path.exists(self.log):
            os.unlink(self.log)
        b.publish([resource("source", f"{self.round}")])
        a.environment = {"LD_PRELOAD": FAILING, "FAIL_DIR": a.dir, "FAIL_AT": str(at),
                         "FAIL_CODE": str(code), "FAIL_LOG": self.log}
        status = None
        try:
            a.start()
        except lab.Failure as failure:
            status = re.search(r"\(status (-?\w+)\)", str(failure)).group(1)
            self.assertRegex(status, r"^[1-9]\d*$", f"{self.case}: no start\n{a.log_tail()}")
            self.ends["did not start"] += 1
        if status is None:
            try:
                self.live(a, b)
            except (lab.RpcError, lab.Failure, OSError) as error:
                self.ends["refused" if isinstance(error, lab.RpcError) else "ended"] += 1
                if not isinstance(error, lab.RpcError):  # it ends: let it
                    a.process.wait(lab.LIMIT_S)
            status = a.process.wait() if not a.alive() else a.stop()
            a.drop_client()
            a.process = None
            self.assertGreaterEqual(status, 0, f"{self.case}\n{a.log_tail()}")
        return Fault(self.log)

    def check(self, a, b, fault, name):
        """After a restart: nothing lost, nothing unasked for, nothing damaged."""
        if fault.failed and fault.failed[0] in SYNCS and name == "EIO":
            self.assertEqual(fault.acknowledged(), [], f"acknowledged after that: {self.case}")
        a.environment = {}
        a.start()
        there = {slug: msgpack.unpackb(entry, raw=False)[3]["summary"]["fr"]
                 for (owner, slug), entry in a.entries().items()
                 if owner == a.id and not slug.startswith("lot-")}
        for slug in {*self.said, *self.asked, *there}:
            may = [self.said.get(slug), *self.asked.get(slug, [])]
            self.assertIn(there.get(slug), may, f"{slug}: {self.case} {fault.failed}")
        self.said = dict(there)
        self.asked.clear()
        self.assertGreaterEqual(a.heads()[b.id, "public"][0], self.held, self.case)
        self.clean(a)
        self.assertEqual(a.stop(), 0)

    def test_any_one_failing_system_call_loses_nothing(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        dice = random.Random(seed)
        b, a = self.lab("Source"), self.lab("Ti Lab", listen=None)
        b.publish([resource("source", "0")])
        self.held, self.batch = 0, False
        a.meets(b)
        until(lambda: len(a.entries()) == 1, [a])
        b.id  # known before any of it ends
        a.id
        self.assertEqual(a.stop(), 0)
        began, tried = time.monotonic(), 0
        for self.batch in (False, True):
            a.start()  # so that nothing is made for the first time below
            self.live(a, b)
            self.assertEqual(a.stop(), 0)
            calls = self.life(a, b, 0, 0).calls
            self.assertGreater(len(calls), 30)
            cases = self.cases(calls, dice)
            if self.batch and not tap.LONG:  # what the job does, and it alone
                cases = [case for case in cases if "store" in calls[case[0] - 1][1]]
            end = began + SECONDS * (1 if self.batch else 0.75)
            for at, name in cases:
                if not tap.LONG and time.monotonic() > end:
                    break
                self.case = f"seed {seed}, call {at} of {len(calls)} {name}"
                fault = self.life(a, b, at, CODES[name])
                if fault.failed:
                    self.fired[fault.failed[0], os.path.basename(fault.failed[1])] += 1
                    tried += 1
                self.check(a, b, fault, name)
            print(f"# {len(calls)} calls in a life", flush=True)
        self.assertGreater(self.held, tried // 2)
        print(f"# seed {seed}: {tried} failures, {dict(self.ends)}", flush=True)
        print("#", ", ".join(f"{call} {file or '.'} {count}"
                             for (call, file), count in sorted(self.fired.items())), flush=True)
        self.assertGreater(tried, 20)

    @staticmethod
    def cases(calls, dice):
        """(k, code) of every call; first one of each kind of call and file, then by chance."""
        cases = [(at + 1, name) for at in range(len(calls)) for name in CODES]
        dice.shuffle(cases)
        seen, first, rest = set(), [], []
        for at, name in cases:
            kind = (*calls[at - 1], name)
            (rest if kind in seen else first).append((at, name))
            seen.add(kind)
        return first + rest


if __name__ == "__main__":
    tap.main()
