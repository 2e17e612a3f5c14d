# SPDX-License-Identifier: EUPL-1.2
"""Labs for the tests: a directory, a daemon, a command line and a msgpack-RPC client each.

    class Mesh(lab.Case):
        def test_something(self):
            a, b = self.lab("Ti Lab"), self.lab("Région Sud")     # made and started
            a.meets(b)                                            # a dials b
            a.publish([resource("salle")])
            lab.converge([a, b], lambda: len(b.entries()) == 1)

Everything is bounded in time, nothing sleeps: READY comes as a datagram, changes as notifications.
Every daemon started here is ended here, and dies with the test program whatever happens to it.
ESSAIM_BUILD names the build directory, ESSAIM_SANITIZED makes everything more patient.
"""
import collections
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(SOURCE, "tests", "peer"))  # so that tests may import peer
BUILD = os.environ.get("ESSAIM_BUILD", os.path.join(SOURCE, "build", "gcc"))
ESSAIM = os.path.join(BUILD, "cli", "essaim")
ESSAIMD = os.path.join(BUILD, "daemon", "essaimd")
LIMIT_S = 20 * tap.SLOW  # for any one thing to happen
LIBC = ctypes.CDLL(None, use_errno=True)
CREATED, UPDATED, UNCHANGED, REFUSED = range(4)


class Failure(Exception):
    """Something the tests lean on did not happen."""


class RpcError(Exception):
    """An error response; `code` is the E-… code."""

    def __init__(self, error):
        super().__init__(str(error))
        self.code = error.get("code") if isinstance(error, dict) else None
        self.field = error.get("field") if isinstance(error, dict) else None


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def pack(value):
    """Canonical msgpack: maps ascending by key."""
    if isinstance(value, dict):
        value = ordered(value)
    return msgpack.packb(value, use_bin_type=True)


def ordered(value):
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=str.encode)}
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value


def resource(slug, text="Une salle de 200 m²", **more):
    """A small valid entry: (slug, kind, body)."""
    body = {"title": {"fr": f"Ressource {slug}"}, "summary": {"fr": text}, "type": "space",
            "terms": "free", **more}
    return slug, "resource", body


class Control:
    """One connection to a control socket: any msgpack-RPC client would do as well."""

    def __init__(self, path, timeout=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout or LIMIT_S)
        self.socket.connect(path)
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=64 << 20)
        self.notifications = collections.deque()
        self.responses = {}
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def raw(self, octets):
        self.socket.sendall(octets)

    def ask(self, method, params=None, **more):
        """Sends a request without waiting; its id."""
        self.last_id += 1
        params = {**(params or {}), **more}
        self.raw(msgpack.packb([0, self.last_id, method, [params] if params else []],
                               use_bin_type=True))
        return self.last_id

    def receive(self):
        """The next message, None at the end of the stream."""
        while True:
            for message in self.unpacker:
                return message
            octets = self.socket.recv(1 << 16)
            if not octets:
                return None
            self.unpacker.feed(octets)

    def response(self, number):
        """[error, result] of a request."""
        while number not in self.responses:
            message = self.receive()
            if message is None:
                raise Failure("the daemon closed the control connection")
            if message[0] == 2:
                self.notifications.append(message[1:])
            else:
                self.responses[message[1]] = message[2:]
        return self.responses.pop(number)

    def call(self, method, params=None, **more):
        error, result = self.response(self.ask(method, params, **more))
        if error is not None:
            raise RpcError(error)
        return result

    def wait(self, seconds):
        """Until something arrives, or the time is over. True: a notification waits."""
        if not self.notifications and select.select([self.socket], [], [], max(seconds, 0))[0]:
            message = self.receive()
            if message is None:
                raise Failure("the daemon closed the control connection")
            if message[0] == 2:
                self.notifications.append(message[1:])
            else:
                self.responses[message[1]] = message[2:]
        return bool(self.notifications)


class Lab:
    """One lab. Made by Case.lab()."""

    def __init__(self, top, name, listen="127.0.0.1:0", folder=None):
        self.name = name
        self.dir = os.path.join(
            top, folder or "".join(c for c in name if c.isalnum() and c.isascii()))
        self.log_path = self.dir + ".log"
        self.process = self.client = None
        self.address = None
        self.environment = {}
        words = ["init", self.dir, "--name", name] + (["--listen", listen] if listen else [])
        done = self.run([ESSAIM, *words])
        if done.returncode != 0:
            raise Failure(f"essaim init: {done.returncode}\n{done.stderr}")
        self.did = next(word for word in done.stdout.split() if word.startswith("did:key:"))
        self.listens = bool(listen)

    # -- the command line

    @staticmethod
    def run(words, stdin=None, limit_s=None, **environment):
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("ESSAIM_DIR", "LC_", "LANG"))}
        return subprocess.run(words, input=stdin, capture_output=True,
                              text=not isinstance(stdin, bytes), timeout=limit_s or LIMIT_S * 3,
                              check=False, preexec_fn=die_with_parent,
                              stdin=None if stdin is not None else subprocess.DEVNULL,
                              env={**kept, "LC_ALL": "C.UTF-8", **environment})

    def cli(self, *words, stdin=None, limit_s=None, **environment):
        """Runs essaim --dir DIR …; .returncode .stdout .stderr."""
        return self.run([ESSAIM, "--dir", self.dir, *words], stdin, limit_s, **environment)

    def good(self, *words, stdin=None, limit_s=None, **environment):
        """The stdout of a command that must succeed."""
        done = self.cli(*words, stdin=stdin, limit_s=limit_s, **environment)
        if done.returncode != 0:
            raise Failure(f"essaim {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done.stdout

    # -- the daemon

    def start(self, wrap=(), preexec=None):
        """Starts essaimd and waits for READY."""
        if self.process is not None:
            raise Failure("already running")

        def prepare():
            die_with_parent()
            if preexec:
                preexec()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            path = self.dir + ".ready"
            if os.path.exists(path):
                os.unlink(path)
            ready.bind(path)
            try:
                with open(self.log_path, "ab") as log:
                    self.process = subprocess.Popen(
                        [*wrap, ESSAIMD, "--dir", self.dir], stdin=subprocess.DEVNULL, stdout=log,
                        stderr=log, start_new_session=True, preexec_fn=prepare,
                        env={**os.environ, "NOTIFY_SOCKET": path, **self.environment})
                self.await_ready(ready)
            finally:
                os.unlink(path)
        if self.listens:
            with open(os.path.join(self.dir, "listen"), encoding="ascii") as file:
                self.address = file.read().strip()
            if not self.address.count(":"):
                self.address = "127.0.0.1:" + self.address
        return self

    def await_ready(self, ready):
        """READY=1 within the limit, and the daemon alive meanwhile."""
        end = time.monotonic() + LIMIT_S
        ready.settimeout(0.2)
        while True:
            try:
                if b"READY=1" in ready.recv(4096):
                    return
            except TimeoutError:
                pass
            status = self.process.poll()
            if status is not None or time.monotonic() > end:
                self.kill()
                raise Failure(f"{self.name}: not ready (status {status})\n{self.log_tail()}")

    def keep_address(self):
        """From the next start on it listens where it does now, so that others find it again."""
        path = os.path.join(self.dir, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        lines = [f"listen = {self.address}" if line.split("=")[0].strip() == "listen" else line
                 for line in lines]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def drop_client(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def stop(self):
        """SIGTERM; the exit status."""
        self.drop_client()
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"{self.name}: SIGTERM does not end it\n{self.log_tail()}") from None

    def kill(self):
        """SIGKILL, to this daemon alone."""
        self.drop_client()
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self, lines=30):
        """The end of its log, or the part where a sanitizer speaks."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                said = log.readlines()
        except FileNotFoundError:
            return ""
        for number, line in enumerate(said):
            if "Sanitizer: " in line or "runtime error: " in line:
                return "".join(said[number:number + 150])
        return "".join(said[-lines:])

    # -- what it says

    def connect(self, timeout=None):
        """A control connection of its own."""
        return Control(os.path.join(self.dir, "control.sock"), timeout)

    def rpc(self, method, params=None, **more):
        if self.client is None:
            self.client = self.connect()
        return self.client.call(method, params, **more)

    @property
    def id(self):
        if not hasattr(self, "_id"):
            self._id = self.rpc("hello")["lab"]
        return self._id

    def knows(self, other, **more):
        """Lets another lab dial this one."""
        self.rpc("peers_add", lab=other.did, **more)

    def dials(self, other, **more):
        self.rpc("peers_add", lab=other.did, address=other.address, **more)

    def meets(self, other):
        """A link, both sides willing: this one dials."""
        other.knows(self)
        self.dials(other)

    def publish(self, entries, size=512 << 10, **more):
        """One batch, in as many requests as it takes; the last result."""
        part, held = [], 0
        for entry in entries:
            slug, kind, body = entry[:3]
            packed = body if isinstance(body, bytes) else pack(body)
            if held + len(packed) > size:
                self.rpc("publish", entries=part, more=True)
                part, held = [], 0
            part.append([slug, kind, packed, *entry[3:]])
            held += len(packed) + 128
        return self.rpc("publish", entries=part, **more)

    def withdraw(self, *slugs):
        return self.rpc("withdraw", slugs=list(slugs))

    def heads(self):
        """{(lab id, audience): (n, count, bytes, root, head_hash)}"""
        return {(lab["lab"], each["audience"]):
                (each["n"], each["count"], each["bytes"], each["root"], each["head_hash"])
                for lab in self.rpc("labs")["labs"] for each in lab["catalogues"]}

    def entries(self, **filters):
        """{(lab id, slug): entry bytes}, every page."""
        found, after = {}, None
        while True:
            page = self.rpc("list", {**filters, **({"after": after} if after else {})})
            for lab, entry in page["entries"]:
                key = lab, msgpack.unpackb(entry, raw=False)[0]
                if key in found:
                    raise Failure(f"listed twice: {key}")
                found[key] = entry
            after = page["next"]
            if after is None:
                return found

    def verify(self):
        """Every page; (problems, catalogues, checked)."""
        problems, catalogues, after = [], [], None
        while True:
            page = self.rpc("verify", {"after": after} if after else {})
            problems += page["problems"]
            catalogues += page["labs"]
            after = page["next"]
            if after is None:
                return problems, catalogues, page["checked"]

    def links(self):
        """Labs it has a working link with."""
        return {link["lab"] for link in self.rpc("status")["links"] if link["state"] in LINKED}

    def anonymous_kb(self):
        """Private memory without mapped file pages."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))


LINKED = {"linked"}


def until(true, labs, limit_s=None, what="what was awaited"):
    """Waits until true() is; looks again at every change at these labs, and now and then."""
    end = time.monotonic() + (limit_s or LIMIT_S)
    watches = []
    try:
        for lab in labs:
            watches.append(lab.connect())
            watches[-1].call("watch")
        while not true():
            if time.monotonic() > end:
                raise Failure(f"{what} did not happen in time")
            select.select([watch.socket for watch in watches], [], [], 0.05)
            for watch in watches:
                while watch.wait(0):
                    watch.notifications.clear()
    finally:
        for watch in watches:
            watch.close()


def converge(labs, also=lambda: True, limit_s=None):
    """Waits until the labs hold the same heads; `also`: and this is true."""
    until(lambda: all(lab.heads() == labs[0].heads() for lab in labs[1:]) and also(), labs, limit_s,
          "the same heads everywhere")


class Case(unittest.TestCase):
    """A case with a directory and labs of its own, all ended after it."""

    maxDiff = 2000
    limit_s = 60
    _shown = []

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="essaim-e2e-")
        self.labs = []
        type(self)._shown = self.labs
        self.addCleanup(self._tidy)

    @classmethod
    def labs_shown(cls):
        return cls._shown

    def lab(self, name="Ti Lab", listen="127.0.0.1:0", start=True, folder=None):
        made = Lab(self.top, name, listen, folder)
        self.labs.append(made)
        return made.start() if start else made

    def labs_in_a_row(self, *names):
        """Started labs, each dialling the one before it."""
        row = [self.lab(name) for name in names]
        for former, latter in zip(row, row[1:]):
            latter.meets(former)
        return row

    def refuses(self, code, call, *arguments, **more):
        """call(…) must end in this error code."""
        with self.assertRaises(RpcError) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.code, code, str(caught.exception))
        return caught.exception

    def clean(self, *labs):
        """verify finds nothing wrong at these labs."""
        for lab in labs:
            problems, catalogues, _ = lab.verify()
            self.assertEqual(problems, [], lab.name)
            self.assertTrue(all(each["ok"] for each in catalogues), lab.name)

    def same(self, *labs):
        """Identical heads and identical bytes."""
        heads, entries = labs[0].heads(), labs[0].entries()
        for lab in labs[1:]:
            self.assertEqual(lab.heads(), heads, lab.name)
            self.assertEqual(lab.entries(), entries, lab.name)

    def _tidy(self):
        """Ends the daemons; each must have ended well, and said nothing a sanitizer says."""
        troubles = []
        for lab in self.labs:
            died = lab.process is not None and lab.process.poll()
            try:
                status = died if died not in (None, False) else lab.stop()
            except Failure as failure:
                status = failure
            if status != 0:
                troubles.append(f"{lab.name} ended with {status}\n{lab.log_tail(60)}")
        shutil.rmtree(self.top, ignore_errors=True)
        self.assertEqual(troubles, [], "\n".join(troubles))


if __name__ == "__main__":
    sys.exit("lab.py is a fixture")
