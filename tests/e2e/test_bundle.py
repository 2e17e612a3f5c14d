#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""essaim bundle: files between labs that never meet, read and written by the daemon and by a second
implementation (tests/peer/bundle.py)."""
import json
import os
import socket
import threading

import lab  # first: it knows where tests/peer is
import bundle
import convert
import peer
import tap
from lab import converge, resource
from test_control import Roles, as_other
from test_peer import Serving
from test_real import EIG, IPSX, ndjson

NONE = peer.NONE


def long(slug, size):
    return resource(slug, body={"fr": "x" * size})


def body(text):
    return {"summary": {"fr": text}, "terms": "free", "title": {"fr": "Ressource"}, "type": "space"}


def entries(who, count, text="Une salle"):
    return who.publish([(f"salle-{k}", "resource", body(f"{text} {k}")) for k in range(count)])


class Bundles(lab.Case):
    """Between daemons."""

    limit_s = 120

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.top, "cle.essaim")

    def write(self, octets):
        with open(self.path, "wb") as file:
            file.write(octets)

    def read(self):
        with open(self.path, "rb") as file:
            return file.read()

    def exported(self, where, *words):
        report = json.loads(where.good("bundle", "export", self.path, "--yes", "--json", *words))
        self.assertEqual(report["bytes"], os.path.getsize(self.path))
        return report

    def imported(self, where, status=0):
        """The report; the command must end with that status."""
        done = where.cli("bundle", "import", self.path, "--json")
        self.assertEqual(done.returncode, status, done.stderr)
        report = json.loads(done.stdout)
        return [report[key] for key in ("accepted", "unchanged", "incomplete", "whole")], report

    def refused(self, where, code):
        """The import must end in that error; its object."""
        done = where.cli("bundle", "import", self.path, "--json")
        error = json.loads(done.stderr)["error"]
        self.assertEqual((error["code"], done.returncode, done.stdout),
                         (code, error["exit"], ""), done.stderr)
        return error

    def test_real_catalogues_reach_a_lab_that_no_network_reaches(self):
        a, b = self.labs_in_a_row("Observatoire européen", "Lab du ministère")
        c = self.lab("Mayotte", listen=None)
        if os.path.exists(IPSX) and os.path.exists(EIG):
            for where, which, path in ((a, "ipsx", IPSX), (b, "eig", EIG)):
                done = where.cli("publish", "-", stdin=ndjson(convert.converted(which, path)))
                self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        else:
            a.publish([long(f"fiche-{k}", 900) for k in range(853)])
            b.publish([resource(f"besoin-{k}") for k in range(71)])
        converge([a, b], lambda: len(b.heads()) == 2, 60 * tap.SLOW)
        report = self.exported(b)
        self.assertEqual((report["entries"], report["missing"]), (853 + 71, 0))
        self.assertEqual(self.imported(c)[0], [2, 0, 0, True])
        self.same(b, c)
        self.clean(c)
        self.assertIn("Observatoire européen", c.good("verify"))
        self.assertEqual(self.imported(c)[0], [0, 2, 0, True])

    def test_a_second_implementation_reads_what_the_daemon_writes(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([long(f"salle-{k}", 400) for k in range(700)])
        for k in range(5):
            a.publish([resource(f"plus-{k}")])
        a.withdraw("salle-3", "plus-1")
        b.publish([resource("velo")])
        converge([a, b])
        self.exported(b)
        reading = bundle.read(self.read())
        self.assertEqual(set(reading.records), {a.id, b.id})
        for where in (a, b):
            held = reading.catalogues[NONE, where.id, "public"]
            n, count, size, root, head_hash = where.heads()[where.id, "public"]
            self.assertEqual((held.head.n, held.head.count, held.head.bytes, held.head.root,
                              held.head.hash), (n, count, size, root, head_hash))
            self.assertEqual(peer.root_of(held.entries), root)
            self.assertEqual(set(held.entries.values()),
                             {each for (owner, _), each in where.entries().items()
                              if owner == where.id})

    def test_the_daemon_reads_what_a_second_implementation_writes(self):
        c, p, q = self.lab(), peer.Lab("Python"), peer.Lab("Autre")
        entries(p, 300)
        p.publish(withdraw=["salle-7"])
        entries(q, 3)
        p.records |= q.records
        p.catalogues |= q.catalogues
        self.write(bundle.write(p))
        self.assertEqual(self.imported(c)[0], [2, 0, 0, True])
        for who in (p, q):
            self.assertEqual(c.heads()[who.id, "public"][3:],
                             (who.own.head.root, who.own.head.hash))
        entries(p, 20, "Changé")
        p.publish(withdraw=["salle-100", "salle-200"])
        self.write(bundle.write(p))
        self.assertEqual(self.imported(c)[0], [1, 1, 0, True])
        self.assertEqual(c.heads()[p.id, "public"][4], p.own.head.hash)
        self.clean(c)

    def test_a_file_cut_short_counts_as_far_as_it_goes_and_then_goes_on(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        c = self.lab("Mayotte")
        a.publish([long(f"salle-{k}", 2000) for k in range(4000)])
        b.publish([resource("velo")])
        converge([a, b])
        self.exported(b, "--lab", "ti-lab", "--lab", b.did)
        octets = self.read()
        last = (0, 0)
        for tenth in range(1, 10, 2):
            self.write(octets[:len(octets) * tenth // 10])
            counts, _ = self.imported(c, status=9)
            accepted, unchanged, incomplete, whole = counts
            self.assertEqual((accepted + unchanged + incomplete, whole), (2, False))
            self.assertGreaterEqual((accepted + unchanged, tenth), last)
            last = accepted + unchanged, tenth
            for key, head in c.heads().items():
                self.assertEqual(b.heads()[key], head)
            self.clean(c)
        self.write(octets[:-4])  # all but the goodbye
        self.assertFalse(self.imported(c, status=9)[0][3])
        self.same(b, c)
        self.write(octets)
        self.assertEqual(self.imported(c)[0], [0, 2, 0, True])
        self.clean(c)

    def test_what_is_no_bundle_is_refused_by_its_first_bytes_or_where_it_ends_to_be_one(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([resource(f"salle-{k}") for k in range(50)])
        self.exported(a)
        octets = self.read()
        for garbage in (b"", b"e", b"essaim-bundle-2\n" + octets[16:], b"\x7fELF" + bytes(5000),
                        b"PK\x03\x04" + os.urandom(100000), octets[1:], octets[16:]):
            self.write(garbage)
            self.assertIn("ce n'est pas un paquet", self.refused(c, "E-SYNTAX")["message"])
        for spoiled in (octets + b"\0\x01\xc0", octets[:16] + b"\0\0" + octets[16:],
                        octets[:16] + b"\xff\xff" + octets[16:],
                        octets[:16] + os.urandom(1 << 20), octets[:16] + b"\0\x02\x92\x0b" * 999):
            self.write(spoiled)
            self.refused(c, "E-SYNTAX")
        self.clean(c)
        self.write(octets)
        self.assertEqual(self.imported(c)[0][2:], [0, True])
        self.same(a, c)

    def test_whoever_lies_in_a_file_ends_the_import_and_is_named(self):
        c, p = self.lab(), peer.Lab("Python")
        entries(p, 120)
        said = bundle.messages(p)
        heads = next(i for i, each in enumerate(said) if each[0] == bundle.HEADS)
        end = len(said) - 2
        self.assertEqual(said[end][0], bundle.DELTA_END)

        def lie(code, names_lab, *changes):
            lied = list(said)
            for at, message in changes:
                lied[at] = message
            self.write(bundle.pack([each for each in lied if each is not None]))
            error = self.refused(c, code)
            self.assertEqual(error["field"], p.did if names_lab else None, error)
            self.assertEqual(c.heads(), {})

        def flipped(octets, at=-1):
            return octets[:at] + bytes([octets[at] ^ 1]) + octets[at:][1:]
        record, head = said[0][1][0], said[heads][2][0][1]
        lie("E-SIGNATURE", False, (0, [bundle.RECORDS, [flipped(record)]]))
        lie("E-SIGNATURE", True, (heads, [bundle.HEADS, 1, [[1, flipped(head)]]]))
        lie("E-SIGNATURE", True, (end, [bundle.DELTA_END, 1, flipped(head)]))
        lie("E-ROOT", True, (heads + 1, None))  # fifty entries are missing
        first = said[heads + 1]
        lie("E-STALE", True, (heads + 1, [*first[:2], first[2][::-1], b"", []]))
        lie("E-STALE", True, (heads + 2, first))
        lie("E-ROOT", True, (heads + 1, [*first[:2], [flipped(first[2][0], 60)] + first[2][1:],
                                         b"", []]))
        lie("E-UNLINKED", True, (end - 1, [bundle.DELTA, 1, [], b"", [bytes(32)]]))
        lie("E-SYNTAX", False, (heads, [bundle.HEADS, 0, []]))  # a delta of nothing announced
        lie("E-SYNTAX", True, (end, None))
        lie("E-SYNTAX", True, (end, [bundle.DELTA_END, 2, head]))
        lie("E-SYNTAX", False, (0, [peer.WANT, 1, p.id, "public", 0, 0, None]))
        lie("E-MALFORMED", True, (heads, [bundle.HEADS, 2, [[1, head], [1, head]]]))
        crowd = [[i, peer.sign(p.signing, "essaim1 head", p.head_payload({}, audience=f"c{i}"))]
                 for i in range(1, 4200)]
        self.write(bundle.pack([said[0]] + [[bundle.HEADS, some[-1][0], some] for some in (
            crowd[i:i + 150] for i in range(0, len(crowd), 150))]))
        self.assertIn("trop de registres", self.refused(c, "E-SYNTAX")["message"])
        self.write(bundle.pack(said))
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        self.clean(c)

    def test_lies_about_what_is_held_or_staged_already_are_seen_too(self):
        c, p = self.lab(), peer.Lab("Python")
        entries(p, 120)
        first = bundle.messages(p)
        self.write(bundle.pack(first[:3]))  # fifty of them
        self.assertEqual(self.imported(c, status=9)[0], [0, 0, 1, False])
        wrong = list(first)
        wrong[3] = [bundle.DELTA, 1, first[3][2][::-1], b"", []]
        self.write(bundle.pack(wrong))  # first blamed on what was staged, then on the file
        self.assertEqual(self.refused(c, "E-STALE")["field"], p.did)
        self.write(bundle.pack(first))
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        entries(p, 3, "Changé")
        second = bundle.messages(p)
        crowd = sorted((peer.slug_hash(f"x-{k}"), k) for k in range(300))
        more = [peer.encode([f"x-{k}", 1, "resource", body("de trop")]) for _, k in crowd]
        for said, code in (
                (second[:2] + [[bundle.DELTA, 1, more, b"", []]] + second[2:], "E-QUOTA"),
                (second[:2] + [[bundle.DELTA, 1, second[2][2][::-1], b"", []]] + second[3:],
                 "E-STALE"),
                (second[:2] + [[bundle.DELTA, 1, [b"\x90"], b"", []]] + second[2:], "E-INVALID")):
            self.write(bundle.pack(said))
            self.assertEqual(self.refused(c, code)["field"], p.did)
            self.assertEqual(c.heads()[p.id, "public"][0], 1)
        self.write(bundle.pack(second))
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        self.clean(c)

    def test_a_damaged_catalogue_is_left_out_and_the_file_says_so(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([resource(f"salle-{k}", f"unique {k} texte") for k in range(60)])
        a.stop()
        path = os.path.join(a.dir, "store", "data.mdb")
        with open(path, "r+b") as file:
            octets = file.read()
            at = octets.index(b"unique 33 texte")
            while at >= 0:  # a copy may lie in a free page
                file.seek(at)
                file.write(b"U")
                at = octets.find(b"unique 33 texte", at + 1)
        a.start()
        done = a.cli("bundle", "export", self.path, "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["missing"]), (9, 1), done.stderr)
        self.assertEqual(self.imported(c, status=9)[0], [0, 0, 1, True])
        self.assertEqual(c.heads(), {})
        self.clean(c)

    def test_a_head_without_its_record_is_refused_and_the_others_are_taken(self):
        c, p, q = self.lab(), peer.Lab("Python"), peer.Lab("Autre")
        entries(p, 10)
        entries(q, 3)
        p.records |= q.records
        p.catalogues |= q.catalogues
        said = [each for each in bundle.messages(p)
                if each != [bundle.RECORDS, [q.record.signed]]]
        self.write(bundle.pack(said))
        counts, report = self.imported(c, status=9)
        self.assertEqual(counts, [1, 0, 0, True])
        self.assertEqual([(each["id"], each["code"]) for each in report["refused"]],
                         [(q.did, "E-NOT-FOUND")])
        self.assertEqual(list(c.heads()), [(p.id, "public")])
        done = c.cli("bundle", "import", self.path)
        self.assertEqual(done.returncode, 9)
        self.assertIn(q.did, done.stderr)

    def test_a_file_goes_before_a_peer_that_serves_the_same_slowly(self):
        c, p = self.lab(), peer.Lab("Lente")
        entries(p, 3000)
        half, go = threading.Event(), threading.Event()

        class Slow(peer.Link):
            """Gives half of what it is asked for, and the rest when it is told to."""

            def serve(self, stream, owner, audience, m, after_rev, after_slug):
                fresh, hints, opening = p.own.delta(m)
                for i in range(0, len(fresh), 50):
                    if i == len(fresh) // 2:
                        half.set()
                        go.wait(lab.LIMIT_S)
                    self.send(bundle.DELTA, stream, fresh[i:i + 50], b"", [])
                self.send(bundle.DELTA, stream, [], hints, opening)
                self.send(bundle.DELTA_END, stream, p.own.head.signed)
        over, trouble = threading.Event(), []

        def run(server):
            link = Slow(p, server.accept()[0], None).greet()
            try:
                link.run(over.is_set, 120)
            except peer.Refused as refused:
                trouble.append(refused)
            link.close()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(lab.LIMIT_S)
            thread = threading.Thread(target=run, args=(server,), daemon=True)
            thread.start()
            c.rpc("peers_add", lab=p.did, address=f"127.0.0.1:{server.getsockname()[1]}")
            self.assertTrue(half.wait(lab.LIMIT_S))
            self.assertEqual(c.heads(), {})
            self.write(bundle.write(p))
            self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
            self.assertEqual(c.heads()[p.id, "public"][4], p.own.head.hash)
            go.set()  # what comes now nobody asked for any more
            entries(p, 4000)
            lab.until(lambda: c.heads()[p.id, "public"][0] == 2, [c])
            over.set()
            thread.join(lab.LIMIT_S)
        self.assertEqual(trouble, [])
        self.clean(c)

    def test_labs_are_chosen_by_name_and_the_unknown_is_said(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        a.publish([resource("salle")])
        b.publish([resource("velo")])
        converge([a, b])
        self.exported(b, "--lab", "Ti Lab")
        reading = bundle.read(self.read())
        self.assertEqual(list(reading.catalogues), [(NONE, a.id, "public")])
        self.assertEqual(list(reading.records), [a.id])
        done = b.cli("bundle", "export", self.path + "2", "--lab", "Personne")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertFalse(os.path.exists(self.path + "2.tmp"))

    def test_files_are_replaced_only_when_told_and_pipes_do_as_well(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([resource(f"salle-{k}") for k in range(40)])
        self.exported(a)
        first = self.read()
        done = a.cli("bundle", "export", self.path)
        self.assertEqual((done.returncode, self.read()), (6, first), done.stderr)
        self.assertEqual(a.cli("bundle", "export", self.top, "--yes").returncode, 2)
        self.assertEqual(a.cli("bundle", "export", os.path.join(self.top, "no", "x")).returncode, 1)
        self.assertEqual(os.listdir(self.top).count("cle.essaim.tmp"), 0)
        self.assertEqual(a.good("bundle", "export", self.path + "3", "--dry-run", "--quiet"),
                         self.path + "3\n")
        self.assertFalse(os.path.exists(self.path + "3"))
        piped = a.run([lab.ESSAIM, "--dir", a.dir, "paquet", "exporter", "-"], stdin=b"")
        self.assertEqual((piped.returncode, piped.stdout), (0, first))
        done = c.run([lab.ESSAIM, "--dir", c.dir, "paquet", "importer", "-", "--quiet"],
                     stdin=piped.stdout)
        self.assertEqual((done.returncode, done.stdout), (0, b"-\n"), done.stderr)
        self.same(a, c)
        with open("/dev/full", "wb") as full:
            child = lab.subprocess.run([lab.ESSAIM, "--dir", a.dir, "bundle", "export", "-"],
                                       stdout=full, stderr=lab.subprocess.PIPE, check=False,
                                       timeout=lab.LIMIT_S, stdin=lab.subprocess.DEVNULL)
        self.assertEqual(child.returncode, 4, child.stderr)
        self.assertEqual(c.cli("bundle", "import", self.path + "9").returncode, 3)
        self.assertEqual(c.cli("bundle", "import", self.path, "--dry-run").returncode, 2)
        self.assertEqual(c.cli("bundle", "import", self.path, "--lab", "x").returncode, 2)
        self.assertEqual(c.cli("bundle", "burn", self.path).returncode, 2)
        self.assertEqual(c.cli("bundle", "import", self.top).returncode, 1)
        self.refuses("E-USAGE", a.rpc, "bundle_export", labs="ti-lab")
        self.refuses("E-USAGE", a.rpc, "bundle_export", labs=[1])
        self.refuses("E-NOT-FOUND", a.rpc, "bundle_export", labs=["ti-lab", "personne"])
        self.assertTrue(a.rpc("bundle_export", labs=["ti-lab"])["part"].startswith(bundle.MAGIC))

    def test_a_daemon_killed_while_it_imports_goes_on_after(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([long(f"salle-{k}", 3000) for k in range(4000)])
        self.exported(a)
        octets = self.read()
        with c.connect() as client:
            for at in range(0, len(octets) * 3 // 4, 400000):
                client.call("bundle_import", part=octets[at:at + 400000])
            c.kill()
        c.start()
        self.assertEqual(c.heads(), {})
        self.clean(c)
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        self.same(a, c)
        self.clean(c)

    def test_one_connection_imports_at_a_time_and_gives_way_when_it_closes(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([resource(f"salle-{k}") for k in range(2500)])
        self.exported(a)
        octets = self.read()
        with c.connect() as first, c.connect() as second:
            first.call("bundle_import", part=octets[:100000])
            self.refuses("E-BUSY", second.call, "bundle_import", part=octets[:10])
            self.refuses("E-USAGE", second.call, "bundle_import", part="text")
            first.close()
            lab.until(lambda: self.imports(second), [c])
            numbers = [second.ask("bundle_import", part=octets[at:at + 30000],
                                  end=at + 30000 >= len(octets))
                       for at in range(2, len(octets), 30000)]
            found = [second.response(number) for number in numbers]
        self.assertTrue(all(error is None for error, _ in found), found)
        self.assertEqual(found[-1][1]["accepted"], 1)
        self.assertTrue(found[-1][1]["whole"])
        self.same(a, c)

    def test_who_does_not_wait_for_answers_loses_the_import_and_nothing_else(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([resource(f"salle-{k}") for k in range(5)])
        self.exported(a)
        octets = self.read()
        with c.connect() as client:
            client.call("bundle_import", part=octets[:100])
            client.raw(b"".join(lab.msgpack.packb(
                [0, 1000 + i, "bundle_import", [{"part": octets[100 + i:101 + i]}]],
                use_bin_type=True) for i in range(200)))
            found = [client.response(number)[0] for number in range(1000, 1200)]
        self.assertLessEqual({error and error["code"] for error in found},
                             {None, "E-BUSY", "E-SYNTAX"})
        self.clean(c)
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])

    def imports(self, client):
        """Takes the place of whoever imported, with the first two bytes of a bundle."""
        try:
            client.call("bundle_import", part=bundle.MAGIC[:2])
        except lab.RpcError as error:
            self.assertEqual(error.code, "E-BUSY")
            return False
        return True

    def test_what_is_published_while_a_file_is_written_is_in_it(self):
        a, c = self.lab("Ti Lab"), self.lab("Mayotte")
        a.publish([long(f"salle-{k}", 900) for k in range(2500)])
        octets, more, turn = b"", True, 0
        with a.connect() as client:
            while more:
                part = client.call("bundle_export")
                self.assertLessEqual(len(part["part"]), 256 << 10)
                octets, more = octets + part["part"], part["next"]
                if turn < 6:
                    a.publish([resource(f"salle-{k}", "y" * (turn + 1)) for k in range(200)])
                    a.withdraw(f"salle-{turn + 1000}")
                turn += 1
        self.assertGreater(turn, 6)
        bundle.read(octets)
        self.write(octets)
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        self.same(a, c)
        self.clean(c)

    def test_a_file_without_end_costs_time_and_no_memory(self):
        c, p = self.lab("Mayotte"), peer.Lab("Python")
        entries(p, 40)
        said = bundle.messages(p)
        self.write(bundle.pack(said))
        self.imported(c)
        opening = [[bundle.DELTA, 1, [], b"", [bytes(32)] * 1900]]  # of a head that is held
        heads = [[bundle.HEADS, upto, [[upto - i, p.own.head.signed] for i in range(199, -1, -1)]]
                 for upto in range(200, 40000, 200)]
        before = c.anonymous_kb()
        with c.connect() as client:
            for some in ([[bundle.RECORDS, [p.record.signed] * 150]] * 500, heads,
                         said[:2] + said[2:3] * 3000, said[:2] + opening * 300):
                octets = bundle.pack(some)
                self.assertGreater(len(octets), 8 << 20)
                for at in range(0, len(octets), 500000):
                    client.call("bundle_import", part=octets[at:at + 500000])
                found = client.call("bundle_import", part=b"", end=True)
                self.assertFalse(found["whole"])
        if tap.SLOW == 1:
            self.assertLess(c.anonymous_kb() - before, 16 << 10)
        self.clean(c)

    def test_who_asks_for_a_file_and_never_reads_costs_little(self):
        a = self.lab("Ti Lab")
        a.publish([long(f"salle-{k}", 2000) for k in range(4000)])
        before = a.anonymous_kb()
        with a.connect(timeout=2) as client:
            try:
                for _ in range(100000):
                    client.ask("bundle_export")
            except TimeoutError:
                pass  # it is not heard any more
            else:
                self.fail("everything was taken in")
            self.assertEqual(len(a.entries()), 4000)  # others are served
            growth = a.anonymous_kb() - before
        if tap.SLOW == 1:
            self.assertLess(growth, 24 << 10)

    def test_no_key_address_or_neighbour_is_in_a_file(self):
        a, b = self.labs_in_a_row("Ti Lab", "Région Sud")
        b.publish([resource("velo")])
        converge([a, b])
        b.rpc("peers_add", lab=a.did, alias="le-voisin-secret")
        self.exported(b)
        octets = self.read()
        for name in ("root.key", "signing.key", "link.key"):
            with open(os.path.join(b.dir, name), "rb") as file:
                key = file.read().strip()
            self.assertNotIn(key, octets)
            self.assertNotIn(key[:32], octets)
        for secret in (b"le-voisin-secret", a.address.encode(), b"127.0.0.1"):
            self.assertNotIn(secret, octets)

    def test_a_daemon_imports_what_a_python_peer_told_another(self):
        b, c, p = self.lab("Région Sud"), self.lab("Mayotte"), peer.Lab("Python")
        entries(p, 30)
        with Serving(p) as serving:
            b.rpc("peers_add", lab=p.did, address=serving.address)
            lab.until(lambda: (p.id, "public") in b.heads(), [b])
        self.exported(b)
        self.assertEqual(self.imported(c)[0], [1, 0, 0, True])
        self.same(b, c)


@lab.unittest.skipUnless(os.geteuid() == 0, "only root can run clients under other ids")
class Rights(Roles):
    """An agent may import, a reader may not; both may export."""

    def test_an_agent_may_import_and_a_reader_may_not(self):
        a, groups = self.roled()
        p = peer.Lab("Python")
        entries(p, 3)
        octets = bundle.write(p)
        path = os.path.join(a.dir, "control.sock")

        def work(client):
            found = []
            for method, params in (("bundle_export", {}),
                                   ("bundle_import", {"part": octets, "end": True})):
                try:
                    client.call(method, params)
                    found.append("")
                except lab.RpcError as error:
                    found.append(error.code)
            return found
        self.assertEqual(as_other(65533, groups["reader"], [], path, work), ["", "E-ROLE"])
        self.assertEqual(a.heads(), {})
        self.assertEqual(as_other(65533, groups["agent"], [], path, work), ["", ""])
        self.assertEqual(list(a.heads()), [(p.id, "public")])


del Roles  # its own cases are run where they stand

if __name__ == "__main__":
    tap.main()
