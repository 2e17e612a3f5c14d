#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Promise D3: a full disk is refused clearly, reading goes on, writing resumes, nothing is lost.

On a small tmpfs in a mount namespace of this test alone (that needs root; without it these are
skipped, and say so), and under a limit on the size of files, which needs nobody's leave.
"""
import ctypes
import json
import os
import random
import resource as limits
import tempfile

import lab
import tap
from lab import converge, resource, until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18
SIZE_MB = 160
ROOM_MB = 64  # below this much free room nothing is written


def own_mounts():
    """Leaves the mounts of everybody else; why that failed, or None."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(
            b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) != 0:
        return os.strerror(ctypes.get_errno())
    with tempfile.TemporaryDirectory() as place:
        if LIBC.mount(b"tmpfs", place.encode(), b"tmpfs", ctypes.c_ulong(0), b"size=1m") != 0:
            return os.strerror(ctypes.get_errno())
        LIBC.umount2(place.encode(), 2)
    return None


DENIED = own_mounts()


class Disk:
    """A tmpfs on a directory, and a file that takes up its room."""

    def __init__(self, place):
        self.place, self.ballast = place, os.path.join(place, "ballast")
        os.makedirs(place)
        if LIBC.mount(b"tmpfs", place.encode(), b"tmpfs", ctypes.c_ulong(0),
                      f"size={SIZE_MB}m,mode=700".encode()) != 0:
            raise lab.Failure(os.strerror(ctypes.get_errno()))

    def free(self):
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize

    def leave(self, size):
        """Takes up all but so many bytes."""
        with open(self.ballast, "ab") as file:
            take = self.free() - size
            if take > 0:
                os.posix_fallocate(file.fileno(), file.seek(0, 2), take)

    def empty(self):
        if os.path.exists(self.ballast):
            os.unlink(self.ballast)

    def gone(self):
        LIBC.umount2(self.place.encode(), 2)


@lab.unittest.skipIf(DENIED, f"NO MOUNT: {DENIED}")
class Full(lab.Case):
    """A small disk."""

    limit_s = 120

    def setUp(self):
        super().setUp()
        self.outside = self.top
        self.disk = Disk(os.path.join(self.top, "disque"))
        self.addCleanup(self.disk.gone)
        self.addCleanup(lambda: [each.stop() for each in self.labs])

    def on_disk(self, name="Ti Lab", **more):
        self.top = self.disk.place
        try:
            return self.lab(name, **more)
        finally:
            self.top = self.outside

    def reads_go_on(self, a, held):
        self.assertEqual(a.entries(), held)
        self.assertEqual(a.cli("list").returncode, 0)
        self.assertEqual(a.cli("--json", "status").returncode, 0)
        self.clean(a)

    def test_publishing_is_refused_while_room_is_short_and_resumes(self):
        a = self.on_disk()
        a.publish([resource(f"fiche-{k}") for k in range(100)])
        held = a.entries()
        self.disk.leave((ROOM_MB - 4) << 20)
        until(lambda: "disk-full" in a.rpc("status")["warnings"], [])
        self.refuses("E-FULL", a.publish, [resource("de-trop")])
        record = json.dumps({"slug": "de-trop", "kind": "resource", **resource("x")[2]})
        done = a.cli("publish", "-", stdin=record)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("E-FULL", done.stderr)
        self.reads_go_on(a, held)
        self.disk.empty()
        until(lambda: "disk-full" not in a.rpc("status")["warnings"], [])
        self.assertEqual(a.publish([resource("de-trop")])["statuses"], b"\0")
        self.assertEqual(a.cli("publish", "-", stdin=record).returncode, 0)
        self.assertEqual(len(a.entries()), 101)
        self.clean(a)

    def test_a_disk_that_fills_up_at_any_moment_loses_nothing(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        for part in range(8 if tap.LONG else 1):  # what was withdrawn leaves rows: a fresh lab each
            a = self.on_disk(f"Ti Lab {part}")
            self.fills_up(a, random.Random(seed + part), 25)
            self.assertEqual(a.stop(), 0)
            lab.shutil.rmtree(a.dir)

    def fills_up(self, a, dice, points):
        """So many times the disk fills up, and is emptied again."""
        said, refused, kept = {}, 0, 0
        a.publish([resource(f"fond-{k}", filler="x" * 700) for k in range(3000)])
        for point in range(points):
            until(lambda: "disk-full" not in a.rpc("status")["warnings"], [])
            a.publish([resource("place", f"{point}")])  # there is room: so it believes a while
            said["place"] = f"{point}"
            self.disk.leave(dice.choice((0, 4096, dice.randrange(1 << 20), dice.randrange(8 << 20))))
            refused += self.published_until_refused(a, said, point, dice)
            self.assertTrue(a.alive(), a.log_tail())
            self.check(a, said)
            ours = [slug for slug in said if slug.startswith("f-")]
            size = dice.choice((1, 20, 2500))
            if len(ours) > 20000:
                size = len(ours)
            gone = self.withdrawn(a, said, ours[:size])
            kept += not gone
            self.check(a, said)
            if point % 5 == 0:
                a.kill()
                self.disk.empty()
                a.start()
                self.check(a, said)
            self.disk.empty()
            if size > 20000 and not gone:
                self.assertTrue(self.withdrawn(a, said, ours), "there is room again")
        self.clean(a)
        print(f"# {points} fill points, {refused} refusals, {kept} withdrawals refused, "
              f"{len(said)} entries kept", flush=True)
        self.assertGreater(refused, points // 2)

    def published_until_refused(self, a, said, point, dice):
        """Publishes and notes what was acknowledged, till the disk is full. True: it was refused."""
        for k in range(40):
            entries = [resource(f"f-{point}-{k}-{i}", f"{dice.random()}", filler="y" * 900)
                       for i in range(dice.choice((1, 1, 20, 2500)))]
            try:
                result = a.publish(entries)
            except lab.RpcError as error:
                self.assertEqual(error.code, "E-FULL")
                return True
            self.assertEqual(set(result["statuses"]), {0})
            said.update((slug, body["summary"]["fr"]) for slug, _, body in entries)
        return False

    def withdrawn(self, a, said, slugs):
        """Withdraws all of them, which takes room too: False when it was refused, and then whole."""
        try:
            result = a.withdraw(*slugs)
        except lab.RpcError as error:
            self.assertEqual(error.code, "E-FULL")
            return False
        self.assertLessEqual(set(result["statuses"]), {0})
        for slug in slugs:
            del said[slug]
        return True

    def test_a_request_of_thousands_that_finds_no_room_leaves_nothing_behind(self):
        a = self.on_disk()
        body = lab.pack(resource("x")[2])
        outcomes = []
        for point in range(60 if tap.LONG else 16):
            a.publish([resource("place", f"{point}")])
            self.disk.leave((100 + 150 * point) << 10)
            try:
                a.rpc("publish", entries=[[f"f-{point}-{k}", "resource", body] for k in range(4000)])
                outcomes.append(4000)
            except lab.RpcError as error:
                self.assertEqual(error.code, "E-FULL")
                outcomes.append(0)
            there = [slug for _, slug in a.entries() if slug.startswith(f"f-{point}-")]
            self.assertEqual(len(there), outcomes[-1])
            self.clean(a)
            self.disk.empty()
            until(lambda: "disk-full" not in a.rpc("status")["warnings"], [])
            if there:
                a.withdraw(*there)
            self.clean(a)
        self.assertEqual({0, 4000}, set(outcomes))

    def test_a_batch_begun_by_another_client_is_whole_or_refused_after_a_refusal(self):
        a = self.on_disk()
        body = lab.pack(resource("x", filler="y" * 900)[2])
        refused = outcomes = 0
        for point in range(60 if tap.LONG else 16):
            a.publish([resource("place", f"{point}")])
            with a.connect() as other:
                mine = [[f"autre-{point}-{k}", "resource", body] for k in range(300)]
                other.call("publish", entries=mine, more=True)
                lot = [[f"lot-{point}-{k}", "resource", body] for k in range(2500)]
                if point % 2:  # the bodies are there, and what names them finds no room
                    for part in range(0, 2500, 500):
                        a.rpc("publish", entries=lot[part:part + 500], more=True)
                    lot = []
                self.disk.leave(point // 2 * (100 if point % 2 else 400) << 10)
                try:
                    a.publish(lot)
                except lab.RpcError as error:
                    self.assertEqual(error.code, "E-FULL")
                    refused += 1
                    a.drop_client()
                self.disk.empty()
                until(lambda: "disk-full" not in a.rpc("status")["warnings"], [])
                a.publish([resource("entre", f"{point}")])
                try:
                    other.call("publish", entries=[])
                    expected = 300
                except lab.RpcError as error:
                    self.assertEqual(error.code, "E-FULL")
                    expected = 0
            there = [slug for _, slug in a.entries() if slug.startswith(f"autre-{point}-")]
            self.assertEqual(len(there), expected)
            outcomes += expected > 0
            self.clean(a)
            a.withdraw(*[slug for _, slug in a.entries() if slug not in ("place", "entre")])
        print(f"# {refused} refusals, {outcomes} other batches whole", flush=True)
        self.assertGreater(refused, 3)

    def check(self, a, said):
        there = {slug: lab.msgpack.unpackb(entry, raw=False)[3]["summary"]["fr"]
                 for (_, slug), entry in a.entries().items() if not slug.startswith("fond-")}
        lost = sorted(slug for slug in said if slug not in there)
        grown = sorted(slug for slug in there if slug not in said)
        other = sorted(slug for slug in said if slug in there and there[slug] != said[slug])
        self.assertEqual((lost[:9], grown[:9], other[:9]), ([], [], []),
                         f"{len(lost)} lost, {len(grown)} too many, {len(other)} other")

    def test_a_lab_whose_disk_is_full_fetches_on_when_there_is_room(self):
        a, b = self.lab("Ti Lab"), self.on_disk("Région Sud")
        b.meets(a)
        a.publish([resource("salle")])
        converge([a, b], lambda: len(b.entries()) == 1)
        self.disk.leave(2 << 20)
        held = b.entries()
        a.publish([resource(f"fiche-{k:05d}", filler="x" * 900) for k in range(8000)])
        until(lambda: b.rpc("status")["refused"].get("E-FULL"), [b])
        self.assertTrue(b.alive())
        self.reads_go_on(b, held)
        self.disk.empty()
        converge([a, b], lambda: len(b.entries()) == 8001, 60 * tap.SLOW)
        self.same(a, b)
        self.clean(b)


class Limited(lab.Case):
    """A limit on the size of files: the same to the daemon, and no mount needed."""

    def test_what_is_withdrawn_gives_its_room_back_although_nothing_is_written_since(self):
        a = self.lab()

        def used():
            return a.rpc("status")["disk"]["used"]
        for _ in range(2):
            a.publish([resource(f"fiche-{k}", filler="x" * 900) for k in range(5000)])
            full = used()
            a.withdraw(*[f"fiche-{k}" for k in range(5000)])
            until(lambda: used() < full // 4, [])
            self.clean(a)

    def test_a_file_that_may_not_grow_is_a_refusal_and_not_the_end(self):
        a = self.lab(start=False)

        def limit():
            limits.setrlimit(limits.RLIMIT_FSIZE, (3 << 20, limits.RLIM_INFINITY))
        a.start(preexec=limit)
        said, refused = {}, 0
        for k in range(60):
            entries = [resource(f"f-{k}-{i}", f"{k}", filler="y" * 900) for i in range(100)]
            try:
                a.publish(entries)
                said.update((slug, body["summary"]["fr"]) for slug, _, body in entries)
            except lab.RpcError as error:
                self.assertEqual(error.code, "E-FULL")
                refused += 1
            self.assertTrue(a.alive(), a.log_tail())
        self.assertGreater(refused, 0)
        self.assertGreater(len(said), 500)
        self.assertEqual({slug for _, slug in a.entries()}, set(said))
        self.clean(a)
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual({slug for _, slug in a.entries()}, set(said))
        self.assertEqual(a.publish([resource("de-nouveau")])["statuses"], b"\0")
        self.clean(a)


if __name__ == "__main__":
    tap.main()
