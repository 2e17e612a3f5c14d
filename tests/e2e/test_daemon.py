#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""The daemon as a process: how it starts, what it refuses, what signals do, what abuse does not."""
import errno
import grp
import json
import os
import resource as limits
import signal
import socket
import subprocess
import time

import msgpack

import lab
import tap
from lab import Control, resource, until

# method -> least role (doc/control.md)
ROLE_OF = {
    "hello": "reader", "status": "reader", "labs": "reader", "list": "reader", "show": "reader",
    "bundle_export": "reader", "bundle_import": "agent",
    "publish": "agent", "withdraw": "agent", "peers_list": "reader", "peers_add": "admin",
    "peers_remove": "admin", "sync": "reader", "watch": "reader", "verify": "reader",
    "history": "agent", "compact": "admin", "backup": "admin",
}
ROLES = ["none", "reader", "agent", "coordinator", "admin"]


def essaimd(*words, limit_s=10, **more):
    return subprocess.run([lab.ESSAIMD, *words], capture_output=True, text=True, check=False,
                          timeout=limit_s * tap.SLOW, stdin=subprocess.DEVNULL,
                          preexec_fn=lab.die_with_parent, **more)


def as_user(uid, groups, work):
    """What `work` returns (JSON) when it runs as that user, in a process of its own."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setgid(groups[0] if groups else uid)
            os.setuid(uid)
            os.write(sink, json.dumps(work()).encode())
            status = 0
        except BaseException as error:  # pylint: disable=broad-except
            os.write(sink, json.dumps(repr(error)).encode())
        finally:
            os._exit(status)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def codes_at(path):
    """{method: error code or "OK"} for every method, or the code the connection was met with."""
    with Control(path, 5 * tap.SLOW) as client:
        found = {}
        for method in ROLE_OF:
            number = client.ask(method, {"timeout_ms": 1, "wait": 0})
            while True:
                message = client.receive()
                if message is None:
                    return found
                if message[0] == 1 and message[1] in (0, number):
                    break
            code = "OK" if message[2] is None else message[2]["code"]
            if message[1] == 0:
                return code
            found[method] = code
        return found


def count_fds(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def rss_kb(process, field="VmRSS:"):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


class Start(lab.Case):
    """From nothing to READY, and what is in the way."""

    def test_a_usage_error_is_one_line_and_status_2(self):
        for words in ([], ["--dir"], ["--nonsense"], ["--dir", "x", "y"],
                      ["--dir", self.lab(start=False).dir, "--log-level", "loud"]):
            with self.subTest(words=words):
                done = essaimd(*words)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_help_and_version_go_to_stdout(self):
        for word, wanted in ("--help", "usage: essaimd"), ("--version", "essaimd 0."):
            done = essaimd(word)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(wanted, done.stdout)

    def test_every_unsafe_key_is_refused_with_its_name_and_status_4(self):
        made = self.lab(start=False)
        for name in "signing.key", "link.key":
            path = os.path.join(made.dir, name)
            for mode in 0o640, 0o604, 0o620, 0o602, 0o610, 0o601:
                os.chmod(path, mode)
                done = essaimd("--dir", made.dir)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn(path, done.stderr)
                self.assertIn("E-KEY", done.stderr)
            os.chmod(path, 0o600)
            os.rename(path, path + ".kept")
            self.assertEqual(essaimd("--dir", made.dir).returncode, 4)
            os.symlink(path + ".kept", path)
            self.assertEqual(essaimd("--dir", made.dir).returncode, 4)
            os.unlink(path)
            os.mkfifo(path, 0o600)
            self.assertEqual(essaimd("--dir", made.dir).returncode, 4)
            os.unlink(path)
            os.rename(path + ".kept", path)
        os.chmod(made.dir, 0o750)
        self.assertEqual(essaimd("--dir", made.dir).returncode, 4)
        os.chmod(made.dir, 0o700)
        made.start()

    def test_a_mistake_in_the_configuration_names_file_and_line(self):
        made = self.lab(start=False)
        path = os.path.join(made.dir, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        line = text.count("\n") + 1
        with open(path, "a", encoding="utf-8") as file:
            file.write("colour = red\n")
        done = essaimd("--dir", made.dir)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{path}:{line}: ", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_a_second_daemon_is_told_the_pid_of_the_first(self):
        made = self.lab()
        done = essaimd("--dir", made.dir)
        self.assertEqual(done.returncode, 6)
        self.assertIn(f"pid {made.process.pid}", done.stderr)
        self.assertEqual(made.rpc("hello")["role"], "admin")

    def test_a_port_in_use_is_named_with_status_8(self):
        first, second = self.lab("One"), self.lab("Two", start=False)
        second.address = first.address
        second.keep_address()
        done = essaimd("--dir", second.dir)
        self.assertEqual(done.returncode, 8)
        self.assertIn(first.address, done.stderr)

    def test_a_kill_leaves_nothing_in_the_way(self):
        made = self.lab()
        made.publish([resource("a")])
        made.kill()
        self.assertTrue(os.path.exists(os.path.join(made.dir, "control.sock")))
        made.start()
        self.assertEqual(len(made.entries()), 1)

    def test_no_file_of_ours_takes_the_place_of_a_closed_standard_stream(self):
        for missing in ((0,), (1,), (2,), (0, 1, 2)):
            made = self.lab(f"Sans {len(missing)} {missing[0]}", start=False)
            made.start(preexec=lambda closed=missing: [os.close(each) for each in closed])
            made.publish([resource("a")])
            made.stop()
            made.start()
            self.assertEqual(len(made.entries()), 1)
            self.clean(made)

    def test_the_files_of_the_data_directory_are_private(self):
        made = self.lab()
        made.publish([resource("a")])
        for top, directories, files in os.walk(made.dir):
            for name in directories + files:
                mode = os.lstat(os.path.join(top, name)).st_mode & 0o777
                self.assertEqual(mode & 0o077, 0, f"{name} {mode:o}")

    def test_the_process_leaves_no_core(self):
        made = self.lab()
        self.assertEqual(limits.prlimit(made.process.pid, limits.RLIMIT_CORE), (0, 0))
        self.assertEqual(os.stat(f"/proc/{made.process.pid}/mem").st_uid, 0)

    def test_a_path_too_long_for_a_socket_is_refused(self):
        made = self.lab(start=False)
        longer = os.path.join(self.top, "d" * 110)
        os.rename(made.dir, longer)
        done = essaimd("--dir", longer)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("107", done.stderr)

    def test_under_the_journal_lines_have_priorities(self):
        made = self.lab(start=False)
        made.environment["JOURNAL_STREAM"] = "1:2"
        made.start()
        made.stop()
        self.assertRegex(made.log_tail(), r"(?m)^<6>ready did:key:")


class End(lab.Case):
    """SIGTERM, SIGHUP, the watchdog, a store that fails."""

    def test_sigterm_ends_with_0_and_keeps_everything(self):
        made = self.lab()
        made.publish([resource(f"r{i}") for i in range(50)])
        began = time.monotonic()
        self.assertEqual(made.stop(), 0)
        self.assertLess(time.monotonic() - began, 1 * tap.SLOW)
        for name in "control.sock", "listen":
            self.assertFalse(os.path.exists(os.path.join(made.dir, name)))
        made.start()
        self.assertEqual(len(made.entries()), 50)

    def test_sigint_ends_it_too(self):
        made = self.lab()
        made.process.send_signal(signal.SIGINT)
        self.assertEqual(made.process.wait(lab.LIMIT_S), 0)
        made.process = None

    def test_sigterm_with_idle_and_busy_clients_and_a_silent_peer_is_quick(self):
        made = self.lab()
        clients = [made.connect() for _ in range(5)]
        for client in clients[1:]:
            for _ in range(50):
                client.ask("status")
        host, port = made.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))):
            clients[0].call("watch")
            began = time.monotonic()
            self.assertEqual(made.stop(), 0)
            self.assertLess(time.monotonic() - began, 4 * tap.SLOW)
        for client in clients:
            client.close()

    def test_sighup_reloads_the_roles_and_the_level_and_tells_what_it_cannot(self):
        made = self.lab()
        path = os.path.join(made.dir, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        group = grp.getgrgid(os.getgid()).gr_name

        def reload(new, wanted):
            with open(path, "w", encoding="utf-8") as file:
                file.write(new)
            seen = made.log_tail(1000).count("reload ")
            made.process.send_signal(signal.SIGHUP)
            until(lambda: made.log_tail(1000).count("reload ") > seen, [made])
            until(lambda: wanted in made.log_tail(1000), [made])

        reload(text.replace("agent =\n", f"agent = {group}\n"), "reload done")
        reload(text.replace("agent =\n", "agent = no-such-group\n"), "no-such-group")
        reload(text.replace("listen = 127.0.0.1:0", "listen = 127.0.0.1:1"),
               "reload [network] listen")
        reload(text + "x = y\n", "nothing was changed")
        reload(text.replace("level = info", "level = error"), "reload")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.assertEqual(made.rpc("hello")["name"], "Ti Lab")

    def test_ready_stopping_and_watchdog_are_told(self):
        made = self.lab(start=False)
        path = os.path.join(self.top, "manager")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(lab.LIMIT_S)
            process = subprocess.Popen(
                [lab.ESSAIMD, "--dir", made.dir], stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, preexec_fn=lab.die_with_parent,
                env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"})
            told = [manager.recv(100) for _ in range(3)]
            process.terminate()
            while told[-1] != b"STOPPING=1":
                told.append(manager.recv(100))
            self.assertEqual(process.wait(lab.LIMIT_S), 0)
        self.assertEqual(told[0], b"READY=1")
        self.assertEqual(set(told[1:-1]), {b"WATCHDOG=1"})

    def test_start_up_with_what_is_there_is_quick(self):
        made = self.lab()
        for part in range(5):
            made.publish([resource(f"r{part}-{i}", "Un lieu. " * 50) for i in range(4000)])
        made.stop()
        times = []
        for _ in range(3):
            began = time.monotonic()
            made.start()
            times.append(time.monotonic() - began)
            self.assertEqual(made.rpc("status")["entries"], 20000)
            made.stop()
        self.assertLess(min(times), 0.1 * tap.SLOW)


class Quotas(lab.Case):
    """What the own catalogue may grow to, to the entry and the byte."""

    def limited(self, entries, size):
        a = self.lab(start=False)
        path = os.path.join(a.dir, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            lines = [{"entries": f"entries = {entries}\n", "bytes": f"bytes = {size}\n"}.get(
                line.split("=")[0].strip(), line) for line in file]
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(lines)
        return a.start()

    def said(self, a, *entries):
        """1 byte a record: created, updated, unchanged or refused."""
        return list(a.publish(entries)["statuses"])

    def test_a_full_catalogue_may_change_what_it_has_and_make_room(self):
        a = self.limited(3, 100000)
        sizes = lambda slug, size: lab.resource(slug, filler="x" * size)  # noqa: E731
        created, updated, refused = 0, 1, 3
        self.assertEqual(self.said(a, *(sizes(f"f-{k}", 30000) for k in range(3))), [created] * 3)
        self.assertEqual(self.said(a, sizes("f-3", 10)), [refused])  # a fourth
        again = [lab.resource(f"f-{k}", "ici", filler="y" * 30000) for k in range(3)]
        self.assertEqual(self.said(a, *again), [updated] * 3)  # all at once, of the same size
        self.assertEqual(self.said(a, sizes("f-0", 41000)), [refused])
        self.assertEqual(self.said(a, sizes("f-0", 35000), sizes("f-1", 20000)), [updated] * 2)
        a.withdraw("f-2")
        self.assertEqual(self.said(a, sizes("f-3", 30000)), [created])
        self.assertEqual(a.heads()[a.id, "public"][1], 3)
        self.clean(a)

    def test_a_batch_that_was_overtaken_counts_what_will_be_signed(self):
        limit = 80000
        a = self.limited(10, limit)
        for k in range(126):
            a.publish([lab.resource("pas", f"{k:03d}", filler="y" * 30000)])
        n, _, held, *_ = a.heads()[a.id, "public"]
        self.assertEqual(n, 126)
        size = lambda filler: len(msgpack.packb(  # noqa: E731
            ["lot", 127, "resource", lab.ordered(lab.resource("lot", filler=filler)[2])]))
        filler = "x" * 40000
        filler += "x" * (limit - held - size(filler))
        self.assertEqual(size(filler) + held, limit)  # as head 127; as head 128 one byte more
        with a.connect() as other:
            slug, kind, body = lab.resource("lot", filler=filler)
            other.call("publish", entries=[[slug, kind, lab.pack(body)]], more=True)
            a.publish([lab.resource("pas", "127", filler="y" * 30000)])
            self.assertEqual(list(other.call("publish", entries=[])["statuses"]), [3])
        self.assertLessEqual(a.heads()[a.id, "public"][2], limit)
        self.clean(a)


class Roles(lab.Case):
    """Promise S7, as real users: default deny, every role by every method."""

    def test_every_role_may_do_what_the_table_says_and_nothing_else(self):
        if os.geteuid() != 0:
            self.skipTest("needs several users: run as root")
        made = self.lab(start=False)
        groups = [row for row in grp.getgrall() if row.gr_gid not in (0, 65534)][:4]
        if len(groups) < 4:
            self.skipTest("needs four Unix groups")
        os.chmod(self.top, 0o755)
        outside = os.path.join(self.top, "run")
        os.mkdir(outside, 0o755)
        path = os.path.join(outside, "control.sock")
        conf = os.path.join(made.dir, "essaimd.conf")
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        text = text.replace("socket =\n", f"socket = {path}\n")
        for role, row in zip(ROLES[1:], groups):
            text = text.replace(f"\n{role} =\n", f"\n{role} = {row.gr_name}\n")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(text)
        made.start()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        os.chmod(path, 0o666)  # the roles alone decide here
        for index, role in enumerate(ROLES):
            held = [65534] + ([groups[index - 1].gr_gid] if index else [])
            for primary in (held, held[::-1]):  # as main group or as a further one
                found = as_user(65533, primary, lambda: codes_at(path))
                if role == "none":
                    self.assertEqual(found, "E-ROLE")
                    continue
                self.assertEqual(set(found), set(ROLE_OF), f"{role}: {found}")
                for method, code in found.items():
                    allowed = index >= ROLES.index(ROLE_OF[method])
                    self.assertEqual(code != "E-ROLE", allowed, f"{role} {method}: {code}")
        everything = [row.gr_gid for row in groups]  # the highest of several counts
        self.assertNotIn("E-ROLE", as_user(65533, everything, lambda: codes_at(path)).values())

    def test_the_data_directory_itself_is_closed_to_others(self):
        if os.geteuid() != 0:
            self.skipTest("needs several users: run as root")
        made = self.lab()
        os.chmod(self.top, 0o755)
        found = as_user(65533, [65533], lambda: codes_at(os.path.join(made.dir, "control.sock")))
        self.assertIn("Permission", found)


class Abuse(lab.Case):
    """The network at its worst: connections that are none (promises N1 to N3, at their CI size)."""

    limit_s = 120

    def honest_pair(self):
        first, second = self.lab("Ti Lab"), self.lab("Région Sud")
        second.meets(first)
        first.publish([resource("before")])
        lab.converge([first, second], lambda: len(second.entries()) == 1)
        return first, second

    @staticmethod
    def connect(made):
        host, port = made.address.rsplit(":", 1)
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        link.settimeout(5 * tap.SLOW)
        link.connect((host, int(port)))
        return link

    def test_thousands_of_garbage_connections_leave_no_trace(self):
        first, second = self.honest_pair()
        fds, rss = count_fds(first.process), rss_kb(first.process)
        for number in range(3000):
            with self.connect(first) as link:
                try:
                    if number % 3 == 0:
                        link.sendall(os.urandom(1 + number % 3000))
                    elif number % 3 == 1:
                        link.sendall(b"\x00\x20" + os.urandom(32))
                        link.recv(64)
                    else:
                        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                except OSError as error:
                    if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                        raise
            if number % 500 == 0:
                first.publish([resource(f"during-{number}")])
        lab.converge([first, second], lambda: len(second.entries()) == 7)
        until(lambda: abs(count_fds(first.process) - fds) <= 2, [first], 30 * tap.SLOW,
              "descriptors coming back")
        if tap.SLOW == 1:
            self.assertLess(rss_kb(first.process) - rss, 16 << 10)

    def test_those_who_say_nothing_are_closed_after_the_handshake_limit(self):
        first, second = self.honest_pair()
        began = time.monotonic()
        silent = [self.connect(first) for _ in range(40)]
        for link in silent[::2]:
            link.sendall(b"\0")
        first.publish([resource("meanwhile")])
        lab.converge([first, second], lambda: len(second.entries()) == 2)
        for link in silent:
            link.settimeout(10 * tap.SLOW)
            try:
                self.assertEqual(link.recv(1), b"")
            except ConnectionResetError:
                pass
            link.close()
        self.assertLess(time.monotonic() - began, 10 * tap.SLOW)

    def test_with_few_descriptors_the_command_line_is_answered(self):
        made = self.lab(start=False)
        made.start(preexec=lambda: limits.setrlimit(limits.RLIMIT_NOFILE, (64, 64)))
        flood = []
        try:
            for _ in range(200):
                link = socket.socket()
                link.setblocking(False)
                host, port = made.address.rsplit(":", 1)
                link.connect_ex((host, int(port)))
                flood.append(link)
            times = []
            for _ in range(50):
                began = time.monotonic()
                with made.connect() as client:
                    client.call("hello")
                times.append(time.monotonic() - began)
            self.assertLess(sorted(times)[-2], 0.2 * tap.SLOW)
            with open(f"/proc/{made.process.pid}/stat", encoding="ascii") as file:
                before = sum(int(word) for word in file.read().split()[13:15])
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 1, [made])
            with open(f"/proc/{made.process.pid}/stat", encoding="ascii") as file:
                used = sum(int(word) for word in file.read().split()[13:15]) - before
            took = time.monotonic() - began
            self.assertLess(used / os.sysconf("SC_CLK_TCK") / took, 0.2)
        finally:
            for link in flood:
                link.close()
        other = self.lab("Other")
        other.meets(made)
        made.publish([resource("a")])
        lab.converge([made, other], lambda: len(other.entries()) == 1)

    def test_more_clients_than_are_heard_wait_for_their_turn(self):
        made = self.lab()
        crowd = [made.connect() for _ in range(64)]
        crowd[-1].call("hello")
        late = made.connect()
        number = late.ask("hello")
        crowd.pop(0).close()
        self.assertEqual(late.response(number)[1]["role"], "admin")
        for client in [*crowd, late]:
            client.close()

    def test_a_client_that_reads_nothing_costs_a_bounded_amount(self):
        made = self.lab()
        made.publish([resource(f"r{i}", "Un lieu. " * 50) for i in range(2000)])
        deaf = made.connect()
        deaf.socket.settimeout(1)
        before = made.anonymous_kb()
        try:
            for _ in range(2000):
                deaf.ask("list", limit=1000)
        except TimeoutError:
            pass
        with made.connect() as other:
            other.call("hello")
        if tap.SLOW == 1:
            self.assertLess(made.anonymous_kb() - before, 16 << 10)
        deaf.close()

    def test_requests_of_many_clients_are_all_answered_in_order(self):
        made = self.lab()
        clients = [made.connect() for _ in range(20)]
        numbers = {}
        for turn in range(30):
            for index, client in enumerate(clients):
                slug, kind, body = resource(f"c{index}-{turn}")
                numbers[index, turn] = client.ask("publish",
                                                  entries=[[slug, kind, lab.pack(body)]])
        for (index, turn), number in numbers.items():
            error, result = clients[index].response(number)
            self.assertIsNone(error)
            self.assertEqual(result["statuses"], bytes([lab.CREATED]), (index, turn))
        self.assertEqual(len(made.entries()), 600)
        self.assertLess(made.rpc("labs")["labs"][0]["catalogues"][0]["n"], 600)  # shared commits
        for client in clients:
            client.close()


if __name__ == "__main__":
    tap.main()
