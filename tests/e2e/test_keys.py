#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Keys that change, the guard file, and labs that come back from nothing (doc/decisions/0009).

Real daemons, the real command. Kills come at random moments; the seed is printed, ESSAIM_SEED
repeats it (times still vary).
"""
import json
import os
import random
import shutil
import stat
import subprocess
import threading
import time
import unittest

import lab
import tap
import peer  # the second implementation of the link: lab names its directory
from lab import ESSAIM, converge, resource, until

SEED = int(os.environ.get("ESSAIM_SEED", random.SystemRandom().getrandbits(32)))
UNKNOWN = (b"essaim-guard-1 18446744073709551615 " + b"0" * 64 + b" b2498cdb44d8bbda\n")
KEY_FILES = ("signing.key", "link.key", "lab.record")


def many(prefix, count):
    return [resource(f"{prefix}-{number}", f"Fiche {prefix} {number}") for number in range(count)]


def generation(which, of=None):
    """Of a lab's record, as `which` holds it."""
    wanted = (of or which).did
    return next(each["generation"] for each in which.rpc("labs")["labs"] if each["did"] == wanted)


def warnings(which):
    return set(which.rpc("status")["warnings"])


def own_n(which):
    head = which.rpc("status")["head"]
    return head["n"] if head else 0


def files_of(which):
    found = {}
    for name in KEY_FILES:
        with open(os.path.join(which.dir, name), "rb") as file:
            found[name] = file.read()
    return found


def leftovers(which):
    return [name for name in os.listdir(which.dir) if name.endswith((".new", ".next"))]


def path_of(which, name):
    return os.path.join(which.dir, name)


def guard_of(which):
    with open(path_of(which, "guard"), "rb") as file:
        return file.read()


class Keys(lab.Case):
    """Rotation, and the root key offline."""

    limit_s = 120

    def test_new_keys_reach_all_peers_over_links_that_stand(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        a.keep_address()
        a.publish(many("un", 5))
        converge([a, b, c], lambda: len(c.entries()) == 5)
        before, links = files_of(a), a.rpc("status")["links"]
        done = a.cli("key", "rotate", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["id"], said["generation"], said["n"]), (a.did, 2, 2))
        self.assertEqual(leftovers(a), [])
        after = files_of(a)
        for name in KEY_FILES:
            self.assertNotEqual(before[name], after[name], name)
            self.assertEqual(stat.S_IMODE(os.stat(path_of(a, name)).st_mode), 0o600, name)
        converge([a, b, c], lambda: generation(c, a) == 2)
        self.assertEqual([one["since_s"] >= old["since_s"] and one["address"] == old["address"]
                          for one, old in zip(a.rpc("status")["links"], links)], [True])
        a.publish(many("deux", 3))
        converge([a, b, c], lambda: len(c.entries()) == 8)
        a.stop()  # whoever held the old link key meets the new one
        a.start()
        a.publish(many("trois", 1))
        converge([a, b, c], lambda: len(c.entries()) == 9)
        self.clean(a, b, c)
        self.same(a, b, c)

    def test_a_lab_runs_and_rotates_with_its_root_key_elsewhere(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.keep_address()
        away = os.path.join(self.top, "cle-usb", "racine.key")
        os.mkdir(os.path.dirname(away), 0o755)
        self.assertEqual(a.cli("key", "export-root", away).returncode, 0)
        self.assertFalse(os.path.exists(path_of(a, "root.key")))
        self.assertEqual(stat.S_IMODE(os.stat(away).st_mode), 0o600)
        a.stop()
        a.start()
        a.publish(many("un", 2))
        converge([a, b], lambda: len(b.entries()) == 2)
        missing = a.cli("key", "rotate")
        self.assertEqual(missing.returncode, 4, missing.stderr)
        self.assertIn("--root-key", missing.stderr)
        self.assertIn("E-KEY", missing.stderr)
        rotated = a.cli("key", "rotate", "--root-key", away)
        self.assertEqual(rotated.returncode, 0, rotated.stderr)
        converge([a, b], lambda: generation(b, a) == 2)
        self.assertTrue(os.path.exists(away))
        self.clean(a, b)

    def test_exporting_refuses_what_is_there_and_says_when_it_was_done_before(self):
        a = self.lab(start=False)
        away = os.path.join(self.top, "racine.key")
        open(away, "w", encoding="ascii").close()
        there = a.cli("key", "export-root", away)
        self.assertEqual(there.returncode, 6, there.stderr)
        self.assertIn("déjà", there.stderr)
        self.assertTrue(os.path.exists(path_of(a, "root.key")))
        os.unlink(away)
        self.assertEqual(a.cli("key", "export-root", away, "--dry-run").returncode, 0)
        self.assertFalse(os.path.exists(away))
        self.assertEqual(a.cli("clé", "exporter-racine", away).returncode, 0)
        again = a.cli("key", "export-root", away + ".2")
        self.assertEqual(again.returncode, 3, again.stderr)
        self.assertIn("déjà été déplacée", again.stderr)

    def test_a_root_key_of_another_lab_or_open_to_others_is_refused(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        other = a.cli("key", "rotate", "--root-key", path_of(b, "root.key"))
        self.assertEqual(other.returncode, 4, other.stderr)
        self.assertIn("autre laboratoire", other.stderr)
        os.chmod(path_of(a, "root.key"), 0o644)
        shown = a.cli("key", "rotate")
        self.assertEqual(shown.returncode, 4, shown.stderr)
        self.assertIn("chmod 0600", shown.stderr)
        self.assertEqual(a.cli("key", "rotate", "--lang", "en").stderr.count("open to others"), 1)
        self.assertEqual((generation(a), leftovers(a)), (1, []))

    def test_rotating_while_much_is_published_tries_again(self):
        a = self.lab()
        over = threading.Event()

        def writes():
            with a.connect() as client:
                number = 0
                while not over.is_set():
                    number += 1
                    client.call("publish", entries=[
                        [f"f-{number % 50}", "resource", lab.pack(resource("x", str(number))[2])]])
        writer = threading.Thread(target=writes)
        writer.start()
        try:
            codes = [a.cli("key", "rotate").returncode for _ in range(5)]
        finally:
            over.set()
            writer.join()
        self.assertLessEqual(set(codes), {0, 6}, "done, or a conflict said")
        self.assertEqual(generation(a), 1 + codes.count(0))
        self.assertEqual(leftovers(a), [])
        self.clean(a)

    def test_what_has_no_daemon_or_no_right_says_so(self):
        a = self.lab(start=False)
        self.assertEqual(a.cli("key", "rotate").returncode, 7)
        self.assertEqual(a.cli("key", "zorglub").returncode, 2)
        self.assertEqual(a.cli("key").returncode, 2)
        a.start()
        self.refuses("E-CONFLICT", a.rpc, "key_rotate")
        for name in ("signing.key.new", "link.key.new", "lab.record.new"):
            shutil.copy(path_of(a, name[:-4]), path_of(a, name))
        self.refuses("E-CONFLICT", a.rpc, "key_rotate")  # the same generation again
        self.assertEqual(leftovers(a), [])

    @unittest.skipIf(os.geteuid() != 0, "only root may work for others")
    def test_root_may_rotate_for_the_user_of_the_daemon(self):
        a = self.lab(start=False)
        os.chmod(self.top, 0o711)

        def become():
            os.setgid(65534)
            os.setuid(65534)
        self.addCleanup(os.umask, os.umask(0))  # it must reach the socket of READY, too
        for folder, _, names in os.walk(a.dir):
            for name in [folder, *(os.path.join(folder, name) for name in names)]:
                os.chown(name, 65534, 65534)
        open(a.log_path, "ab").close()
        a.start(preexec=become)
        a.publish(many("un", 2))
        rotated = a.cli("key", "rotate")
        self.assertEqual(rotated.returncode, 0, rotated.stderr)
        self.assertEqual({os.stat(path_of(a, name)).st_uid for name in (*KEY_FILES, "guard")},
                         {65534})
        a.stop()
        a.start(preexec=become)
        self.assertEqual(generation(a), 2)
        a.publish(many("deux", 1))
        self.clean(a)

    def test_kills_during_a_rotation_leave_the_old_keys_or_the_new_ones(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        print(f"# seed {SEED}")
        dice = random.Random(SEED)
        a.publish(many("un", 20))
        a.keep_address()
        longest = 0.05
        seen = {"old": 0, "new": 0}
        for turn in range(30 if tap.SLOW == 1 else 8):
            before = generation(a)
            begun = time.monotonic()
            command = subprocess.Popen([ESSAIM, "--dir", a.dir, "key", "rotate"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, preexec_fn=lab.die_with_parent)
            victim = command if turn % 5 == 4 else a
            try:
                command.wait(dice.uniform(0, longest))
                longest = max(0.02, (longest + 3 * (time.monotonic() - begun)) / 4)
            except subprocess.TimeoutExpired:
                longest *= 1.1
            victim.kill()
            command.wait(lab.LIMIT_S)
            a.kill()
            a.start()
            after = generation(a)
            self.assertIn(after, (before, before + 1), turn)
            seen["new" if after > before else "old"] += 1
            self.assertEqual(leftovers(a), [], turn)
            a.publish([resource("tour", str(turn))])
            self.assertEqual(len(a.entries(own=True)), 21)
            self.clean(a)
        print(f"# {seen['old']} times the old keys, {seen['new']} times the new ones")
        self.assertGreater(seen["old"], 0)
        self.assertGreater(seen["new"], 0)
        converge([a, b])
        self.clean(a, b)
        self.same(a, b)


class Guards(lab.Case):
    """A store that goes back, and a guard that does not."""

    limit_s = 120

    def old_copy(self, which, later):
        """Its store as it is now, put back after `later`."""
        which.stop()
        shutil.copytree(path_of(which, "store"), which.dir + ".copy")
        which.start()
        later()
        which.stop()
        shutil.rmtree(path_of(which, "store"))
        shutil.copytree(which.dir + ".copy", path_of(which, "store"))

    def test_an_old_copy_of_the_store_signs_nothing_before_it_is_whole_again(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many("un", 3))
        a.keep_address()
        b.keep_address()

        def later():
            a.publish(many("deux", 3))
            a.withdraw("un-0")
            converge([a, b], lambda: own_n(a) == 3 and len(b.entries()) == 5)
            b.stop()
        self.old_copy(a, later)
        a.start()  # alone: only the guard can tell
        self.assertEqual(warnings(a), {"own-guard"})
        refused = a.cli("publish", "-", stdin=json.dumps(
            {"kind": "resource", "slug": "gel", **resource("gel")[2]}))
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn("E-FROZEN", refused.stderr)
        self.assertIn("plus ancien", refused.stderr)
        self.refuses("E-FROZEN", a.withdraw, "un-1")
        self.refuses("E-FROZEN", a.rpc, "key_rotate")
        told = a.cli("status", "--lang", "en")
        self.assertIn("own-guard", told.stdout)
        a.kill()
        a.start()  # and goes on telling
        self.assertEqual(warnings(a), {"own-guard"})
        b.start()
        until(lambda: not warnings(a), [a, b], what="pulling the own catalogue back")
        self.assertEqual(len(a.entries(own=True)), 5)
        self.assertEqual(own_n(a), 3)
        a.publish(many("trois", 2))
        converge([a, b], lambda: len(b.entries()) == 7)
        self.assertEqual(own_n(a), 4)
        self.assertEqual(b.rpc("forks")["forks"], [])
        self.clean(a, b)
        self.same(a, b)

    def test_a_lost_store_comes_back_from_a_peer(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many("un", 30))
        converge([a, b], lambda: len(b.entries()) == 30)
        a.stop()
        open(path_of(a, "store/data.mdb"), "wb").close()
        a.start()
        self.assertEqual(warnings(a), {"own-guard"})
        self.refuses("E-FROZEN", a.publish, many("gel", 1))
        with open(a.log_path, encoding="utf-8") as log:
            self.assertIn("own-guard", log.read())
        a.dials(b)
        until(lambda: not warnings(a), [a, b], what="pulling the own catalogue back")
        self.assertEqual(len(a.entries(own=True)), 30)
        a.publish(many("deux", 1))
        converge([a, b], lambda: len(b.entries()) == 31)
        self.clean(a, b)

    def test_a_copy_put_back_without_its_guard_waits_for_a_peer(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.keep_address()
        a.publish(many("un", 3))
        converge([a, b], lambda: len(b.entries()) == 3)

        def later():
            a.publish(many("deux", 3))
            converge([a, b], lambda: len(b.entries()) == 6)
        self.old_copy(a, later)
        with open(path_of(a, "guard"), "wb") as file:
            file.write(UNKNOWN)  # as essaim restore does
        a.start()
        self.assertIn("own-guard", warnings(a))
        self.refuses("E-FROZEN", a.publish, many("gel", 1))
        until(lambda: not warnings(a), [a, b], limit_s=lab.LIMIT_S * 3, what="to be sure of it")
        self.assertEqual(len(a.entries(own=True)), 6)
        a.publish(many("trois", 1))
        converge([a, b], lambda: len(b.entries()) == 7)
        self.assertEqual(b.rpc("forks")["forks"], [])
        self.clean(a, b)

    def test_the_guard_names_the_newest_head_and_is_private(self):
        a = self.lab()
        for number in range(1, 4):
            a.publish(many(f"tour{number}", 2))
            head = next(iter(a.heads().values()))
            n, digest = guard_of(a).split()[1:3]
            self.assertEqual((int(n), bytes.fromhex(digest.decode())), (head[0], head[4]))
        self.assertEqual(stat.S_IMODE(os.stat(path_of(a, "guard")).st_mode), 0o600)
        a.publish(many("beaucoup", 3000))
        self.assertEqual(int(guard_of(a).split()[1]), own_n(a))

    def test_a_guard_that_is_garbled_absent_or_behind_is_made_anew(self):
        a = self.lab()
        a.publish(many("un", 2))
        a.publish(many("deux", 2))
        good = guard_of(a)
        old = good.replace(b"2 ", b"1 ", 1)
        for what in (b"", b"zorglub", good[:-3], good + good, old, bytes(len(good)), None):
            a.stop()
            if what is None:
                os.unlink(path_of(a, "guard"))
            else:
                with open(path_of(a, "guard"), "wb") as file:
                    file.write(what)
            a.start()
            until(lambda: guard_of(a) == good, [a], what=f"a good guard after {what!r}")
            self.assertEqual(warnings(a), set(), what)
        with open(a.log_path, encoding="utf-8") as log:
            self.assertIn("garbled", log.read())
        a.publish(many("trois", 1))

    def test_a_garbled_guard_beside_an_empty_store_waits_for_a_peer(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many("un", 2))
        converge([a, b])
        a.stop()
        shutil.rmtree(path_of(a, "store"))
        with open(path_of(a, "guard"), "wb") as file:
            file.write(b"zorglub")
        a.start()
        self.assertIn("own-guard", warnings(a))
        self.refuses("E-FROZEN", a.publish, many("gel", 1))

    def test_a_guard_that_is_no_file_is_refused(self):
        a = self.lab()
        a.stop()
        os.unlink(path_of(a, "guard"))
        os.symlink("/etc/hostname", path_of(a, "guard"))
        with self.assertRaises(lab.Failure):
            a.start()
        self.assertIn("guard", a.log_tail())
        os.unlink(path_of(a, "guard"))
        a.start()


class Recovery(lab.Case):
    """From the root key and a peer alone."""

    limit_s = 180

    def lost(self, which):
        """Its server is gone; the root key is not. The path of that."""
        away = os.path.join(self.top, which.name.replace(" ", "") + ".root")
        done = which.cli("key", "export-root", away)
        self.assertEqual(done.returncode, 0, done.stderr)
        which.stop()
        shutil.rmtree(which.dir)
        return away

    def recovering(self, which, key, *words):
        """`essaim recover` under way, and its daemon."""
        which.listens = "--listen" in words
        command = subprocess.Popen(
            [ESSAIM, "recover", which.dir, "--root-key", key, *words, "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lab.die_with_parent, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.addCleanup(self.end, command)
        end = time.monotonic() + lab.LIMIT_S
        while not os.path.exists(path_of(which, "essaimd.conf")):
            self.assertIsNone(command.poll(), "recover ended early")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        which.start()
        return command

    @staticmethod
    def end(command):
        if command.poll() is None:
            command.kill()
        command.communicate()

    def test_a_lost_server_comes_back_and_publishes_on(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        a.publish(many("un", 200))
        c.publish(many("autre", 40))
        converge([a, b, c], lambda: len(a.entries()) == 240)
        key = self.lost(a)
        command = self.recovering(a, key, "--from", f"{b.did}@{b.address}", "--from",
                                  f"{c.did}@{c.address}", "--listen", "127.0.0.1:0")
        self.refuses("E-FROZEN", a.publish, many("gel", 1))
        c.knows(a)
        told, complaint = command.communicate(timeout=lab.LIMIT_S * 4)
        self.assertEqual(command.returncode, 0, complaint)
        said = json.loads(told)
        self.assertEqual((said["id"], said["generation"], said["n"], said["entries"]),
                         (a.did, 2, 2, 240))
        self.assertEqual(warnings(a), set())
        self.assertEqual(len(a.entries(own=True)), 200)
        self.assertEqual(a.rpc("hello")["name"], "Ti Lab")
        self.assertFalse(os.path.exists(path_of(a, "recover.statement")))
        a.publish(many("deux", 5))
        converge([a, b, c], lambda: len(c.entries()) == 245)
        a.stop()
        a.start()
        b.publish(many("encore", 1))
        converge([a, b, c], lambda: len(a.entries()) == 246)
        self.clean(a, b, c)
        self.same(a, b, c)
        self.assertEqual(int(guard_of(a).split()[1]), own_n(a))

    def test_a_recovery_that_was_killed_goes_on(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many("un", 3000))
        converge([a, b], lambda: len(b.entries()) == 3000)
        key = self.lost(a)
        words = ["--from", f"{b.did}@{b.address}"]
        command = self.recovering(a, key, *words)
        command.kill()
        command.wait()
        a.kill()
        a.start()
        self.assertEqual(warnings(a), {"recovering"})
        again = a.run([ESSAIM, "recover", a.dir, "--root-key", key], limit_s=lab.LIMIT_S * 4)
        if again.returncode != 0:  # the daemon was killed before it had heard of a peer
            again = a.run([ESSAIM, "recover", a.dir, "--root-key", key, *words],
                          limit_s=lab.LIMIT_S * 4)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(len(a.entries(own=True)), 3000)
        a.publish(many("deux", 1))
        converge([a, b], lambda: len(b.entries()) == 3001)
        self.clean(a, b)
        over = a.run([ESSAIM, "recover", a.dir, "--root-key", key, *words])
        self.assertEqual(over.returncode, 6, over.stderr)

    def test_a_peer_that_does_not_know_the_lab_is_named(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        key = self.lost(a)
        command = self.recovering(a, key, "--from", f"{b.did}@{b.address}", "--timeout", "3")
        told, complaint = command.communicate(timeout=lab.LIMIT_S)
        self.assertEqual((command.returncode, told), (4, ""), complaint)
        error = json.loads(complaint)["error"]
        self.assertEqual(error["code"], "E-REFUSED")
        self.assertIn(b.did, error["message"])
        self.assertIn("pairs ajouter", error["hint"])
        self.assertEqual({peer["state"] for peer in a.rpc("peers_list")["peers"]}, {"refuses"})
        b.knows(a)  # let in meanwhile: but nobody knows anything of it
        nameless = a.run([ESSAIM, "recover", a.dir, "--root-key", key])
        self.assertEqual(nameless.returncode, 2, nameless.stderr)
        self.assertIn("--name", nameless.stderr)
        named = a.run([ESSAIM, "recover", a.dir, "--root-key", key, "--name", "Ti Lab"])
        self.assertEqual(named.returncode, 0, named.stderr)
        a.publish(many("un", 2))
        converge([a, b], lambda: len(b.entries()) == 2)
        self.assertEqual(generation(b, a), 1)

    def test_newer_keys_than_any_catalogue_stop_it_before_it_signs(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        self.assertEqual(a.cli("key", "rotate").returncode, 0)
        converge([a, b], lambda: generation(b, a) == 2)
        key = self.lost(a)
        command = self.recovering(a, key, "--from", f"{b.did}@{b.address}")
        told, complaint = command.communicate(timeout=lab.LIMIT_S * 4)
        self.assertEqual((command.returncode, told), (4, ""), complaint)
        error = json.loads(complaint)["error"]
        self.assertEqual(error["code"], "E-REFUSED")
        self.assertIn("--force", error["hint"])
        self.assertEqual((generation(b, a), warnings(a)), (2, {"recovering"}))
        forced = a.run([ESSAIM, "recover", a.dir, "--root-key", key, "--force"])
        self.assertEqual(forced.returncode, 0, forced.stderr)
        a.publish(many("un", 2))
        converge([a, b], lambda: generation(b, a) == 3 and len(b.entries()) == 2)
        self.clean(a, b)

    def test_the_command_that_holds_the_root_key_leaves_no_core(self):
        a = self.lab("Ti Lab", start=False)
        fresh = os.path.join(self.top, "neuf")
        command = subprocess.Popen(
            [ESSAIM, "recover", fresh, "--root-key", path_of(a, "root.key"), "--from",
             f"{a.did}@127.0.0.1:9"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, preexec_fn=lab.die_with_parent)
        self.addCleanup(self.end, command)
        self.assertIn("essaimd --dir", command.stderr.readline())  # it waits for the daemon
        with open(f"/proc/{command.pid}/limits", encoding="ascii") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"])

    def test_wrong_keys_directories_and_words_are_refused(self):
        a, b = self.lab("Ti Lab", start=False), self.lab("Région Sud", start=False)
        root, there = path_of(a, "root.key"), f"{b.did}@127.0.0.1:9"
        fresh = os.path.join(self.top, "neuf")
        for code, words in (
                (2, [fresh, "--from", there]),
                (2, [fresh, "--root-key", root]),
                (2, [fresh, "--root-key", root, "--from", b.did]),
                (2, [fresh, "--root-key", root, "--from", "zorglub"]),
                (2, [fresh, "--root-key", root, "--from", there, "--listen", "x"]),
                (2, [fresh, "--root-key", root] + ["--from", there] * 9),
                (4, [fresh, "--root-key", path_of(a, "link.key"), "--from", there]),
                (4, [fresh, "--root-key", fresh + ".key", "--from", there]),
                (6, [a.dir, "--root-key", root, "--from", there])):
            done = a.run([ESSAIM, "recover", *words])
            self.assertEqual(done.returncode, code, f"{words}\n{done.stderr}")
            self.assertFalse(os.path.exists(fresh), words)
        alone = a.run([ESSAIM, "recover", fresh, "--root-key", root, "--from", there, "--timeout",
                       "1"])
        self.assertEqual(alone.returncode, 7, alone.stderr)
        self.assertIn("essaimd --dir", alone.stderr)
        other = a.run([ESSAIM, "recover", fresh, "--root-key", path_of(b, "root.key"), "--from",
                       there])
        self.assertEqual(other.returncode, 6, other.stderr)

    def test_keys_that_were_replaced_stop_and_do_not_start_again(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many("un", 5))
        converge([a, b])
        a.stop()
        stolen = a.dir + ".vole"
        shutil.copytree(a.dir, stolen)
        key = os.path.join(self.top, "racine.key")
        self.assertEqual(a.cli("key", "export-root", key).returncode, 0)
        shutil.rmtree(a.dir)
        command = self.recovering(a, key, "--from", f"{b.did}@{b.address}")
        _, complaint = command.communicate(timeout=lab.LIMIT_S * 4)
        self.assertEqual(command.returncode, 0, complaint)
        a.publish(many("deux", 1))
        converge([a, b], lambda: len(b.entries()) == 6)
        with open(path_of(a, "lab.record"), "rb") as file:
            record = file.read()
        thief = self.lab("Voleur", start=False)  # the stolen machine is switched on again
        shutil.rmtree(thief.dir)
        os.rename(stolen, thief.dir)
        thief.start()
        messenger = peer.Lab("Messager")
        thief.rpc("peers_add", lab=peer.to_did(messenger.id))
        link = messenger.dial(thief.address, thief.id)
        link.send(peer.RECORDS, [record])
        until(lambda: "own-replaced" in warnings(thief), [thief], what="to learn of it")
        link.close()
        self.refuses("E-FROZEN", thief.publish, many("vol", 1))
        self.refuses("E-FROZEN", thief.rpc, "key_rotate")
        thief.stop()
        with self.assertRaises(lab.Failure):
            thief.start()
        self.assertIn("essaim recover", thief.log_tail())


if __name__ == "__main__":
    tap.main()
