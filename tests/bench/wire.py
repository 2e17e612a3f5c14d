#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""wire.py PORT TARGET: a TCP relay on loopback that counts what passes.

Dial PORT and speak with TARGET. It obeys one word a line on stdin: `count` answers one line of JSON
about what passed since the last `count` and starts at zero again; `cut` closes every connection.
It ends when stdin does. Bytes are TCP payload; `up` is from who dialled. `runs` counts how often
the direction changed: a question and its answer are two runs.
"""
import collections
import json
import selectors
import socket
import subprocess
import sys
import time

READ_SIZE = 256 * 1024


class Side:
    """One socket of a relayed connection; what waits to be written to it."""

    def __init__(self, sock, up):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.up = sock, up
        self.other = None
        self.waiting = collections.deque()
        self.ended = False  # nothing more will be read from it
        self.shut = False  # nothing more will be written to it
        self.events = None


class Relay:
    """Every connection, and the counts."""

    def __init__(self, port, target):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.target = target
        self.sides = set()
        self.begin()

    def begin(self):
        self.counts = {"up": 0, "down": 0, "runs": 0, "connections": 0, "first_s": 0.0,
                       "last_s": 0.0}
        self.last_up = None

    def accept(self):
        sock, _ = self.listener.accept()
        self.counts["connections"] += 1
        self.counts["first_s"] = self.counts["first_s"] or time.monotonic()
        try:
            target = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            sock.close()
            return
        one, two = Side(sock, True), Side(target, False)
        one.other, two.other = two, one
        for side in (one, two):
            self.sides.add(side)
            self.attend(side)

    def attend(self, side):
        """What to wait for: bytes, unless the other side is slow; room, if something waits."""
        events = 0
        if not side.ended and len(side.other.waiting) < 8:
            events |= selectors.EVENT_READ
        if side.waiting:
            events |= selectors.EVENT_WRITE
        if events == side.events:
            return
        if side.events:
            self.selector.unregister(side.sock)
        if events:
            self.selector.register(side.sock, events, side)
        side.events = events

    def close(self, side):
        for each in (side, side.other):
            if each in self.sides:
                self.sides.discard(each)
                if each.events:
                    self.selector.unregister(each.sock)
                each.sock.close()

    def read(self, side):
        try:
            chunk = side.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        if not chunk:
            side.ended = True
            return
        counts = self.counts
        counts["up" if side.up else "down"] += len(chunk)
        counts["runs"] += side.up != self.last_up
        counts["last_s"] = time.monotonic()
        self.last_up = side.up
        side.other.waiting.append(chunk)
        self.write(side.other)

    def write(self, side):
        while side.waiting:
            try:
                done = side.sock.send(side.waiting[0])
            except BlockingIOError:
                return
            if done < len(side.waiting[0]):
                side.waiting[0] = side.waiting[0][done:]
            else:
                side.waiting.popleft()

    def serve(self, side, events):
        try:
            if events & selectors.EVENT_READ:
                self.read(side)
            if events & selectors.EVENT_WRITE:
                self.write(side)
            for one in (side, side.other):
                if one.other.ended and not one.waiting and not one.shut:
                    one.shut = True
                    one.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(side)
            return
        if side.shut and side.other.shut:
            self.close(side)
            return
        self.attend(side)
        self.attend(side.other)

    def obey(self):
        """One word from stdin; False at its end."""
        word = sys.stdin.readline().strip()
        if word == "count":
            print(json.dumps(self.counts), flush=True)
            self.begin()
        elif word == "cut":
            for side in list(self.sides):
                self.close(side)
            print("{}", flush=True)
        return word != ""

    def run(self):
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.obey)
        print("{}", flush=True)
        while True:
            for key, events in self.selector.select():
                if isinstance(key.data, Side):
                    if key.data in self.sides:
                        self.serve(key.data, events)
                elif key.data() is False:
                    return


class Wire:
    """A relay in a process of its own, as the bench uses it."""

    def __init__(self, port, target):
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(port), str(target)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def count(self):
        """What passed since the last time."""
        return self.ask("count")

    def cut(self):
        self.ask("cut")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    Relay(int(sys.argv[1]), int(sys.argv[2])).run()
