#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Peers that lie about others, speaking the protocol of doc/protocol.md (tests/peer plays them).

A relay that is let in offers a third lab's catalogue, whose heads that lab really signed, and lies in
everything it adds: entries, openings, digests, pairs, proofs, statements. After each lie: it was
refused and counted, nothing of it is held, the third lab is not blamed and is taken from whoever
tells the truth, and the daemon goes on. test_hostile.py has the lies of labs about themselves.
"""
import random
import select
import socket
import time

import lab
import peer
import tap
from lab import resource, until
from peer import ACK, BUCKET, BUCKETS, BYE, DELTA, DELTA_END, HEADS, HELLO, NONE, PING, PROOF, RECORDS
from test_hostile import Hostile, entry, place, settled

ANSWER = (1 << 64) - 1


class Relay(peer.Link):
    """Serves what its lab holds, but for the lies that a case sets."""

    entries = opening = hints = head = None  # (what would be sent) -> what is
    digests = bucket = None

    def serve(self, stream, owner, audience, m, after_rev, after_slug):
        self.asked = (m, after_rev)
        catalogue = self.lab.catalogues[NONE, owner, audience]
        sent, hints, opening = catalogue.delta(m, (after_rev, after_slug))
        if after_rev == (1 << 64) - 1:
            sent = []
        sent = self.entries(sent) if self.entries else sent
        opening = self.opening(opening) if self.opening else opening
        hints = self.hints(hints) if self.hints else hints
        several = 1 if sent and len(sent[0]) > 3000 else 20
        for k in range(0, len(sent), several):
            self.send(DELTA, stream, sent[k:k + several], b"", [])
        for k in range(0, len(hints), 16 * 3000):
            self.send(DELTA, stream, [], hints[k:k + 16 * 3000], [])
        for k in range(0, len(opening), 1000):
            self.send(DELTA, stream, [], b"", opening[k:k + 1000])
        self.send(DELTA_END, stream, self.head or catalogue.head.signed)

    def serve_repair(self, message):
        kind, stream, owner, audience = message[:4]
        catalogue = self.lab.catalogues[NONE, owner, audience]
        if kind == BUCKETS:
            digests = peer.digests_of(catalogue.entries)
            said = self.digests(digests) if self.digests else [b"".join(digests)]
            for each in said:
                self.send(BUCKETS, stream, owner, audience, ANSWER, each)
            return
        number, theirs = message[5:7]
        ours = peer.pairs_of(catalogue.entries, number)
        held = {theirs[i:i + 48] for i in range(0, len(theirs), 48)}
        lacking = [catalogue.entries[ours[i:i + 16]] for i in range(0, len(ours), 48)
                   if ours[i:i + 48] not in held]
        said = [(number, b"", lacking)] if lacking else []
        said.append((number, ours, []))
        for each in self.bucket(said) if self.bucket else said:
            self.send(BUCKET, stream, owner, audience, ANSWER, *each)


class Liars(Hostile):
    """What the cases share."""

    def victim(self, count=12, heads=3):
        """A lab that somebody else tells of."""
        v = peer.Lab("Victime")
        for n in range(heads):
            v.publish([resource(f"fiche-{k}", f"{n}") for k in range(n, count, heads)])
        return v

    @staticmethod
    def holds(p, v):
        """The relay knows what the victim published."""
        p.records[v.id] = v.record
        p.catalogues[v.own.head.name] = v.own.copy()
        p.arrived(v.own.head.name)

    def relay(self, a, p, kind=Relay, **lies):
        link = kind(p, socket.create_connection(place(a.address)), a.id, 10 * tap.SLOW)
        for name, lie in lies.items():
            setattr(link, name, lie)
        return link.greet()

    def lied(self, a, link, limit_s=None, act=None):
        """Acts, and plays on until the daemon has refused something; the BYE, if one came."""
        count = self.refused(a)
        bye = None
        try:
            if act:
                act()
            link.run(lambda: self.refused(a) > count, limit_s or lab.LIMIT_S)
            while link.pending or select.select([link.socket], [], [], 0.1)[0]:
                link.take(link.receive())  # what still comes: a BYE, or another question
        except peer.Closed as closed:
            bye = closed.bye
        except (OSError, peer.Refused):
            pass
        finally:
            link.close()
        self.assertGreater(self.refused(a), count)
        return bye

    def told_truly(self, a, v):
        """Whoever tells the truth about the victim is believed at once."""
        p = self.known(a, "Véridique")
        self.holds(p, v)
        link = self.relay(a, p)
        link.run(lambda: a.heads().get((v.id, "public"), [0])[0] == v.own.head.n, lab.LIMIT_S)
        link.close()
        mine = {slug: octets for (owner, slug), octets in a.entries().items() if owner == v.id}
        self.assertEqual(sorted(mine.values()), sorted(v.own.entries.values()))


class About(Liars):
    """A relay that lies about what another lab signed."""

    limit_s = 120

    def lies(self, v):
        """sentence -> what the relay does."""
        w = self.victim(5, 1)  # another lab, with slugs of the same names
        foreign = list(w.own.entries.values())
        digests = lambda said: [b"".join(said)]  # noqa: E731 - as it should be

        def altered(sent):
            return [each.replace(b"free", b"fred") for each in sent]

        def fewer(sent):
            return sent[:-1]
        forged = peer.sign(w.signing, "essaim1 head", v.head_payload(v.own.entries))
        return {
            # a first delta: the root differs, so buckets are asked for; and there it lies again
            "entries altered, digests that do not make the root": {
                "entries": altered, "digests": lambda said: [b"".join(said[1:] + said[:1])]},
            "entries altered, no digests": {"entries": altered, "digests": lambda said: [b""]},
            "entries altered, digests twice": {
                "entries": altered, "digests": lambda said: digests(said) * 2},
            "an entry less, and its bucket without it": {
                "entries": fewer, "bucket": lambda said: [(said[0][0], b"", [])]},
            "an entry less, pairs and no entry": {
                "entries": fewer, "bucket": lambda said: said[-1:]},
            "an entry less, another lab's in its place": {
                "entries": fewer, "bucket": lambda said: [(said[0][0], b"", foreign[:1]), *said]},
            "an entry less, an altered one in its place": {
                "entries": fewer, "bucket": lambda said: [
                    (number, pairs, altered(given)) for number, pairs, given in said]},
            "an entry less, garbage in its place": {
                "entries": fewer, "bucket": lambda said: [(said[0][0], b"", [b"\xc1\xc1"])]},
            "an entry less, given twice": {
                "entries": fewer, "bucket": lambda said: [said[0], *said]},
            "an entry less, the answer of another bucket": {
                "entries": fewer, "bucket": lambda said: [
                    ((number + 1) % 256, pairs, given) for number, pairs, given in said]},
            "an entry less, pairs in another order": {
                "entries": fewer, "bucket": lambda said: [
                    (number, pairs + pairs, given) for number, pairs, given in said]},
            "an entry less, pairs of nothing": {
                "entries": fewer, "bucket": lambda said: [(said[0][0], bytes(48), [])]},
            "a later rev than the head's in a bucket": {
                "entries": fewer, "bucket": lambda said: [
                    (said[0][0], b"", [self.at_bucket(said[0][0], 9)])]},
            # entries
            "entries of another lab": {"entries": lambda sent: sent[:3] + foreign + sent[3:]},
            "entries in another order": {"entries": lambda sent: sent[::-1]},
            "entries twice": {"entries": lambda sent: sent + sent},
            "garbage for entries": {"entries": lambda sent: [b"\xc1" * 50]},
            # openings
            "an opening with another hash": {
                "opening": lambda items: [b"x" * 32, *items[1:]]},
            "an opening without its last hash": {"opening": lambda items: items[:-1]},
            "an opening too long": {"opening": lambda items: items + items},
            "an opening in another order": {"opening": lambda items: items[::-1]},
            "an opening with a side that was never joined": {
                "opening": lambda items: [items[0], (1).to_bytes(8, "big"), b"\1" + b"s" * 32,
                                          *items[1:]]},
            "a side without a beginning": {
                "opening": lambda items: [b"\1" + b"s" * 32, *items]},
            "an empty side": {
                "opening": lambda items: [items[0], (1).to_bytes(8, "big"), *items[1:]]},
            "an item of 7 bytes": {"opening": lambda items: [b"1234567", *items]},
            # heads
            "a head that another lab signed": {"head": forged},
            "a head of another lab": {"head": w.own.head.signed},
            "a head with a flipped bit": {
                "head": v.own.head.signed[:-1] + bytes([v.own.head.signed[-1] ^ 1])},
        }

    @staticmethod
    def at_bucket(number, rev):
        """An entry whose slug belongs there."""
        k = 0
        while peer.slug_hash(f"s-{k}")[0] != number:
            k += 1
        return entry(f"s-{k}", rev)

    def test_lies_about_another_lab_are_refused_and_that_lab_is_not_blamed(self):
        a = self.lab("Ti Lab")
        a.publish([resource("salle")])
        for sentence in self.lies(self.victim()):
            with self.subTest(sentence):
                held = a.heads(), a.entries()
                v = self.victim()
                p = self.known(a, "Menteur")
                self.holds(p, v)
                link = self.relay(a, p, **self.lies(v)[sentence])
                self.lied(a, link)
                self.assertTrue(a.alive())
                self.assertEqual((a.heads(), a.entries()), held)
                self.assertEqual(a.rpc("forks")["forks"], [])
                self.told_truly(a, v)
        self.clean(a)
        self.still_honest(a)

    def test_lies_about_an_update_leave_what_is_held(self):
        a = self.lab("Ti Lab")
        sentences = [sentence for sentence, lie in self.lies(self.victim()).items()
                     if "head" not in lie]
        for sentence in sentences if tap.LONG else random.sample(sentences, 8):
            with self.subTest(sentence):
                v = self.victim()
                self.told_truly(a, v)
                v.publish([resource("fiche-1", "neuf"), resource("fiche-99")], ["fiche-2"])
                v.publish([resource("fiche-3", "neuf")])
                held = a.heads(), a.entries()
                p = self.known(a, "Menteur")
                self.holds(p, v)
                link = self.relay(a, p, **self.lies(v)[sentence])
                try:
                    self.lied(a, link)
                except AssertionError:  # a lie that was true after all: what it names is there
                    self.assertEqual(a.heads()[v.id, "public"][0], v.own.head.n)
                if a.heads()[v.id, "public"][0] == held[0][v.id, "public"][0]:
                    self.assertEqual((a.heads(), a.entries()), held)
                self.assertEqual(a.rpc("forks")["forks"], [])
                self.told_truly(a, v)
        self.clean(a)
        self.still_honest(a)



class Proofs(Liars):
    """Proofs of forks that never were."""

    def forged(self, v, p):
        """sentence -> the octets of a proof against v that does not hold."""
        own, heads = v.own, []
        for n in range(1, own.head.n + 1):  # v's catalogue at each of its heads
            heads.append(own.copy())
        one, record = own.branch(1), v.record.signed
        twin = v.twin()
        twin.signing = p.signing  # what p signs for v
        twin.records = {v.id: peer.Record(v.signed_record(signing_pk=bytes(p.signing.verify_key)))}
        twin.own.head = None
        twin.own.items, twin.own.entries = [], {}
        twin.publish([resource("faux")])
        liar = p.twin()
        p.publish([resource("mien")])
        liar.publish([resource("autre")])
        good = p.own.fork_proof(p.record.signed, liar.own)  # true, about p itself
        other = self.victim(3, 2)

        def proof(record=record, k=1, a=one, b=twin.own.branch(1)):
            first, second = sorted((a, b), key=lambda each: (
                peer.decode(peer.decode(each[0])[0])[6],
                peer.h32("essaim1 headhash", peer.decode(each[0])[0])))
            return peer.encode(["fork", 1, record, k, *first, *second])
        signed, history, items = one
        return {
            "a head that another key signed": proof(),
            "and the record that names this key, signed by it": proof(
                record=v.signed_record(key=p.root, signing_pk=bytes(p.signing.verify_key))),
            "the record of another lab": proof(record=p.record.signed),
            "the same branch twice": peer.encode(["fork", 1, record, 1, *one, *one]),
            "a branch and its beginning": proof(b=(signed, history, items[:-1])),
            "an opening that does not lead to the head": proof(
                b=(signed, history, [b"x" * 32, *items[1:]])),
            "another history to start from": proof(b=(signed, b"h" * 32, items)),
            "from number 0": proof(k=0, b=one),
            "from behind the heads": proof(k=99, b=one),
            "heads of two labs": proof(b=other.own.branch(1)),
            "an item that is none": proof(b=(signed, history, [b"x" * 31, *items[1:]])),
            "a side": proof(b=(signed, history, [
                items[0], (1).to_bytes(8, "big"), b"\1" + b"s" * 32, *items[1:]])),
            "a true one about another, cut short": good[:-1],
            "a true one about another, longer": good + b"\xc0",
            "a true one about another, with a flipped bit": good[:-9] + bytes(
                [good[-9] ^ 1]) + good[-8:],
            "of a version to come": good.replace(b"\xa4fork\x01", b"\xa4fork\x02", 1),
            "no proof": b"proof",
            "the largest, of nothing": bytes(524288),
        }

    def test_forged_proofs_convict_nobody_but_their_bearer(self):
        a = self.lab("Ti Lab")
        v = self.victim(9, 3)
        self.told_truly(a, v)
        held = a.heads(), a.entries()
        for sentence in self.forged(v, peer.Lab()):
            with self.subTest(sentence):
                p = self.known(a, "Faussaire")
                proof = self.forged(v, p)[sentence]
                p.arrivals.clear()  # it tells nothing of its own
                p.arrival = 0
                link = self.relay(a, p)
                bye = self.lied(a, link, act=lambda link=link, proof=proof: link.send_proof(
                    v.id, proof))
                self.assertEqual(bye[:1], [3], "a protocol error")
                self.assertEqual(a.rpc("forks")["forks"], [])
                self.assertEqual((a.heads(), a.entries()), held)
        v.publish([resource("toujours")])  # not frozen
        self.told_truly(a, v)
        self.still_honest(a)

    def test_parts_of_proofs_in_any_disorder_end_the_link_and_cost_nothing(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        before = a.anonymous_kb()
        size = 524288
        for sentence, parts in {
                "a part without the first": [(size, 61440, bytes(61440))],
                "a part twice": [(size, 0, bytes(61440)), (size, 61440, bytes(100)),
                                 (size, 61440, bytes(100))],
                "another size": [(size, 0, bytes(61440)), (size - 1, 61440, bytes(100))],
                "a hole": [(size, 0, bytes(61440)), (size, 70000, bytes(100))],
                "nothing": [(size, 0, b"")],
                "more than its size": [(10, 0, bytes(11))],
                "over the limit": [(size + 1, 0, bytes(61440))],
                "a part too large": [(size, 0, bytes(61441))]}.items():
            with self.subTest(sentence):
                count = self.refused(a)
                link = self.relay(a, p)
                for whole, at, part in parts:
                    link.send(PROOF, p.id, whole, at, part)
                self.assertEqual(settled(link)[-1][:2], [BYE, 3])
                self.assertGreater(self.refused(a), count)
        link = self.relay(a, p)
        for _ in range(2000):  # begun again and again
            link.send(PROOF, p.id, size, 0, bytes(20000))
        link.send(PING, 1)
        link.run(lambda: any(each[0] == peer.PONG for each in link.seen)).close()
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - before, 6 << 10)
        self.assertEqual(a.rpc("forks")["forks"], [])
        self.still_honest(a)

    def test_a_lab_that_forks_itself_in_every_way_freezes_itself_alone(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        p = self.known(a, "Fourchue")
        for n in range(30):
            p.publish([resource("fiche", f"{n}")])
        stages = []
        for n in range(29):  # twins that leave it ever earlier
            twin = peer.Lab.twin(p)
            twin.own.head = None
            twin.own.items, twin.own.entries = [], {}
            stages.append(twin)
        p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads()).close()
        a.publish([resource("salle")])
        for n in range(29, 0, -1):
            twin = stages.pop()
            for k in range(n):
                twin.own.entries, twin.own.items = {}, p.own.items[:k]
            twin.own.items = list(p.own.items[:n - 1])
            twin.own.head = None
            chain = peer.Chain(1, NONE, p.own.items[:n - 1])
            payload = twin.head_payload({}, n=n, history=chain.history)
            twin.own.head = peer.Head(peer.sign(p.signing, "essaim1 head", payload), p.records.get)
            proof = p.own.fork_proof(p.record.signed, twin.own)
            link = p.dial(a.address, a.id)
            link.send_proof(p.id, proof)
            link.send(PING, n)
            link.run(lambda link=link: any(each[0] == peer.PONG for each in link.seen)).close()
        until(lambda: [len(each.rpc("forks")["forks"]) for each in (a, b)] == [1, 1], [a, b])
        b.publish([resource("atelier")])
        lab.converge([a, b], lambda: len(a.entries()) == 3)
        self.clean(a, b)
        self.still_honest(a)


class Statements(Liars):
    """Who says it is being recovered."""

    def hello(self, p, a, statement, **other):
        link = peer.Link.__new__(peer.Link)
        link.lab, link.wanted = p, a.id
        return peer.Link.hello(link, record=statement, **{"generation": 0, **other})

    def test_wrong_statements_meet_the_answer_of_a_stranger(self):
        a, v, stranger = self.lab("Ti Lab"), peer.Lab("Perdu"), peer.Lab("Inconnu")
        a.publish([resource("salle")])
        a.rpc("peers_add", lab=v.did)
        key = peer.noise_xx.public(v.link_secret)
        good = peer.recovery(v.root, key)
        by_another = peer.sign(stranger.root, "essaim1 recover",
                               peer.encode(["recover", 1, v.id, key, 5]))
        answers = {}
        for sentence, hello in {
                "an unknown lab": self.hello(stranger, a, peer.recovery(stranger.root, key),
                                             lab=stranger.id),
                "signed by another": self.hello(v, a, by_another),
                "signed by the signing key": self.hello(v, a, peer.sign(
                    v.signing, "essaim1 recover", peer.encode(["recover", 1, v.id, key, 5]))),
                "another link key": self.hello(v, a, peer.recovery(v.root, bytes(range(32)))),
                "another lab's, well signed": self.hello(v, a, peer.recovery(stranger.root, key)),
                "of a version to come": self.hello(v, a, peer.sign(
                    v.root, "essaim1 recover", peer.encode(["recover", 2, v.id, key, 5]))),
                "the tag of a record": self.hello(v, a, peer.sign(
                    v.root, "essaim1 lab", peer.encode(["recover", 1, v.id, key, 5]))),
                "a flipped bit": self.hello(v, a, good[:-1] + bytes([good[-1] ^ 1])),
                "a byte more": self.hello(v, a, good + b"\0"),
                "a lab record": self.hello(v, a, v.record.signed),
                "the daemon's own": self.hello(v, a, good, lab=a.id)}.items():
            count = self.refused(a)
            wire = self.wire(a, v.link_secret)
            wire.shake()
            wire.send(*hello)
            answers[sentence] = (settled(wire), [len(each) for each in wire.got_frames])
            self.assertGreater(self.refused(a), count, sentence)
            self.assertEqual(a.links(), set(), sentence)
        for sentence, answer in answers.items():
            self.assertEqual(answer, answers["an unknown lab"], sentence)
        self.assertEqual([each[:2] for each in answers["signed by another"][0]], [[BYE, 2]])

    def test_from_a_link_for_recovery_nothing_is_taken(self):
        a, v = self.lab("Ti Lab"), self.victim()
        a.rpc("peers_add", lab=v.did)
        v.dial(a.address, a.id).run(lambda: (v.id, "public") in a.heads()).close()
        state = self.state(a)
        other, w = v.twin(), self.victim()
        other.link_secret = bytes(range(1, 33))  # a machine without anything but the root key
        statement = peer.recovery(v.root, peer.noise_xx.public(other.link_secret))
        connection = socket.create_connection(place(a.address))
        wire = peer.Wire(connection, other.link_secret, True, 10 * tap.SLOW)
        wire.shake()
        wire.send(*self.hello(other, a, statement))
        self.assertEqual(wire.receive()[0], HELLO)
        other.publish([resource("neuf")])
        liar = v.twin()
        liar.publish([resource("autre")])
        wire.send(RECORDS, [w.record.signed, v.signed_record(generation=2)])
        wire.send(HEADS, 9, [[5, other.own.head.signed], [9, w.own.head.signed]])
        for message in peer.proof_messages(v.id, other.own.fork_proof(v.record.signed, liar.own)):
            wire.send(*message)
        wire.send(ACK, 1 << 60, 1 << 60)
        wire.send(BUCKETS, 1, v.id, "public", ANSWER, bytes(8192))
        wire.send(PING, 5)
        told, heard = [], []
        while not heard or heard[-1][0] != peer.PONG:
            heard.append(wire.receive())
            told += [item for _, item in heard[-1][2]] if heard[-1][0] == HEADS else []
        self.assertIn(v.own.head.signed, told, "it is told of itself")
        self.assertNotIn(peer.WANT, [each[0] for each in heard])
        self.assertEqual(self.state(a), state)
        self.assertEqual(a.rpc("forks")["forks"], [])
        wire.close()
        self.still_honest(a)


class Floods(Liars):
    """Much of everything, and slowly."""

    limit_s = 120

    def test_hints_and_openings_without_end_are_cut_off(self):
        a = self.lab("Ti Lab")
        before = a.anonymous_kb()
        for sentence, lie in {
                "hints": {"hints": lambda _: peer.os.urandom(16 * 600000)},
                "opening": {"opening": lambda _: [b"x" * 32] * 1100000},
                "entries": {"entries": lambda sent: [
                    entry(f"e-{k:06d}", 1 + k, body={"x": "x" * 50000}) for k in range(400)]},
                }.items():
            with self.subTest(sentence):
                v = self.victim()
                p = self.known(a, "Flot")
                self.holds(p, v)
                began = time.monotonic()
                self.lied(a, self.relay(a, p, **lie), 60 * tap.SLOW)
                self.assertLess(time.monotonic() - began, 30 * tap.SLOW)
                self.assertNotIn((v.id, "public"), a.heads())
                self.told_truly(a, v)
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - before, 64 << 10)
        self.clean(a)
        self.still_honest(a)

    def test_openings_of_several_labs_at_once_take_little_memory(self):
        """One link may fetch four catalogues, and each opening could have a million hashes."""
        a = self.lab("Ti Lab")
        before = a.anonymous_kb()
        p = self.known(a, "Flot")
        for _ in range(8):
            self.holds(p, self.victim())

        class Silent(Relay):
            """Is asked, and answers by its own hand."""

            streams = ()

            def serve(self, stream, *_):
                self.streams += (stream,)
        link = self.relay(a, p, Silent)
        link.run(lambda: len(link.streams) >= 4)
        most, hashes = 0, [peer.os.urandom(32) for _ in range(1000)]
        try:
            for k in range(1000):
                for stream in link.streams:
                    link.send(DELTA, stream, [], b"", hashes)
                most = max(most, a.anonymous_kb()) if k % 50 == 0 else most
        except (OSError, peer.Closed):
            pass
        link.close()
        if tap.SLOW == 1:
            self.assertLess(most - before, 24 << 10)
        self.clean(a)
        self.still_honest(a)

    def test_questions_about_buckets_that_are_never_read_cost_no_memory(self):
        a = self.lab("Ti Lab")
        a.publish([resource(f"fiche-{k}", filler="x" * 5000) for k in range(2000)])
        p = self.known(a)
        link = p.dial(a.address, a.id, timeout=3)
        before, n = a.anonymous_kb(), a.heads()[a.id, "public"][0]
        try:
            for k in range(3000):
                link.send(BUCKETS, k, a.id, "public", n, bytes(8192))
                link.send(BUCKET, k, a.id, "public", n, k % 256, b"", [])
        except (OSError, peer.Closed):
            pass
        self.assertEqual(a.rpc("hello")["did"], a.did)
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - before, 12 << 10)
        link.close()
        self.still_honest(a)

    @lab.unittest.skipUnless(tap.LONG, "20 s of drops: with --long (tests/sim has them in CI)")
    def test_a_catalogue_that_drips_is_taken_from_somebody_else(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud")
        v = peer.Lab("Victime")
        v.publish([resource(f"fiche-{k}", "a") for k in range(300)])
        p = self.known(a, "Goutte")
        self.holds(p, v)

        class Drip(Relay):
            """One entry a second, for five minutes."""

            due, rest = 0, None

            def serve(self, stream, owner, audience, m, after_rev, after_slug):
                sent, _, _ = self.lab.catalogues[NONE, owner, audience].delta(
                    m, (after_rev, after_slug))
                self.rest, self.stream = sent, stream

            def drip(self):
                if self.rest and time.monotonic() >= self.due:
                    self.due = time.monotonic() + 1
                    self.send(DELTA, self.stream, [self.rest.pop(0)], b"", [])
                return False
        link = self.relay(a, p, Drip)
        link.run(lambda: link.rest is not None)
        b.rpc("peers_add", lab=v.did)
        v.dial(b.address, b.id).run(lambda: (v.id, "public") in b.heads()).close()
        b.meets(a)
        began = time.monotonic()
        link.run(lambda: link.drip() or (v.id, "public") in a.heads(), 60 * tap.SLOW).close()
        print(f"# taken after {time.monotonic() - began:.1f} s", flush=True)
        self.same(a, b)
        self.clean(a, b)


if __name__ == "__main__":
    tap.main()
