# SPDX-License-Identifier: EUPL-1.2
"""labs.py: a lab to measure: its directory, daemon, command line and control socket; and what the
kernel says about a process.

Everything is bounded in time; what takes too long, or answers with an error, raises Failure.
Daemons are ended by their own pid.
"""
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time

import msgpack

LIMIT_S = 60  # for any one thing to happen


class Failure(Exception):
    """Something that had to work did not."""


def free_ports(count):
    """Ports nobody listens on, all held at once so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Rpc:
    """One connection to a control socket (doc/control.md)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(path)
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 26)
        self.messages = []
        self.last_id = 0

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def request(self, method, params=None):
        """The bytes of a request, and its id."""
        self.last_id += 1
        array = [] if params is None else [params]
        return msgpack.packb([0, self.last_id, method, array]), self.last_id

    def send(self, method, params=None):
        message, number = self.request(method, params)
        self.sock.sendall(message)
        return number

    def receive(self):
        """What came in with one read, whole messages only; waits for bytes."""
        try:
            chunk = self.sock.recv(1 << 18)
        except TimeoutError as late:
            raise Failure("the daemon does not answer") from late
        if not chunk:
            raise Failure("the daemon closed the control connection")
        self.unpacker.feed(chunk)
        return list(self.unpacker)

    def result(self, number):
        """Waits for the answer to request `number`; notifications are kept in `messages`."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            answer = None
            for message in self.receive():
                if message[0] == 1 and message[1] == number:
                    answer = message
                else:
                    self.messages.append(message)
            if answer is not None:
                if answer[2] is not None:
                    raise Failure(f"the daemon refuses: {answer[2]}")
                return answer[3]
        raise Failure("no answer")

    def call(self, method, params=None):
        return self.result(self.send(method, params))


class Lab:
    """One lab; its daemon may run under a `wrapper`, a command that counts what it does."""

    wrapper = ()

    def __init__(self, build, top, key):
        self.build, self.key = build, key
        self.folder = os.path.join(top, key)
        self.port, = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        created = self.essaim("init", self.folder, "--name", f"Banc {key}",
                              "--listen", self.address, place=())
        self.did = re.search(r"did:key:z\w+", created).group()
        self.conf("entries", 10000000)
        self.conf("bytes", 1 << 34)

    def conf(self, key, value):
        """One number in the settings: these are measurements, not a quota's test."""
        path = os.path.join(self.folder, "essaimd.conf")
        with open(path, encoding="utf-8") as file:
            text, count = re.subn(rf"^[#; ]*{key} *=.*$", f"{key} = {value}", file.read(),
                                  flags=re.MULTILINE)
        if count != 1:
            raise Failure(f"{path}: {count} lines set {key!r}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def command(self, *arguments, place=None):
        place = ("--dir", self.folder) if place is None else place
        return [os.path.join(self.build, "cli", "essaim"), *place, *arguments]

    def essaim(self, *arguments, place=None):
        """Runs the command line; its stdout."""
        done = subprocess.run(
            self.command(*arguments, place=place), stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            raise Failure(f"essaim {' '.join(arguments)}: code {done.returncode}\n{done.stderr}")
        return done.stdout

    def start(self):
        """Starts the daemon; seconds until it said it is ready."""
        path = self.folder + ".ready"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(path)
            ready.settimeout(LIMIT_S)
            with open(self.folder + ".log", "ab") as log:
                begin = time.monotonic()
                self.process = subprocess.Popen(
                    [*self.wrapper, os.path.join(self.build, "daemon", "essaimd"),
                     "--dir", self.folder],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, "NOTIFY_SOCKET": path})
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
                return time.monotonic() - begin
            except TimeoutError as late:
                raise Failure(f"the daemon of {self.key} is not ready: see {self.folder}.log"
                              ) from late
            finally:
                os.unlink(path)

    @property
    def pid(self):
        return self.process.pid

    def rpc(self):
        return Rpc(os.path.join(self.folder, "control.sock"))

    def ask(self, method, params=None):
        """One question on a connection of its own."""
        rpc = self.rpc()
        try:
            return rpc.call(method, params)
        finally:
            rpc.close()

    def status(self):
        return self.ask("status")

    def link(self, other):
        """The one link of this lab, with that other; None while it is not up."""
        for link in self.status()["links"]:
            if link["state"] == "linked" and link["name"] == f"Banc {other.key}":
                return link
        return None

    def allow(self, other):
        self.ask("peers_add", {"lab": other.did})

    def dial(self, other, port=None):
        """Dials, or dials again; maybe through a relay."""
        self.ask("peers_add", {"lab": other.did, "address": f"127.0.0.1:{port or other.port}"})

    def forget(self, other):
        self.ask("peers_remove", {"lab": other.did})

    def until(self, what, limit_s=LIMIT_S):
        """Asks `what(status)` until it is true."""
        end = time.monotonic() + limit_s
        rpc = self.rpc()
        try:
            while True:
                status = rpc.call("status")
                if what(status):
                    return status
                if time.monotonic() > end:
                    raise Failure(f"{self.key}: waited in vain; {status}")
                time.sleep(0.002)
        finally:
            rpc.close()

    def disk(self):
        """Bytes on disk, without a search index."""
        return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
                   for folder, _, names in os.walk(self.folder) for name in names
                   if not name.startswith("search.db"))

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"the daemon of {self.key} does not end") from None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


# ---- processes ----

def cpu_s(pid):
    """Seconds on a processor so far, all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def private_bytes(pid):
    """Private memory without mapped file pages (LMDB's map of its file is the page cache)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for row in file:
            if row.startswith("Anonymous:"):
                return int(row.split()[1]) * 1024
    raise Failure("no smaps_rollup")


class Peaks:
    """Samples the private memory of processes every 5 ms, in a process of its own."""

    def __init__(self, *pids):
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, pids)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def done(self):
        """The peaks, in the order of the pids."""
        self.process.stdin.close()
        peaks = json.loads(self.process.stdout.readline())
        self.process.stdout.close()
        self.process.wait(10)
        return peaks


def peaks_main(pids):
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    peaks = [private_bytes(pid) for pid in pids]
    print("begun", flush=True)
    while not selector.select(0.005):
        peaks = [max(peak, private_bytes(pid)) for peak, pid in zip(peaks, pids)]
    print(json.dumps(peaks), flush=True)


if __name__ == "__main__":
    peaks_main([int(word) for word in sys.argv[1:]])
