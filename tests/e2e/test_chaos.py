#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Real daemons with a bad network, or an enemy, between them (tests/peer/chaos.py).

Whatever the way does: nothing is accepted that was not sent, nothing is lost for good, and when it
does well again the labs soon hold the same. Promises N4, N5 and N6 as far as real time allows;
ESSAIM_LONG=1 waits out the 90 s of N4 and tries every frame and many more bytes.
"""
import os
import random
import time

import lab
import tap
from lab import converge, resource, until
from chaos import DOWN, UP, Chaos, Splicer  # lab says where


class Case(lab.Case):
    """Labs with ways between them."""

    limit_s = 90

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        self.dice = random.Random(self.seed)
        print(f"# seed {self.seed}", flush=True)

    def way(self, dialler, other):
        """A link between two labs, through a Chaos."""
        made = Chaos(other.address, self.seed)
        self.addCleanup(made.close)
        other.knows(dialler)
        dialler.rpc("peers_add", lab=other.did, address=made.address)
        return made

    @staticmethod
    def now(dialler, other, way):
        """Dials at once, whatever the back-off."""
        dialler.rpc("peers_add", lab=other.did, address=way.address)

    @staticmethod
    def refused(*labs):
        return sum(sum(each.rpc("status")["refused"].values()) for each in labs)

    def linked(self, a, b, limit_s=None):
        until(lambda: b.id in a.links() and a.id in b.links(), [], limit_s)

    def parted(self, a, b, limit_s=None):
        until(lambda: b.id not in a.links() and a.id not in b.links(), [], limit_s)


class Weather(Case):
    """Nobody means harm."""

    def test_slow_narrow_and_broken_ways_delay_and_lose_nothing(self):
        a, b, c = self.lab("Ti Lab"), self.lab("Région Sud"), self.lab("Ministère")
        ways = [self.way(b, a), self.way(c, b)]
        self.linked(a, b)
        self.linked(b, c)
        for way in ways:
            way.delay(0.03, jitter=0.05)
            way.throttle(150000)
        end, k = time.monotonic() + (120 if tap.LONG else 5), 0
        while time.monotonic() < end:
            for who in (a, b, c):
                k += 1
                who.publish([resource(f"fiche-{self.dice.randrange(60)}", f"{k}",
                                      filler="x" * self.dice.choice((10, 3000, 30000)))])
            if k % 2 == 0:
                self.dice.choice(ways).cut()
            if k % 5 == 0:
                a.publish([resource(f"lot-{k}-{i}", filler="y" * 900) for i in range(300)])
            time.sleep(self.dice.random() * 0.5)  # the weather, not a wait
        for way in ways:
            way.heal()
        converge([a, b, c], limit_s=60 * tap.SLOW)
        self.same(a, b, c)
        self.clean(a, b, c)
        print(f"# {k} heads, {sum(way.opened for way in ways)} connections", flush=True)

    def test_a_slow_reader_delays_itself_alone(self):
        a, b, c = self.lab("Ti Lab"), self.lab("Lent"), self.lab("Vif")
        way = self.way(b, a)
        way.throttle(20000, DOWN)
        c.meets(a)
        self.linked(a, b)
        a.publish([resource(f"fiche-{k}", filler="x" * 900) for k in range(2000)])
        converge([a, c], lambda: len(c.entries()) == 2000)
        self.assertLess(len(b.heads()), 1)
        way.heal()
        converge([a, b, c], limit_s=60 * tap.SLOW)
        self.same(a, b, c)

    def test_bytes_that_were_swallowed_end_the_link_and_it_is_made_anew(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        way = self.way(b, a)
        self.linked(a, b)
        way.hole()
        a.publish([resource("perdu", filler="x" * 20000)])
        until(lambda: way.swallowed > 100, [])
        way.heal()
        a.publish([resource("recu")])
        converge([a, b], lambda: len(b.entries()) == 2)
        self.assertGreater(way.opened, 1)
        self.clean(a, b)

    def test_who_comes_back_replaces_its_own_dead_link(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        way = self.way(b, a)
        a.publish([resource("avant")])
        converge([a, b], lambda: len(b.entries()) == 1)
        way.half_open()
        until(lambda: way.opened > 1, [])
        a.publish([resource("apres")])
        converge([a, b], lambda: len(b.entries()) == 2)
        until(lambda: len(a.rpc("status")["links"]) == 1, [])

    @lab.unittest.skipUnless(tap.LONG, "90 s of silence: with --long (tests/sim has them in CI)")
    def test_a_black_hole_is_noticed_within_90_s_and_a_link_stands_30_s_after_it(self):
        for outage_s in (0, 40, 400):
            a, b = self.lab(f"Ti Lab {outage_s}"), self.lab(f"Région Sud {outage_s}")
            way = self.way(b, a)
            a.publish([resource("avant")])
            converge([a, b], lambda b=b: len(b.entries()) == 1)
            way.hole()
            began = time.monotonic()
            self.parted(a, b, 95)
            print(f"# noticed after {time.monotonic() - began:.1f} s", flush=True)
            self.assertLessEqual(time.monotonic() - began, 91)
            a.publish([resource("pendant")])
            time.sleep(outage_s)
            way.heal()
            began = time.monotonic()
            converge([a, b], lambda b=b: len(b.entries()) == 2, 40)
            print(f"# linked again {time.monotonic() - began:.1f} s after it", flush=True)
            self.assertLessEqual(time.monotonic() - began, 31)


class Enemy(Case):
    """Somebody on the way who reads, keeps and changes what goes by, but has no key."""

    def attack(self, dialler, other, way, done):
        """One connection that meets the enemy; True when a side refused what came."""
        before = self.refused(dialler, other)
        opened = way.opened
        self.now(dialler, other, way)
        end = time.monotonic() + 2 * tap.SLOW
        until(lambda: way.opened > opened, [])
        while time.monotonic() < end and not (
                done() and self.refused(dialler, other) > before):
            if done() and not dialler.links() and not other.links() and way.pairs == []:
                break
            time.sleep(0.01)
        return self.refused(dialler, other) > before

    def published(self, who, said):
        """One more entry, so that the next connection has something to carry."""
        slug = f"fiche-{self.dice.randrange(30)}"
        who.publish([resource(slug, f"{self.dice.random()}",
                              filler="x" * self.dice.randrange(2000))])
        said.add(who.rpc("show", ref=slug)["entry"])

    def only(self, who, owner, said):
        """It holds nothing that was not said."""
        for (lab_id, slug), entry in who.entries().items():
            if lab_id == owner.id:
                self.assertIn(entry, said, slug)

    def parted_way(self, a, b, way):
        way.refuse()
        way.cut()
        self.parted(a, b)
        way.heal()

    def test_frames_of_another_session_or_in_another_order_are_never_taken(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        splicer, said = Splicer(), set()
        self.published(a, said)
        way = self.way(b, a)
        way.listen_in(splicer)
        converge([a, b], lambda: len(b.entries()) == 1)
        self.parted_way(a, b, way)
        cases = [(how, at, direction) for how in Splicer.HOWS for direction in (UP, DOWN)
                 for at in range(8 if tap.LONG else 5)
                 if not (how in ("drop", "swap") and at < 2)]  # a handshake that waits, for 5 s
        self.dice.shuffle(cases)
        tried = 0
        for how, at, direction in cases if tap.LONG else cases[:24]:
            self.published(a, said)
            self.published(b, set())
            held = b.heads()
            splicer.attack(how, at, direction)
            way.listen_in(splicer)
            refused = self.attack(b, a, way, lambda: splicer.done)
            if splicer.done:
                tried += 1
                name = f"{how} frame {at} {'up' if direction == UP else 'down'}"
                if how != "drop":  # what follows a lost frame may never have been sent
                    self.assertTrue(refused, name)
                self.assertEqual(splicer.done, 1, name)
            self.only(b, a, said)
            self.assertTrue(a.alive() and b.alive())
            now = b.heads()
            self.assertTrue(all(now[key][0] >= head[0] for key, head in held.items()))
            self.parted_way(a, b, way)
        print(f"# {tried} attacks", flush=True)
        self.assertGreater(tried, 10)
        self.now(b, a, way)
        converge([a, b])
        self.same(a, b)
        self.clean(a, b)

    def test_a_flipped_bit_anywhere_on_the_way_is_never_taken(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        said, seen = set(), [300, 300]
        way = self.way(b, a)
        self.linked(a, b)
        self.parted_way(a, b, way)
        flips = 0
        for _ in range(400 if tap.LONG else 30):
            self.published(a, said)
            direction = self.dice.choice((UP, DOWN))
            way.flip(self.dice.randrange(seen[direction]), direction)
            count = way.flipped
            if self.attack(b, a, way, lambda count=count: way.flipped > count):
                flips += 1
            with way.lock:
                for pair in way.pairs:
                    for each in (UP, DOWN):
                        seen[each] = max(seen[each], min(pair.ways[each].seen, 4000))
            self.only(b, a, said)
            self.parted_way(a, b, way)
        print(f"# {way.flipped} bits flipped, {flips} connections refused for it", flush=True)
        self.assertGreater(flips, 10)
        self.now(b, a, way)
        converge([a, b])
        self.same(a, b)
        self.clean(a, b)


if __name__ == "__main__":
    tap.main()
