#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Real daemons in small networks: what one lab publishes, every lab ends up holding."""
import json
import threading

import lab
import tap
from lab import converge, resource, until


def texts(entries):
    """{slug: body} of the entries of Lab.entries()."""
    return {slug: lab.msgpack.unpackb(entry, raw=False)[3] for (_, slug), entry in entries.items()}


def revs(entries):
    return {slug: lab.msgpack.unpackb(entry, raw=False)[1] for (_, slug), entry in entries.items()}


def many(count, size=900):
    """Entries of about 1 kB, all different."""
    filler = "é" * (size // 2)
    return [resource(f"fiche-{k:06d}", f"{k} {filler}") for k in range(count)]


class Memory:
    """The highest private memory of some daemons while the block runs, in kB."""

    def __init__(self, labs):
        self.labs, self.over = labs, threading.Event()
        self.peak = {each.name: 0 for each in labs}
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.over.wait(0.02):
            for each in self.labs:
                try:
                    self.peak[each.name] = max(self.peak[each.name], each.anonymous_kb())
                except (OSError, StopIteration, AttributeError):
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Mesh(lab.Case):
    """Small networks."""

    def test_a_and_c_without_a_link_of_their_own_agree_through_b(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Lab du ministère")
        a.publish([resource("salle"), resource("imprimante")])
        b.publish([resource("atelier")])
        c.publish([resource("stagiaire")])
        converge([a, b, c], lambda: len(a.entries()) == 4)
        self.same(a, b, c)
        self.clean(a, b, c)
        self.assertEqual(a.links(), {b.id})
        self.assertEqual(c.links(), {b.id})
        self.assertEqual({name["name"] for name in c.rpc("labs")["labs"]},
                         {"Ti Lab", "Région Sud", "Lab du ministère"})

    def test_what_is_published_before_the_link_and_after_it_arrives_alike(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        a.publish([resource("avant")])
        b.meets(a)
        converge([a, b], lambda: len(b.entries()) == 1)
        a.publish([resource("apres")])
        converge([a, b], lambda: len(b.entries()) == 2)
        self.same(a, b)

    def test_a_lab_that_only_dials_out_sends_and_receives_like_any_other(self):
        a, b = self.lab("Ti Lab"), self.lab("Derrière un NAT", listen=None)
        self.assertIsNone(b.address)
        a.publish([resource("dehors")])
        b.publish([resource("dedans")])
        b.meets(a)
        converge([a, b], lambda: len(a.entries()) == 2)
        a.publish([resource("dehors-2")])
        b.publish([resource("dedans-2")])
        converge([a, b], lambda: len(a.entries()) == 4)
        self.same(a, b)

    def test_two_labs_that_only_dial_out_meet_through_a_third(self):
        hub = self.lab("Relais")
        a, b = self.lab("Un", listen=None), self.lab("Deux", listen=None)
        a.meets(hub)
        b.meets(hub)
        a.publish([resource("un")])
        b.publish([resource("deux")])
        converge([a, b, hub], lambda: len(a.entries()) == 2)
        self.same(a, b, hub)

    def test_both_dial_each_other_and_one_link_stays(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        a.dials(b)
        b.dials(a)
        a.publish([resource("salle")])
        b.publish([resource("atelier")])
        converge([a, b], lambda: len(a.entries()) == 2)
        until(lambda: [len([each for each in one.rpc("status")["links"]
                            if each["state"] in lab.LINKED]) for one in (a, b)] == [1, 1], [a, b])

    def test_a_withdrawn_entry_leaves_every_lab(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        a.publish([resource("salle"), resource("erreur")])
        converge([a, b, c], lambda: len(c.entries()) == 2)
        result = a.withdraw("erreur")
        self.assertEqual(result["statuses"], b"\0")
        converge([a, b, c], lambda: len(c.entries()) == 1)
        self.same(a, b, c)
        self.clean(a, b, c)
        self.refuses("E-NOT-FOUND", c.rpc, "show", ref=f"{a.did}/erreur")

    def test_a_lab_that_was_away_catches_up_updates_and_withdrawals(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        a.publish([resource("salle"), resource("erreur"), resource("reste")])
        converge([a, b, c], lambda: len(c.entries()) == 3)
        self.assertEqual(c.stop(), 0)
        a.publish([resource("salle", "Une salle repeinte"), resource("neuve")])
        a.withdraw("erreur")
        b.publish([resource("atelier")])
        converge([a, b], lambda: len(b.entries()) == 4)
        c.start()
        converge([a, b, c], lambda: len(c.entries()) == 4)
        self.same(a, b, c)
        self.assertEqual(texts(c.entries())["salle"]["summary"], {"fr": "Une salle repeinte"})
        self.clean(a, b, c)

    def test_the_link_comes_back_after_the_listener_was_stopped(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        converge([a, b], lambda: len(b.entries()) == 1)
        a.keep_address()
        self.assertEqual(a.stop(), 0)
        b.publish([resource("pendant")])
        a.start()
        converge([a, b], lambda: len(a.entries()) == 2)
        self.same(a, b)

    def test_the_link_comes_back_after_a_kill(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        converge([a, b], lambda: len(b.entries()) == 1)
        b.kill()
        a.publish([resource("pendant")])
        b.start()
        converge([a, b], lambda: len(b.entries()) == 2)
        self.clean(a, b)

    def test_sync_answers_when_a_peer_holds_the_newest_head(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        n = a.publish([resource("salle")])["n"]
        result = a.rpc("sync", wait=1, timeout_ms=15000 * tap.SLOW)
        self.assertEqual((result["held"], result["n"]), (1, n))
        self.assertEqual(b.heads()[a.id, "public"][0], n)
        done = a.cli("sync", "--wait", "1", "--timeout", str(15 * tap.SLOW))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_sync_says_so_when_too_few_peers_hold_it(self):
        a, _ = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        self.refuses("E-TIMEOUT", a.rpc, "sync", wait=2, timeout_ms=300)
        self.assertEqual(a.cli("sync", "--wait", "2", "--timeout", "1").returncode, 8)

    def test_watch_tells_every_change_in_order_two_hops_away(self):
        a, _, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        with c.connect() as watch:
            watch.call("watch")
            told = []

            def until_told(count):
                def enough():
                    while watch.notifications:
                        method, (change,) = watch.notifications.popleft()
                        self.assertEqual(method, "change")
                        told.append(change)
                    watch.wait(0)
                    return len(told) >= count
                until(enough, [c])
            a.publish([resource("salle")])
            until_told(1)
            a.publish([resource("salle", "Repeinte")])
            until_told(2)
            a.withdraw("salle")
            until_told(3)
        self.assertEqual([(each["change"], each["n"]) for each in told],
                         [("published", 1), ("published", 2), ("withdrawn", 3)])
        self.assertTrue(all(each["lab"] == a.id and each["name"] == "Ti Lab" for each in told))
        self.assertEqual(len({each["slug_hash"] for each in told}), 1)
        self.assertEqual([each["rev"] for each in told[:2]], [1, 2])
        self.assertIsNone(told[2]["entry"])

    def test_an_entry_is_found_by_name_alias_and_did(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        converge([a, b], lambda: len(b.entries()) == 1)
        b.rpc("peers_add", lab=a.did, address=a.address, alias="bzh")
        shown = b.rpc("show", ref=f"{a.did}/salle")
        self.assertEqual(shown["name"], "Ti Lab")
        for ref in ("ti-lab/salle", "Ti Lab/salle", "TI-LAB/salle", "bzh/salle"):
            self.assertEqual(b.rpc("show", ref=ref)["leaf"], shown["leaf"], ref)
        self.assertEqual(a.rpc("show", ref="salle")["entry"], shown["entry"])
        self.assertEqual(set(b.entries(lab="bzh")), {(a.id, "salle")})
        self.assertEqual(b.rpc("show", ref="salle")["lab"], a.id, "the only one that has it")
        for ref in ("absente", "ti-lab/absente", "personne/salle"):
            self.refuses("E-NOT-FOUND", b.rpc, "show", ref=ref)
        for ref in ("ti-lab/salle", "bzh/salle", f"{a.did}/salle"):
            self.assertEqual(b.cli("--json", "show", ref).returncode, 0, ref)
        self.assertEqual(b.cli("show", "ti-lab/absente").returncode, 3)

    def test_a_name_of_two_labs_is_ambiguous_and_the_did_is_not(self):
        a, b = self.lab("Labo"), self.lab("Lab Labo", listen=None)
        second = self.lab("Labo", listen=None, folder="jumeau")
        b.meets(a)
        second.meets(a)
        a.publish([resource("salle")])
        second.publish([resource("salle")])
        converge([a, b, second], lambda: len(b.entries()) == 2)
        self.refuses("E-AMBIGUOUS", b.rpc, "show", ref="labo/salle")
        self.refuses("E-AMBIGUOUS", b.rpc, "show", ref="salle")
        self.assertEqual(b.rpc("show", ref=f"{second.did}/salle")["lab"], second.id)

    def test_an_update_gives_its_entry_a_new_rev_and_leaves_the_others(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle"), resource("atelier")])
        result = a.publish([resource("salle", "Repeinte"), resource("atelier")])
        self.assertEqual(result["statuses"], bytes([lab.UPDATED, lab.UNCHANGED]))
        converge([a, b], lambda: revs(b.entries()) == {"salle": 2, "atelier": 1})
        self.assertEqual(b.heads()[a.id, "public"][0], 2)

    def test_publishing_the_same_again_changes_nothing(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        first = a.publish([resource("salle"), resource("atelier")])
        converge([a, b], lambda: len(b.entries()) == 2)
        heads = b.heads()
        again = a.publish([resource("salle"), resource("atelier")])
        self.assertEqual(again["statuses"], bytes([lab.UNCHANGED] * 2))
        self.assertEqual(again["n"], first["n"])
        self.assertEqual(a.heads(), heads)
        record = json.dumps({"kind": "resource", "slug": "salle", **resource("salle")[2]})
        self.assertEqual(a.cli("publish", "-", stdin=record).returncode, 0)
        self.assertEqual(a.heads(), heads)

    def test_a_peer_taken_off_the_list_hears_no_more(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        converge([a, b], lambda: len(b.entries()) == 1)
        a.rpc("peers_remove", lab=b.did)
        until(lambda: not a.links(), [a])
        a.publish([resource("secret")])
        self.refuses("E-TIMEOUT", a.rpc, "sync", wait=1, timeout_ms=4000)
        self.assertEqual(len(b.entries()), 1)

    def test_batches_at_both_ends_cross_on_one_link(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish(many(1500))
        b.publish(many(1500))
        converge([a, b], lambda: len(a.heads()) == 2)
        self.same(a, b)
        self.assertEqual(len(a.entries()), 3000)


class Bulk(lab.Case):
    """Many entries at once."""

    limit_s = 150

    def test_20000_entries_go_through_a_relay_in_bounded_memory(self):
        a, b, c = self.labs_in_a_row("Ti Lab", "Région Sud", "Ministère")
        a.publish([resource("salle")])
        converge([a, b, c], lambda: len(c.entries()) == 1)
        with Memory([b, c]) as memory:
            a.publish(many(20000))
            converge([a, b, c], lambda: c.heads()[a.id, "public"][1] == 20001, 100 * tap.SLOW)
        self.same(a, b, c)
        self.clean(a, b, c)
        print(f"# peak private memory, kB: {memory.peak}", flush=True)
        if tap.SLOW == 1:
            self.assertLess(max(memory.peak.values()), 32 << 10)

    def test_a_lab_publishes_on_while_its_big_catalogue_is_fetched(self):
        a = self.lab("Ti Lab")
        a.publish(many(8000))
        b = self.lab("Région Sud")
        b.meets(a)
        for k in range(40):
            a.publish([resource(f"fiche-{k * 150:06d}", f"changée {k}"), resource(f"neuve-{k}")])
            a.withdraw(f"fiche-{k * 150 + 7:06d}")
        converge([a, b], lambda: a.id in {name for name, _ in b.heads()}, 60 * tap.SLOW)
        self.same(a, b)
        self.clean(a, b)
        self.assertEqual(len(b.entries()), 8000)

    def test_a_receiver_killed_in_the_middle_of_a_big_delta_goes_on_afterwards(self):
        a = self.lab("Ti Lab")
        a.publish(many(20000))
        b = self.lab("Région Sud")
        b.meets(a)
        for _ in range(3):
            until(lambda: b.rpc("status")["fetches"] or b.heads().get((a.id, "public")), [b])
            b.kill()
            b.start()
        converge([a, b], lambda: (a.id, "public") in b.heads(), 60 * tap.SLOW)
        self.same(a, b)
        self.clean(a, b)

    def test_a_sender_killed_in_the_middle_of_a_big_delta_goes_on_afterwards(self):
        a = self.lab("Ti Lab")
        a.publish(many(20000))
        a.keep_address()
        b = self.lab("Région Sud")
        b.meets(a)
        until(lambda: b.rpc("status")["fetches"] or b.heads().get((a.id, "public")), [b])
        a.kill()
        a.start()
        converge([a, b], lambda: (a.id, "public") in b.heads(), 60 * tap.SLOW)
        self.same(a, b)


if __name__ == "__main__":
    tap.main()
