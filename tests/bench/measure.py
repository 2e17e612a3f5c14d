# SPDX-License-Identifier: EUPL-1.2
"""measure.py: what is measured on catalogues of N entries, step by step (bench.py, against.py).

Two labs A and B (and C behind B) run on loopback and on disk; an entry counts when both sides have
it on disk. The primitives that bars are ratios of are measured in the same run.
"""
import os
import random
import selectors
import statistics
import struct
import subprocess
import sys
import threading
import time

import entries
import report
from labs import Failure, Lab, Peaks, cpu_s, free_ports, private_bytes
from wire import Wire

EXTRA = 1000000  # numbers of the entries that come after the first N
LIVE_SAMPLES = 200
PIPELINED, WINDOW = 5000, 512
QUIET_S = 0.35  # longer than the delay of a cursor's acknowledgement
MIB = 1 << 20
now = time.monotonic


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


class Watcher:
    """A lab's `watch` connection."""

    def __init__(self, lab):
        self.rpc = lab.rpc()
        self.rpc.call("watch")

    def changes(self):
        """How many changes the next read tells of."""
        return sum(message[0] == 2 for message in self.rpc.receive())


class Bench:
    """The labs of one N, and what is measured with them."""

    syncs, reconnects = 3, 5  # of which P1, P2 are the median

    def __init__(self, build, top, count, figures):
        self.build, self.count, self.figures = build, count, figures
        self.top = os.path.join(top, str(count))
        self.work = os.path.join(self.top, "labs")
        os.makedirs(self.work)
        self.labs = []
        self.extra = EXTRA
        self.base = {}  # the primitives

    def lab(self):
        lab = Lab(self.build, self.work, "abcdefghijklmnopqrstuvwxyz"[len(self.labs) % 26]
                  + str(len(self.labs)))
        self.labs.append(lab)
        return lab

    def done(self):
        for lab in self.labs:
            try:
                lab.stop()
            except Failure as failure:
                print(f"bench: {failure}", file=sys.stderr)

    def figure(self, row, name, value, unit, **more):
        self.figures.add(row, name, self.count, value, unit, **more)

    def fresh_entries(self, count):
        """Records that were never published, as `publish` takes them."""
        made = [entries.record(self.extra + i) for i in range(count)]
        self.extra += count
        return [[each["slug"], each["kind"], entries.body(each)] for each in made]

    # ---- the machine ----

    def primitives(self):
        """limit(N) and its parts, over the very entries."""
        path = os.path.join(self.top, "entries.bin")
        self.ndjson = os.path.join(self.top, "entries.ndjson")
        with open(path, "wb") as packed, open(self.ndjson, "w", encoding="utf-8") as text:
            for number in range(self.count):
                made = entries.record(number)
                content = entries.canonical(made)
                packed.write(struct.pack(">I", len(content)) + content)
                text.write(entries.line(made))
        os.makedirs(os.path.join(self.top, "lmdb"))
        self.base = self.primitive()
        for name in ("tcp", "seal", "open", "hash", "append", "scan", "commit", "round_trip"):
            self.figure("", f"primitive_{name}", self.base[name + "_s"], "s")
        self.limit = sum(self.base[name + "_s"]
                         for name in ("tcp", "seal", "open", "hash", "append"))
        self.figure("", "limit", self.limit, "s")

    def primitive(self, *only):
        done = subprocess.run(
            [os.path.join(self.build, "tests", "bench", "primitives"),
             os.path.join(self.top, "entries.bin"), os.path.join(self.top, "lmdb"), *only],
            capture_output=True, text=True, timeout=120, check=True)
        return report.loads(done.stdout)

    # ---- P5 batch, P1, P6, P8, P9, P7 ----

    def publish(self):
        """Lab A gets its N entries, through the command line."""
        self.a = self.lab()
        self.a.start()
        before = cpu_s(self.a.pid)
        peaks = Peaks(self.a.pid)
        begin = now()
        self.a.essaim("publish", self.ndjson)
        seconds = now() - begin
        self.peak_publish, = peaks.done()
        spent = cpu_s(self.a.pid) - before
        head = self.a.status()["head"]
        if head["count"] != self.count:
            raise Failure(f"published {head['count']} of {self.count}")
        self.entry_bytes = head["bytes"]
        self.figure("", "entry_bytes", self.entry_bytes, "B")
        self.figure("P5", "publish_batch", self.count / seconds, "1/s", bar=40000,
                    want="at least", seconds=round(seconds, 4))
        self.figure("", "publish_batch_cpu", spent / self.count * 1e6, "µs")

    def sync(self, ready=lambda lab: None):
        """One initial sync of a fresh lab with A: the lab, and the seconds from the word to dial
        until everything is visible there, hence on disk. Asks rarely meanwhile."""
        lab = self.lab()
        lab.start()
        ready(lab)
        self.a.allow(lab)
        rpc = lab.rpc()
        pause_s = min(0.01, max(0.0005, self.limit / 50))
        begin = now()
        rpc.call("peers_add", {"lab": self.a.did, "address": self.a.address})
        while rpc.call("status")["entries"] != self.count:
            if now() - begin > 60:
                raise Failure("the initial sync does not end")
            time.sleep(pause_s)
        seconds = now() - begin
        rpc.close()
        return lab, seconds

    def drop(self, lab):
        self.a.forget(lab)
        lab.stop()

    def initial(self):
        """P1: the time, and what each side's processor did. The last lab stays: B."""
        times, costs = [], []
        for repeat in range(self.syncs):
            before = cpu_s(self.a.pid)
            lab, seconds = self.sync()
            times.append(seconds)
            costs.append((cpu_s(self.a.pid) - before, cpu_s(lab.pid)))
            if repeat < self.syncs - 1:
                self.drop(lab)
        self.b = lab
        seconds = statistics.median(times)
        self.initial_s = seconds
        self.figure("P1", "initial_sync", seconds, "s", bar=2 * self.limit,
                    all=[round(each, 4) for each in times])
        smaller = [size for size in self.figures.sizes() if size < self.count]
        before = self.figures.find("initial_sync", smaller[-1]) if smaller else None
        if before:
            self.figure("P1", "initial_sync_per_entry", seconds / self.count * 1e6, "µs",
                        bar=1.25 * before["value"] / before["n"] * 1e6)
        for side, cost in zip(("sender", "receiver"), zip(*costs)):
            self.figure("", f"initial_sync_cpu_{side}", statistics.median(cost), "s")
        disk = lab.disk()
        self.figure("P7", "disk", disk, "B", bar=1.5 * self.entry_bytes)
        link = lab.link(self.a)
        self.figure("P8", "initial_sync_wire", link["received"] + link["sent"], "B",
                    bar=1.03 * self.entry_bytes)

    def observed(self):
        """P9: another sync while both sides are asked small things; P6: one whose memory is
        sampled."""
        lab = self.lab()
        lab.start()
        self.a.allow(lab)
        stop = threading.Event()
        answers = []
        asker = threading.Thread(target=self.ask_cli, args=((self.a, lab), stop, answers))
        asker.start()
        try:
            lags = self.poll_during(lab)
        finally:
            stop.set()
            asker.join()
        self.drop(lab)
        for side, values in zip(("sender", "receiver"), lags):
            self.figure("P9", f"loop_lag_p99_{side}", quantile(values, 0.99) * 1e3, "ms", bar=50,
                        max_ms=round(max(values) * 1e3, 3), samples=len(values))
        self.figure("P9", "cli_p99", quantile(answers, 0.99) * 1e3, "ms", bar=100,
                    median_ms=round(statistics.median(answers) * 1e3, 3), samples=len(answers))
        sampled = {}
        lab, _ = self.sync(lambda fresh: sampled.update(peaks=Peaks(self.a.pid, fresh.pid)))
        peaks = sampled["peaks"].done()
        self.drop(lab)
        self.figure("P6", "peak_private", max(peaks) / MIB, "MiB", bar=32,
                    sender=round(peaks[0] / MIB, 2), receiver=round(peaks[1] / MIB, 2))
        self.figure("", "publish_peak_private", self.peak_publish / MIB, "MiB")

    def ask_cli(self, labs, stop, answers):
        """`essaim status` again and again, at either side, as a person would."""
        at = 0
        while not stop.is_set() or not answers:
            begin = now()
            try:
                labs[at % 2].essaim("--json", "status")
            except (Failure, subprocess.TimeoutExpired) as failure:
                print(f"bench: {failure}", file=sys.stderr)
                answers.append(float("inf"))
                return
            answers.append(now() - begin)
            at += 1
            time.sleep(0.02)

    def poll_during(self, lab):
        """A small question every millisecond at both sides until everything has arrived: the
        answer times.

        One question at a time is open at each side; those that would have been asked while one
        waited are counted as if they had been, so that a stall weighs what it lasts."""
        sides, questions = [self.a.rpc(), lab.rpc()], ["hello", "status"]
        lags, asked = ([], []), [None, None]
        lab.dial(self.a)
        selector = selectors.DefaultSelector()
        for at, rpc in enumerate(sides):
            selector.register(rpc, selectors.EVENT_READ, at)
        arrived, end = False, now() + 60
        while not arrived or any(asked):
            if now() > end:
                raise Failure("the initial sync does not end")
            for at, rpc in enumerate(sides):
                if asked[at] is None and not arrived:
                    asked[at] = now()
                    rpc.send(questions[at])
            time.sleep(0.001)
            for key, _ in selector.select(1):
                answer, = sides[key.data].receive()
                lag, asked[key.data] = now() - asked[key.data], None
                if key.data == 1 and answer[3]["entries"] == self.count:
                    arrived = True
                while lag > 0:
                    lags[key.data].append(lag)
                    lag -= 0.002
        for rpc in sides:
            rpc.close()
        return lags

    # ---- P4, P3 ----

    def chain(self):
        """C behind B; and how long everything took to get there."""
        self.c = self.lab()
        self.c.start()
        self.b.allow(self.c)
        begin = now()
        self.c.dial(self.b)
        self.c.until(lambda status: status["entries"] == self.count)
        self.figure("", "initial_sync_relayed", now() - begin, "s")

    def arrivals(self, publisher, watchers, batch):
        """Publishes one batch; seconds until each watcher has seen all of it."""
        selector = selectors.DefaultSelector()
        for watcher in watchers:
            selector.register(watcher.rpc, selectors.EVENT_READ, watcher)
        seen = dict.fromkeys(watchers, 0)
        arrived = {}
        request, number = publisher.request("publish", {"entries": batch})
        begin = now()
        publisher.sock.sendall(request)
        while len(arrived) < len(watchers):
            ready = selector.select(20)
            if not ready:
                raise Failure(f"a publication does not arrive: {list(seen.values())} of "
                              f"{len(batch)}; {[lab.status() for lab in (self.a, self.b)]}")
            for key, _ in ready:
                at = now()
                seen[key.data] += key.data.changes()
                if seen[key.data] == len(batch):
                    arrived[key.data] = at - begin
        statuses = publisher.result(number)["statuses"]
        if statuses != bytes(len(batch)):
            raise Failure(f"published with statuses {statuses.hex()}")
        return [arrived[watcher] for watcher in watchers]

    def spent(self, begun=0.0):
        """Seconds of processor of all labs that run, since `begun`."""
        return sum(cpu_s(lab.pid) for lab in self.labs if lab.process) - begun

    def live(self):
        """P4 one by one, P3's time ten by ten."""
        publisher = self.a.rpc()
        watchers = [Watcher(self.b), Watcher(self.c)]
        dice = random.Random(self.count)
        commits = [self.primitive("commit")["commit_s"]]
        hops = ([], [])
        begun = self.spent()
        for _ in range(LIVE_SAMPLES):
            time.sleep(dice.random() * 0.004)
            for times, seconds in zip(hops, self.arrivals(publisher, watchers,
                                                          self.fresh_entries(1))):
                times.append(seconds)
        self.figure("", "live_cpu", self.spent(begun) / LIVE_SAMPLES * 1e6, "µs")
        commits.append(self.primitive("commit")["commit_s"])
        bar = 3 * statistics.mean(commits) + 0.001
        for hop, times in enumerate(hops, 1):
            self.figure("P4", f"live_{hop}_hop", statistics.median(times) * 1e3, "ms",
                        bar=hop * bar * 1e3, p95_ms=round(quantile(times, 0.95) * 1e3, 3),
                        samples=len(times))
        times = []
        begun = self.spent()
        for _ in range(15):
            time.sleep(dice.random() * 0.004)
            times.append(self.arrivals(publisher, watchers, self.fresh_entries(10))[0])
        self.figure("", "delta_10_cpu", self.spent(begun) / 15 * 1e6, "µs")
        self.delta_s = statistics.median(times)
        smallest = self.figures.find("delta_10", min(self.figures.sizes()))
        bar = {"bar": 1.5 * smallest["value"]} if smallest else {}
        self.figure("P3", "delta_10", self.delta_s * 1e3, "ms", **bar)
        publisher.close()
        for watcher in watchers:
            watcher.rpc.close()

    # ---- P6 idle, P10, P11 ----

    def idle(self):
        """Private memory once everything is quiet."""
        least = [private_bytes(lab.pid) for lab in (self.a, self.b)]
        end = now() + 4
        while now() < end and max(least) > 4 * MIB:
            time.sleep(0.2)
            least = [min(old, private_bytes(lab.pid))
                     for old, lab in zip(least, (self.a, self.b))]
        self.figure("P6", "idle_private", max(least) / MIB, "MiB", bar=8,
                    sender=round(least[0] / MIB, 2), receiver=round(least[1] / MIB, 2))

    def verify(self):
        times, begun = [], cpu_s(self.b.pid)
        for _ in range(3):
            rpc, after, begin = self.b.rpc(), None, now()
            while True:
                page = rpc.call("verify", {"after": after} if after is not None else {})
                after = page["next"]
                if page["problems"]:
                    raise Failure(f"verify: {page['problems'][:3]}")
                if after is None:
                    break
            times.append(now() - begin)
            rpc.close()
        self.figure("P10", "verify", statistics.median(times), "s",
                    bar=2 * (self.base["hash_s"] + self.base["scan_s"]))
        self.figure("", "verify_cpu", (cpu_s(self.b.pid) - begun) / 3, "s")
        begin = now()
        self.b.essaim("verify")
        self.figure("", "verify_cli", now() - begin, "s")

    def restart(self):
        """P11: from exec to ready."""
        times, costs = [], []
        for _ in range(5):
            self.b.stop()
            times.append(self.b.start())
            costs.append(cpu_s(self.b.pid))
        self.figure("P11", "start", statistics.median(times) * 1e3, "ms", bar=100)
        self.figure("", "start_cpu", statistics.median(costs) * 1e3, "ms")

    # ---- P2, P3 and P8 on the wire ----

    def wire(self):
        """A lab that dials through the counting relay."""
        front, = free_ports(1)
        with Wire(front, self.a.port) as wire:
            held = self.a.status()["entries"]
            d = self.lab()
            d.start()
            self.a.allow(d)
            d.dial(self.a, front)
            d.until(lambda status: status["entries"] == held)
            time.sleep(QUIET_S)
            counts = wire.count()
            link = d.link(self.a)
            own = link["received"] + link["sent"]
            self.figure("", "wire_check", (counts["up"] + counts["down"]) / own, "ratio",
                        relay=counts["up"] + counts["down"], status=own)
            self.reconnect(wire, d, "reconnect")
            self.delta_wire(wire, d)
            if self.count == min(self.figures.sizes()):
                self.many_labs(wire, d)
        self.drop(d)

    def reconnect(self, wire, d, name):
        """P2, a few times: the relay cuts the connection, the lab is told to dial again."""
        found = []
        for _ in range(self.reconnects):
            wire.cut()
            d.until(lambda status: not status["links"])
            self.a.until(lambda status: all(each["name"] != f"Banc {d.key}"
                                            for each in status["links"]))
            wire.count()
            d.dial(self.a, wire.port)
            d.until(lambda status: status["links"]
                    and status["links"][0]["state"] == "linked")
            time.sleep(QUIET_S)
            found.append(wire.count())
        each = found[len(found) // 2]
        total = statistics.median(one["up"] + one["down"] for one in found)
        self.figure("P2", f"{name}_bytes", total, "B", bar=640, up=each["up"], down=each["down"])
        # Two runs are the handshake's first two messages; a question and its answer are two more,
        # and a last word that waits for no answer costs nobody time.
        runs = statistics.median(one["runs"] for one in found)
        self.figure("P2", f"{name}_round_trips", (runs - 2) // 2, "", bar=1, runs=runs)
        self.figure("P2", f"{name}_time",
                    statistics.median(one["last_s"] - one["first_s"] for one in found) * 1e3, "ms")

    def delta_wire(self, wire, d):
        publisher, watcher = self.a.rpc(), Watcher(d)
        found = []
        for _ in range(3):
            wire.count()
            before = self.a.status()["head"]["bytes"]
            self.arrivals(publisher, [watcher], self.fresh_entries(10))
            time.sleep(QUIET_S)
            counts = wire.count()
            size = self.a.status()["head"]["bytes"] - before
            found.append((counts["up"] + counts["down"] - size, size))
        over, size = sorted(found)[1]
        self.delta_bytes = over + size
        self.figure("P3", "delta_10_bytes", over + size, "B", bar=size + 1024, entries=size,
                    over=over)
        publisher.close()
        watcher.rpc.close()

    def many_labs(self, wire, d):
        """P2 again with twenty more labs known."""
        for _ in range(20):
            lab = self.lab()
            lab.start()
            lab.ask("publish", {"entries": self.fresh_entries(1)})
            lab.allow(self.a)
            self.a.dial(lab)
            lab.ask("sync", {"wait": 1, "timeout_ms": 20000})
            self.drop(lab)
        d.until(lambda status: status["catalogues"] >= 21)
        time.sleep(QUIET_S)
        self.reconnect(wire, d, "reconnect_21_labs")

    # ---- P5 one by one ----

    def pipelined(self):
        """Single entries, up to WINDOW requests under way."""
        for lab in self.labs:
            if lab is not self.a:
                lab.stop()
        rpc = self.a.rpc()
        requests = [rpc.request("publish", {"entries": [each]})[0]
                    for each in self.fresh_entries(PIPELINED)]
        begun = cpu_s(self.a.pid)
        waits, taken, begin = 0, 0, now()
        while taken < PIPELINED:
            part = requests[waits:taken + WINDOW]
            if part:
                rpc.sock.sendall(b"".join(part))
                waits += len(part)
            for message in rpc.receive():
                if message[2] is not None or message[3]["statuses"] != b"\0":
                    raise Failure(f"publish: {message}")
                taken += 1
        seconds = now() - begin
        rpc.close()
        self.figure("P5", "publish_pipelined", PIPELINED / seconds, "1/s", bar=5000,
                    want="at least", window=WINDOW)
        self.figure("", "publish_pipelined_cpu", (cpu_s(self.a.pid) - begun) / PIPELINED * 1e6,
                    "µs")

    # ---- all of it ----

    def steps(self):
        """In this order: each stands on those before."""
        return [self.primitives, self.publish, self.initial, self.observed, self.chain,
                self.live, self.idle, self.verify, self.restart, self.wire, self.pipelined]
