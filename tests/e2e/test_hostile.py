#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""What a daemon does with labs that lie and with peers that are none (tests/peer plays them).

After every case: the daemon lives, holds what it held, counted what it refused, and goes on with
who is honest. ESSAIM_LONG=1 tries every bit where otherwise a sample is tried; the seed is printed.
"""
import os
import random
import select
import socket
import struct
import threading
import time

import msgpack

import lab
import peer
import tap
from lab import pack, resource, until
from peer import (ACK, BYE, DELTA, DELTA_END, HEADS, HELLO, NONE, PING, RECORDS, REKEY, WANT, encode)

REFUSED, PROTOCOL = 2, 3  # BYE codes


def place(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def fds(who):
    return len(os.listdir(f"/proc/{who.process.pid}/fd"))


def settled(link):
    """Everything that still comes, until the other side closes: [message, …], or what broke."""
    messages = []
    try:
        while True:
            messages.append(link.receive())
    except peer.Closed:
        return messages
    finally:
        link.close()


class Hostile(lab.Case):
    """What the cases share."""

    def refused(self, a):
        return sum(a.rpc("status")["refused"].values())

    def state(self, a):
        """What must not change."""
        labs = sorted((each["lab"], each["generation"]) for each in a.rpc("labs")["labs"])
        return labs, a.heads(), a.entries()

    def known(self, a, name="Python"):
        """A Python lab that the daemon lets in."""
        p = peer.Lab(name)
        a.rpc("peers_add", lab=p.did)
        return p

    def still_honest(self, a):
        """Somebody new and honest is served and believed."""
        p = self.known(a, "Honnête")
        p.publish([resource("honnete")])
        p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads()).close()
        self.clean(a)

    def wire(self, a, secret, timeout=10 * tap.SLOW):
        return peer.Wire(socket.create_connection(place(a.address), timeout), secret, True, timeout)


class Strangers(Hostile):
    """Before a lab is known to be one that is let in, nothing is said."""

    def hellos(self, a, p):
        """(sentence, lab whose key is used, HELLO items) that must all meet the same answer."""
        stranger, other = peer.Lab("Inconnu"), peer.Lab("Autre")

        def hello(who, **other_fields):
            link = peer.Link.__new__(peer.Link)
            link.lab, link.wanted = who, a.id
            return peer.Link.hello(link, **other_fields)
        wrong_link = p.signed_record(link_pk=bytes(range(32)))
        by_another = p.signed_record(key=other.root)
        broken = bytearray(p.record.signed)
        broken[-1] ^= 1
        yield "an unknown lab", stranger, hello(stranger)
        yield "a known lab with another link key", p, hello(p, record=wrong_link)
        yield "a record signed by another", p, hello(p, record=by_another)
        yield "a record with a flipped bit in its signature", p, hello(p, record=bytes(broken))
        yield "a known lab without a record", p, hello(p, record=None)
        yield "the record of another lab", p, hello(p, record=other.record.signed)
        yield "a known record under a stranger's key", stranger, hello(p)
        yield "an unknown lab without a record", stranger, hello(stranger, record=None)
        yield "the daemon's own name", stranger, hello(stranger, lab=a.id)
        yield "another generation than the record's", p, hello(p, generation=2)

    def test_unknown_labs_bad_keys_and_bad_signatures_meet_one_and_the_same_answer(self):
        a, p = self.lab("Ti Lab"), peer.Lab("Connu")
        a.publish([resource("salle")])
        a.rpc("peers_add", lab=p.did)
        before = self.state(a)
        answers = {}
        for sentence, who, hello in self.hellos(a, p):
            count = self.refused(a)
            wire = self.wire(a, who.link_secret)
            wire.shake()
            wire.send(*hello)
            messages = settled(wire)
            answers[sentence] = (messages, [len(frame) for frame in wire.got_frames])
            self.assertGreater(self.refused(a), count, sentence)
        first = answers["an unknown lab"]
        self.assertEqual([message[:2] for message in first[0]], [[BYE, REFUSED]])
        for sentence, answer in answers.items():
            self.assertEqual(answer, first, sentence)
        self.assertEqual(self.state(a), before)
        p.publish([resource("serpent")])
        p.dial(a.address, a.id).run(lambda: len(a.entries()) == 2).close()

    def test_a_lab_taken_off_the_list_is_a_stranger_again(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        p.dial(a.address, a.id).close()
        a.rpc("peers_remove", lab=p.did)
        with self.assertRaises(peer.Closed) as closed:
            p.dial(a.address, a.id)
        self.assertEqual(closed.exception.bye[0], REFUSED)

    def test_nothing_is_said_before_the_hello(self):
        a = self.lab("Ti Lab")
        wire = self.wire(a, os.urandom(32))
        wire.shake()
        wire.socket.settimeout(2)
        with self.assertRaises(peer.Closed):
            wire.receive_frame()
        self.assertEqual(len(wire.got_frames), 1, "the second handshake message and no more")
        wire.close()

    def test_a_first_message_that_is_no_hello_is_answered_with_bye_alone(self):
        a = self.lab("Ti Lab")
        a.publish([resource("salle")])
        p = self.known(a)
        for message in ([WANT, 1, a.id, "public", 0, 0, None], [PING, 1], [HEADS, 0, []],
                        [ACK, 0, 0], [BYE, 0, ""], [HELLO], [99], []):
            wire = self.wire(a, p.link_secret)
            wire.shake()
            wire.send(*message)
            self.assertEqual([each[0] for each in settled(wire) if each[0] != BYE], [], message)
        self.still_honest(a)

    def test_a_dialled_address_where_another_lab_answers_gets_nothing(self):
        a, real, impostor = self.lab("Ti Lab"), peer.Lab("Vrai"), peer.Lab("Imposteur")
        a.publish([resource("salle")])
        impostor.publish([resource("faux")])
        with socket.create_server(("127.0.0.1", 0)) as server:
            a.rpc("peers_add", lab=real.did, address=f"127.0.0.1:{server.getsockname()[1]}")
            server.settimeout(lab.LIMIT_S)
            for fields in ({}, {"lab": real.id}, {"lab": real.id, "record": real.record.signed}):
                wire = peer.Wire(server.accept()[0], impostor.link_secret, False)
                wire.shake()
                self.assertEqual(wire.receive()[0], HELLO)
                link = peer.Link.__new__(peer.Link)
                link.lab, link.wanted = impostor, a.id
                wire.send(*peer.Link.hello(link, **fields))
                kinds = {message[0] for message in settled(wire)}
                self.assertLessEqual(kinds, {BYE})
                self.assertEqual(a.links(), set())
        self.assertEqual(len(a.entries()), 1)
        self.still_honest(a)


def malformed():
    """(sentence, plaintext octets) that no lab may send."""
    head = b"\x00" * 32
    yield "a number", b"\x05"
    yield "an empty array", b"\x90"
    yield "a map", b"\x80"
    yield "a type that is none", encode([0])
    yield "a type to come", encode([17, 1])
    yield "a negative type", encode([-1, 1])
    yield "a type as a text", encode(["PING", 1])
    for kind in (7, 8, 9, 15, 16):
        yield f"type {kind} with two items", encode([kind, b"x", b"y"])
    yield "BUCKETS of no head", encode([7, 1, head, "public", 0, b""])
    yield "BUCKETS with one digest", encode([7, 1, head, "public", 1, head])
    yield "BUCKET 256", encode([8, 1, head, "public", 1, 256, b"", []])
    yield "BUCKET with half a pair", encode([8, 1, head, "public", 1, 5, bytes(24), []])
    yield "PROOF without size", encode([9, head, b"proof"])
    yield "a part beyond its proof", encode([9, head, 5, 1, b"proof"])
    yield "a proof of 524,289 bytes", encode([9, head, 524289, 0, b"proof"])
    yield "a proof that is none", encode([9, head, 5, 0, b"proof"])
    yield "JOIN as written", encode([15, b"token", b"record"])
    yield "one item less", encode([PING])
    yield "one item more", encode([PING, 1, 2])
    yield "REKEY with an item", encode([REKEY, 1])
    yield "a text for a number", encode([PING, "1"])
    yield "a number below zero", encode([PING, -1])
    yield "a byte behind it", encode([PING, 1]) + b"\xc0"
    yield "a number longer than need be", b"\x92\x0b\xcc\x05"
    yield "an array longer than need be", b"\xdc\x00\x02\x0b\x05"
    yield "a float", b"\x92\x0b\xcb" + bytes(8)
    yield "an ext", b"\x92\x0b\xd4\x01\x00"
    yield "a count of 4 billion", b"\xdd\xff\xff\xff\xff" + bytes(100)
    yield "a bin of 4 GB", b"\x92\x02\xc6\xff\xff\xff\xff" + bytes(100)
    yield "40 levels", b"\x91" * 40 + b"\xc0"
    yield "a text that is not UTF-8", b"\x93\x0d\x00\xa2\xff\xfe"
    yield "a control character", encode([BYE, 0, "a\x1bb"])
    yield "half a message", encode([HEADS, 1, [[1, bytes(300)]]])[:-7]
    yield "an audience of 100 characters", encode([WANT, 1, head, "a" * 100, 0, 0, None])
    yield "a lab of 31 bytes", encode([WANT, 1, head[:31], "public", 0, 0, None])
    yield "half a slug hash", encode([WANT, 1, head, "public", 0, 0, b"abc"])
    yield "arrivals out of order", encode([HEADS, 9, [[5, head * 9], [4, head * 9]]])
    yield "a record that is none", encode([RECORDS, [b"record"]])
    yield "a record that is a number", encode([RECORDS, [5]])
    yield "a head that is none", encode([HEADS, 5, [[5, b"head"]]])
    yield "half a hint", encode([DELTA, 77, [], b"abc", []])
    yield "an opening of texts", encode([DELTA, 77, [], b"", ["x"]])


class Messages(Hostile):
    """From a lab that is let in: frames and messages that break the rules."""

    def test_messages_that_break_the_rules_end_the_link(self):
        a = self.lab("Ti Lab")
        a.publish([resource("salle")])
        p = self.known(a)
        p.dial(a.address, a.id).run(lambda: p.id in a.links()).close()
        before = self.state(a)
        for sentence, octets in malformed():
            with self.subTest(sentence):
                count = self.refused(a)
                link = p.dial(a.address, a.id, timeout=10 * tap.SLOW)
                link.send_octets(octets)
                messages = settled(link)
                self.assertEqual([each[0] for each in messages].count(BYE), 1, messages)
                self.assertEqual(messages[-1][:2], [BYE, PROTOCOL], messages)
                self.assertGreater(self.refused(a), count)
                self.assertEqual(self.state(a), before)
        self.still_honest(a)

    def test_parts_of_a_delta_nobody_asked_for_change_nothing(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        p.publish([resource("serpent")])
        link = p.dial(a.address, a.id)
        link.run(lambda: (p.id, "public") in a.heads())
        before = self.state(a)
        for stream in (0, 1, 2, 77, (1 << 32) - 1):
            link.send(DELTA, stream, [entry("intrus", 2)], b"x" * 16, [b"h" * 32])
            link.send(DELTA_END, stream, p.own.head.signed)
            link.send(DELTA_END, stream, None)
        link.send(PING, 5)
        link.run(lambda: any(each[0] == peer.PONG for each in link.seen)).close()
        self.assertEqual(self.state(a), before)
        self.still_honest(a)

    def test_a_second_hello_ends_the_link(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        link = p.dial(a.address, a.id)
        link.send(*link.hello())
        self.assertEqual(settled(link)[-1][:2], [BYE, PROTOCOL])

    def test_frames_that_do_not_open_end_the_link(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        p.dial(a.address, a.id).run(lambda: p.id in a.links()).close()
        before = self.state(a)

        def replayed(link):
            link.send(PING, 1)
            link.socket.sendall(len(link.sent_frames[-1]).to_bytes(2, "big") + link.sent_frames[-1])

        def swapped(link):
            sealed = [link.sender.run("encrypt", encode([PING, k])) for k in (1, 2)]
            for each in reversed(sealed):
                link.send_frame(each)

        def reflected(link):
            link.send_frame(link.got_frames[-1])
        cases = {
            "an empty frame": lambda link: link.socket.sendall(b"\0\0"),
            "a frame with nothing in it": lambda link: link.send_octets(b""),
            "a frame shorter than its tag": lambda link: link.send_frame(b"x" * 15),
            "a frame of random bytes": lambda link: link.send_frame(os.urandom(500)),
            "the largest frame, random": lambda link: link.send_frame(os.urandom(65535)),
            "a frame sent twice": replayed,
            "two frames in the wrong order": swapped,
            "its own frame sent back": reflected,
        }
        for sentence, act in cases.items():
            with self.subTest(sentence):
                count = self.refused(a)
                link = p.dial(a.address, a.id, timeout=10 * tap.SLOW)
                act(link)
                self.assertNotIn(HELLO, [each[0] for each in settled(link)])
                self.assertGreater(self.refused(a), count)
                self.assertEqual(self.state(a), before)
        self.still_honest(a)

    def test_a_frame_of_another_session_means_nothing_in_this_one(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        p.publish([resource("serpent")])
        first = p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads())
        first.close()
        before = self.state(a)
        for frame in first.sent_frames:
            wire = self.wire(a, p.link_secret)
            wire.shake()
            wire.send_frame(frame)
            self.assertNotIn(HELLO, [each[0] for each in settled(wire)])
        connection = socket.create_connection(place(a.address))
        connection.settimeout(10 * tap.SLOW)
        for frame in first.sent_frames:  # the whole session once more
            try:
                connection.sendall(len(frame).to_bytes(2, "big") + frame)
            except OSError:
                break
        until_closed(connection)
        self.assertEqual(self.state(a), before)
        self.still_honest(a)

    def test_heads_that_do_not_hold_are_not_fetched(self):
        a = self.lab("Ti Lab")
        before = len(a.heads())

        def of(p, **other):
            return peer.sign(p.signing, "essaim1 head", p.head_payload({}, **other))
        makers = {
            "a signature of another key": lambda p: peer.sign(
                peer.Lab().signing, "essaim1 head", p.head_payload({})),
            "a signature of the root key": lambda p: peer.sign(
                p.root, "essaim1 head", p.head_payload({})),
            "a lab nobody knows": lambda p: of(p, lab=bytes(range(32))),
            "a generation nobody knows": lambda p: of(p, generation=2),
            "the tag of a record": lambda p: peer.sign(p.signing, "essaim1 lab", p.head_payload({})),
            "number zero": lambda p: of(p, n=0),
            "a byte more": lambda p: of(p) + b"\0",
            "a version to come": lambda p: peer.sign(
                p.signing, "essaim1 head", p.head_payload({}).replace(b"head\x01", b"head\x02")),
            "more entries than the quota": lambda p: of(p, count=10 ** 9, bytes=10 ** 7),
            "more bytes than the quota": lambda p: of(p, count=10, bytes=1 << 50),
        }
        for sentence, make in makers.items():
            with self.subTest(sentence):
                p = self.known(a)
                count = self.refused(a)
                link = p.dial(a.address, a.id)
                link.send(HEADS, 1, [[1, make(p)]])
                asked = []
                try:
                    end = time.monotonic() + lab.LIMIT_S
                    while self.refused(a) == count and time.monotonic() < end:
                        if select.select([link.socket], [], [], 0.05)[0]:
                            message = link.receive()
                            asked += [message] if message[0] == WANT else []
                            if message[0] == WANT:
                                link.send(DELTA_END, message[1], None)
                except peer.Closed:
                    pass
                link.close()
                self.assertGreater(self.refused(a), count)
                self.assertEqual(asked, [])
                self.assertEqual(len(a.heads()), before)
        self.still_honest(a)

    def test_a_head_of_the_daemons_own_that_it_never_made_is_not_taken(self):
        a = self.lab("Ti Lab")
        a.publish([resource("salle")])
        heads = a.heads()
        p = self.known(a)
        link = p.dial(a.address, a.id)
        forged = peer.sign(p.signing, "essaim1 head", p.head_payload({}, lab=a.id, n=9))
        link.send(HEADS, 1, [[1, forged]])
        self.assertNotIn(WANT, [each[0] for each in settled_or_quiet(link)])
        self.assertEqual(a.heads(), heads)
        self.still_honest(a)

    def test_more_labs_than_there_may_be_are_not_kept(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        link = p.dial(a.address, a.id)
        try:
            for _ in range(60):
                link.send(RECORDS, [peer.Lab("Foule").record.signed for _ in range(20)])
            link.send(PING, 1)
            link.run(lambda: any(each[0] == peer.PONG for each in link.seen))
        except (peer.Closed, OSError):
            pass
        link.close()
        self.assertLessEqual(len(a.rpc("labs")["labs"]), 1001)
        self.assertTrue(a.alive())

    def test_asking_for_everything_a_thousand_times_and_not_reading_costs_no_memory(self):
        a = self.lab("Ti Lab")
        a.publish([resource(f"fiche-{k}", filler="x" * 5000) for k in range(2000)])
        p = self.known(a)
        link = p.dial(a.address, a.id)
        link.socket.settimeout(3)
        before = a.anonymous_kb()
        try:
            for k in range(1000):
                link.send(WANT, k + 1, a.id, "public", 0, 0, None)
        except (OSError, peer.Closed):
            pass
        self.assertEqual(a.rpc("hello")["did"], a.did)
        peak = 0
        end = time.monotonic() + 1
        while time.monotonic() < end:
            peak = max(peak, a.anonymous_kb())
            a.rpc("hello")
        if tap.SLOW == 1:
            self.assertLess(peak - before, 8 << 10)
        link.close()
        self.still_honest(a)

    def test_pings_that_are_never_read_cost_no_memory(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        link = p.dial(a.address, a.id)
        link.socket.settimeout(2)
        before = a.anonymous_kb()
        try:
            for k in range(60000):
                link.send(PING, k)
        except (OSError, peer.Closed):
            pass
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - before, 8 << 10)
        link.close()
        self.still_honest(a)


def until_closed(connection):
    try:
        while connection.recv(1 << 16):
            pass
    except OSError:
        pass
    connection.close()


def settled_or_quiet(link, seconds=1.0):
    """What comes until it closes or is quiet for a while."""
    messages = []
    try:
        while link.pending or select.select([link.socket], [], [], seconds)[0]:
            messages.append(link.receive())
    except peer.Closed:
        pass
    link.close()
    return messages


class Liar(peer.Link):
    """A link that answers WANT with what `lie` says: (entries, withdrawn, opening, head)."""

    lie = None

    def serve(self, stream, lab, audience, m, after_rev, after_slug):
        entries, withdrawn, opening, head = self.lie
        for k in range(0, max(len(entries), 1), 50):
            self.send(DELTA, stream, entries[k:k + 50], b"", [])
        self.send(DELTA, stream, [], withdrawn, opening)
        self.send(DELTA_END, stream, head)


def entry(slug, rev=1, kind="resource", body=None):
    return encode([slug, rev, kind, body if body is not None else resource(slug)[2]])


def nested(levels):
    value = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


class Catalogues(Hostile):
    """From a lab that is let in: catalogues whose parts do not agree."""

    def lies(self, p):
        """{sentence: (entries, withdrawn, opening, head)}; honest but for what the sentence says."""
        good = sorted((entry(f"e-{k}") for k in range(5)),
                      key=lambda each: peer.slug_hash(peer.checked_entry(each)[0]))

        def head(entries=good, **other):
            fields = {"count": len(entries), "bytes": sum(map(len, entries))}
            by_slug = {}
            for each in entries:
                try:
                    by_slug[peer.slug_hash(msgpack.unpackb(each, raw=False)[0])] = each
                except Exception:
                    by_slug[peer.h16("essaim1 slug", each)] = each
            return peer.sign(p.signing, "essaim1 head",
                             p.head_payload(by_slug, **{**fields, **other}))

        def bad(*entries, **other):
            return [*entries], b"", [], head([*entries], **other)
        second = head(n=2, history=peer.extended(NONE, b"a" * 32))
        fields = resource("e-0")[2]
        yield "a wrong root", (good, b"", [], head(root=b"r" * 32))
        yield "a wrong count", (good, b"", [], head(count=6))
        yield "a count too small", (good, b"", [], head(count=4))
        yield "a first head with a history", (good, b"", [], head(history=b"h" * 32))
        yield "fewer bytes than entries", (good, b"", [], head(count=50, bytes=10))
        yield "wrong bytes", (good, b"", [], head(bytes=9999))
        yield "bytes too small", (good, b"", [], head(bytes=1000))
        yield "an entry less", (good[:-1], b"", [], head())
        yield "an entry more", (good + [entry("zz")], b"", [], head())
        yield "another entry in its place", ([good[0].replace(b"200", b"300"), *good[1:]], b"", [],
                                             head())
        yield "entries in another order", (good[::-1], b"", [], head())
        yield "an entry twice", ([good[0], *good], b"", [], head())
        yield "a slug twice", bad(entry("a", 1), entry("a", 2), n=2,
                                  history=peer.extended(NONE, b"a" * 32))
        yield "rev zero", bad(entry("a", 0))
        yield "a rev after the head's", bad(entry("a", 2))
        yield "a hint of half a hash", (good, b"x" * 8, [], head())
        yield "a hint that takes an entry away", (good, peer.hint_of(good[1]), [], head())
        yield "an opening for head 1", (good, b"", [b"a" * 32], head())
        yield "no opening for head 2", (good, b"", [], second)
        yield "an opening that leads elsewhere", (good, b"", [b"b" * 32], second)
        yield "an opening too long", (good, b"", [b"a" * 32, b"b" * 32], second)
        yield "a hash of 31 bytes", (good, b"", [b"a" * 31], second)
        yield "a head with a flipped bit", (good, b"", [], flipped(head(), -1))
        yield "a head of another lab", (good, b"", [], peer.sign(
            p.signing, "essaim1 head", p.head_payload({}, lab=b"l" * 32)))
        yield "a head of another audience", (good, b"", [], head(audience="cercle"))
        yield "a head of another network", (good, b"", [], head(network=b"n" * 32))
        yield "a head that is no head", (good, b"", [], b"head")
        yield "keys out of order", bad(
            b"\x94\xa1a\x01\xa8resource\x82\xa1b\x01\xa1a\x01")
        yield "a byte behind the entry", bad(entry("a") + b"\xc0")
        yield "a long form of a number", bad(b"\x94\xa1a\xcc\x01\xa8resource" + pack(fields))
        yield "a float in the body", bad(msgpack.packb(["a", 1, "resource", {"x": 1.5}]))
        yield "an ext in the body", bad(msgpack.packb(
            ["a", 1, "resource", {"x": msgpack.ExtType(1, b"x")}]))
        yield "a control character in the body", bad(entry("a", body={"x": "a\x1bb"}))
        yield "a text that is not UTF-8", bad(b"\x94\xa1a\x01\xa8resource\x81\xa1x\xa2\xff\xfe")
        yield "a body nine levels deep", bad(entry("a", body=nested(9)))
        yield "a body of too many nodes", bad(entry("a", body={"x": [0] * 4096}))
        yield "a body that is a list", bad(encode(["a", 1, "resource", []]))
        yield "five items", bad(encode(["a", 1, "resource", fields, 0]))
        yield "a slug with a capital", bad(entry("Majuscule"))
        yield "a slug of 65 characters", bad(entry("a" * 65))
        yield "an empty slug", bad(entry(""))
        yield "a kind with a space", bad(entry("a", kind="pas un"))
        short = len(entry("a", body={"x": ""})) + 2  # its length takes two bytes more
        yield "an entry of 61,441 bytes", bad(entry("a", body={"x": "x" * (61441 - short)}))
        yield "an entry that is no msgpack", bad(b"\xc1\xc1")
        yield "an empty entry", bad(b"")

    def serve_lie(self, a, p, lie):
        """Offers the head of a lie, tells the lie, waits until the daemon has refused it."""
        count = self.refused(a)
        link = Liar(p, socket.create_connection(place(a.address)), a.id, 10 * tap.SLOW).greet()
        link.lie = lie
        offer = lie[3]
        try:
            peer.Head(offer, p.records.get)
            offered = offer if peer.Head(offer, p.records.get).name == (NONE, p.id, "public") else None
        except peer.Refused:
            offered = None
        offered = offered or peer.sign(p.signing, "essaim1 head", p.head_payload(
            {peer.slug_hash("a"): entry("a")}, count=5, bytes=1000))
        said_bye = None
        try:
            link.send(HEADS, 1, [[1, offered]])
            link.run(lambda: self.refused(a) > count, lab.LIMIT_S)
        except peer.Closed as closed:
            said_bye = closed.bye
        except OSError:
            pass
        finally:
            link.close()
        self.assertGreater(self.refused(a), count)
        return said_bye

    def test_a_catalogue_whose_parts_do_not_agree_is_not_taken(self):
        a = self.lab("Ti Lab")
        a.publish([resource("salle")])
        held = a.heads(), a.entries()
        for sentence, lie in self.lies(peer.Lab()):
            del lie
            with self.subTest(sentence):
                p = self.known(a)
                lie = dict(self.lies(p))[sentence]
                self.serve_lie(a, p, lie)
                self.assertTrue(a.alive())
                self.assertEqual((a.heads(), a.entries()), held)
        self.still_honest(a)

    def test_who_lied_once_and_then_tells_the_truth_is_believed(self):
        a = self.lab("Ti Lab")
        for sentence in ("a wrong root", "an entry that is no msgpack", "a head with a flipped bit"):
            with self.subTest(sentence):
                p = self.known(a)
                self.serve_lie(a, p, dict(self.lies(p))[sentence])
                p.publish([resource("vrai")])
                p.arrived(p.own.head.name)  # another number than the lie's
                p.dial(a.address, a.id).run(lambda p=p: (p.id, "public") in a.heads()).close()
        self.clean(a)

    def test_an_update_that_does_not_hold_leaves_what_was_held(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        p.publish([resource("un"), resource("deux")])
        p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads()).close()
        held = a.heads(), a.entries()
        for name, lie in {
                "a wrong root": ([entry("trois", 2)], b"", [p.own.head.hash],
                                 self.next_head(p, [entry("trois", 2)], root=b"r" * 32)),
                "an old rev": ([entry("trois", 1)], b"", [p.own.head.hash],
                               self.next_head(p, [entry("trois", 1)])),
                "an opening of another history": ([entry("trois", 2)], b"", [b"x" * 32],
                                                  self.next_head(p, [entry("trois", 2)])),
                "a history of another": ([entry("trois", 2)], b"", [p.own.head.hash],
                                         self.next_head(p, [entry("trois", 2)], history=b"h" * 32)),
        }.items():
            with self.subTest(name):
                self.serve_lie(a, p, lie)
                self.assertEqual((a.heads(), a.entries()), held)
        p.publish([resource("trois")])
        p.arrived(p.own.head.name)
        p.arrived(p.own.head.name)
        link = p.dial(a.address, a.id)
        link.run(lambda: a.heads()[p.id, "public"][0] == 2, 40 * tap.SLOW).close()
        self.clean(a)

    @staticmethod
    def next_head(p, entries, **other):
        by_slug = {**p.own.entries,
                   **{peer.slug_hash(peer.checked_entry(each)[0]): each for each in entries}}
        return peer.sign(p.signing, "essaim1 head", p.head_payload(by_slug, **other))

    def test_an_older_head_is_not_gone_back_to(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        old = p.publish([resource("un")])
        p.publish([resource("deux")])
        p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads()).close()
        held = a.heads(), a.entries()
        link = p.dial(a.address, a.id)
        link.send(HEADS, 99, [[99, old.signed]])
        self.assertNotIn(WANT, [each[0] for each in settled_or_quiet(link)])
        self.assertEqual((a.heads(), a.entries()), held)

    def test_a_delta_without_end_is_cut_off(self):
        a = self.lab("Ti Lab")
        p = self.known(a)
        promised = {peer.slug_hash("a"): entry("a")}
        head = peer.sign(p.signing, "essaim1 head", p.head_payload(promised))
        link = p.dial(a.address, a.id, timeout=10 * tap.SLOW)
        link.send(HEADS, 1, [[1, head]])
        while (message := link.receive())[0] != WANT:
            pass
        before, began = a.anonymous_kb(), time.monotonic()
        names = sorted((f"e-{k:06d}" for k in range(3000)), key=peer.slug_hash)
        try:
            for name in names:
                link.send(DELTA, message[1], [entry(name, body={"x": "x" * 50000})], b"", [])
        except (OSError, peer.Closed):
            pass
        until(lambda: a.rpc("status")["refused"].get("E-QUOTA"), [])
        until(lambda: not a.links(), [])
        self.assertLess(time.monotonic() - began, 20 * tap.SLOW)
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - before, 8 << 10)
        link.close()
        self.assertEqual(a.heads(), {})
        self.still_honest(a)


def flipped(octets, place_of):
    changed = bytearray(octets)
    changed[place_of] ^= 1
    return bytes(changed)


class Flipper(peer.Link):
    """A link that flips one bit of one of the frames it sends, then says no more."""

    frame, bit, count = None, None, 0

    def send_frame(self, octets):
        self.count += 1
        if self.count - 1 != self.frame:
            super().send_frame(octets)
            return
        whole = bytearray(len(octets).to_bytes(2, "big") + octets)
        bit = min(self.bit, 8 * len(whole) - 1)  # a frame may be a little shorter this time
        whole[bit // 8] ^= 1 << (bit % 8)
        self.socket.sendall(whole)
        self.socket.shutdown(socket.SHUT_WR)
        self.party = None
        raise peer.Closed("flipped")


class Bits(Hostile):
    """One bit of one frame is not what was sent."""

    limit_s = 120

    def test_a_flipped_bit_in_any_frame_is_never_taken(self):
        seed = int(os.environ.get("ESSAIM_SEED") or random.randrange(1 << 32))
        print(f"# seed {seed}", flush=True)
        dice = random.Random(seed)
        a = self.lab("Ti Lab")
        names = ["handshake 1", "handshake 3", "HELLO", "HEADS", "DELTA", "DELTA with the opening",
                 "DELTA_END"]
        sizes = self.sizes(a, len(names))
        cases = [(frame, bit) for frame, size in enumerate(sizes) for bit in range(8 * (size + 2))]
        if not tap.LONG:
            some = [case for frame in range(len(names)) for case in dice.sample(
                [each for each in cases if each[0] == frame], 30)]
            edges = [(frame, bit) for frame, size in enumerate(sizes)
                     for bit in (0, 8, 15, 16, 8 * (size + 2) - 1)]
            cases = some + edges
        p, fresh = self.flipping(a), 0
        labs = len(a.rpc("labs")["labs"])
        for frame, bit in cases:
            if frame >= names.index("DELTA"):
                p = self.flipping(a)  # entries that came whole are kept: no lab is asked twice
                fresh += 1
                if fresh % 200 == 0:
                    self.wipe(a)
                    p, labs, fresh = self.flipping(a), 1, 1
            connection = socket.create_connection(place(a.address))
            link = Flipper(p, connection, a.id, 10 * tap.SLOW)
            link.frame, link.bit = frame, bit
            try:
                link.greet().run(lambda: False, 10 * tap.SLOW)
            except (peer.Refused, OSError):
                pass
            until_closed(connection)
            if link.count <= frame:
                self.fail(f"frame {names[frame]} was never sent")
            self.assertEqual(a.heads(), {}, f"bit {bit} of {names[frame]}")
        self.assertTrue(a.alive())
        self.assertLessEqual(len(a.rpc("labs")["labs"]), labs + 1 + fresh)
        print(f"# {len(cases)} bits", flush=True)
        p.read.clear()
        p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads(), 30 * tap.SLOW).close()
        self.clean(a)

    def flipping(self, a):
        """A lab with two heads, so that its delta has every part."""
        p = self.known(a, "Bits")
        p.publish([resource("un")])
        p.publish([resource("deux")])
        return p

    def sizes(self, a, count):
        """The sizes of the frames of a session that goes well."""
        p = self.flipping(a)
        link = p.dial(a.address, a.id)
        link.run(lambda: (p.id, "public") in a.heads()).close()
        sizes = [len(frame) for frame in link.sent_frames[:count]]
        self.wipe(a)
        return sizes

    def wipe(self, a):
        """The same lab on a new machine: other keys, an empty store."""
        self.labs.remove(a)
        a.stop()
        lab.shutil.rmtree(a.dir)
        a.__init__(self.top, a.name)
        del a._id
        self.labs.append(a)
        a.start()


def from_address(number, target):
    """A connection from another address of this machine."""
    connection = socket.socket()
    connection.settimeout(15 * tap.SLOW)
    connection.bind((f"127.0.{number // 200}.{number % 200 + 2}", 0))
    connection.connect(target)
    return connection


class Crowds(Hostile):
    """Many connections that mean no good."""

    limit_s = 120

    def test_who_does_not_get_through_the_handshake_is_closed_within_ten_seconds(self):
        a, b = self.lab("Ti Lab"), self.lab("Honnête")
        target = place(a.address)
        first = peer.Wire(from_address(900, target), os.urandom(32), True)
        greeting = first.party.write(0, b"")
        first.close()
        framed = len(greeting).to_bytes(2, "big") + greeting
        loris = []
        for k in range(24):
            connection = from_address(k, target)
            connection.sendall((b"", framed, b"\0")[k % 3])  # silent, then silent, or a drip
            loris.append([connection, time.monotonic(), None, k % 3 == 2])
        shaken = peer.Wire(from_address(100, target), os.urandom(32), True)
        shaken.shake()  # and no HELLO
        loris.append([shaken.socket, time.monotonic(), None, False])
        a.publish([resource("salle")])
        b.meets(a)
        until(lambda: len(b.entries()) == 1, [b])
        end = time.monotonic() + 15 * tap.SLOW
        while any(each[2] is None for each in loris) and time.monotonic() < end:
            for each in loris:
                if each[2] is not None:
                    continue
                try:
                    if select.select([each[0]], [], [], 0)[0]:
                        octets = each[0].recv(4096)
                        each[2] = time.monotonic() if not octets else None
                    elif each[3]:
                        each[0].send(b"\x60")
                except OSError:
                    each[2] = time.monotonic()
            select.select([], [], [], 0.25)
        took = [each[2] - each[1] if each[2] else None for each in loris]
        for each in loris:
            each[0].close()
        self.assertNotIn(None, took)
        print(f"# closed after {min(took):.1f} to {max(took):.1f} s", flush=True)
        self.assertLess(max(took), 10 * tap.SLOW)
        self.still_honest(a)

    def test_half_open_connections_from_one_address_are_few(self):
        a = self.lab("Ti Lab")
        target = place(a.address)
        crowd = [from_address(7, target) for _ in range(40)]
        try:
            p = self.known(a)
            p.publish([resource("honnete")])
            began = time.monotonic()
            p.dial(a.address, a.id).run(lambda: (p.id, "public") in a.heads()).close()
            self.assertLess(time.monotonic() - began, 8 * tap.SLOW)
            self.assertLess(fds(a), 60)
        finally:
            for each in crowd:
                each.close()

    def test_garbage_connections_do_not_keep_an_honest_lab_from_syncing(self):
        count = 10000 if tap.LONG else 2000
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}, {count} connections", flush=True)
        a, b = self.lab("Ti Lab"), self.lab("Honnête")
        b.meets(a)
        until(lambda: a.links(), [a])
        base_fds, base_kb = fds(a), a.anonymous_kb()
        over, sent = threading.Event(), []

        def pester(part):
            dice = random.Random(seed + part)
            for k in range(part, count, 2):
                if over.is_set():
                    return
                try:
                    connection = from_address(dice.randrange(3000), place(a.address))
                    connection.sendall(dice.randbytes(dice.randrange(1, 400)))
                    if k % 3 == 0:  # a reset
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              struct.pack("ii", 1, 0))
                    connection.close()
                except OSError:
                    pass
                sent.append(k)
        threads = [threading.Thread(target=pester, args=(part,), daemon=True) for part in (0, 1)]
        for thread in threads:
            thread.start()
        k = 0
        slowest = 0
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            a.publish([resource(f"fiche-{k}")])
            k += 1
            until(lambda: b.heads().get((a.id, "public"), [0])[0] == k, [b])
            slowest = max(slowest, time.monotonic() - began)
        over.set()
        print(f"# {len(sent)} connections, {k} heads synced meanwhile, "
              f"slowest {slowest * 1000:.0f} ms", flush=True)
        until(lambda: abs(fds(a) - base_fds) <= 3, [], 30 * tap.SLOW)
        if tap.SLOW == 1:
            self.assertLess(a.anonymous_kb() - base_kb, 16 << 10)
        self.assertGreater(k, 0)
        self.still_honest(a)


if __name__ == "__main__":
    tap.main()
