#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Promise C4: twelve daemons, each in a network of its own, cut from each other and killed for a while;
60 s after the last cable is back and the last daemon up, all hold the same.

Every daemon has a network namespace with one end of a veth pair; the other end is plugged into one
of three bridges, or into none, and set up or down. All of it lives in a namespace of this program
alone, so nothing is left behind. That needs root and `ip`; without them it is skipped, and says so.
40 s of trouble in CI (15 s under sanitizers), 5 min with ESSAIM_LONG=1. ESSAIM_SEED repeats what is done to them, but not when.
"""
import ctypes
import os
import random
import shutil
import subprocess
import time

import lab
import tap
from lab import converge, resource

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET, MS_REC, MS_PRIVATE = 0x00020000, 0x40000000, 0x4000, 1 << 18
IP = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
LABS, BRIDGES, PORT = 12, 3, 4242
TROUBLE_S = 300 if tap.LONG else 40 if tap.SLOW == 1 else 15


def ip(*words):
    done = subprocess.run([IP, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise lab.Failure(f"ip {' '.join(words)}: {done.stderr.strip()}")


def own_network():
    """Leaves everybody else's network; why that failed, or None."""
    if IP is None:
        return "there is no `ip`"
    if LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        return os.strerror(ctypes.get_errno())
    LIBC.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    LIBC.mount(b"sysfs", b"/sys", b"sysfs", ctypes.c_ulong(0), None)
    try:
        ip("link", "set", "lo", "up")
        for bridge in range(BRIDGES):
            ip("link", "add", f"br{bridge}", "type", "bridge")
            ip("link", "set", f"br{bridge}", "up")
    except (OSError, lab.Failure) as failure:
        return str(failure)
    return None


DENIED = own_network()


class Place:
    """A network namespace, kept by a process that does nothing, and its cable."""

    def __init__(self, number):
        self.address, self.cable = f"10.77.0.{number + 1}", f"ve{number}"
        out, into = os.pipe()

        def leave():
            lab.die_with_parent()
            if LIBC.unshare(CLONE_NEWNET) != 0:
                os._exit(1)
            os.write(into, b"x")
        self.keeper = subprocess.Popen(["sleep", "infinity"], preexec_fn=leave, close_fds=False)
        os.close(into)
        if os.read(out, 1) != b"x":
            raise lab.Failure("no network namespace")
        os.close(out)
        self.net = os.open(f"/proc/{self.keeper.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns",
           str(self.keeper.pid))
        inside = subprocess.run(
            ["/bin/sh", "-e", "-c", f"{IP} link set lo up; {IP} addr add {self.address}/24 dev eth0; "
                                    f"{IP} link set eth0 up"],
            preexec_fn=self.enter, capture_output=True, text=True, check=False)
        if inside.returncode != 0:
            raise lab.Failure(inside.stderr)
        self.plug(0)

    def enter(self):
        if LIBC.setns(self.net, CLONE_NEWNET) != 0:
            os._exit(1)

    def plug(self, bridge):
        """Into that bridge; None: the cable is cut."""
        if bridge is None:
            ip("link", "set", self.cable, "down")
        else:
            ip("link", "set", self.cable, "master", f"br{bridge}")
            ip("link", "set", self.cable, "up")

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        os.close(self.net)


@lab.unittest.skipIf(DENIED, f"NO NAMESPACES: {DENIED}")
class Islands(lab.Case):
    """Twelve labs."""

    limit_s = 180

    def settle(self):
        """The labs, in their places, linked in a ring with chords."""
        self.places, labs = [], []
        for k in range(LABS):
            self.places.append(Place(k))
            self.addCleanup(self.places[k].close)
            made = self.lab(f"Labo {k}", start=False, folder=f"labo-{k}")
            made.address = f"{self.places[k].address}:{PORT}"
            made.keep_address()
            labs.append(made)
            self.begin(k)
        self.addCleanup(lambda: [each.stop() for each in labs])
        for k, one in enumerate(labs):
            for step in (1, 5):
                one.meets(labs[(k + step) % LABS])
        for each in labs:
            each.id  # asked once, while it is there
        return labs

    def begin(self, k):
        self.labs[k].start(preexec=self.places[k].enter)

    def write(self, who, k):
        """Something new, something changed, something gone; what it says may be lost with it."""
        entries = [resource(f"fiche-{self.dice.randrange(40)}", f"{k}",
                            filler="x" * self.dice.randrange(3000))
                   for _ in range(self.dice.choice((1, 1, 3)))]
        who.publish(list({each[0]: each for each in entries}.values()))
        if self.dice.randrange(4) == 0:
            who.withdraw(f"fiche-{self.dice.randrange(40)}")

    def trouble(self, labs):
        """What happens meanwhile; how often what did."""
        counts = {"cut": 0, "moved": 0, "back": 0, "killed": 0, "started": 0, "heads": 0}
        end = time.monotonic() + TROUBLE_S
        while time.monotonic() < end:
            k = self.dice.randrange(LABS)
            what = self.dice.choice(("cut", "moved", "moved", "back", "killed", "started", "started"))
            if what in ("cut", "moved", "back"):
                self.places[k].plug({"cut": None, "back": 0}.get(what, self.dice.randrange(BRIDGES))
                                    if what != "cut" else None)
            elif what == "killed" and labs[k].alive() and sum(each.alive() for each in labs) > 6:
                labs[k].kill()
            elif what == "started" and not labs[k].alive():
                self.begin(k)
            else:
                continue
            counts[what] += 1
            for who in self.dice.sample(labs, 3):
                if who.alive():
                    counts["heads"] += 1
                    self.write(who, counts["heads"])
            time.sleep(self.dice.random() * 0.6)  # trouble takes its time
        return counts

    def test_after_cuts_and_kills_all_hold_the_same_within_60_s(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        self.dice = random.Random(seed)
        print(f"# seed {seed}", flush=True)
        labs = self.settle()
        for k, who in enumerate(labs):
            who.publish([resource(f"base-{i}", filler="x" * 700) for i in range(30)])
        converge(labs, lambda: len(labs[0].heads()) == LABS, 60 * tap.SLOW)
        counts = self.trouble(labs)
        for k in range(LABS):
            self.places[k].plug(0)
            if not labs[k].alive():
                self.begin(k)
        healed = time.monotonic()
        converge(labs, limit_s=60)
        print(f"# {counts}; the same everywhere {time.monotonic() - healed:.1f} s later", flush=True)
        self.assertGreater(counts["heads"], 10)
        self.assertEqual(len({each.rpc("status")["digest"] for each in labs}), 1)
        self.same(*labs)
        self.clean(*labs)


if __name__ == "__main__":
    tap.main()
