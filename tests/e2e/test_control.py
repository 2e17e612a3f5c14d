#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""The control socket of a real daemon, driven by a msgpack-RPC client of no relation (doc/control.md).

What may be asked, what comes back, and what happens to bytes that are no request.
"""
import ctypes
import os
import random
import socket
import time

import msgpack

import lab
import tap
from lab import converge, pack, resource, until

METHODS = {"hello": {}, "status": {}, "labs": {}, "list": {}, "peers_list": {}, "verify": {},
           "watch": {}}
FORMS = {  # method -> result keys
    "hello": {"version", "protocol", "lab", "did", "name", "role"},
    "labs": {"labs"}, "list": {"entries", "next", "total"}, "peers_list": {"peers"},
    "verify": {"next", "checked", "total", "problems"}, "watch": set(),
    "status": {"version", "protocol", "lab", "did", "name", "network", "generation", "pid",
               "uptime_s", "head", "labs", "entries", "bytes", "arrival", "index", "disk", "links",
               "fetches", "refused", "warnings"},
}


def garbage_cases():
    """(sentence, bytes) that are no msgpack, or none that may be."""
    deep = b"\x91" * 40 + b"\xc0"
    yield "text", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "a byte that is never used", b"\xc1" * 64
    yield "40 levels of a value", b"\x94\x00\x01\xa5hello" + deep
    yield "a count of 4 billion", b"\xdd\xff\xff\xff\xff" + bytes(1 << 20)
    yield "a map of 4 billion", b"\x94\x00\x01\xa5hello\x91\xdf\xff\xff\xff\xff" + bytes(1 << 20)
    yield "a text of 4 GB", b"\x94\x00\x01\xdb\xff\xff\xff\xff" + b"a" * (1 << 20)
    yield "more than a MiB", msgpack.packb(
        [0, 1, "publish", [{"entries": [["a", "resource", b"x" * (1 << 20)]]}]], use_bin_type=True)


def misread_cases():
    """(sentence, bytes) that are msgpack, and no msgpack-RPC request of ours."""
    yield "an ext", msgpack.packb([0, 1, "hello", [{"x": msgpack.ExtType(5, b"abc")}]])
    yield "a float", msgpack.packb([0, 1, "hello", [{5: 1.5}]])
    yield "a number", msgpack.packb(7)
    yield "an empty array", b"\x90"
    yield "too few items", msgpack.packb([0, 1, "hello"])
    yield "too many items", msgpack.packb([0, 1, "hello", [], 5])
    yield "a type that is none", msgpack.packb([9, 1, "hello", []])
    yield "an id below zero", msgpack.packb([0, -1, "hello", []])
    yield "an id over 32 bits", msgpack.packb([0, 1 << 40, "hello", []])
    yield "a method that is a number", msgpack.packb([0, 1, 5, []])
    yield "a method that is not UTF-8", b"\x94\x00\x01\xa2\xff\xfe\x90"
    yield "params that are a text", msgpack.packb([0, 1, "hello", "x"])
    yield "params of two items", msgpack.packb([0, 1, "hello", [{}, {}]])
    yield "params that hold a number", msgpack.packb([0, 1, "hello", [5]])
    yield "keys that are numbers", msgpack.packb([0, 1, "hello", [{5: 6}]])
    yield "a key that comes twice", b"\x94\x00\x01\xa4list\x91\x82\xa1a\x01\xa1a\x02"


class Methods(lab.Case):
    """Every method, its form and its errors."""

    def test_every_reading_method_answers_in_its_form(self):
        a = self.lab()
        for method, params in METHODS.items():
            with a.connect() as client:
                result = client.call(method, params)
                self.assertEqual(FORMS[method] - set(result), set(), method)

    def test_hello_says_who_answers(self):
        a = self.lab("Ti Lab")
        hello = a.rpc("hello")
        self.assertEqual((hello["name"], hello["did"], hello["role"], hello["protocol"]),
                         ("Ti Lab", a.did, "admin", 1))
        self.assertEqual(len(hello["lab"]), 32)

    def test_a_lab_with_nothing_published_says_so(self):
        a = self.lab()
        self.assertEqual(a.rpc("list"), {"entries": [], "next": None, "total": 0})
        self.assertIsNone(a.rpc("status")["head"])
        self.assertEqual(a.rpc("verify")["problems"], [])
        self.assertEqual([one["own"] for one in a.rpc("labs")["labs"]], [True])

    def test_publish_says_what_became_of_each_record(self):
        a = self.lab()
        first = a.publish([resource("salle"), resource("atelier")])
        self.assertEqual((first["n"], first["statuses"], first["errors"]), (1, b"\0\0", []))
        second = a.publish([resource("salle"), resource("atelier", "Neuf"), resource("four"),
                            resource("Pas Un Slug"), ("genre", "zorglub", {"title": {"fr": "x"}}),
                            ("salle", "need", resource("salle")[2]),
                            ("vide", "resource", b""), ("texte", "resource", pack("texte")),
                            ("desordre", "resource", b"\x82\xa1b\x01\xa1a\x01")])
        self.assertEqual(second["n"], 2)
        self.assertEqual(list(second["statuses"]), [2, 1, 0, 3, 3, 3, 3, 3, 3])
        self.assertEqual(second["revs"], [[0, 1]], "the unchanged one keeps its revision")
        codes = {index: code for index, code, _, _ in second["errors"]}
        self.assertEqual(set(codes), {3, 4, 5, 6, 7, 8})
        self.assertEqual(codes[3], "E-SLUG")
        self.assertEqual(codes[5], "E-KIND")
        self.assertEqual(codes[8], "E-CANONICAL")
        self.assertEqual(len(a.entries()), 3)
        self.clean(a)

    def test_a_missing_field_is_named(self):
        a = self.lab()
        result = a.publish([("sans-titre", "resource", {"summary": {"fr": "x"}})])
        self.assertEqual(result["statuses"], b"\3")
        self.assertEqual(result["errors"][0][1:3], ["E-FIELD", "title"])
        self.assertEqual(a.entries(), {})

    def test_fields_nobody_knows_are_kept(self):
        a = self.lab()
        slug, kind, body = resource("salle", zorglub={"profond": [1, 2, {"x": b"\0"}]})
        a.publish([(slug, kind, body)])
        shown = msgpack.unpackb(a.rpc("show", ref="salle")["entry"], raw=False)
        self.assertEqual(shown, ["salle", 1, "resource", body])

    def test_an_entry_over_its_size_is_refused_and_one_at_it_is_not(self):
        a = self.lab()

        def of(size):
            slug, kind, body = resource("gros", filler="")
            short = len(pack([slug, 1, kind, lab.ordered(body)])) + 2  # str 16
            return slug, kind, {**body, "filler": "x" * (size - short)}
        # Its rev, now one byte, is counted as nine: it may grow (doc/protocol.md, 4.6).
        for size in (61441, 61433):
            self.assertEqual(a.publish([of(size)])["errors"][0][1], "E-SIZE")
        self.assertEqual(a.publish([of(61432)])["statuses"], b"\0")
        self.assertEqual(len(next(iter(a.entries().values()))), 61432)

    def test_a_dry_run_changes_nothing(self):
        a = self.lab()
        result = a.publish([resource("salle"), resource("!")], dry_run=True)
        self.assertEqual(result["statuses"], bytes([lab.CREATED, lab.REFUSED]))
        self.assertEqual(a.entries(), {})
        a.publish([resource("salle")])
        a.rpc("withdraw", slugs=["salle"], dry_run=True)
        self.assertEqual(len(a.entries()), 1)
        self.assertEqual(a.rpc("status")["head"]["n"], 1)

    def test_if_rev_guards_against_another_hand(self):
        a = self.lab()
        a.publish([resource("salle")])
        stale = a.publish([(*resource("salle", "Deux"), 7)])
        self.assertEqual(stale["errors"][0][1], "E-CONFLICT")
        self.assertEqual(a.publish([(*resource("salle", "Deux"), 1)])["statuses"], b"\1")
        self.assertEqual(a.publish([(*resource("neuve"), 1)])["errors"][0][1], "E-CONFLICT")
        self.assertEqual(a.publish([(*resource("neuve"), 0)])["statuses"], b"\0")

    def test_a_batch_over_many_requests_is_one_head(self):
        a = self.lab()
        with a.connect() as client:
            for k in range(5):
                entries = [[f"f-{k}-{i}", "resource", pack(resource("x")[2])] for i in range(100)]
                received = client.call("publish", entries=entries, more=True)["received"]
                self.assertEqual(received, 100 * (k + 1))
            self.assertEqual(a.entries(), {})
            result = client.call("publish", entries=[["fin", "resource", pack(resource("x")[2])]])
        self.assertEqual((result["n"], result["statuses"]), (1, bytes(501)))
        self.assertEqual(len(a.entries()), 501)

    def test_a_batch_whose_client_leaves_never_was(self):
        a = self.lab()
        with a.connect() as client:
            client.call("publish", entries=[["perdue", "resource", pack(resource("x")[2])]],
                        more=True)
        until(lambda: True, [a])
        self.assertEqual(a.publish([resource("salle")])["n"], 1)
        self.assertEqual(set(slug for _, slug in a.entries()), {"salle"})

    def test_withdraw_says_what_became_of_each_slug(self):
        a = self.lab()
        a.publish([resource("salle"), resource("atelier")])
        result = a.withdraw("salle", "absente", "pas un slug")
        self.assertEqual(list(result["statuses"]), [0, 3, 3])
        self.assertEqual(result["n"], 2)
        self.assertEqual(result["errors"][0][:2], [1, "E-NOT-FOUND"])
        self.assertEqual(a.withdraw("salle")["errors"][0][1], "E-NOT-FOUND")
        self.assertEqual(a.rpc("status")["head"]["n"], 2)
        again = a.publish([("salle", "need", {**resource("salle")[2], "themes": ["01"]})])
        self.assertEqual(again["errors"][0][1], "E-KIND", "a slug keeps its kind for ever")
        self.assertEqual(a.publish([resource("salle")])["statuses"], b"\0")
        self.clean(a)

    def test_lists_page_and_lose_nothing(self):
        a = self.lab()
        a.publish([resource(f"fiche-{k}", filler="x" * 700) for k in range(1203)])
        for limit in (1, 7, 500, 100000):
            seen, after, pages = set(), None, 0
            while pages == 0 or (after is not None and pages < 40):
                page = a.rpc("list", {"limit": limit, **({"after": after} if after else {})})
                self.assertLessEqual(len(page["entries"]), limit)
                self.assertEqual(page["total"], 1203)
                for _, entry in page["entries"]:
                    self.assertNotIn(entry, seen)
                    seen.add(entry)
                after, pages = page["next"], pages + 1
            self.assertEqual(len(seen), 1203 if after is None else limit * 40)

    def test_lists_filter_by_lab_kind_and_own(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle"), ("besoin", "need", {**resource("x")[2], "themes": ["01"]})])
        b.publish([resource("atelier")])
        converge([a, b], lambda: len(a.entries()) == 3)
        self.assertEqual({s for _, s in a.entries(kind="need")}, {"besoin"})
        self.assertEqual({s for _, s in a.entries(own=True)}, {"salle", "besoin"})
        self.assertEqual({s for _, s in a.entries(lab="région-sud")}, {"atelier"})
        self.assertEqual({s for _, s in a.entries(lab=b.did, kind="need")}, set())
        self.refuses("E-NOT-FOUND", a.rpc, "list", lab="personne")

    def test_a_resume_key_that_is_none_is_refused_or_harmless(self):
        a = self.lab()
        a.publish([resource("salle")])
        for after in (b"", b"x", bytes(1000), b"\xff" * 40):
            for method in ("list", "verify"):
                try:
                    a.rpc(method, after=after)
                except lab.RpcError:
                    pass
        self.assertEqual(len(a.entries()), 1)

    def test_wrong_params_get_an_error_and_the_connection_goes_on(self):
        a = self.lab()
        wrong = [("show", {}), ("show", {"ref": 5}), ("show", {"ref": "a/b/c"}),
                 ("show", {"ref": ""}), ("show", {"ref": "x" * 100000}), ("publish", {}),
                 ("publish", {"entries": 5}), ("publish", {"entries": [5]}),
                 ("publish", {"entries": [["a"]]}), ("publish", {"entries": [["a", "b", "c"]]}),
                 ("publish", {"entries": [["a", "b", b"c", "d"]]}), ("withdraw", {}),
                 ("withdraw", {"slugs": [5]}), ("withdraw", {"slugs": "salle"}),
                 ("peers_add", {}), ("peers_add", {"lab": "did:key:z6Mk"}),
                 ("peers_add", {"lab": a.did}), ("peers_remove", {"lab": "personne"}),
                 ("sync", {}), ("sync", {"wait": "un", "timeout_ms": 1}),
                 ("sync", {"wait": 1, "timeout_ms": 1 << 60}), ("zorglub", {}), ("", {})]
        with a.connect() as client:
            for method, params in wrong[:-1]:
                with self.subTest(method=method, params=str(params)[:60]):
                    try:
                        client.call(method, params)
                        if method not in ("publish", "withdraw"):
                            self.fail("accepted")
                    except lab.RpcError as error:
                        self.assertRegex(error.code, r"^E-[A-Z-]+$")
            self.assertEqual(client.call("hello")["did"], a.did)
        self.assertEqual(a.entries(), {})

    def test_a_method_nobody_knows_is_said_to_be_so(self):
        a = self.lab()
        self.refuses("E-UNSUPPORTED", a.rpc, "zorglub")
        self.assertGreaterEqual(a.rpc("status")["refused"].get("E-UNSUPPORTED", 0), 1)

    def test_peers_are_added_changed_and_removed(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud", start=False)
        a.rpc("peers_add", lab=b.did, address="127.0.0.1:1", alias="sud")
        (peer,) = a.rpc("peers_list")["peers"]
        self.assertEqual((peer["did"], peer["address"], peer["alias"]), (b.did, "127.0.0.1:1", "sud"))
        a.rpc("peers_add", lab=b.did, address="[::1]:2")
        self.assertEqual(a.rpc("peers_list")["peers"][0]["address"], "[::1]:2")
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual(a.rpc("peers_list")["peers"][0]["alias"], "sud")
        a.rpc("peers_remove", lab="sud")
        self.assertEqual(a.rpc("peers_list")["peers"], [])
        self.refuses("E-NOT-FOUND", a.rpc, "peers_remove", lab=b.did)

    def test_an_address_that_is_none_is_refused(self):
        a, b = self.lab("Ti Lab"), self.lab("Région Sud", start=False)
        for address in ("127.0.0.1", ":5", "h:", "h:0", "h:65536", "h:5x", "a b:5", "h" * 300 + ":5"):
            self.refuses("E-USAGE", a.rpc, "peers_add", lab=b.did, address=address)
        self.refuses("E-USAGE", a.rpc, "peers_add", lab=b.did, alias="Pas Un Alias")
        self.assertEqual(a.rpc("peers_list")["peers"], [])


class Stream(lab.Case):
    """Pipelining, watching, closing."""

    def test_500_pipelined_writes_are_answered_in_order(self):
        a = self.lab()
        with a.connect() as client:
            body = pack(resource("x")[2])
            numbers = [client.ask("publish", entries=[[f"p-{k}", "resource", body]])
                       for k in range(500)]
            heads = []
            for number in numbers:
                message = client.receive()
                self.assertEqual((message[0], message[1], message[2]), (1, number, None))
                heads.append(message[3]["n"])
        self.assertEqual(heads, sorted(heads))
        self.assertEqual(len(a.entries()), 500)
        self.assertLess(heads[-1], 500, "requests that wait together share a commit")

    def test_one_byte_at_a_time_is_a_request_too(self):
        a = self.lab()
        with a.connect() as client:
            for octet in msgpack.packb([0, 77, "hello", []]):
                client.raw(bytes([octet]))
            self.assertEqual(client.receive()[:3], [1, 77, None])

    def test_names_may_be_bin_and_params_nil_as_old_clients_have_it(self):
        a = self.lab()
        with a.connect() as client:
            for params in ([], [{}], [None], None):
                client.raw(msgpack.packb([0, 3, b"hello", params], use_bin_type=True))
                self.assertEqual(client.receive()[:3], [1, 3, None])

    def test_a_notification_from_a_client_gets_no_answer(self):
        a = self.lab()
        with a.connect() as client:
            client.raw(msgpack.packb([2, "hello", []]) + msgpack.packb([0, 8, "hello", []]))
            try:
                self.assertEqual(client.receive()[:2], [1, 8])
            except TypeError:
                pass  # closed: as good
        self.assertTrue(a.alive())

    def test_a_client_that_asks_and_never_reads_does_not_grow_the_daemon(self):
        a = self.lab()
        a.publish([resource(f"fiche-{k}", filler="x" * 3000) for k in range(400)])
        before = a.anonymous_kb()
        with a.connect() as glutton:
            glutton.socket.setblocking(False)
            request = msgpack.packb([0, 1, "list", [{"limit": 100000}]]) * 100
            sent = 0
            end = time.monotonic() + 3
            while time.monotonic() < end and sent < 50000000:
                try:
                    sent += glutton.socket.send(request)
                except BlockingIOError:
                    if not select_writable(glutton.socket, 0.3):
                        break
                except (BrokenPipeError, ConnectionResetError):
                    break
            self.assertEqual(a.rpc("hello")["did"], a.did)
            grown = a.anonymous_kb() - before
        if tap.SLOW == 1:
            self.assertLess(grown, 24 << 10)
        self.assertTrue(a.alive())

    def test_clients_over_the_cap_wait_or_are_turned_away_and_the_others_are_served(self):
        a = self.lab()
        first = a.connect()
        crowd = []
        try:
            for _ in range(200):
                try:
                    crowd.append(a.connect(5))
                except BlockingIOError:  # the kernel's queue is full: nobody is accepted
                    break
            self.assertGreater(len(crowd), 60)
            self.assertEqual(first.call("hello")["did"], a.did)
        finally:
            for each in crowd:
                each.close()
            first.close()

        def answers():
            try:
                return a.connect().call("hello")["did"] == a.did
            except BlockingIOError:  # those who left still stand in the kernel's queue
                return False

        until(answers, [])
        self.assertTrue(a.alive())

    def test_a_watcher_hears_every_change_of_a_megabyte(self):
        a = self.lab()
        with a.connect() as watcher:
            watcher.call("watch")
            for part in range(10):
                a.publish([resource(f"long-{part}-{k}", body={"fr": "x" * 2000}) for k in range(60)])
            heard = [watcher.receive() for _ in range(600)]
        self.assertEqual({message[1] for message in heard}, {"change"})
        self.assertEqual(len({message[2][0]["slug_hash"] for message in heard}), 600)

    def test_a_watcher_that_leaves_is_forgotten(self):
        a = self.lab()
        for _ in range(100):
            with a.connect() as client:
                client.call("watch")
        self.assertEqual(a.publish([resource("salle")])["n"], 1)


def select_writable(connection, seconds):
    return bool(lab.select.select([], [connection], [], seconds)[1])


class Hostile(lab.Case):
    """Bytes that are no request."""

    def closed_after_error(self, a, octets, shut=False):
        """An error response with id 0 (or none), then the end."""
        with a.connect(10 * tap.SLOW) as client:
            try:
                client.raw(octets)
                if shut:
                    client.socket.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answers = []
            try:
                while (message := client.receive()) is not None:
                    answers.append(message)
            except ConnectionResetError:
                pass
        return answers

    def test_each_kind_of_garbage_gets_an_error_and_the_end(self):
        a = self.lab()
        a.publish([resource("salle")])
        heads = a.heads()
        for sentence, octets in garbage_cases():
            with self.subTest(sentence):
                before = sum(a.rpc("status")["refused"].values())
                answers = self.closed_after_error(a, octets)
                self.assertTrue(a.alive())
                self.assertLessEqual(len(answers), 1)
                for _, number, error, result in answers:
                    self.assertEqual((number, result), (0, None))
                    self.assertRegex(error["code"], "^E-(MALFORMED|SIZE)$")
                self.assertGreater(sum(a.rpc("status")["refused"].values()), before)
        self.assertEqual(a.heads(), heads)

    def test_a_message_that_is_no_request_gets_an_error_and_does_nothing(self):
        a = self.lab()
        a.publish([resource("salle")])
        heads = a.heads()
        for sentence, octets in misread_cases():
            with self.subTest(sentence):
                before = sum(a.rpc("status")["refused"].values())
                (answer,) = self.closed_after_error(a, octets)
                self.assertEqual((answer[0], answer[3]), (1, None))
                self.assertEqual(answer[2]["code"], "E-MALFORMED")
                self.assertGreater(sum(a.rpc("status")["refused"].values()), before)
        self.assertEqual(a.heads(), heads)
        self.assertTrue(a.alive())

    def test_garbage_after_a_good_request_does_not_undo_it(self):
        a = self.lab()
        good = msgpack.packb([0, 4, "publish", [{"entries": [
            ["salle", "resource", pack(resource("salle")[2])]]}]], use_bin_type=True)
        answers = self.closed_after_error(a, good + b"\xc1\xc1\xc1")
        self.assertEqual(answers[-1][1], 0)
        until(lambda: len(a.entries()) == 1, [a])

    def test_a_request_cut_short_at_any_byte_does_nothing(self):
        a = self.lab()
        whole = msgpack.packb([0, 4, "publish", [{"entries": [
            ["salle", "resource", pack(resource("salle")[2])]]}]], use_bin_type=True)
        for cut in range(1, len(whole)):
            self.closed_after_error(a, whole[:cut], shut=True)
        self.assertEqual(a.entries(), {})
        self.assertTrue(a.alive())

    def test_random_bytes_and_random_changes_do_nothing_but_close(self):
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}", flush=True)
        dice = random.Random(seed)
        a = self.lab()
        whole = msgpack.packb([0, 4, "show", [{"ref": "salle"}]]) * 3
        for k in range(20000 if tap.LONG else 600):
            octets = bytearray(whole if k % 2 else dice.randbytes(dice.randrange(1, 300)))
            for _ in range(dice.randrange(1, 4)):
                octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
            self.closed_after_error(a, bytes(octets), shut=True)
        self.assertTrue(a.alive())
        self.assertEqual(a.entries(), {})
        self.assertEqual(a.rpc("hello")["did"], a.did)


LIBC = ctypes.CDLL(None, use_errno=True)


def as_other(uid, gid, groups, path, work):
    """Runs work(client) in a child whose effective ids are these; what it wrote, as bytes.

    Only root can. The file-system id stays root's, so that the directory's mode is not what is
    tried here but what the daemon does with the kernel's word about the client.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            os.setgroups(groups)
            os.setegid(gid)
            os.seteuid(uid)
            LIBC.setfsuid(0)
            with lab.Control(path) as client:
                os.write(write, msgpack.packb(work(client)))
        except BaseException as error:  # the child says what it was, and ends
            os.write(write, msgpack.packb({"": repr(error)}))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as end:
        octets = end.read()
    os.waitpid(child, 0)
    return msgpack.unpackb(octets, raw=False, strict_map_key=False)


ROLES = {  # method -> the least role (doc/control.md)
    "hello": "reader", "status": "reader", "labs": "reader", "list": "reader", "show": "reader",
    "bundle_export": "reader", "bundle_import": "agent",
    "publish": "agent", "withdraw": "agent", "peers_list": "reader", "peers_add": "admin",
    "peers_remove": "admin", "sync": "reader", "verify": "reader", "watch": "reader",
}
ORDER = ["none", "reader", "agent", "coordinator", "admin"]


def everything(client):
    """{method: error code or ""}"""
    found = {}
    for method in ROLES:
        params = {"sync": {"wait": 0, "timeout_ms": 1}}.get(method, {})
        try:
            client.call(method, params)
            found[method] = ""
        except lab.RpcError as error:
            found[method] = error.code
    return found


@lab.unittest.skipUnless(os.geteuid() == 0, "only root can run clients under other ids")
class Roles(lab.Case):
    """Who may ask what, by the kernel's word."""

    def roled(self):
        """A started lab whose roles map groups of /etc/group."""
        import grp
        groups = [each for each in grp.getgrall() if each.gr_gid not in (0,)][:4]
        a = self.lab(start=False)
        path = os.path.join(a.dir, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for role, group in zip(ORDER[1:], groups):
            lines = [f"{role} = {group.gr_name}" if line.split("=")[0].strip() == role
                     and not line.startswith("#") else line for line in text.splitlines()]
            text = "\n".join(lines) + "\n"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return a.start(), dict(zip(ORDER[1:], (group.gr_gid for group in groups)))

    def test_who_has_no_role_is_told_so_and_nothing_else(self):
        a = self.lab()
        path = os.path.join(a.dir, "control.sock")

        def work(client):
            messages = []
            try:
                client.raw(msgpack.packb([0, 1, "hello", []]))
                while (message := client.receive()) is not None:
                    messages.append(message)
            except (ConnectionResetError, BrokenPipeError):
                pass
            return messages
        messages = as_other(65533, 65533, [], path, work)
        self.assertTrue(messages == [] or [each[2]["code"] for each in messages] == ["E-ROLE"],
                        messages)

    def test_every_role_may_do_what_is_its_and_no_more(self):
        a, groups = self.roled()
        path = os.path.join(a.dir, "control.sock")
        for role, gid in groups.items():
            for supplementary in (False, True):
                with self.subTest(role=role, supplementary=supplementary):
                    found = as_other(65533, 65533 if supplementary else gid,
                                     [gid] if supplementary else [], path, everything)
                    self.assertEqual(set(found), set(ROLES), found)
                    for method, least in ROLES.items():
                        allowed = ORDER.index(role) >= ORDER.index(least)
                        self.assertEqual(found[method] != "E-ROLE", allowed,
                                         f"{role} {method}: {found[method]}")
        self.assertGreaterEqual(a.rpc("status")["refused"].get("E-ROLE", 0), 4)

    def test_a_client_that_leaves_its_group_id_empty_gains_nothing(self):
        a, groups = self.roled()
        path = os.path.join(a.dir, "control.sock")
        found = as_other(65533, 65533, [groups["reader"], 65532], path, everything)
        self.assertEqual(found["publish"], "E-ROLE")
        self.assertEqual(found["hello"], "")


if __name__ == "__main__":
    tap.main()
