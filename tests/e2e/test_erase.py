#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Erasure, history, backup and restore, with real daemons and bytes on real disks (S8, D7)."""
import json
import os
import shutil
import stat
import subprocess
import threading
import unittest

import lab
import peer
import tap
from lab import resource

BACKUPS = 100 if tap.LONG else 20
KILLS = 60 if tap.LONG else 8


def marker(number):
    return f"KAN-{number * 7919:07d}-DISPARET"


def marked(number, size=300, slug=None):
    """An entry whose text is full of a marker of its own."""
    word = marker(number)
    return resource(slug or f"fiche-{number}", word, body=(word + " ") * (size // len(word) + 1))


def hits(word, *paths):
    """[(file, how often)] of every file below the paths that holds these bytes."""
    found = []
    needle = word if isinstance(word, bytes) else word.encode()
    for path in paths:
        walk = [(path, [], [""])] if os.path.isfile(path) else os.walk(path)
        for top, _, names in walk:
            for name in names:
                each = os.path.join(top, name) if name else top
                if not stat.S_ISREG(os.lstat(each).st_mode):
                    continue
                with open(each, "rb") as file:
                    count = file.read().count(needle)
                if count:
                    found.append((each, count))
    return found


def set_keep(made, word):
    path = os.path.join(made.dir, "essaimd.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    kept = [f"keep = {word}" if line.startswith("keep =") else line for line in text.split("\n")]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(kept))


class Erasure(lab.Case):
    """What was withdrawn is in no file any more."""

    limit_s = 120

    def nowhere(self, word, labs, *more):
        paths = [each.dir for each in labs] + [each.log_path for each in labs] + list(more)
        self.assertEqual(hits(word, *paths), [], word)

    def test_a_withdrawn_entry_is_in_no_file_of_three_labs_nor_in_a_backup_afterwards(self):
        labs = self.labs_in_a_row("Ti Lab", "Région Sud", "Fabrik")
        owner = labs[0]
        owner.publish([marked(i, 200 + i * 37 % 5000) for i in range(300)])
        lab.converge(labs, lambda: len(labs[2].entries()) == 300)
        for each in labs:
            self.assertNotEqual(hits(marker(7), each.dir), [])
        owner.withdraw("fiche-7", "fiche-130")
        owner.publish([marked(1000, 2300, "fiche-8"), marked(1001, 200, "fiche-131")])
        lab.converge(labs, lambda: len(labs[2].entries()) == 298)
        gone = [marker(number) for number in (7, 130, 8, 131)]
        self.assertNotEqual([hits(word, owner.dir) for word in gone], [[]] * 4)
        backups = []
        for each in labs:
            done = each.rpc("compact")
            self.assertLess(0, done["after"])
            backups.append(os.path.join(self.top, each.name.replace(" ", "") + ".copy"))
            each.rpc("backup", path=backups[-1])
        for word in gone:
            self.nowhere(word, labs, *backups)
        for number in 9, 200, 1000, 1001:
            for path in [each.dir for each in labs] + backups:
                self.assertNotEqual(hits(marker(number), path), [], (number, path))
        self.clean(*labs)
        self.same(*labs)
        # And life goes on, without bringing anything back.
        owner.publish([marked(i, 2500) for i in range(2000, 2040)])
        lab.converge(labs, lambda: len(labs[2].entries()) == 338)
        for word in gone:
            self.nowhere(word, labs)
        for each in labs:
            self.assertEqual(each.stop(), 0)
            each.start()
        self.clean(*labs)

    def test_no_file_of_three_labs_names_a_slug_that_was_withdrawn(self):
        labs = self.labs_in_a_row("Ti Lab", "Région Sud", "Fabrik")
        owner = labs[0]
        slugs = [f"jeanne-dupont-{i}" for i in range(5)]
        owner.publish([marked(i, 200) for i in range(50)])
        owner.publish([marked(100 + i, 300, slug) for i, slug in enumerate(slugs)])
        lab.converge(labs, lambda: len(labs[2].entries()) == 55)
        owner.withdraw(*slugs)
        lab.converge(labs, lambda: len(labs[2].entries()) == 50)
        backups = []
        for each in labs:
            each.rpc("compact")
            backups.append(os.path.join(self.top, each.name.replace(" ", "") + ".copy"))
            each.rpc("backup", path=backups[-1])
            self.assertEqual(each.stop(), 0)
        self.nowhere("jeanne-dupont", labs, *backups)
        for slug in slugs:  # nor by a hash that a list of likely names would find
            self.nowhere(peer.slug_hash(slug), labs, *backups)
            self.nowhere(peer.slug_hash(slug)[1:9], labs, *backups)
        for each in labs:  # it would be seen
            self.assertNotEqual(hits(peer.slug_hash("fiche-7"), each.dir), [])
            each.start()
        self.clean(*labs)

    def test_a_slug_keeps_its_kind_as_long_as_its_key_is_there(self):
        made = self.lab()
        key, path = os.path.join(made.dir, "retired.key"), os.path.join(self.top, "copie")
        self.assertEqual(stat.S_IMODE(os.lstat(key).st_mode), 0o600)
        as_need = [["jeanne-dupont", "need", {"title": "x", "summary": "y"}]]

        def refused():
            return [each[1] for each in made.rpc("publish", entries=[
                [slug, kind, lab.pack(body)] for slug, kind, body in as_need], dry_run=True)["errors"]]
        made.publish([marked(1, 200, "jeanne-dupont")])
        made.withdraw("jeanne-dupont")
        self.assertEqual(refused(), ["E-KIND"])
        made.good("backup", path)
        with open(key, encoding="ascii") as file:
            secret = file.read().split()[-1]
        for form in secret, bytes.fromhex(secret):
            self.assertEqual(hits(form, path, made.dir + "/store"), [])
        self.assertEqual(made.stop(), 0)
        made.good("restore", path, made.dir, "--yes")  # the key lies beside it
        made.start()
        self.assertEqual(refused(), ["E-KIND"])
        self.assertEqual(made.stop(), 0)
        os.chmod(key, 0o640)
        done = subprocess.run([lab.ESSAIMD, "--dir", made.dir], stderr=subprocess.PIPE, text=True,
                              timeout=lab.LIMIT_S, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("retired.key", done.stderr)
        os.remove(key)  # lost: what was withdrawn is forgotten, and life goes on
        made.start()
        self.assertEqual(refused(), [])
        self.assertEqual(stat.S_IMODE(os.lstat(key).st_mode), 0o600)
        self.clean(made)

    def test_withdraw_erase_returns_when_the_bytes_are_gone(self):
        made = self.lab()
        made.publish([marked(1, 3000), marked(2, 200), marked(3, 200)])
        done = made.cli("withdraw", "fiche-1", "fiche-2", "rien", "--erase", "--json")
        self.assertEqual(done.returncode, 9, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual([item["status"] for item in answer["items"]],
                         ["withdrawn", "withdrawn", "refused"])
        self.assertTrue(answer["erase"])
        self.nowhere(marker(1), [made])
        self.nowhere(marker(2), [made])
        self.assertNotEqual(hits(marker(3), made.dir), [])
        self.clean(made)

    def test_each_lab_says_when_it_has_erased(self):
        labs = self.labs_in_a_row("Ti Lab", "Région Sud", "Fabrik")
        owner, middle, last = labs

        def said(by=owner, *more):
            answer = json.loads(by.good("receipts", "--json", *more))
            return answer, {item["name"]: item["state"] for item in answer["items"]}

        owner.publish([marked(i, 300) for i in range(20)])
        lab.converge(labs, lambda: len(last.entries()) == 20)
        answer, states = said()
        self.assertEqual((answer["n"], answer["labs"]), (None, 3))
        self.assertIsNone(owner.rpc("status")["receipts"])
        done = json.loads(owner.good("withdraw", "fiche-7", "--erase", "--json"))
        number = done["n"]
        lab.converge(labs, lambda: len(last.entries()) == 19)
        answer, states = said()
        self.assertEqual(answer["n"], number)
        self.assertEqual(states, {"Ti Lab": "erased", "Région Sud": "silent", "Fabrik": "silent"})
        self.assertEqual(owner.rpc("status")["receipts"], {"erased": 1, "labs": 3, "n": number})
        self.assertNotEqual(hits(marker(7), last.dir), [])
        last.good("compact")
        self.assertEqual(hits(marker(7), last.dir), [])
        # By way of the lab between them, which has not erased yet.
        lab.until(lambda: said()[1]["Fabrik"] == "erased", labs)
        self.assertEqual(said()[1]["Région Sud"], "silent")
        middle.good("compact")
        lab.until(lambda: said()[0]["erased"] == 3, labs)
        self.assertEqual(said(owner, "--since", str(number + 1))[1],
                         {"Ti Lab": "behind", "Région Sud": "behind", "Fabrik": "behind"})
        text = owner.good("receipts", "--fields", "name,state,n").splitlines()
        self.assertIn(f"Fabrik\terased\t{number}", text)
        self.clean(*labs)
        for each in labs:  # and it lasts
            self.assertEqual(each.stop(), 0)
            each.start()
        self.assertEqual(said()[0]["erased"], 3)
        self.assertEqual(owner.cli("receipts", "--since", "x").returncode, 2)

    def test_a_dry_run_erases_nothing(self):
        made = self.lab()
        made.publish([marked(1)])
        made.good("withdraw", "fiche-1", "--erase", "--dry-run")
        self.assertEqual(len(made.entries()), 1)
        self.assertNotEqual(hits(marker(1), made.dir), [])

    def test_a_copy_that_cannot_be_made_is_said_and_loses_nothing(self):
        made = self.lab()
        made.publish([marked(i, 3000) for i in range(50)])
        blocked = os.path.join(made.dir, "store", "compact.tmp", "x")
        os.makedirs(blocked)
        done = made.cli("withdraw", "fiche-1", "--erase")
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertIn("E-PARTIAL", done.stderr)
        self.assertNotIn((made.id, "fiche-1"), made.entries())
        self.assertIn("erase-waits", made.rpc("status")["warnings"])
        self.refuses("E-EXISTS", made.rpc, "compact")
        os.rmdir(blocked)
        made.good("compact")
        self.nowhere(marker(1), [made])
        self.assertEqual(made.rpc("status")["warnings"], [])

    def test_reads_are_answered_while_the_store_is_compacted(self):
        made = self.lab()
        made.publish([marked(i, 50000) for i in range(600 if tap.SLOW == 1 else 200)])
        with made.connect() as asking, made.connect() as reading:
            seen = []
            for _ in range(20):
                number = asking.ask("compact")
                while number not in asking.responses:
                    seen.append(reading.call("status")["job"])
                    reading.call("show", ref="fiche-3")
                    asking.wait(0)
                self.assertIsNone(asking.response(number)[0])
                if "compact" in seen:
                    break
            self.assertIn("compact", seen)
        self.clean(made)

    def test_a_kill_during_compaction_leaves_a_whole_store(self):
        made = self.lab(listen=None)
        made.publish([marked(i, 3000) for i in range(300)])
        for number in range(KILLS):
            made.publish([marked(5000 + number, 3000, f"fiche-{number}")])
            entries, digest = made.entries(), made.rpc("status")["digest"]
            client = made.connect()
            client.ask("compact")
            with made.connect() as other:  # a few answers later, somewhere in it or behind it
                for _ in range(number * 7 % 13):
                    other.call("status")
            made.kill()
            client.close()
            made.start()
            self.assertFalse(os.path.exists(os.path.join(made.dir, "store", "compact.tmp")))
            self.assertEqual(made.rpc("status")["digest"], digest)
            self.assertEqual(made.entries(), entries)
        self.clean(made)
        made.rpc("compact")
        for number in range(KILLS):
            self.nowhere(marker(number), [made])


class History(lab.Case):
    """Former revisions: only where somebody asked for them."""

    def keeping(self, word="yes"):
        made = self.lab(start=False)
        set_keep(made, word)
        return made.start()

    def titles(self, made, slug):
        answer = json.loads(made.good("history", slug, "--json"))
        return [(item["rev"], item["current"], item["body"]["summary"]["fr"])
                for item in answer["items"]]

    def test_nothing_is_kept_unless_it_is_asked_for(self):
        made = self.lab()
        for text in "un", "deux":
            made.publish([resource("salle", text)])
        self.assertEqual(self.titles(made, "salle"), [(2, True, "deux")])
        self.assertEqual(made.cli("history", "rien").returncode, 3)
        made.withdraw("salle")
        self.assertEqual(made.cli("history", "salle").returncode, 3)

    def test_revisions_are_kept_and_told_in_order_and_to_nobody_else(self):
        made, other = self.keeping(), self.lab("Région Sud")
        other.meets(made)
        for text in "un", "deux", "trois":
            made.publish([resource("salle", text)])
        made.publish([resource("autre", "rien")])
        self.assertEqual(self.titles(made, "salle"),
                         [(1, False, "un"), (2, False, "deux"), (3, True, "trois")])
        self.assertEqual(made.good("history", "salle").split("\n")[0], "1\tfalse\tRessource salle")
        made.withdraw("salle")
        self.assertEqual(self.titles(made, "salle"),
                         [(1, False, "un"), (2, False, "deux"), (3, False, "trois")])
        lab.converge([made, other], lambda: len(other.entries()) == 1)
        self.refuses("E-NOT-FOUND", other.rpc, "history", slug="salle")
        self.clean(made, other)
        made.stop()
        made.start()
        self.assertEqual(len(self.titles(made, "salle")), 3)

    def test_long_histories_come_in_pages(self):
        made = self.keeping()
        for number in range(12):
            made.publish([marked(number, 40000, "salle")])
        pages, after, revs = 0, 0, []
        while after is not None:
            page = made.rpc("history", slug="salle", after=after)
            revs += [row["rev"] for row in page["revisions"]]
            pages, after = pages + 1, page["next"]
        self.assertEqual(revs, list(range(1, 13)))
        self.assertGreater(pages, 1)
        self.assertEqual(len(self.titles(made, "salle")), 12)

    def test_a_batch_keeps_what_it_replaces(self):
        made = self.keeping()
        made.publish([marked(i, 100) for i in range(2500)])
        made.publish([marked(5000 + i, 100, f"fiche-{i}") for i in range(2500)])
        for number in 0, 1234, 2499:
            self.assertEqual(len(self.titles(made, f"fiche-{number}")), 2)
        self.clean(made)

    def test_erase_takes_the_history_along(self):
        made = self.keeping()
        for number in 1, 2, 3:
            made.publish([marked(number, 2500, "salle"), marked(10 + number, 300, "autre")])
        made.good("withdraw", "salle", "--erase")
        self.assertEqual(made.cli("history", "salle").returncode, 3)
        for number in 1, 2, 3:
            self.assertEqual(hits(marker(number), made.dir, made.log_path), [])
        self.assertEqual(len(self.titles(made, "autre")), 3)
        # Also when the entry itself is long gone.
        made.withdraw("autre")
        self.assertNotEqual(hits(marker(11), made.dir), [])
        done = json.loads(made.good("withdraw", "autre", "--erase", "--json"))
        self.assertEqual([item["status"] for item in done["items"]], ["erased"])
        self.assertEqual(hits(marker(11), made.dir, made.log_path), [])
        self.clean(made)

    def test_turned_off_it_is_forgotten_at_the_next_start(self):
        made = self.keeping()
        for number in 1, 2:
            made.publish([marked(number, 2500, "salle")])
        made.stop()
        set_keep(made, "no")
        made.start()
        self.assertEqual(len(self.titles(made, "salle")), 1)
        made.rpc("compact")
        self.assertEqual(hits(marker(1), made.dir), [])
        self.clean(made)


class Backup(lab.Case):
    """A copy while the daemon runs, and back again."""

    limit_s = 200

    def twin(self, made, folder):
        """The directory of a lab whose machine was lost: its keys, nothing else."""
        path = os.path.join(self.top, folder)
        os.mkdir(path, 0o700)
        for name in "signing.key", "link.key", "lab.record", "essaimd.conf":
            shutil.copy2(os.path.join(made.dir, name), path)
        twin = lab.Lab.__new__(lab.Lab)
        twin.__dict__.update(made.__dict__, dir=path, log_path=path + ".log", process=None,
                             client=None, environment={})
        twin.__dict__.pop("_id", None)
        self.labs.append(twin)
        return twin

    def test_backups_under_load_restore_to_what_they_say_they_hold(self):
        made = self.lab(listen=None)
        made.publish([marked(i, 500) for i in range(1500)])
        stop, wrote = threading.Event(), []

        def load():
            with made.connect() as client:
                while not stop.is_set():
                    number = len(wrote)
                    slug, kind, body = marked(number, 400, f"fiche-{number % 700}")
                    client.call("publish", entries=[[slug, kind, lab.pack(body)]])
                    wrote.append(number)
        thread = threading.Thread(target=load)
        thread.start()
        told = []
        try:
            for number in range(BACKUPS):
                path = os.path.join(self.top, f"copie-{number}")
                before = len(wrote)
                told.append((path, made.rpc("backup", path=path)))
                while len(wrote) < before + 3:
                    self.assertTrue(thread.is_alive())
        finally:
            stop.set()
            thread.join()
        self.assertEqual(len({answer["digest"] for _, answer in told}), BACKUPS)
        for number, (path, answer) in enumerate(told):
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(path).st_size, answer["bytes"])
            twin = self.twin(made, f"jumeau-{number}")
            self.assertEqual(json.loads(twin.good("restore", path, twin.dir, "--json"))["guard"],
                             "unknown")
            twin.start()
            status = twin.rpc("status")
            self.assertEqual(status["digest"], answer["digest"])
            self.assertEqual(status["entries"], answer["entries"])
            self.clean(twin)
            self.frozen(twin)
            self.assertEqual(twin.stop(), 0)
            self.labs.remove(twin)
            shutil.rmtree(twin.dir)

    def frozen(self, made):
        """Nobody knows what the lab published after the backup: it signs nothing."""
        self.refuses("E-FROZEN", made.publish, [resource("trop-tot")])

    def test_no_key_is_in_a_backup(self):
        made = self.lab()
        made.publish([marked(1)])
        path = os.path.join(self.top, "copie")
        made.rpc("backup", path=path)
        for name in "root.key", "signing.key", "link.key":
            with open(os.path.join(made.dir, name), encoding="ascii") as file:
                secret = file.read().split()[-1]
            self.assertEqual(len(secret), 64)
            for form in secret, bytes.fromhex(secret), bytes.fromhex(secret)[:16]:
                self.assertEqual(hits(form, path, made.dir + "/store"), [], name)

    def test_a_backup_holds_nothing_that_was_withdrawn_before(self):
        made = self.lab()
        made.publish([marked(i, 2500) for i in range(30)])
        made.withdraw("fiche-7")
        self.assertNotEqual(hits(marker(7), made.dir), [])
        path = os.path.join(self.top, "copie")
        made.good("backup", path)
        self.assertEqual(hits(marker(7), path), [])

    def test_a_backup_replaces_nothing_and_says_why_it_cannot_be_made(self):
        made = self.lab()
        made.publish([marked(1)])
        path = os.path.join(self.top, "copie")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        done = made.cli("backup", path)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn(path, done.stderr)
        os.symlink("/etc/passwd", path + "-2")
        self.assertEqual(made.cli("backup", path + "-2").returncode, 6)
        os.mkdir(path + "-3.tmp")
        done = made.cli("backup", path + "-3")
        self.assertEqual(done.returncode, 6)
        self.assertIn(path + "-3.tmp", done.stderr)
        done = made.cli("backup", os.path.join(self.top, "nulle", "part"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file", done.stderr)
        for wrong in "relative", "", "/", "/x" * 600:
            self.refuses("E-USAGE", made.rpc, "backup", path=wrong)
        self.refuses("E-USAGE", made.rpc, "backup")
        os.symlink(os.path.join(made.dir, "store"), os.path.join(self.top, "lien"))
        for inside in os.path.join(made.dir, "store", "compact.tmp"), os.path.join(
                self.top, "lien", "compact"):
            self.assertEqual(made.cli("backup", inside).returncode, 4)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        made.stop()
        with open(os.path.join(made.dir, "store", "compact.tmp"), "w", encoding="ascii"):
            pass
        made.start().good("compact")  # a file of that name keeps nobody from the store
        self.assertEqual(sorted(name for name in os.listdir(self.top) if "copie" in name),
                         ["copie", "copie-2", "copie-3.tmp"])

    def test_restore_puts_a_backup_back_and_the_old_store_aside(self):
        made = self.lab(listen=None)
        made.publish([marked(1)])
        path = os.path.join(self.top, "copie")
        answer = json.loads(made.good("backup", path, "--json"))
        index = made.rpc("status")["index"]
        made.publish([marked(2)])
        done = made.cli("restore", path, made.dir)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("E-LOCKED", done.stderr)
        self.assertEqual(made.stop(), 0)
        made.good("restore", path, made.dir, "--dry-run")
        self.assertNotIn("store.before-restore", os.listdir(made.dir))
        restored = json.loads(made.good("restore", path, made.dir, "--yes", "--json"))
        self.assertEqual(restored["aside"], "store.before-restore")
        aside = os.path.join(made.dir, "store.before-restore")
        self.assertNotEqual(hits(marker(2), aside), [])
        self.assertEqual(made.cli("restore", path, made.dir, "--yes").returncode, 6)
        made.start()
        status = made.rpc("status")
        self.assertEqual(status["digest"].hex(), answer["digest"])
        self.assertNotEqual(status["index"], index)  # peers start over
        self.clean(made)

    def test_a_lab_that_was_put_back_takes_its_newer_entries_back_before_it_signs_on(self):
        made, other = self.lab(), self.lab("Région Sud")
        made.meets(other)
        made.publish([marked(i) for i in range(10)])
        path = os.path.join(self.top, "copie")
        made.good("backup", path)
        made.publish([marked(i) for i in range(100, 120)])
        made.withdraw("fiche-3")
        lab.converge([made, other], lambda: len(other.entries()) == 29)
        heads = made.heads()
        other.keep_address()
        self.assertEqual((made.stop(), other.stop()), (0, 0))
        self.assertEqual(json.loads(made.good("restore", path, made.dir, "--yes", "--json"))["guard"],
                         "kept")
        made.start()  # alone
        self.frozen(made)
        self.assertEqual(len(made.entries()), 10)
        other.start()
        lab.until(lambda: made.heads() == heads, [made, other])
        lab.until(lambda: not made.rpc("status")["warnings"], [made, other])
        made.publish([marked(200)])
        lab.converge([made, other], lambda: len(other.entries()) == 30)
        self.same(made, other)
        self.clean(made, other)
        self.assertEqual(made.rpc("status")["forks"], 0)

    def test_restore_refuses_what_is_no_backup_and_a_directory_without_keys(self):
        made = self.lab()
        made.publish([marked(1)])
        path = os.path.join(self.top, "copie")
        made.good("backup", path)
        self.assertEqual(made.stop(), 0)
        other = os.path.join(self.top, "autre")
        with open(other, "wb") as file:
            file.write(os.urandom(100000))
        for wrong, code in (other, 5), (os.path.join(self.top, "rien"), 3), (self.top, 5):
            self.assertEqual(made.cli("restore", wrong, made.dir, "--yes").returncode, code, wrong)
        empty = os.path.join(self.top, "vide")
        os.mkdir(empty, 0o700)
        done = made.cli("restore", path, empty)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("signing.key", done.stderr)
        self.assertEqual(os.listdir(empty), [])
        made.start()
        self.assertEqual(len(made.entries()), 1)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_what_root_puts_back_belongs_to_the_owner_of_the_directory(self):
        made = self.lab()
        made.publish([marked(1)])
        path = os.path.join(self.top, "copie")
        made.good("backup", path)
        self.assertEqual(made.stop(), 0)
        for name in "guard", "lock":
            os.unlink(os.path.join(made.dir, name))
        shutil.rmtree(os.path.join(made.dir, "store"))
        os.chown(made.dir, 4242, 4243)
        made.good("restore", path, made.dir)
        for name in "guard", "lock", "store", "store/data.mdb":
            found = os.stat(os.path.join(made.dir, name))
            self.assertEqual((found.st_uid, found.st_gid), (4242, 4243), name)
            self.assertEqual(found.st_mode & 0o077, 0, name)

    def test_a_torn_backup_is_refused_by_the_daemon_with_the_next_step(self):
        made = self.lab()
        made.publish([marked(i, 3000) for i in range(50)])
        path = os.path.join(self.top, "copie")
        made.good("backup", path)
        self.assertEqual(made.stop(), 0)
        with open(path, "rb+") as file:
            file.truncate(os.path.getsize(path) // 2)
        made.good("restore", path, made.dir, "--yes")
        done = lab.Lab.run([lab.ESSAIMD, "--dir", made.dir])
        self.assertEqual(done.returncode, 1)
        self.assertIn("essaim restore", done.stderr)
        # The way back: what was set aside.
        shutil.rmtree(os.path.join(made.dir, "store"))
        os.rename(os.path.join(made.dir, "store.before-restore"), os.path.join(made.dir, "store"))
        made.start()
        self.assertEqual(len(made.entries()), 50)


tap.main()
