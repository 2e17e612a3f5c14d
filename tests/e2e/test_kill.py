#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Promise D1: kill -9 never loses an acknowledged write.

A lab publishes (pipelined single entries, batches, updates, withdrawals, the command line) while it
fetches from another and a third fetches from it; it is killed at a random moment, started again, and
must have everything it acknowledged, verify clean, and be ready in time. 1,000 runs, or as many as
fit into the time of a merge; all of them with ESSAIM_LONG=1. The seed is printed; ESSAIM_SEED repeats it (times still vary).
"""
import json
import os
import random
import subprocess
import threading
import time

import msgpack

import lab
import tap
from lab import ESSAIM, LIMIT_S, converge, pack, resource

SECONDS = 180 if tap.SLOW == 1 else 30
RUNS = 1000


class Writer(threading.Thread):
    """Publishes at a lab until the connection ends; keeps what was acknowledged.

    said: slug -> the text that must be there (None: withdrawn), by acknowledgement; asked: slug ->
    texts asked for since, that may or may not be there.
    """

    def __init__(self, where, seed, name, said):
        super().__init__(daemon=True)
        self.where, self.dice, self.label = where, random.Random(seed), name
        self.said, self.asked, self.acknowledged = said, {}, 0
        self.wrong, self.over = [], threading.Event()

    def run(self):
        try:
            with self.where.connect(5) as client:
                while not self.over.is_set():
                    self.round(client)
        except (OSError, lab.Failure, ValueError):
            pass  # it was killed

    def request(self, client):
        """Asks for one thing; what it stands for: [(slug, text)]"""
        count = self.dice.choice((1, 1, 1, 2, 40))
        slugs = [f"{self.label}-{self.dice.randrange(400)}" for _ in range(count)]
        if self.dice.randrange(6) == 0:
            slugs = [slug for slug in dict.fromkeys(slugs) if self.said.get(slug)]
            wanted = [(slug, None) for slug in slugs]
            number = client.ask("withdraw", slugs=slugs) if slugs else None
        else:
            wanted = [(slug, f"{self.dice.getrandbits(64):x}" * self.dice.randrange(1, 20))
                      for slug in dict.fromkeys(slugs)]
            number = client.ask("publish", entries=[
                [slug, "resource", pack(resource(slug, text)[2])] for slug, text in wanted])
        if number is None:
            return None
        for slug, text in wanted:
            self.asked.setdefault(slug, []).append(text)
        return number, wanted

    def round(self, client):
        """A few requests at once, then their answers."""
        sent = [self.request(client) for _ in range(self.dice.randrange(1, 12))]
        for number, wanted in filter(None, sent):
            error, result = client.response(number)
            if error is not None:
                self.wrong.append(error)
                continue
            for (slug, text), status in zip(wanted, result["statuses"]):
                later = self.asked[slug]
                del later[:later.index(text) + 1]
                if status != lab.REFUSED:
                    self.said[slug] = text
                    self.acknowledged += 1
                elif text is not None:
                    self.wrong.append((slug, result["errors"]))
        self.asked = {slug: texts for slug, texts in self.asked.items() if texts}


class Kill(lab.Case):
    """Random moments."""

    limit_s = 280

    def texts(self, who, owner):
        """slug -> text of what a lab holds of another."""
        return {slug: msgpack.unpackb(entry, raw=False)[3]["summary"]["fr"]
                for (lab_id, slug), entry in who.entries(own=True).items() if lab_id == owner}

    def check(self, who, writer):
        """What was acknowledged is there; what was asked and not acknowledged may be."""
        there = self.texts(who, who.id)
        for slug, text in writer.said.items():
            if not slug.startswith(writer.label):
                continue
            may = [text, *writer.asked.get(slug, [])]
            self.assertIn(there.get(slug), may, f"{slug}: lost")
        for slug, text in there.items():
            if slug.startswith(writer.label + "-") and slug not in writer.said:
                self.assertIn(text, writer.asked.get(slug, []), f"{slug}: never asked for")
        # from here on what is there is what was said
        for slug in writer.asked:
            writer.said[slug] = there.get(slug)

    def test_kill_9_at_random_moments_loses_nothing_acknowledged(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        dice = random.Random(seed)
        source, victim, sink = self.labs_in_a_row("Source", "Victime", "Puits")
        victim.keep_address()
        source.publish([resource(f"base-{k}", filler="x" * 700) for k in range(300)])
        victim.publish([resource(f"fond-{k}", filler="x" * 700) for k in range(300)])
        converge([source, victim, sink], lambda: len(sink.entries()) == 600)
        said, ready, acknowledged, runs = {}, [], 0, 0
        began = time.monotonic()
        while runs < RUNS and (tap.LONG or time.monotonic() - began < SECONDS):
            writer = Writer(victim, dice.getrandbits(32), "acquis", said)
            background = Writer(source, dice.getrandbits(32), f"fond{runs % 3}", {})
            command = subprocess.Popen(
                [ESSAIM, "--dir", victim.dir, "publish", "-"], stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=lab.die_with_parent) if runs % 4 == 0 else None
            writer.start()
            background.start()
            slug = f"ligne-{runs}"
            told = threading.Thread(target=self.tell, args=(command, slug), daemon=True)
            told.start()
            threading.Event().wait(dice.random() ** 3 * 0.4)
            victim.kill()
            writer.join(LIMIT_S)
            told.join(LIMIT_S)
            background.over.set()
            background.join(LIMIT_S)
            start = time.monotonic()
            victim.start()
            ready.append(time.monotonic() - start)
            self.assertEqual(writer.wrong, [])
            self.check(victim, writer)
            if command is not None and command.returncode == 0:
                self.assertIn(slug, self.texts(victim, victim.id), "the command said it is done")
            self.clean(victim)
            acknowledged += writer.acknowledged
            runs += 1
        ready.sort()
        print(f"# {runs} kills, {acknowledged} acknowledged writes, 0 lost; ready again: median "
              f"{ready[len(ready) // 2] * 1000:.0f} ms, worst {ready[-1] * 1000:.0f} ms", flush=True)
        self.assertGreater(acknowledged, runs)
        self.assertLess(ready[int(len(ready) * 0.99) - 1], 2 * tap.SLOW)
        converge([source, victim, sink], limit_s=60 * tap.SLOW)
        self.same(source, victim, sink)
        self.clean(source, victim, sink)

    @staticmethod
    def tell(command, slug):
        """Lets the command publish one record."""
        if command is None:
            return
        record = {"slug": slug, "kind": "resource", **resource(slug)[2]}
        try:
            command.communicate(json.dumps(record).encode(), LIMIT_S)
        except (subprocess.TimeoutExpired, OSError):
            command.kill()
            command.wait()

    def test_kill_9_in_the_middle_of_a_batch_leaves_all_of_it_or_nothing(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        dice = random.Random(seed)
        a = self.lab()
        whole = halves = 0
        for run in range(200 if tap.LONG else 12):
            body = pack(resource("x", filler="x" * (run % 2 * 500))[2])
            size = 500 if run % 2 else 3000  # in parts, or in one request
            entries = [[f"lot-{run}-{k}", "resource", body] for k in range(3000)]

            def batch(entries=entries, size=size):
                try:
                    with a.connect(10) as client:
                        for part in range(0, 3000, size):
                            client.call("publish", entries=entries[part:part + size],
                                        more=part + size < 3000)
                        done.append(True)
                except (OSError, lab.Failure):
                    pass
            done = []
            thread = threading.Thread(target=batch, daemon=True)
            thread.start()
            threading.Event().wait(dice.random() * 0.15 * tap.SLOW)
            a.kill()
            thread.join(LIMIT_S)
            a.start()
            there = sum(slug.startswith(f"lot-{run}-") for _, slug in a.entries())
            self.assertIn(there, (0, 3000))
            self.assertTrue(there == 3000 or not done, "acknowledged and lost")
            whole += there == 3000
            halves += there == 0
            self.clean(a)
        print(f"# {whole} batches there, {halves} not", flush=True)


if __name__ == "__main__":
    tap.main()
