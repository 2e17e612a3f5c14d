#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""essaimd and the second implementation (tests/peer) talk to each other, either way round.

What each accepts of the other shows that doc/protocol.md is enough to write one.
"""
import socket
import threading

import lab
import peer
import tap
from lab import converge, resource, until

NONE = peer.NONE


class Serving:
    """A Python lab that listens and plays its part in a thread until the block ends."""

    def __init__(self, who):
        self.who, self.over, self.trouble = who, threading.Event(), []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        while not self.over.is_set():
            try:
                link = self.who.accept(self.server)
            except (TimeoutError, OSError):
                continue
            except peer.Refused as refused:
                self.trouble.append(refused)
                continue
            try:
                link.run(self.over.is_set, 120)
            except peer.Closed:
                pass
            except peer.Refused as refused:
                self.trouble.append(refused)
            finally:
                link.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.close()
        self.thread.join(lab.LIMIT_S)
        if self.trouble:
            raise self.trouble[0]


def holds(who, of, n):
    """Does this Python lab hold that lab's catalogue at n?"""
    catalogue = who.catalogues.get((NONE, of, "public"))
    return catalogue is not None and catalogue.head is not None and catalogue.head.n == n


class Peer(lab.Case):
    """Interoperation."""

    def met(self, name="Python"):
        """A daemon and a Python lab that it lets in."""
        a, p = self.lab("Ti Lab"), peer.Lab(name)
        a.rpc("peers_add", lab=p.did)
        self.assertEqual(peer.from_did(a.did), a.id)
        return a, p

    def test_python_fetches_a_catalogue_and_finds_root_and_signatures_right(self):
        a, p = self.met()
        a.publish([resource(f"fiche-{k}") for k in range(300)])
        link = p.dial(a.address, a.id).run(lambda: holds(p, a.id, 1))
        held = p.catalogues[NONE, a.id, "public"]
        self.assertEqual(set(held.entries.values()), set(a.entries().values()))
        n, count, size, root, head_hash = a.heads()[a.id, "public"]
        self.assertEqual((held.head.n, held.head.count, held.head.bytes), (n, count, size))
        self.assertEqual((held.head.root, held.head.hash), (root, head_hash))
        self.assertEqual(p.records[a.id].name, "Ti Lab")
        link.close()

    def test_python_follows_updates_withdrawals_and_the_history(self):
        a, p = self.met()
        a.publish([resource("salle"), resource("atelier")])
        link = p.dial(a.address, a.id).run(lambda: holds(p, a.id, 1))
        a.publish([resource("salle", "Repeinte"), resource("neuve")])
        link.run(lambda: holds(p, a.id, 2))
        a.withdraw("atelier")
        link.run(lambda: holds(p, a.id, 3))
        self.assertEqual(set(p.catalogues[NONE, a.id, "public"].entries.values()),
                         set(a.entries().values()))
        link.close()
        late = peer.Lab("Plus tard")
        a.rpc("peers_add", lab=late.did)
        late.dial(a.address, a.id).run(lambda: holds(late, a.id, 3)).close()
        self.assertEqual(len(late.catalogues[NONE, a.id, "public"].past), 2)

    def test_the_daemon_takes_what_python_publishes(self):
        a, p = self.met("Labo Serpent")
        p.publish([resource(f"fiche-{k}") for k in range(300)])
        link = p.dial(a.address, a.id)
        link.run(lambda: a.heads().get((p.id, "public"), [0])[0] == 1)
        self.assertEqual(set(a.entries().values()), set(p.own.entries.values()))
        self.assertEqual(a.heads()[p.id, "public"],
                         (1, 300, p.own.head.bytes, p.own.head.root, p.own.head.hash))
        self.assertEqual(a.rpc("show", ref="labo-serpent/fiche-7")["leaf"],
                         peer.leaf(p.own.entries[peer.slug_hash("fiche-7")]))
        p.publish([resource("fiche-7", "Changée")], ["fiche-8"])
        link.run(lambda: a.heads()[p.id, "public"][0] == 2)
        self.assertEqual(set(a.entries().values()), set(p.own.entries.values()))
        self.clean(a)
        link.close()

    def test_the_daemon_dials_python_and_both_have_everything(self):
        a, p = self.met()
        p.publish([resource("serpent")])
        a.publish([resource("salle")])
        with Serving(p) as server:
            a.rpc("peers_add", lab=p.did, address=server.address)
            until(lambda: len(a.entries()) == 2 and holds(p, a.id, 1), [a])
        self.clean(a)

    def test_python_relays_between_two_daemons_that_never_meet(self):
        a, b, p = self.lab("Ti Lab"), self.lab("Région Sud"), peer.Lab("Relais")
        for each in (a, b):
            each.rpc("peers_add", lab=p.did)
        a.publish([resource(f"fiche-{k}") for k in range(50)])
        a.withdraw("fiche-3")
        p.dial(a.address, a.id).run(lambda: holds(p, a.id, 2)).close()
        link = p.dial(b.address, b.id)
        link.run(lambda: a.id in {name for name, _ in b.heads()})
        link.close()
        self.same(a, b)
        self.clean(b)

    def test_a_daemon_relays_pythons_catalogue_to_another_daemon(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        p = peer.Lab("Serpent")
        a.rpc("peers_add", lab=p.did)
        p.publish([resource("serpent")])
        p.dial(a.address, a.id).run(lambda: p.id in {name for name, _ in b.heads()}).close()
        converge([a, b])
        self.assertEqual(b.rpc("show", ref="serpent/serpent")["lab"], p.id)

    def test_a_reconnect_goes_on_where_it_was_and_announces_nothing(self):
        a, p = self.met()
        a.publish([resource("salle")])
        p.publish([resource("serpent")])
        link = p.dial(a.address, a.id)
        link.run(lambda: holds(p, a.id, 1) and len(a.entries()) == 2
                 and link.their_cursor == link.their_upto)
        link.run(lambda: p.read[a.id][1] >= a.rpc("status")["arrival"])
        link.close()
        until(lambda: not a.links(), [a])
        again = p.dial(a.address, a.id)
        again.run(lambda: a.links())
        a.publish([resource("neuve")])
        again.run(lambda: holds(p, a.id, 2))
        offered = [message for message in again.seen if message[0] == peer.HEADS and message[2]]
        self.assertEqual(len(offered), 1, "only what is new is announced")
        self.assertEqual([len(message[2]) for message in offered], [1])
        again.close()

    def test_a_record_travels_only_to_who_lacks_it(self):
        a, p = self.met()
        first = peer.Link(p, socket.create_connection(tuple_of(a.address)), a.id)
        first.shake()
        first.send(*first.hello())
        self.assertIsNotNone(first.receive()[6])
        first.close()
        p.dial(a.address, a.id).close()
        again = peer.Link(p, socket.create_connection(tuple_of(a.address)), a.id)
        again.shake()
        again.send(*again.hello(record=False))
        hello = again.receive()
        self.assertEqual(hello[0], peer.HELLO)
        self.assertIsNone(hello[6], "the hello said that generation 1 is held")
        again.close()

    def test_a_want_from_the_middle_gets_the_rest(self):
        a, p = self.met()
        a.publish([resource(f"a-{k}") for k in range(5)])
        a.publish([resource(f"b-{k}") for k in range(5)])
        link = p.dial(a.address, a.id)

        def asked(m, after_rev, after_slug):
            link.send(peer.WANT, 900 + link.next_stream, a.id, "public", m, after_rev, after_slug)
            stream, link.next_stream = 900 + link.next_stream, link.next_stream + 1
            entries, opening = [], []
            while True:
                message = link.receive()
                if message[0] == peer.DELTA and message[1] == stream:
                    entries += message[2]
                    opening += message[4]
                elif message[0] == peer.DELTA_END and message[1] == stream:
                    return entries, opening, message[2]
        everything, opening, head = asked(0, 0, None)
        self.assertEqual((len(everything), len(opening)), (10, 1))
        order = [(peer.checked_entry(each)[1], peer.slug_hash(peer.checked_entry(each)[0]))
                 for each in everything]
        self.assertEqual(order, sorted(order))
        for place in (0, 3, 4, 7, 9):
            rest, _, _ = asked(0, *order[place])
            self.assertEqual(rest, everything[place + 1:])
        newer, opening, _ = asked(1, 0, None)
        self.assertEqual((newer, len(opening)), (everything[5:], 1))
        self.assertEqual(peer.Head(head, p.records.get).n, 2)
        self.assertIsNone(asked_for_unknown(link, p.id))
        link.close()

    def test_ping_is_answered(self):
        a, p = self.met()
        link = p.dial(a.address, a.id)
        link.send(peer.PING, 4242)
        while (message := link.receive())[0] != peer.PONG:
            pass
        self.assertEqual(message, [peer.PONG, 4242])
        link.close()

    def test_rekey_changes_the_key_and_the_link_goes_on(self):
        a, p = self.met()
        link = p.dial(a.address, a.id)
        for k in range(3):
            link.send(peer.REKEY)
            link.sender.rekey()
            p.publish([resource(f"cle-{k}")])
            link.run(lambda: a.heads().get((p.id, "public"), [0])[0] == p.own.head.n)
        link.close()

    def test_the_newer_link_replaces_the_older_of_the_same_lab(self):
        a, p = self.met()
        p.publish([resource("serpent")])
        first = p.dial(a.address, a.id).run(lambda: len(a.entries()) == 1)
        second = p.dial(a.address, a.id)
        p.publish([resource("suite")])
        alive = second
        try:
            second.run(lambda: len(a.entries()) == 2)
        except peer.Closed as closed:
            self.assertEqual(closed.bye[0], 1)
            alive = first
            first.run(lambda: len(a.entries()) == 2)
        until(lambda: len(a.rpc("status")["links"]) == 1, [a])
        alive.close()


    def test_a_daemon_and_a_python_lab_believe_each_others_receipts(self):
        a, p = self.met()
        a.publish([resource("fiche-1"), resource("fiche-2")])
        link = p.dial(a.address, a.id).run(lambda: holds(p, a.id, 1))
        a.withdraw("fiche-1")
        a.good("compact")
        name = (a.id, "public")
        link.run(lambda: p.receipts.get(a.id, (0, {}))[1].get(name) == (1, 2))

        def state():
            return {row["lab"]: row["state"] for row in a.rpc("receipts")["labs"]}[p.id]

        self.assertEqual(state(), "silent")
        link.send(peer.RECEIPTS, [peer.receipt(p, 1, {name: (1, 1)})])
        link.run(lambda: state() == "behind")
        link.send(peer.RECEIPTS, [peer.receipt(p, 7, {name: (1, 2)})])
        link.run(lambda: state() == "erased")
        link.send(peer.RECEIPTS, [peer.receipt(p, 6, {name: (1, 1)})])  # older: ignored
        link.send(peer.RECEIPTS, [peer.receipt(p, 8, {})])  # its store was put back
        link.run(lambda: state() == "silent")
        forged = peer.receipt(p, 9, {name: (1, 2)})
        with self.assertRaises(peer.Closed) as closed:
            link.send(peer.RECEIPTS, [forged[:-1] + bytes([forged[-1] ^ 1])])
            link.run(lambda: False)
        self.assertEqual(closed.exception.bye[0], 3)
        self.assertEqual(state(), "silent")
        self.clean(a)

    def test_who_sets_no_feature_bit_is_told_everything_else(self):
        a, p = self.met()
        a.publish([resource("fiche-1"), resource("fiche-2")])
        a.withdraw("fiche-1")
        a.good("compact")
        link = peer.Link(p, socket.create_connection(tuple_of(a.address)), a.id)
        link.hello = lambda record=True: peer.Link.hello(link, record, features=2**63 + 2)
        link.greet().run(lambda: holds(p, a.id, 2))
        a.publish([resource("fiche-3")])
        link.run(lambda: holds(p, a.id, 3))
        link.run(lambda: a.rpc("status")["links"][0]["acked"] == a.rpc("status")["arrival"])
        self.assertNotIn(peer.RECEIPTS, {message[0] for message in link.seen})
        link.close()


def asked_for_unknown(link, who):
    """The end of a delta of a catalogue that is not there."""
    link.send(peer.WANT, 7777, who, "public", 0, 0, None)
    while (message := link.receive())[0] != peer.DELTA_END:
        pass
    return message[2]


def tuple_of(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


if __name__ == "__main__":
    tap.main()
