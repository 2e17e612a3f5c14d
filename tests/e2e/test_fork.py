#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Two machines with the keys of one lab: the fork is proven, everybody freezes it, repair joins it."""
import copy
import json
import shutil

import lab
import peer
import tap
from lab import converge, resource, until


class Fork(lab.Case):
    """Ti Lab on two machines; Région Sud hears the one, Lab4Lab the other, and both hear each other."""

    def setUp(self):
        super().setUp()
        self.b, self.c = self.lab("Région Sud"), self.lab("Lab4Lab")
        self.b.keep_address()
        self.c.keep_address()
        self.b.meets(self.c)
        self.a = self.lab("Ti Lab")
        self.a.meets(self.b)
        self.a.publish([resource(f"fonds-{k}") for k in range(10)])
        converge([self.a, self.b, self.c])
        self.a.stop()
        self.other = copy.copy(self.a)  # the copied machine
        self.other.dir = self.a.dir + "-copie"
        self.other.log_path = self.other.dir + ".log"
        shutil.copytree(self.a.dir, self.other.dir)
        self.labs.append(self.other)

    def apart(self, mine, others):
        """Both machines publish while nobody hears both; then they do."""
        self.b.stop()
        self.c.stop()
        self.a.start()
        self.other.start()
        self.other.rpc("peers_remove", lab=self.b.did)  # or both would take turns at its link
        for entries in mine:
            self.a.publish(entries)
        for entries in others:
            self.other.publish(entries)
        self.c.start()
        self.c.meets(self.other)
        until(lambda: self.known(self.c) == len(others) + 1, [self.c])  # it has that branch to give
        self.b.start()

    def known(self, node):
        """n of Ti Lab's head there."""
        return next((head[0] for (owner, _), head in node.heads().items() if owner == self.a.id), 0)

    def forks(self, node):
        return node.rpc("forks")["forks"]

    def all_know(self):
        labs = [self.a, self.other, self.b, self.c]
        until(lambda: all(len(self.forks(each)) == 1 for each in labs), labs)

    def test_a_forked_lab_that_was_lost_is_not_recovered_without_a_word(self):
        self.apart([[resource("ici")], [resource("ici-2")]], [[resource("ailleurs")]])
        self.all_know()
        key = self.a.dir + ".racine"
        self.a.good("key", "export-root", key)
        for each in (self.a, self.other):
            each.stop()
        shutil.rmtree(self.a.dir)
        words = ["recover", self.a.dir, "--root-key", key]
        # Without a daemon the directory is made; with one the rest is done.
        self.a.run([lab.ESSAIM, *words, "--from", f"{self.b.did}@{self.b.address}",
                    "--timeout", "1"])
        self.a.listens = False
        self.a.start()
        again = [lab.ESSAIM, *words, "--from", f"{self.b.did}@{self.b.address}", "--json"]
        done = self.a.run(again, limit_s=lab.LIMIT_S * 4)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("--force", json.loads(done.stderr)["error"]["hint"])
        self.assertEqual(self.a.rpc("status")["warnings"], ["recovering"])
        forced = self.a.run([*again, "--force"], limit_s=lab.LIMIT_S * 4)
        self.assertEqual(forced.returncode, 0, forced.stderr)
        self.assertEqual(self.forks(self.a), [])

    def test_two_machines_fork_everybody_freezes_and_repair_joins_them(self):
        self.apart([[resource("ici"), resource("commun", "d'ici")], [resource("ici-2")]],
                   [[resource("ailleurs"), resource("commun", "d'ailleurs")]])
        self.all_know()
        for each in (self.a, self.other):
            done = each.cli("publish", "-", stdin=json.dumps(
                {"slug": "x", "kind": "resource", **resource("x")[2]}))
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("E-FROZEN", done.stderr)
        self.b.publish([resource("de-region-sud")])  # others go on
        until(lambda: len(self.c.entries(lab=self.b.did)) == 1, [self.c])
        shown = json.loads(self.c.good("--json", "fork", "show", self.a.did))
        self.assertEqual((shown["from"], shown["agreed"], shown["proven"]), (2, 1, True))
        self.assertNotEqual(shown["one"]["head_hash"], shown["other"]["head_hash"])
        listed = json.loads(self.b.good("--json", "fork"))["items"]
        self.assertEqual([(each["id"], each["from"]) for each in listed], [(self.a.did, 2)])
        self.assertEqual(json.loads(self.b.good("--json", "status"))["forks"], 1)

        # only Lab4Lab can give the other branch: link it
        self.other.stop()
        self.a.meets(self.c)
        told = json.loads(self.a.good("--json", "repair"))
        self.assertEqual((told["merged"], told["conflicts"], told["frozen"]), (1, 1, False))
        self.assertEqual([each["slug"] for each in told["items"]], ["commun"])
        self.assertIn("body", told["items"][0])
        kept = json.loads(self.a.good("--json", "repair", "lost"))["items"]
        self.assertEqual([(each["slug"], each["lost"], each["body"]) for each in kept],
                         [(each["slug"], each["lost"], each["body"]) for each in told["items"]])
        self.assertEqual(kept[0]["merge"], told["n"])
        self.assertIn("merge-lost", json.loads(self.a.good("--json", "status"))["warnings"])
        self.assertEqual(self.a.cli("repair", "forget", "ici").returncode, 3)
        self.assertEqual(self.a.cli("repair", "forget").returncode, 2)
        self.a.good("repair", "forget", "commun")
        self.assertEqual(json.loads(self.a.good("--json", "repair", "lost"))["items"], [])
        self.assertEqual(json.loads(self.a.good("--json", "status"))["warnings"], [])
        converge([self.a, self.b, self.c], lambda: self.forks(self.b) == self.forks(self.c) == [])
        slugs = {slug for owner, slug in self.b.entries() if owner == self.a.id}
        self.assertLessEqual({"ici", "ici-2", "ailleurs", "commun", "fonds-9"}, slugs)
        self.clean(self.a, self.b, self.c)

        # the other machine takes it over when told to
        self.a.stop()
        self.other.start()
        self.other.dials(self.c)
        self.refuses("E-FROZEN", self.other.publish, [resource("trop-tot")])
        self.assertFalse(json.loads(self.other.good("--json", "repair"))["frozen"])
        self.same(self.other, self.c)
        self.other.publish([resource("reprise")])
        until(lambda: self.known(self.b) == self.known(self.other), [self.b])
        self.clean(self.other)

    def test_branches_of_different_length_are_caught_like_any_others(self):
        self.apart([[resource(f"ici-{k}")] for k in range(3)],
                   [[resource(f"la-{k}")] for k in range(6)])
        self.all_know()
        self.c.kill()  # the proof is on disk
        self.c.start()
        self.assertEqual(len(self.forks(self.c)), 1)
        self.other.stop()
        self.a.meets(self.c)
        self.a.good("repair")
        converge([self.a, self.b, self.c], lambda: self.forks(self.b) == [])
        slugs = {slug for owner, slug in self.b.entries() if owner == self.a.id}
        self.assertEqual(len(slugs), 10 + 3 + 6)
        late = self.lab("Le Tiers")
        late.meets(self.b)
        converge([late, self.b])
        self.same(late, self.b)
        self.clean(late, self.a, self.b, self.c)

    def test_a_lab_without_a_fork_has_none_to_show(self):
        self.a.start()
        self.assertEqual(self.forks(self.b), [])
        self.refuses("E-NOT-FOUND", self.b.rpc, "fork_show", lab=self.a.did)
        done = self.b.cli("fork", "show", self.a.did)
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_repair_of_a_lab_that_stands_well_changes_nothing(self):
        self.a.start()
        until(lambda: self.b.id in self.a.links(), [self.a])
        before = self.a.heads()
        self.assertEqual(json.loads(self.a.good("--json", "repair"))["merged"], 0)
        self.assertEqual(self.a.heads(), before)
        self.a.rpc("peers_remove", lab=self.b.did)
        until(lambda: not self.a.links(), [self.a])
        self.refuses("E-NET", self.a.rpc, "repair")


class Merges(lab.Case):
    """A lab that signs merge heads without end, of sides that never were."""

    def test_a_seventeenth_merge_is_refused_and_whatever_comes_then_ends_no_daemon(self):
        a = self.lab("Ti Lab")
        other = peer.Lab("Python")
        a.rpc("peers_add", lab=other.did)
        other.publish([resource("salle")])
        link = other.dial(a.address, a.id)
        link.run(lambda: (other.id, "public") in a.heads())
        for _ in range(17):
            own, n = other.own, other.own.head.n + 1
            items = [own.head.hash, (n - 1).to_bytes(8, "big"), b"\1" + bytes(32)]
            sides = sum(len(item) == 8 for item in own.items)
            chain = (peer.Chain(1, peer.NONE, own.items + items) if sides < 16 else
                     peer.Chain(own.head.n, own.head.history, items))
            head = other.head_payload(dict(own.entries), history=chain.history)
            other.install(dict(own.entries), peer.sign(other.signing, "essaim1 head", head), items)
            if sides < 16:
                link.run(lambda wanted=n: a.heads()[other.id, "public"][0] == wanted)
        with self.assertRaises(peer.Closed):
            link.run(lambda: False, 10)
        self.assertEqual(a.heads()[other.id, "public"][0], 17)
        old = peer.sign(other.signing, "essaim1 head",
                        other.head_payload(dict(other.own.entries), n=5, history=bytes(32)))
        link = other.dial(a.address, a.id)
        link.send(peer.HEADS, other.arrival + 1, [[other.arrival + 1, old]])
        until(lambda: len(a.rpc("forks")["forks"]) == 1, [a])
        self.assertTrue(a.alive())
        self.clean(a)


if __name__ == "__main__":
    tap.main()
