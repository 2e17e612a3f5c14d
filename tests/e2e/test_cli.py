#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""essaim alone, against a daemon in memory (fake_daemon.py): exit codes, shapes, languages."""
import fcntl
import json
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import unittest

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("ESSAIM_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
ESSAIM = os.path.join(BUILD, "cli", "essaim")
GOOD = "kind: innovation\nslug: {}\ntitle: Titre\nsummary: Résumé\nthemes: ['08']\n"
HIDDEN = [*range(0x00, 0x09), 0x0b, 0x0c, *range(0x0e, 0x20), *range(0x7f, 0xa0), 0x061c,
          *range(0x200b, 0x2010), *range(0x2028, 0x202f), *range(0x2060, 0x2070), 0xfeff]


def environment(**more):
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("ESSAIM_", "LC_", "LANG", "NO_COLOR", "COLUMNS"))
            or key == "ESSAIM_BUILD"}
    return {**kept, "TERM": "xterm", **more}


class Cli(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="essaim-cli-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.home = os.path.join(self.dir, "lab")
        made = self.run_alone("init", self.home, "--name", "Ti Lab")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.did = made.stdout.strip()

    def daemon(self, *marks):
        for mark in marks:
            with open(os.path.join(self.home, mark), "w", encoding="utf-8"):
                pass
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "fake_daemon.py"), self.home],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")

    @staticmethod
    def run_alone(*words, stdin="", **more):
        return subprocess.run([ESSAIM, *words], input=stdin, capture_output=True, text=True,
                              env=environment(**more), timeout=30 * tap.SLOW, check=False)

    def cli(self, *words, stdin="", **more):
        return self.run_alone("--dir", self.home, *words, stdin=stdin, **more)

    def good(self, *words, **more):
        done = self.cli(*words, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.good(*words, "--json", **more))

    def fails(self, code, exit_code, *words, **more):
        """Both faces of one error: the sentence and the object. Returns the sentence."""
        done = self.cli(*words, **more)
        self.assertEqual(done.returncode, exit_code, done.stderr)
        self.assertRegex(done.stderr.split("\n")[-2], rf"^essaim: erreur \[{code}\]: .")
        told = self.cli(*words, "--json", **more)
        error = json.loads(told.stderr)["error"]
        self.assertEqual((told.returncode, error["code"], error["exit"]), (exit_code, code, exit_code))
        self.assertEqual(set(error), {"code", "exit", "message", "field", "file", "line", "column",
                                      "slug", "hint"})
        return done.stderr

    def terminal(self, *words, columns=100, **more):
        """stdout and stderr of a command on a terminal of that width."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([ESSAIM, "--dir", self.home, *words], stdin=slave, stdout=slave,
                                   stderr=slave, env=environment(**more))
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 65536):
                shown += chunk
        except OSError:  # the last one closed it
            pass
        os.close(master)
        return process.wait(), shown.decode().replace("\r\n", "\n")

    # ---- without a daemon

    def test_init_makes_a_lab_and_prints_its_id_alone(self):
        self.assertRegex(self.did, r"^did:key:z6Mk\w+$")
        self.assertEqual(os.stat(self.home).st_mode & 0o777, 0o700)
        for name in ("root.key", "signing.key", "link.key", "essaimd.conf"):
            self.assertEqual(os.stat(os.path.join(self.home, name)).st_mode & 0o777, 0o600, name)
        other = os.path.join(self.dir, "other")
        told = json.loads(self.run_alone("init", other, "--name", "Région Sud", "--listen",
                                         "127.0.0.1:4242", "--json").stdout)
        self.assertEqual((told["schema"], told["name"]), ("essaim.init/1", "Région Sud"))
        with open(os.path.join(other, "essaimd.conf"), encoding="utf-8") as file:
            self.assertIn("listen = 127.0.0.1:4242", file.read())

    def test_init_refuses_what_it_cannot_do_and_touches_nothing(self):
        before = {name: os.stat(os.path.join(self.home, name)).st_mtime_ns
                  for name in os.listdir(self.home)}
        cases = [(6, "E-EXISTS", [self.home, "--name", "x"]), (2, "E-USAGE", [self.dir + "/n"]),
                 (2, "E-USAGE", [self.dir + "/n", "--name", ""]),
                 (2, "E-USAGE", [self.dir + "/n", "--name", "a\nb"]),
                 (2, "E-USAGE", [self.dir + "/n", "--name", "x" * 65]),
                 (2, "E-USAGE", [self.dir + "/n", "--name", "x", "--listen", "nowhere"])]
        for exit_code, code, words in cases:
            done = self.run_alone("init", *words)
            self.assertEqual((done.returncode, done.stdout), (exit_code, ""), words)
            self.assertIn(f"[{code}]", done.stderr)
        self.assertEqual(before, {name: os.stat(os.path.join(self.home, name)).st_mtime_ns
                                  for name in os.listdir(self.home)})
        self.assertFalse(os.path.exists(self.dir + "/n"))

    def test_without_a_daemon_exit_7_says_how_to_start_one(self):
        told = self.fails("E-NO-DAEMON", 7, "list")
        self.assertIn("essaimd --dir", told)
        self.assertEqual(self.good("id"), self.did + "\n")

    def test_without_a_directory_the_usage_is_wrong(self):
        self.assertEqual(self.run_alone("list").returncode, 2)
        self.assertEqual(self.run_alone("status", ESSAIM_DIR=self.home).returncode, 7)

    def test_id_is_the_id_alone_and_json_tells_the_role(self):
        self.daemon()
        self.assertEqual(self.good("id"), self.did + "\n")
        self.assertEqual(self.terminal("qui")[1], self.did + "\n")
        self.assertEqual(self.json("id"), {"schema": "essaim.id/1", "id": self.did,
                                           "name": "Ti Lab", "role": "admin"})

    def test_a_path_too_long_for_a_socket_address_is_reached(self):
        deep = os.path.join(self.dir, *["x" * 60] * 3)
        os.makedirs(deep)
        self.daemon()
        os.symlink(self.home, os.path.join(deep, "lab"))
        done = self.run_alone("--dir", os.path.join(deep, "lab"), "id")
        self.assertEqual((done.returncode, done.stdout), (0, self.did + "\n"))
        self.assertEqual(self.run_alone("--dir", deep + "/none", "list").returncode, 7)

    def test_wrong_usage_is_2_and_names_the_word(self):
        cases = [[], ["frobnicate"], ["list", "x"], ["show"], ["list", "--frob"], ["publish"],
                 ["list", "--limit"], ["list", "--limit", "x"], ["list", "--limit", "-1"],
                 ["list", "--color", "pink"], ["list", "--alias", "x"], ["--csv", "aide", "x", "y"],
                 ["list", "--fields", "a,,b"], ["peers", "frob"], ["peers", "add"],
                 ["peers", "add", "not-a-did"], ["peers", "add", self.did + "@nowhere"],
                 ["list", "--cursor", "xyz"], ["list", "--kind", "poem"], ["help", "frob"],
                 ["withdraw", "sud/hostile"]]
        self.daemon()
        for words in cases:
            done = self.cli(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertRegex(done.stderr, r"^essaim: erreur \[E-USAGE\]: [^\n]+\n$", words)
        self.assertEqual(self.cli("list", "--json", "--csv").returncode, 2)

    def test_help_and_version_need_nothing(self):
        for words in (["help"], ["--help"], ["aide"], ["help", "publier"], ["publish", "--help"],
                      ["help", "scripting"], ["version"], ["--version"], ["-V"]):
            done = self.run_alone(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertTrue(done.stdout, words)
        self.assertEqual(json.loads(self.run_alone("version", "--json").stdout)["schema"],
                         "essaim.version/1")

    # ---- languages

    def test_french_is_spoken_unless_english_is_asked_for(self):
        french = [{}, {"LC_ALL": "C"}, {"LANG": "POSIX"}, {"LANG": "fr_FR.UTF-8"},
                  {"LANG": "br_FR"}, {"LC_ALL": "", "LANG": "C"}, {"LC_ALL": "C", "LANG": "en_US"},
                  {"ESSAIM_LANG": "fr", "LC_ALL": "en_US.UTF-8"}]
        english = [{"LANG": "en_US.UTF-8"}, {"LC_ALL": "en_GB"}, {"LC_MESSAGES": "en"},
                   {"ESSAIM_LANG": "en", "LC_ALL": "C"}, {"LC_ALL": "", "LANG": "en"}]
        for more in french:
            self.assertIn("erreur [", self.run_alone("frob", **more).stderr, more)
        for more in english:
            self.assertIn("error [", self.run_alone("frob", **more).stderr, more)
        self.assertIn("error [", self.run_alone("frob", "--lang", "en-GB").stderr)
        self.assertIn("erreur [", self.run_alone("--lang", "fr", "frob", LANG="en").stderr)
        self.assertIn("error [", self.run_alone("frob", ESSAIM_LOCALEDIR="/nowhere").stderr)

    def test_texts_come_in_the_language_asked_for(self):
        self.daemon()
        record = {"kind": "need", "slug": "a", "lang": "br", "summary": "s", "themes": ["01"],
                  "title": {"br": "brezhoneg", "en": "english", "fr": "français"}}
        self.good("publish", "-", stdin=json.dumps(record))
        for words, title in ((["--lang", "fr-CA"], "français"), (["--lang", "en"], "english"),
                             (["--lang", "br"], "brezhoneg"), (["--lang", "oc"], "brezhoneg")):
            item = self.json("show", "a", *words)
            self.assertEqual((item["title"], item["lang"]), (title, record["title"] and
                             next(tag for tag, text in record["title"].items() if text == title)))

    # ---- publishing

    def test_one_record_is_created_updated_and_unchanged(self):
        self.daemon()
        path = os.path.join(self.dir, "a.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(GOOD.format("geotrek"))
        self.assertEqual(self.good("publish", path), "created\tgeotrek\t1\n")
        self.assertEqual(self.good("publier", path), "unchanged\tgeotrek\t\n")
        self.assertEqual(self.good("publish", "-", stdin=GOOD.format("geotrek") + "tags: [x]\n"),
                         "updated\tgeotrek\t2\n")
        told = self.json("publish", path, "--dry-run")
        self.assertEqual(told["schema"], "essaim.publish/1")
        self.assertEqual(told["items"][0]["status"], "updated")
        self.assertEqual(told["updated"], 1)
        self.assertEqual(self.json("show", "geotrek")["body"]["tags"], ["x"])

    def test_the_same_record_in_yaml_and_json_is_the_same_entry(self):
        self.daemon()
        record = {"slug": "a", "themes": ["08"], "title": "Titre", "summary": "Résumé",
                  "kind": "innovation"}
        self.good("publish", "-", stdin=GOOD.format("a"))
        for text in (json.dumps(record), json.dumps([record]), json.dumps(record, indent=1),
                     json.dumps(record) + "\n", "---\n" + GOOD.format("a") + "...\n"):
            self.assertEqual(self.good("publish", "-", stdin=text), "unchanged\ta\t\n", text)

    def test_bad_records_are_left_out_and_the_others_published(self):
        self.daemon()
        lines = [json.dumps({"kind": "need", "slug": f"b{i}", "title": "T", "summary": "S",
                             "themes": ["01"]}) for i in range(4)]
        lines[1] = lines[1][:-1]
        lines[2] = lines[2].replace('"T"', "12")
        done = self.cli("publish", "-", stdin="\n".join(lines))
        self.assertEqual(done.returncode, 9)
        self.assertEqual(done.stdout.split("\n")[:4],
                         ["created\tb0\t1", "refused\t\t", "refused\tb2\t", "created\tb3\t1"])
        first, second, third = done.stderr.strip().split("\n")
        self.assertRegex(first, r"^essaim: erreur \[E-SYNTAX\]: -:2:\d+: ")
        self.assertRegex(second, r"^essaim: erreur \[E-FIELD\]: -:3:\d+: b2: title: .+ \(.+\)$")
        self.assertIn("[E-PARTIAL]", third)
        told = self.cli("publish", "-", "--json", stdin="\n".join(lines))
        self.assertEqual(json.loads(told.stderr)["error"]["code"], "E-PARTIAL")
        items = json.loads(told.stdout)["items"]
        self.assertEqual([item["status"] for item in items],
                         ["unchanged", "refused", "refused", "unchanged"])
        self.assertEqual((items[2]["error"]["line"], items[2]["error"]["field"]), (3, "title"))

    def test_a_single_bad_record_has_its_own_code(self):
        self.daemon()
        cases = [("E-SYNTAX", "kind: need\n slug: a\n"), ("E-SLUG", GOOD.format("A B")),
                 ("E-INVALID", GOOD.format("a").replace("innovation", "poem")),
                 ("E-FIELD", "kind: innovation\nslug: a\nsummary: s\nthemes: ['01']\n"),
                 ("E-FIELD", GOOD.format("a") + "x: 1.5\n"),
                 ("E-SIZE", GOOD.format("a") + "body: " + "x" * 61440 + "\n"),
                 ("E-SYNTAX", GOOD.format("a") + "x: &a 1\n")]
        for code, text in cases:
            told = self.fails(code, 5, "publish", "-", stdin=text)
            self.assertEqual(told.count("\n"), 1, told)
        two = GOOD.format("A") + "---\n" + GOOD.format("B")
        self.assertIn("E-INVALID", self.cli("publish", "-", stdin=two).stderr)
        self.assertEqual(self.cli("publish", "-", stdin=two).returncode, 5)

    def test_errors_say_file_line_column_slug_and_field(self):
        self.daemon()
        path = os.path.join(self.dir, "fiches.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("---\n" + GOOD.format("un") + "---\n# comment\nkind: need\nslug: deux\n"
                       "title: T\nsummary: S\norgs:\n- name: x\n  role: chef\n")
        done = self.cli("publish", path)
        self.assertRegex(done.stderr,
                         rf"erreur \[E-FIELD\]: {path}:15:3: deux: orgs\[0\].role: .+ \(.+\)\n")
        self.assertEqual(done.returncode, 9)

    def test_a_file_that_is_not_there_stops_everything(self):
        self.daemon()
        path = os.path.join(self.dir, "a.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(GOOD.format("geotrek"))
        self.fails("E-NOT-FOUND", 3, "publish", path, "/nowhere/b.yaml")
        self.fails("E-NOT-FOUND", 3, "show", "geotrek")

    def test_an_empty_input_is_done(self):
        self.daemon()
        done = self.cli("publish", "-", stdin="")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_refusals_of_the_daemon_have_their_codes(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("a"))
        self.fails("E-CONFLICT", 6, "publish", "--if-rev", "7", "-", stdin=GOOD.format("a"))
        self.fails("E-KIND", 4, "publish", "-",
                   stdin=GOOD.format("a").replace("innovation", "resource"))
        told = self.fails("E-FIELD", 5, "publish", "-", stdin=GOOD.format("refusee"))
        self.assertIn("-:1: refusee: title: ", told)
        self.assertEqual(self.good("publish", "--if-rev", "0", "-", stdin=GOOD.format("neuve")),
                         "created\tneuve\t2\n")
        two = GOOD.format("x") + "---\n" + GOOD.format("y")
        self.fails("E-USAGE", 2, "publish", "--if-rev", "0", "-", stdin=two)
        self.fails("E-NOT-FOUND", 3, "show", "x")

    def test_a_role_too_low_is_refused(self):
        self.daemon("reader")
        self.fails("E-ROLE", 4, "publish", "-", stdin=GOOD.format("a"))

    def test_a_daemon_that_goes_away_or_says_nothing_is_8(self):
        self.daemon()
        self.fails("E-NET", 8, "publish", "-", stdin=GOOD.format("explose"))
        self.fails("E-TIMEOUT", 8, "publish", "--timeout", "1", "-", stdin=GOOD.format("muette"))

    def test_a_daemon_that_talks_nonsense_is_8(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(self.home, "control.sock"))
        listener.listen(8)
        self.addCleanup(listener.close)

        def talk(answers):
            for answer in answers:
                client = listener.accept()[0]
                client.recv(65536)
                client.sendall(answer)
                client.close()

        answers = [b"\xc1", b"HTTP/1.1 200\r\n", b"\x94\x01\x05\xc0\x80", b"\x94\x01\x01\xc0\x01",
                   b"\x93\x02\xa1x\x90", b"\xdf\xff\xff\xff\xff", b"\x94\x01\x01\xc0", b""]
        talker = threading.Thread(target=talk, args=(answers,))
        talker.start()
        for answer in answers:
            done = self.cli("status", "--timeout", "5")
            self.assertEqual((done.returncode, done.stdout), (8, ""), answer)
        talker.join()

    def test_many_records_go_in_many_requests_and_one_batch(self):
        self.daemon()
        lines = "\n".join(json.dumps({"kind": "need", "slug": f"n{i}", "title": "T", "summary": "S",
                                      "themes": ["01"], "body": "x" * 900}) for i in range(3000))
        shown = self.good("publish", "-", stdin=lines).strip().split("\n")
        self.assertEqual(shown, [f"created\tn{i}\t1" for i in range(3000)])
        told = self.json("list", "--mine")
        self.assertEqual((len(told["items"]), told["total"], told["next"]), (3000, 3000, None))

    # ---- reading

    def test_lists_have_the_shape_their_reader_wants(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("geotrek"))
        item = self.json("list", "--mine")["items"][0]
        self.assertEqual(item, {"id": self.did + "/geotrek", "slug": "geotrek", "rev": 1,
                                "lab": {"id": self.did, "name": "Ti Lab", "alias": None},
                                "kind": "innovation", "title": "Titre", "lang": "fr"})
        self.assertEqual(self.good("list", "--mine"),
                         f"{self.did}/geotrek\tTi Lab\tgeotrek\tinnovation\t1\tTitre\n")
        self.assertEqual(json.loads(self.good("list", "--mine", "--ndjson")), item)
        self.assertEqual(self.good("list", "--mine", "--quiet"), self.did + "/geotrek\n")
        csv = subprocess.run([ESSAIM, "--dir", self.home, "--csv", "list", "--mine", "--fields",
                              "slug,lab.name"], capture_output=True, check=True).stdout
        self.assertEqual(csv, b"slug,lab.name\r\ngeotrek,Ti Lab\r\n")
        self.assertEqual(self.good("list", "--mine", "--fields", "title,body.themes.0,body.nope"),
                         "Titre\t08\t\n")
        self.assertEqual(self.json("list", "--kind", "event")["items"], [])
        self.assertEqual(self.good("list", "--kind", "event"), "")

    def test_lists_page_with_limit_and_cursor(self):
        self.daemon()
        self.good("publish", "-", stdin="".join(GOOD.format(f"s{i}") + "---\n" for i in range(5)))
        page = self.json("list", "--mine", "--limit", "2")
        self.assertEqual([item["slug"] for item in page["items"]], ["s0", "s1"])
        page = self.json("list", "--mine", "--limit", "2", "--cursor", page["next"])
        self.assertEqual([item["slug"] for item in page["items"]], ["s2", "s3"])
        page = self.json("list", "--mine", "--limit", "2", "--cursor", page["next"])
        self.assertEqual(([item["slug"] for item in page["items"]], page["next"]), (["s4"], None))

    def test_a_lab_goes_by_name_alias_or_did(self):
        self.daemon()
        sud = self.json("show", "sud/hostile")["lab"]["id"]
        for lab in ("sud", "région-sud", "Région Sud", sud):
            self.assertEqual(self.json("list", "--lab", lab)["items"][0]["slug"], "hostile")
            self.assertEqual(self.json("show", lab + "/hostile")["slug"], "hostile")
        self.fails("E-NOT-FOUND", 3, "show", "nobody/hostile")
        self.fails("E-NOT-FOUND", 3, "list", "--lab", "nobody")

    def test_show_gives_the_whole_entry_and_its_head(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("geotrek"))
        item = self.json("voir", "geotrek")
        self.assertEqual(item["schema"], "essaim.entry/1")
        self.assertEqual(item["head"], {"n": 1, "generation": 1,
                                        "issued_at": "2023-11-14T22:13:20Z"})
        self.assertEqual(item["body"]["summary"], "Résumé")
        self.assertRegex(item["leaf"], r"^[0-9a-f]{64}$")
        self.assertIn("body.summary\tRésumé\n", self.good("show", "geotrek"))

    def test_withdrawing_says_what_was_not_there(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("a") + "---\n" + GOOD.format("b"))
        self.assertEqual(self.good("withdraw", "a", "--dry-run"), "withdrawn\ta\n")
        done = self.cli("withdraw", "a", "zz", "--yes")
        self.assertEqual((done.returncode, done.stdout), (9, "withdrawn\ta\nrefused\tzz\n"))
        self.fails("E-NOT-FOUND", 3, "retirer", "a")
        told = self.json("withdraw", "b", "--reason", "double")
        self.assertEqual((told["withdrawn"], told["reason"]), (1, "double"))

    def test_peers_are_added_listed_and_removed(self):
        self.daemon()
        sud = self.json("show", "sud/hostile")["lab"]["id"]
        self.assertEqual(self.good("peers", "add", sud + "@127.0.0.1:4242", "--alias", "sud"), "")
        item = self.json("peers")["items"][0]
        self.assertEqual((item["id"], item["address"], item["alias"]), (sud, "127.0.0.1:4242", "sud"))
        self.assertEqual(self.good("pairs", "lister"), f"{sud}\t\tsud\t127.0.0.1:4242\tlive\n")
        self.assertEqual(self.good("peers", "remove", sud), "")
        self.fails("E-NOT-FOUND", 3, "peers", "remove", sud)

    def test_sync_waits_or_says_that_it_was_too_long(self):
        self.daemon()
        self.assertEqual(self.json("sync", "--wait", "1")["held"], 1)
        self.fails("E-TIMEOUT", 8, "sync", "--wait", "2", "--timeout", "0")

    def test_watch_streams_changes(self):
        self.daemon()
        watcher = subprocess.Popen([ESSAIM, "--dir", self.home, "watch", "--limit", "2"],
                                   stdout=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(watcher.stdout.close)
        self.addCleanup(watcher.wait)
        self.addCleanup(watcher.kill)
        line, tries = "", 0
        while not line and tries < 100:  # until the watch is on, changes are not for it
            tries += 1
            self.good("publish", "-", stdin=GOOD.format(f"w{tries}"))
            if select.select([watcher.stdout], [], [], 0.05)[0]:
                line = watcher.stdout.readline()
        item = json.loads(line)
        self.assertEqual((item["change"], item["kind"], item["lab"]["name"]),
                         ("published", "innovation", "Ti Lab"))
        self.good("withdraw", item["slug"])
        self.assertEqual(json.loads(watcher.stdout.readline())["change"] in
                         ("withdrawn", "published"), True)
        self.assertEqual(watcher.wait(timeout=20 * tap.SLOW), 0)
        self.assertEqual(self.good("watch", "--timeout", "0"), "")
        self.fails("E-TIMEOUT", 8, "watch", "--limit", "1", "--timeout", "0")

    def test_verify_reports_every_lab(self):
        self.daemon()
        told = self.json("verify")
        self.assertEqual(told["schema"], "essaim.verify/1")
        self.assertEqual([(lab["name"], lab["ok"], lab["issued_at"]) for lab in told["items"]],
                         [("Ti Lab", True, "2023-11-14T22:13:20Z"),
                          ("Région Sud", True, "2023-11-14T22:13:20Z")])
        self.assertIn("complète au registre 3, signée le 2023-11-14T22:13:20Z",
                      self.terminal("verify")[1])
        self.assertIn("complete as of head 3, signed at 2023-11-14T22:13:20Z",
                      self.terminal("verify", "--lang", "en")[1])

    def test_verify_of_damaged_data_is_1(self):
        self.daemon("damaged")
        self.fails("E-CORRUPT", 1, "verify")
        status, shown = self.terminal("verify", "--color", "never")
        self.assertEqual(status, 1)
        self.assertIn("INCOMPLÈTE", shown)
        self.assertNotIn("\x1b", shown)

    def test_status_is_one_document(self):
        self.daemon()
        told = self.json("état")
        self.assertEqual((told["schema"], told["id"], told["name"]),
                         ("essaim.status/1", self.did, "Ti Lab"))
        self.assertTrue(told["links"][0]["lab"].startswith("did:key:"))
        shown = self.terminal("status")[1]
        for word in ("Région Sud", "le disque est presque plein", "clock is off"):
            self.assertIn(word, shown)

    # ---- terminals

    def test_a_terminal_gets_a_table_cut_to_its_width(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("geotrek").replace("Titre", "Très long " * 18))
        status, shown = self.terminal("list", "--mine", columns=60, NO_COLOR="1")
        lines = shown.rstrip("\n").split("\n")
        self.assertEqual((status, len(lines)), (0, 2))
        self.assertEqual(lines[0].split(), ["LABORATOIRE", "FICHE", "TYPE", "RÉV", "TITRE"])
        self.assertTrue(all(len(line) <= 60 for line in lines), lines)
        self.assertTrue(lines[1].endswith("…"))
        column = lines[0].index("TITRE")
        self.assertTrue(lines[1][column:].startswith("Très long"))

    def test_colour_is_for_terminals_that_want_it(self):
        self.daemon()
        self.assertIn("\x1b[1m", self.terminal("list")[1])
        for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.terminal("list", **more)[1], more)
        self.assertNotIn("\x1b", self.terminal("list", "--color", "never")[1])
        self.assertNotIn("\x1b", self.good("list"))
        self.assertIn("\x1b[31m", self.cli("frob", "--color", "always").stderr)

    def test_hostile_text_reaches_no_terminal_and_no_pipe(self):
        self.daemon()
        shapes = [["list"], ["show", "sud/hostile"], ["list", "--csv"], ["list", "--json"],
                  ["show", "sud/hostile", "--json"], ["list", "--fields", "body"]]
        for words in shapes:
            for shown in (self.good(*words), self.terminal(*words, NO_COLOR="1")[1]):
                bad = [hex(ord(char)) for char in shown if ord(char) in HIDDEN]
                self.assertEqual(bad, [], words)
        self.assertEqual(self.json("list")["items"][0]["title"],
                         "Méchant \u202e\x9b\u200b\ttexte")

    def test_hostile_input_is_escaped_in_errors(self):
        self.daemon()
        for words in (["show", "\x1b[31m\u202e"], ["\x1b]0;x\x07"], ["list", "--lab", "\u200b\x9b"],
                      ["publish", "\x1b[2J.yaml"]):
            done = self.cli(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual([char for char in done.stderr[:-1] if ord(char) in HIDDEN + [10]], [])
        done = self.cli("publish", "-", stdin='{"kind":"need","slug":"a","\\u202e":1.5}')
        self.assertIn("\\u{202E}", done.stderr)

    def test_a_withdrawal_asks_on_a_terminal(self):
        self.daemon()
        self.good("publish", "-", stdin=GOOD.format("a"))
        master, slave = pty.openpty()
        for answer, status in ((b"n\n", 4), (b"o\n", 0)):
            process = subprocess.Popen([ESSAIM, "--dir", self.home, "withdraw", "a"], stdin=slave,
                                       stdout=subprocess.DEVNULL, stderr=slave, env=environment())
            os.write(master, answer)
            self.assertEqual(process.wait(timeout=20 * tap.SLOW), status)
        os.close(master)
        os.close(slave)

    def test_a_full_stdout_is_an_error(self):
        self.daemon()
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([ESSAIM, "--dir", self.home, "list"], stdout=full, text=True,
                                  stderr=subprocess.PIPE, env=environment(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("[E-IO]", done.stderr)


if __name__ == "__main__":
    tap.main()
