# SPDX-License-Identifier: EUPL-1.2
"""A network between two daemons that does what networks do, and what an enemy on the way would.

    with Chaos(b.address) as way:            listens at way.address, hands on to b
        a.rpc("peers_add", lab=b.did, address=way.address)
        way.delay(0.2, jitter=0.1)           seconds, either direction
        way.throttle(20000, UP)              bytes a second, from the dialler on
        way.hole()                           swallows everything, closes nothing; way.heal()
        way.cut()                            resets what is open
        way.refuse()                         and takes nothing new
        way.flip(1000, DOWN)                 one bit of that byte of each connection from now on
        way.half_open()                      the dialler's end goes, the other is not told
        way.listen_in(Splicer())             frames replayed, reflected, in another order

A thread of its own moves the bytes; what a test sets holds from the next piece on, for connections
that stand and for new ones. heal() takes everything back.
"""
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import threading
import time

UP, DOWN = 0, 1  # from who dialled; to who dialled
PIECE = 1 << 14
WAITING_MAX = 1 << 20  # bytes under way in one direction; then nothing more is read


class Way:
    """One direction of one connection."""

    def __init__(self, source, sink, direction):
        self.source, self.sink, self.direction = source, sink, direction
        self.seen = 0  # bytes read so far
        self.waiting = []  # (due, number, bytes)
        self.size = 0  # of them
        self.free_at = 0.0  # a throttled way is busy until then
        self.last_due = 0.0
        self.ended = self.shut = False


class Pair:
    """A connection: the dialler's end, the one to the target, and the two ways between them."""

    def __init__(self, number, dialler, other):
        self.number, self.ends = number, [dialler, other]
        self.ways = [Way(dialler, other, UP), Way(other, dialler, DOWN)]
        self.half = False


class Chaos:
    """See above."""

    def __init__(self, target, seed=0):
        self.target = (target.rsplit(":", 1)[0].strip("[]"), int(target.rsplit(":", 1)[1]))
        self.dice = random.Random(seed)
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.opened = self.flipped = self.swallowed = 0
        self.dead = False
        self.reset = None  # "all", or "dialler"
        self.pairs = []
        self._calm()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.server.setblocking(False)
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.wake_out, self.wake_in = os.pipe()
        os.set_blocking(self.wake_out, False)
        os.set_blocking(self.wake_in, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.server, selectors.EVENT_READ)
        self.selector.register(self.wake_out, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # -- what a test says

    def _calm(self):
        self.delay_s, self.jitter_s, self.rate = [0, 0], [0, 0], [0, 0]
        self.holes, self.refusing = [False, False], False
        self.flip_at, self.tap = [None, None], None

    def _set(self, values, value, direction):
        with self.lock:
            for each in (UP, DOWN) if direction is None else (direction,):
                values[each] = value
        self._wake()

    def _wake(self):
        try:
            os.write(self.wake_in, b"x")
        except BlockingIOError:
            pass

    def delay(self, seconds, jitter=0, direction=None):
        self._set(self.jitter_s, jitter, direction)
        self._set(self.delay_s, seconds, direction)

    def throttle(self, rate, direction=None):
        self._set(self.rate, rate, direction)

    def hole(self, direction=None):
        self._set(self.holes, True, direction)

    def flip(self, at, direction=None):
        self._set(self.flip_at, at, direction)

    def refuse(self, refusing=True):
        self.refusing = refusing

    def cut(self):
        self.reset = "all"
        self._wake()

    def half_open(self):
        self.reset = "dialler"
        self._wake()

    def listen_in(self, tap):
        """From now on tap(number of the connection, direction, bytes) says what goes on instead."""
        self.tap = tap

    def heal(self):
        """All well again; what was held back goes on at once."""
        with self.lock:
            self._calm()
            for way in [way for pair in self.pairs for way in pair.ways]:
                way.waiting = [(0, number, octets) for _, number, octets in sorted(way.waiting)]
                way.free_at = way.last_due = 0
        self._wake()

    def close(self):
        self.dead = True
        self._wake()
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the thread

    def _run(self):
        try:
            while not self.dead:
                self._turn()
        finally:
            for pair in list(self.pairs):
                self._reset(pair)
            self.server.close()
            self.selector.close()
            os.close(self.wake_in)
            os.close(self.wake_out)

    def _turn(self):
        timeout = self._deliver()
        for key, _ in self.selector.select(timeout):
            if key.fileobj is self.server:
                self._accept()
            elif key.fileobj == self.wake_out:
                os.read(self.wake_out, 4096)
            elif key.data is not None:
                self._read(*key.data)
        what, self.reset = self.reset, None
        for pair in list(self.pairs):
            if what == "all":
                self._reset(pair)
            elif what == "dialler":
                self._half_open(pair)
            self._interests(pair)

    def _accept(self):
        try:
            dialler, _ = self.server.accept()
        except OSError:
            return
        if self.refusing:
            self._abort(dialler)
            return
        try:
            other = socket.create_connection(self.target, 5)
        except OSError:
            self._abort(dialler)
            return
        for each in (dialler, other):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.append(Pair(self.opened, dialler, other))
        self.opened += 1

    @staticmethod
    def _abort(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def _close(self, connection):
        try:
            self.selector.unregister(connection)
        except (KeyError, ValueError):
            pass
        try:
            self._abort(connection)
        except OSError:
            pass

    def _reset(self, pair):
        for each in pair.ends:
            self._close(each)
        if pair in self.pairs:
            self.pairs.remove(pair)

    def _half_open(self, pair):
        """The dialler's end is gone; whatever the other sends is swallowed from now on."""
        if not pair.half:
            pair.half = True
            self._close(pair.ends[0])

    def _interests(self, pair):
        """Reads from who may send; an end that holds data back is felt by its sender."""
        for way in pair.ways[1:] if pair.half else pair.ways:
            if pair not in self.pairs:
                return
            wanted = not way.ended and way.size < WAITING_MAX
            try:
                self.selector.get_key(way.source)
                if not wanted:
                    self.selector.unregister(way.source)
            except KeyError:
                if wanted:
                    self.selector.register(way.source, selectors.EVENT_READ, (pair, way))

    def _read(self, pair, way):
        if pair not in self.pairs:
            return
        try:
            octets = way.source.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._reset(pair)
            return
        if not octets and pair.half:
            self._reset(pair)
            return
        if not octets:
            way.ended = True
            if self.holes[way.direction]:
                way.shut = True  # not even that is told
            return
        with self.lock:
            self._take(pair, way, octets)

    def _take(self, pair, way, octets):
        at = self.flip_at[way.direction]
        if at is not None and way.seen <= at < way.seen + len(octets):
            changed = bytearray(octets)
            changed[at - way.seen] ^= 1 << self.dice.randrange(8)
            octets = bytes(changed)
            self.flipped += 1
        way.seen += len(octets)
        if self.tap is not None:
            octets = self.tap(pair.number, way.direction, octets)
        if self.holes[way.direction] or pair.half:
            self.swallowed += len(octets)
            return
        self.put(way, octets)

    def put(self, way, octets):
        now = time.monotonic()
        due = now + self.delay_s[way.direction] + self.dice.random() * self.jitter_s[way.direction]
        rate = self.rate[way.direction]
        if rate:
            way.free_at = max(way.free_at, now) + len(octets) / rate
            due = max(due, way.free_at)
        way.last_due = due = max(due, way.last_due)  # TCP keeps the order
        heapq.heappush(way.waiting, (due, next(self.numbers), octets))
        way.size += len(octets)

    def _deliver(self):
        """Hands on what is due; seconds until more is."""
        soonest = 0.5
        now = time.monotonic()
        for pair in list(self.pairs):
            for way in [] if pair.half else pair.ways:
                try:
                    with self.lock:
                        soonest = min(soonest, self._deliver_way(way, now))
                except OSError:
                    self._reset(pair)
                    break
            if all(way.shut for way in pair.ways) and pair in self.pairs:
                self._reset(pair)
        return max(soonest, 0)

    @staticmethod
    def _deliver_way(way, now):
        while way.waiting and way.waiting[0][0] <= now:
            due, number, octets = way.waiting[0]
            try:
                sent = way.sink.send(octets)
            except BlockingIOError:
                return 0.01
            heapq.heappop(way.waiting)
            way.size -= sent
            if sent < len(octets):
                heapq.heappush(way.waiting, (due, number, octets[sent:]))
                return 0.01
        if way.ended and not way.waiting and not way.shut:
            way.shut = True
            way.sink.shutdown(socket.SHUT_WR)
        return way.waiting[0][0] - now if way.waiting else 0.5


class Frames:
    """Puts the frames (2 bytes of length, and so many) of a stream of pieces together again."""

    def __init__(self):
        self.pending = b""

    def feed(self, octets):
        """Whole frames, with their lengths."""
        self.pending += octets
        found = []
        while len(self.pending) >= 2:
            size = 2 + int.from_bytes(self.pending[:2], "big")
            if len(self.pending) < size:
                break
            found.append(self.pending[:size])
            self.pending = self.pending[size:]
        return found


class Splicer:
    """An enemy on the way who knows frames when he sees them; for Chaos.listen_in.

    The first connection is only recorded. Of each later one, frame number `at` of `direction` is
    replaced by the first's of that number ("replay"), preceded by it ("insert"), sent twice
    ("double"), left out ("drop"), changed for the one behind it ("swap"), or preceded by the last
    one of the other direction ("reflect"). `done` counts what was done.
    """

    HOWS = ("replay", "insert", "double", "drop", "swap", "reflect")

    def __init__(self):
        self.first = None
        self.kept = {}  # (connection, direction) -> its frames, as they came
        self.parts = {}
        self.how, self.at, self.direction = None, 0, UP
        self.held, self.done = {}, 0

    def attack(self, how, at, direction):
        """From the next connection on."""
        self.how, self.at, self.direction, self.done, self.held = how, at, direction, 0, {}

    def __call__(self, number, direction, octets):
        self.first = number if self.first is None else self.first
        way = number, direction
        kept = self.kept.setdefault(way, [])
        out = b""
        for frame in self.parts.setdefault(way, Frames()).feed(octets):
            kept.append(frame)
            mine = self.how and number != self.first and direction == self.direction
            out += self.turn(way, len(kept) - 1, frame) if mine else frame
        return out

    def turn(self, way, count, frame):
        """What goes on instead of this frame."""
        if way in self.held:
            self.done += 1
            return frame + self.held.pop(way)
        recorded = self.kept.get((self.first, way[1]), [])
        answers = self.kept.get((way[0], 1 - way[1]), [])
        if count != self.at:
            return frame
        if self.how == "swap":
            self.held[way] = frame
            return b""
        instead = {"drop": b"", "double": frame + frame,
                   "replay": recorded[count] if count < len(recorded) else None,
                   "insert": recorded[count] + frame if count < len(recorded) else None,
                   "reflect": answers[-1] + frame if answers else None}[self.how]
        if instead is None:
            return frame
        self.done += 1
        return instead
