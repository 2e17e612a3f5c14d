#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Promise N8 with real daemons: a wall clock that jumps (tests/power/wrongclock.c), mid-run and across
restarts. tests/sim/test_stories_time.c has the months; here it is the loop, the timers and the words.
"""
import json
import os
import pty
import struct
import subprocess
import time

import lab
import tap
from lab import converge, resource, until

PRELOAD = os.environ.get("ESSAIM_WRONG_CLOCK",
                         os.path.join(lab.BUILD, "tests", "power", "wrongclock.so"))
DAY = 24 * 3600


def to(year):
    """Seconds from now to the middle of a year."""
    return int((year - 1970) * 365.2425 * DAY - time.time())


JUMPS = {"an hour on": 3700, "an hour back": -3700, "400 days on": 400 * DAY,
         "400 days back": -400 * DAY, "1970": -int(time.time()), "1901": to(1901), "2039": to(2039),
         "2107": to(2107), "30000": to(30000)}


@lab.unittest.skipUnless(os.path.exists(PRELOAD), "NO PRELOADING in this build")
class Clock(lab.Case):
    """One lab of three has a wrong clock."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.top, "ahead")
        self.set(0)

    def set(self, ahead_s):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("=q", ahead_s))

    def wrong(self, name):
        made = self.lab(name, start=False)
        made.environment = {"LD_PRELOAD": PRELOAD, "WRONG_CLOCK": self.path}
        return made.start()

    @staticmethod
    def warned(*labs):
        return ["clock" in each.rpc("status")["warnings"] for each in labs]

    @staticmethod
    def terminal(who, *words):
        """What a command says on a terminal."""
        master, slave = pty.openpty()
        process = subprocess.Popen([lab.ESSAIM, "--dir", who.dir, *words], stdin=slave,
                                   stdout=slave, stderr=slave, preexec_fn=lab.die_with_parent)
        os.close(slave)
        said = b""
        try:
            while octets := os.read(master, 1 << 16):
                said += octets
        except OSError:  # the last one closed it
            pass
        os.close(master)
        process.wait()
        return " ".join(said.decode().split())

    def news(self, labs, k):
        """One entry of each, everywhere."""
        for who in labs:
            who.publish([resource("neuve", f"{k}")])
        converge(labs, lambda: all(
            lab.msgpack.unpackb(entry, raw=False)[3]["summary"]["fr"] == f"{k}"
            for who in labs for (_, slug), entry in who.entries().items() if slug == "neuve"))

    def test_a_jump_changes_no_timer_and_no_acceptance_and_is_told(self):
        a, b, c = self.lab("Ti Lab"), self.wrong("Horloge"), self.lab("Région Sud")
        b.meets(a)
        c.meets(b)
        b.publish([resource("salle"), resource("erreur")])
        converge([a, b, c], lambda: len(c.entries()) == 2)
        b.withdraw("erreur")
        self.news([a, b, c], "d'abord")
        self.assertEqual(self.warned(a, b, c), [False] * 3)
        began = time.monotonic()
        for k, (name, ahead_s) in enumerate(JUMPS.items()):
            with self.subTest(name):
                self.set(ahead_s)
                self.news([a, b, c], f"{k} {name}")
                self.assertEqual(self.warned(a, c), [False] * 2)
                if ahead_s < 0:  # the others' heads are of tomorrow, then
                    until(lambda: self.warned(b) == [True], [])
                shown = json.loads(a.good("--json", "status"))
                self.assertEqual(len(shown["links"]), 1)
                for who in (a, b, c):
                    self.assertEqual(who.cli("status").returncode, 0)
                    self.assertEqual(who.cli("show", f"{b.did}/neuve").returncode, 0)
                self.set(0)
                self.news([a, b, c], f"{k} après {name}")
                self.assertEqual(self.warned(a, b, c), [False] * 3)
        for who in (a, b, c):
            status = who.rpc("status")
            self.assertEqual(status["refused"], {})
            self.assertLessEqual(abs(status["uptime_s"] - (time.monotonic() - began)), 20 * tap.SLOW)
            for link in status["links"]:  # the same links all the time
                self.assertGreaterEqual(link["since_s"], int(time.monotonic() - began) - 1)
        self.same(a, b, c)
        self.clean(a, b, c)

    def test_a_start_under_a_wrong_clock_is_a_start_like_any_other(self):
        a, b = self.lab("Ti Lab"), self.wrong("Horloge")
        b.keep_address()
        b.meets(a)
        b.publish([resource("salle")])
        converge([a, b], lambda: len(a.entries()) == 1)
        for k, ahead_s in enumerate([*JUMPS.values(), 0]):
            self.assertEqual(b.stop(), 0)
            self.set(ahead_s)
            b.start()
            self.news([a, b], k)
        self.assertEqual(a.rpc("status")["refused"], {})
        self.assertEqual(self.warned(a, b), [False] * 2)
        self.same(a, b)
        self.clean(a, b)

    def test_the_warning_is_said_in_words_and_goes_with_its_cause(self):
        b = self.wrong("Horloge")
        self.set(-int(time.time()))
        b.publish([resource("salle")])
        self.assertIn("horloge", self.terminal(b, "--lang", "fr", "status"))
        self.assertIn("the clock of this machine", self.terminal(b, "--lang", "en", "status"))
        self.set(DAY)
        b.publish([resource("demain")])
        self.set(0)
        until(lambda: self.warned(b) == [True], [])
        b.publish([resource("aujourd-hui")])
        self.assertEqual(self.warned(b), [False])


if __name__ == "__main__":
    tap.main()
