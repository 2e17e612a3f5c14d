# SPDX-License-Identifier: EUPL-1.2
"""A second Essaim node, in Python, written from doc/protocol.md alone.

    lab = Lab("Ti Lab")                       keys, record, an own catalogue, replicas of others
    lab.publish([("salle", "resource", {…})]) a new head
    link = lab.dial("127.0.0.1:4242", their_id)   handshake and HELLOs, checked
    link.run(lambda: …)                       announces, serves and fetches until that is true

It holds everything in memory, verifies everything it takes, and raises Refused with the reason for
what it does not. Noise is the second implementation of tests/vectors; Ed25519 and the rest come from
libsodium (python3-nacl) and the standard library. For tests: no back-off, one link at a time.
"""
import copy
import hashlib
import os
import select
import socket
import sys
import time

import msgpack
import nacl.exceptions
import nacl.signing
from cryptography.exceptions import InvalidTag

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors"))
import noise_xx  # noqa: E402

PROLOGUE = b"essaim\x01"
NONE = bytes(32)  # no network; also the history of head 1
(HELLO, RECORDS, HEADS, WANT, DELTA, DELTA_END, BUCKETS, BUCKET, PROOF, ACK, PING, PONG, BYE, REKEY,
 JOIN, JOINED, RECEIPTS) = range(1, 18)
ITEMS = {HELLO: 11, RECORDS: 2, HEADS: 3, WANT: 7, DELTA: 5, DELTA_END: 3, BUCKETS: 6, BUCKET: 8,
         PROOF: 5, ACK: 3, PING: 2, PONG: 2, BYE: 3, REKEY: 1, RECEIPTS: 2}
ANSWER = (1 << 64) - 1  # for n in an answer about buckets
FORK_MAX, PART_MAX, SIDES_MAX, SIDE_MAX = 524288, 61440, 16, 16384
FRAME_MAX, TAG = 65535, 16
PATIENCE_S = 40 if os.environ.get("ESSAIM_SANITIZED") else 10  # for the next bytes to come
ENTRY_MAX = 61440
UNSEALED = (InvalidTag, ValueError)  # what noise_xx says of bytes that do not hold
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Refused(Exception):
    """What came is not what the protocol allows."""


class Closed(Refused):
    """The other side closed; .bye is its BYE, or None."""

    def __init__(self, bye=None):
        super().__init__(f"closed, bye {bye}")
        self.bye = bye


class Unlinked(Refused):
    """An opening that does not lead from the held head to the offered one."""


def need(condition, reason, kind=Refused):
    if not condition:
        raise kind(reason)


# -- bytes (§1, §2, §3)

def tagged(tag, payload):
    return tag.encode("ascii").ljust(16, b"\0") + payload


def h32(tag, payload):
    return hashlib.blake2b(tagged(tag, payload), digest_size=32).digest()


def h16(tag, payload):
    return hashlib.blake2b(tagged(tag, payload), digest_size=16).digest()


def ordered(value):
    """Maps ascending by the bytes of their keys, all the way down."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=str.encode)}
    if isinstance(value, (list, tuple)):
        return [ordered(item) for item in value]
    return value


def encode(value):
    return msgpack.packb(ordered(value), use_bin_type=True)


def allowed(value, depth=0):
    """Only what §2 allows; how many nodes."""
    if isinstance(value, dict):
        need(depth < 8, "too deep")
        return 1 + sum(allowed(key, 9) + allowed(item, depth + 1)
                       for key, item in value.items())
    if isinstance(value, list):
        need(depth < 8, "too deep")
        return 1 + sum(allowed(item, depth + 1) for item in value)
    if isinstance(value, str):
        need(not any(c < " " and c not in "\t\n\r" for c in value), "a control character")
    else:
        need(value is None or isinstance(value, (bool, int, bytes)), "a type that is not allowed")
    return 1


def decode(octets):
    """The value of canonical bytes; Refused for any other."""
    try:
        value = msgpack.unpackb(octets, raw=False, strict_map_key=True)
    except Exception as error:  # msgpack raises many kinds
        raise Refused(f"not msgpack: {error!r}") from error
    allowed(value)
    need(encode(value) == octets, "not canonical")
    return value


def to_did(lab):
    number, text = int.from_bytes(b"\xed\x01" + lab, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "did:key:z" + text


def from_did(did):
    number = 0
    for letter in did.removeprefix("did:key:z"):
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes(34, "big")[2:]


# -- signed objects (§4)

def sign(key, tag, payload):
    return encode([payload, key.sign(tagged(tag, payload)).signature])


def opened(key, tag, signed):
    """The payload, once its signature holds."""
    pair = decode(signed)
    need(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], bytes)
         and isinstance(pair[1], bytes) and len(pair[1]) == 64, "not a signed object")
    try:
        nacl.signing.VerifyKey(key).verify(tagged(tag, pair[0]), pair[1])
    except (nacl.exceptions.BadSignatureError, ValueError) as error:
        raise Refused(f"bad signature ({tag})") from error
    return pair[0]


def typed(value, *kinds):
    """An array of exactly these types; bytes of a size where a number is given."""
    need(isinstance(value, list) and len(value) == len(kinds), "a wrong count of items")
    for item, kind in zip(value, kinds):
        if isinstance(kind, type):
            need(type(item) is kind and (kind is not int or item >= 0), "a wrong type")
        elif kind is not None:
            need(isinstance(item, bytes) and len(item) == kind, "bytes of a wrong size")
    return value


class Record:
    """A lab record, checked (§4.1)."""

    def __init__(self, signed):
        payload = decode(signed)[0] if isinstance(decode(signed), list) else None
        need(isinstance(payload, bytes), "not a signed object")
        (word, version, self.lab, self.generation, self.name, self.signing_pk, self.link_pk,
         self.issued_at, self.last_good) = typed(
             decode(payload), str, int, 32, int, str, 32, 32, int, list)
        need(word == "lab" and version == 1 and self.generation >= 1, "not a lab record")
        need(1 <= len(self.name.encode()) <= 64 and "\n" not in self.name, "a bad name")
        opened(self.lab, "essaim1 lab", signed)
        self.signed = signed


class Head:
    """A head, checked against its lab's record (§4.4)."""

    def __init__(self, signed, record_of):
        payload = decode(signed)[0] if isinstance(decode(signed), list) else None
        need(isinstance(payload, bytes), "not a signed object")
        (word, version, self.network, self.lab, self.generation, self.audience, self.n, self.count,
         self.bytes, self.root, self.history, self.issued_at, self.instance) = typed(
             decode(payload), str, int, 32, 32, int, str, int, int, int, 32, 32, int, 16)
        need(word == "head" and version == 1 and self.n >= 1, "not a head")
        record = record_of(self.lab)
        need(record is not None and record.generation == self.generation, "no record for this head")
        opened(record.signing_pk, "essaim1 head", signed)
        need(self.n != 1 or self.history == NONE, "head 1 has a history")
        self.signed, self.hash = signed, h32("essaim1 headhash", payload)
        self.name = self.network, self.lab, self.audience
        self.order = self.generation, self.n


def slug_hash(slug):
    return h16("essaim1 slug", slug.encode())


def hint_of(entry):
    """What is told of an entry that was withdrawn (§6, Fetching)."""
    return slug_hash(decode(entry)[0])[:1] + h16("essaim1 gone", leaf(entry))[:15]


def leaf(entry):
    return h32("essaim1 leaf", entry)


def checked_entry(entry):
    """slug, rev, kind, body of canonical entry bytes (§4.2)."""
    need(len(entry) <= ENTRY_MAX, "an entry over its size")
    slug, rev, kind, body = typed(decode(entry), str, int, str, dict)
    letters = "abcdefghijklmnopqrstuvwxyz"
    need(0 < len(slug) <= 64 and slug[0] != "-" and not set(slug) - set(letters + "0123456789-"),
         "a bad slug")
    need(0 < len(kind) <= 32 and kind[0] in letters and not set(kind) - set(letters + "0123456789-"),
         "a bad kind")
    return slug, rev, kind, body


def pairs_of(entries, bucket):
    """Slug hash and leaf of each of {slug hash: entry bytes} that belongs there."""
    return b"".join(name + leaf(entries[name]) for name in sorted(entries) if name[0] == bucket)


def digests_of(entries):
    """The 256 digests over {slug hash: entry bytes} (§4.3)."""
    buckets = [b""] * 256
    for name in sorted(entries):
        buckets[name[0]] += name + leaf(entries[name])
    return [h32("essaim1 bucket", bucket) for bucket in buckets]


def root_of(entries):
    """The root over {slug hash: entry bytes} (§4.3)."""
    level = digests_of(entries)
    while len(level) > 1:
        level = [h32("essaim1 node", level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def extended(history, head_hash):
    return h32("essaim1 history", history + head_hash)


# -- openings, merge heads, forks (§4.5, §4.6, §8)

def merge_history(trunk_next, side_next):
    """history of a merge head, from what history the next head of each branch would have."""
    return h32("essaim1 merge", trunk_next + side_next)


def opening_items(first, hashes, sides=()):
    """The items of an opening: the trunk's hashes of heads first, first + 1, …; sides are
    (number of the merge head, k, hashes of the side from k on)."""
    items = []
    for n, head_hash in enumerate(hashes, first + 1):  # n: of the head after this hash
        items.append(head_hash)
        for merge, k, side in sides:
            if merge == n:
                items += [k.to_bytes(8, "big"), *(b"\1" + each for each in side)]
    return items


class Chain:
    """Folds an opening's items from history(start); below(n): the trunk's history before that."""

    def __init__(self, start, history, items, below=None):
        self.n, self.histories, self.trunk, self.sides = start, {start: history}, {}, []
        last = 0
        for item in items:
            need(isinstance(item, bytes), "no item")
            if len(item) == 32:
                need(last != 8, "an empty side")
                self.join(below)
                self.trunk[self.n] = item
                self.histories[self.n + 1] = extended(self.histories[self.n], item)
                self.n += 1
            elif len(item) == 8:
                k = int.from_bytes(item, "big")
                need(last == 32 and 0 < k < self.n, "a side out of place")
                self.sides.append((self.n, k, []))
                need(len(self.sides) <= SIDES_MAX, "too many sides")
            else:
                need(len(item) == 33 and item[0] == 1 and last in (8, 33), "no item")
                merge, k, side = self.sides[-1]
                side.append(item[1:])
                tip = k + len(side) - 1
                need(len(side) <= SIDE_MAX and
                     (tip, item[1:]) < (merge - 1, self.trunk[merge - 1]), "a side above its trunk")
            last = len(item)
        need(last != 8, "an empty side")
        self.join(below)
        self.history = self.histories[self.n]

    def join(self, below):
        """The side that the head after the last hash joined, if one stands there."""
        if not self.sides or self.sides[-1][0] != self.n:
            return
        merge, k, side = self.sides[-1]
        history = self.histories.get(k) or (below(k) if below else None)
        need(history is not None, "a side from where nothing is known", Unlinked)
        for each in side:
            history = extended(history, each)
        self.histories[merge] = merge_history(self.histories[merge], history)

    def holds(self, n, head_hash):
        return self.trunk.get(n) == head_hash or any(
            0 <= n - k < len(side) and side[n - k] == head_hash for _, k, side in self.sides)


def fork_proof(record, k, one, other):
    """The proof from two branches, (signed head, history(k), opening from k) each."""
    def order(branch):
        payload = decode(branch[0])[0]
        return decode(payload)[6], h32("essaim1 headhash", payload)
    first, second = sorted((one, other), key=order)
    return encode(["fork", 1, record, k, *first, *second])


def checked_fork(octets):
    """record, k, the two heads, and the two hashes at k, of a proof that holds; Refused else."""
    need(len(octets) <= FORK_MAX, "a proof over its size")
    word, version, record, k, *branches = typed(
        decode(octets), str, int, bytes, int, bytes, 32, list, bytes, 32, list)
    need(word == "fork" and version == 1 and k >= 1, "not a fork proof")
    record, heads, at_k = Record(record), [], []
    for signed, history, items in (branches[:3], branches[3:]):
        head = Head(signed, {record.lab: record}.get)
        chain = Chain(k, history, items)
        need((chain.n, chain.history) == (head.n, head.history), "unlinked", Unlinked)
        heads.append(head)
        at_k.append(chain.trunk.get(k, head.hash))
    need(heads[0].name == heads[1].name, "of two catalogues")
    need((heads[0].n, heads[0].hash) < (heads[1].n, heads[1].hash), "out of order")
    need(at_k[0] != at_k[1], "the same head at k")
    return record, k, heads, at_k


def recovery(root, link_pk, issued_at=None):
    """A recovery statement (§9) by a lab's root key, for a HELLO of generation 0."""
    payload = encode(["recover", 1, bytes(root.verify_key), link_pk,
                      int(time.time()) if issued_at is None else issued_at])
    return sign(root, "essaim1 recover", payload)


def checked_recovery(signed):
    """lab, link_pk, issued_at of a statement that holds."""
    word, version, lab, link_pk, issued_at = typed(
        decode(typed(decode(signed), bytes, 64)[0]), str, int, 32, 32, int)
    need(word == "recover" and version == 1, "not a recovery statement")
    opened(lab, "essaim1 recover", signed)
    return lab, link_pk, issued_at


def receipt(lab, number, rows, issued_at=None):
    """A receipt (§11) of a Lab: {(lab, audience): (generation, n)}."""
    payload = encode(["erased", 1, lab.id, lab.generation, number,
                      int(time.time()) if issued_at is None else issued_at, NONE,
                      [[*name, *head] for name, head in sorted(rows.items())]])
    return sign(lab.signing, "essaim1 erased", payload)


def checked_receipt(signed, record_of):
    """lab, (generation, number), rows of a receipt that holds; None when it counts for nothing."""
    need(len(signed) <= 61440, "too large")
    items = decode(typed(decode(signed), bytes, 64)[0])
    word, version, lab, generation, number, _, network, rows = typed(
        items, str, int, 32, int, int, int, 32, list)
    need(word == "erased" and version == 1 and generation > 0 and number > 0, "no receipt")
    rows = [typed(row, 32, str, int, int) for row in rows]
    need(all(row[2] > 0 and row[3] > 0 for row in rows) and len(rows) <= 1000, "no row")
    names = [tuple(row[:2]) for row in rows]
    need(all(a < b for a, b in zip(names, names[1:])), "rows out of order")
    record = record_of(lab)
    if record is None or record.generation != generation or network != NONE:
        return None
    opened(record.signing_pk, "essaim1 erased", signed)
    return lab, (generation, number), {name: tuple(row[2:]) for name, row in zip(names, rows)}


class Catalogue:
    """Live entries, the held head, and the opening that leads to it from head 1."""

    def __init__(self):
        self.entries = {}  # slug hash -> bytes
        self.head = None
        self.items = []  # hashes of heads 1 … n-1, and the sides that merge heads joined
        self.withdrawn = {}  # slug hash -> n
        self.hints = {}  # hint -> n

    def copy(self):
        other = copy.copy(self)
        other.entries, other.withdrawn = dict(self.entries), dict(self.withdrawn)
        other.hints = dict(self.hints)
        return other

    def forget(self, name, n):
        """Head n withdraws it."""
        self.withdrawn[name] = n
        self.hints[hint_of(self.entries[name])] = n

    def rev(self, name):
        return decode(self.entries[name])[1]

    @property
    def past(self):
        """Hashes of heads 1 … n-1."""
        return [item for item in self.items if len(item) == 32]

    def chain(self):
        return Chain(1, NONE, self.items)

    def opening(self, m):
        """The items from head m on."""
        at = [i for i, item in enumerate(self.items) if len(item) == 32]
        return self.items[at[m - 1]:] if 0 < m <= len(at) else self.items if m == 0 else []

    def hashes(self, k):
        """Hashes of heads k … n."""
        return [*self.past[k - 1:], self.head.hash]

    def branch(self, k):
        """What a fork proof from k says of it."""
        return self.head.signed, self.chain().histories[k], self.opening(k)

    def apart(self, other):
        """The first number whose head differs."""
        pairs = zip(self.hashes(1), other.hashes(1))
        return next((k for k, (a, b) in enumerate(pairs, 1) if a != b), None)

    def fork_proof(self, record, other):
        """That this catalogue and the other one have heads of one key."""
        k = self.apart(other)
        return fork_proof(record, k, self.branch(k), other.branch(k))

    def delta(self, m, after=(0, None)):
        """What takes m to the held head: entries ascending by (rev, slug hash), hints, opening."""
        found = sorted((self.rev(name), name) for name in self.entries)
        fresh = [self.entries[name] for rev, name in found
                 if rev > m and (rev, name) > (after[0], after[1] or b"")]
        hints = b"".join(hint for hint, n in self.hints.items() if n > m > 0)
        return fresh, hints, self.opening(m)

    def apply(self, entries, withdrawn, opening, head, anew=False):
        """All or nothing (§4.5, §6). anew: the delta was asked from m = 0 and replaces all."""
        held = self.head
        m = held.n if held and not anew else 0
        need(held is None or head.order > held.order, "not newer")
        chain = Chain(m or 1, held.history if m else NONE, opening,
                      self.chain().histories.get if m else None)
        need((chain.n, chain.history) == (head.n, head.history), "unlinked", Unlinked)
        if held and held.generation == head.generation:
            need(chain.holds(held.n, held.hash), "a chain without the held head", Unlinked)
        need(not m or opening[:1] == [held.hash], "an opening that starts elsewhere", Unlinked)
        after, last = {} if anew else dict(self.entries), (0, b"")
        for entry in entries:
            slug, rev, _, _ = checked_entry(entry)
            name = slug_hash(slug)
            need(m < rev <= head.n, "a rev out of range")
            need((rev, name) > last, "entries out of order")
            last = rev, name
            after[name] = entry
        hints = {withdrawn[i:i + 16] for i in range(0, len(withdrawn), 16)}
        after = {name: each for name, each in after.items() if hint_of(each) not in hints}
        need(len(after) == head.count, "a wrong count")
        need(sum(map(len, after.values())) == head.bytes, "wrong bytes")
        need(root_of(after) == head.root, "a wrong root")
        self.entries, self.head = after, head
        self.items = (self.items if m else []) + opening
        return self


class Lab:
    """A lab with keys of its own; what it publishes and what it holds of others."""

    def __init__(self, name="Python"):
        self.root, self.signing = nacl.signing.SigningKey.generate(), nacl.signing.SigningKey.generate()
        self.link_secret = os.urandom(32)
        self.id = bytes(self.root.verify_key)
        self.did, self.name = to_did(self.id), name
        self.generation = 1
        self.record = Record(self.signed_record())
        self.records = {self.id: self.record}
        self.catalogues = {}  # (network, lab, audience) -> Catalogue
        self.index, self.instance = os.urandom(16), os.urandom(16)
        self.arrivals = []  # catalogue names, the latest last; number = place + 1, ever ascending
        self.arrival = 0
        self.read = {}  # lab -> (index, cursor): how far each peer's store was read
        self.problems = []  # what was refused of what a peer sent
        self.receipts = {}  # lab -> (generation, number), rows: the newest of each
        self.proofs = {}  # lab -> the fork proof that was taken last

    def signed_record(self, **other):
        fields = {"lab": self.id, "generation": self.generation, "name": self.name,
                  "signing_pk": bytes(self.signing.verify_key),
                  "link_pk": noise_xx.public(self.link_secret), "issued_at": int(time.time()),
                  "last_good": []}
        key = other.pop("key", self.root)
        payload = encode(["lab", 1, *{**fields, **other}.values()])
        return sign(key, "essaim1 lab", payload)

    # -- its own catalogue

    @property
    def own(self):
        return self.catalogues.setdefault((NONE, self.id, "public"), Catalogue())

    def head_payload(self, entries, **other):
        """The payload of the head after the held one, over these entries."""
        held = self.own.head
        fields = {"network": NONE, "lab": self.id, "generation": self.generation,
                  "audience": "public", "n": held.n + 1 if held else 1, "count": len(entries),
                  "bytes": sum(map(len, entries.values())), "root": root_of(entries),
                  "history": extended(held.history, held.hash) if held else NONE,
                  "issued_at": int(time.time()), "instance": self.instance}
        return encode(["head", 1, *{**fields, **other}.values()])

    def publish(self, changes=(), withdraw=()):
        """One new head; changes are (slug, kind, body)."""
        own = self.own
        n = own.head.n + 1 if own.head else 1
        entries = dict(own.entries)
        for slug, kind, body in changes:
            entries[slug_hash(slug)] = encode([slug, n, kind, body])
            own.withdrawn.pop(slug_hash(slug), None)
        for slug in withdraw:
            del entries[slug_hash(slug)]
            own.forget(slug_hash(slug), n)
        return self.install(entries)

    def twin(self):
        """The same keys and the same own catalogue on another machine: what both publish from here
        on is a fork."""
        other = copy.copy(self)
        other.catalogues = {name: each.copy() for name, each in self.catalogues.items()}
        other.records, other.read, other.proofs = dict(self.records), {}, {}
        other.arrivals, other.problems = list(self.arrivals), []
        other.index, other.instance = os.urandom(16), os.urandom(16)
        return other

    def merge(self, other, entries=None):
        """The head that joins another branch of the own catalogue, which must not be the trunk.
        Entries: what holds after it; if not given, as doc/decisions/0008 says."""
        own, side = self.own, other.own
        need((own.head.n, own.head.hash) > (side.head.n, side.head.hash), "the other is the trunk")
        k, n = own.apart(side), own.head.n + 1
        if entries is None:
            entries = dict(own.entries)
            for name in side.withdrawn:
                if name in entries and own.rev(name) < k <= side.withdrawn[name]:
                    del entries[name]
            for name, entry in side.entries.items():
                slug, rev, kind, body = decode(entry)
                mine = (own.rev(name), leaf(own.entries[name])) if name in own.entries else (0, b"")
                if rev >= k and (rev, leaf(entry)) > mine:
                    entries[name] = encode([slug, n, kind, body])
        for name in own.entries.keys() - entries.keys():
            own.forget(name, n)
        items = opening_items(own.head.n, [own.head.hash], [(n, k, side.hashes(k))])
        chain = Chain(1, NONE, own.items + items)
        payload = self.head_payload(entries, history=chain.history)
        return self.install(entries, sign(self.signing, "essaim1 head", payload), items)

    def install(self, entries, signed=None, items=None):
        """Makes these the entries of a new own head (signed: that head, whatever it says; items:
        what leads from the held head to it)."""
        own = self.own
        signed = signed or sign(self.signing, "essaim1 head", self.head_payload(entries))
        if own.head:
            own.items = own.items + (items or [own.head.hash])
        own.entries, own.head = entries, Head(signed, self.records.get)
        self.arrived(own.head.name)
        return own.head

    def arrived(self, name):
        self.arrival += 1
        self.arrivals = [each for each in self.arrivals if each[1] != name] + [(self.arrival, name)]

    # -- links

    def dial(self, address, lab, **more):
        host, port = address.rsplit(":", 1)
        return Link(self, socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S), lab,
                    **more).greet()

    def accept(self, server, **more):
        server.settimeout(10)
        return Link(self, server.accept()[0], None, **more).greet()


def bounded(message):
    """BUCKETS, BUCKET or PROOF within its bounds (§6)."""
    if message[0] == BUCKETS:
        _, stream, _, _, n, digests = typed(message, int, int, 32, str, int, bytes)
        need(stream < 1 << 32 and n >= 1 and len(digests) in (0, 8192), "out of bounds")
    elif message[0] == BUCKET:
        _, stream, _, _, n, bucket, pairs, entries = typed(
            message, int, int, 32, str, int, int, bytes, list)
        need(stream < 1 << 32 and n >= 1 and bucket < 256 and len(pairs) % 48 == 0, "out of bounds")
        need(all(isinstance(each, bytes) and 0 < len(each) <= ENTRY_MAX for each in entries),
             "no entry")
    else:
        _, _, size, offset, part = typed(message, int, 32, int, int, bytes)
        need(0 < size <= FORK_MAX and 0 < len(part) <= PART_MAX and offset + len(part) <= size,
             "out of bounds")
    return message


def proof_messages(lab, proof):
    """The PROOF messages that carry it."""
    return [[PROOF, lab, len(proof), at, proof[at:at + PART_MAX]]
            for at in range(0, len(proof), PART_MAX)]


class Wire:
    """A socket with frames, the handshake and sealed messages; no meaning yet (§5)."""

    def __init__(self, connection, secret, dialled, timeout=PATIENCE_S):
        self.socket, self.dialled = connection, dialled
        self.socket.settimeout(timeout)
        self.party = noise_xx.Party(dialled, PROLOGUE, secret, os.urandom(32))
        self.pending = b""
        self.sent_frames, self.got_frames = [], []  # as they were on the wire

    def close(self):
        self.socket.close()

    def send_frame(self, octets):
        self.sent_frames.append(octets)
        self.socket.sendall(len(octets).to_bytes(2, "big") + octets)

    def receive_frame(self):
        while len(self.pending) < 2 or len(self.pending) < 2 + self.frame_size():
            try:
                octets = self.socket.recv(1 << 16)
            except (ConnectionError, TimeoutError) as error:
                raise Closed(repr(error)) from error
            if not octets:
                raise Closed()
            self.pending += octets
        size = 2 + self.frame_size()
        frame, self.pending = self.pending[2:size], self.pending[size:]
        need(frame, "an empty frame")
        self.got_frames.append(frame)
        return frame

    def frame_size(self):
        return int.from_bytes(self.pending[:2], "big")

    def shake(self):
        """The three messages; whose key the other side showed."""
        for step in range(3):
            if (step % 2 == 0) == self.dialled:
                self.send_frame(self.party.write(step, b""))
            else:
                try:
                    need(self.party.read(step, self.receive_frame()) == b"", "a payload")
                except UNSEALED as error:
                    raise Refused("the handshake does not hold") from error
        self.sender, self.receiver = self.party.split()
        return self.party.rs

    def send_octets(self, octets):
        self.send_frame(self.sender.run("encrypt", octets))

    def send(self, *message):
        self.send_octets(encode(list(message)))

    def receive(self):
        """One checked message."""
        try:
            octets = self.receiver.run("decrypt", self.receive_frame())
        except UNSEALED as error:
            raise Refused("a frame that does not open") from error
        message = decode(octets)
        need(isinstance(message, list) and message and type(message[0]) is int, "not a message")
        need(len(message) == ITEMS.get(message[0]), f"a message of type {message[0]}")
        if message[0] in (BUCKETS, BUCKET, PROOF):
            bounded(message)
        if message[0] == REKEY:
            self.receiver.rekey()
        return message


class Link(Wire):
    """One link of a Lab: greets, announces, serves, fetches."""

    def __init__(self, lab, connection, wanted, timeout=PATIENCE_S):
        super().__init__(connection, lab.link_secret, wanted is not None, timeout)
        self.lab, self.wanted = lab, wanted
        self.seen = []  # every message received
        self.queue = []  # catalogues offered: (head, arrival)
        self.fetching = None
        self.next_stream = 1
        self.their_upto = self.their_cursor = self.announced = 0
        self.anew = set()  # catalogues to be asked for from m = 0
        self.part = (None, b"")  # of a proof that is coming: whose, and what of it came

    def hello(self, record=True, **other):
        """The items of our HELLO."""
        lab = self.lab
        held = lab.records.get(self.wanted)
        index, cursor = lab.read.get(self.wanted, (None, 0))
        fields = {"version": 1, "features": 1, "network": NONE, "lab": lab.id,
                  "generation": lab.generation,
                  "record": lab.record.signed if record is True else record or None,
                  "holds": held.generation if held else 0, "index": lab.index,
                  "read_index": index, "cursor": cursor}
        return [HELLO, *{**fields, **other}.values()]

    def greet(self):
        shown = self.shake()
        if self.dialled:
            self.send(*self.hello())
        hello = self.receive()
        if hello[0] == BYE:
            raise Closed(hello[1:])
        need(hello[0] == HELLO, "not a HELLO")
        (_, version, _, network, lab, generation, record, _, index, read_index,
         cursor) = typed(hello, int, int, int, 32, 32, int, None, int, 16, None, int)
        need(version == 1 and network == NONE, "another version or network")
        need(self.wanted in (None, lab), "not the lab we dialled")
        if record is not None:
            record = Record(record)
            need(record.lab == lab and record.generation == generation, "another record")
            if lab not in self.lab.records or self.lab.records[lab].generation < generation:
                self.lab.records[lab] = record
        record = self.lab.records.get(lab)
        need(record is not None and record.generation == generation, "no record")
        need(record.link_pk == shown, "a key that is not the lab's")
        self.wanted = self.them = lab
        self.their_index = index
        if self.lab.read.get(lab, (None, 0))[0] != index:
            self.lab.read[lab] = index, 0
        if not self.dialled:
            self.send(*self.hello())
        self.announced = cursor if read_index == self.lab.index else 0
        return self

    # -- ours to them

    def announce(self):
        """Heads that arrived here after what was announced."""
        fresh = [[number, self.lab.catalogues[name].head.signed]
                 for number, name in self.lab.arrivals
                 if number > self.announced and name[1] != self.them]
        if self.lab.arrival > self.announced:
            labs = {name[1] for number, name in self.lab.arrivals if number > self.announced}
            records = [self.lab.records[each].signed for each in sorted(labs)
                       if each not in (self.lab.id, self.them)]
            if records:
                self.send(RECORDS, records)
            self.announced = self.lab.arrival
            self.send(HEADS, self.lab.arrival, fresh)

    def serve(self, stream, lab, audience, m, after_rev, after_slug):
        catalogue = self.lab.catalogues.get((NONE, lab, audience))
        if catalogue is None or catalogue.head is None:
            self.send(DELTA_END, stream, None)
            return
        entries, hints, opening = catalogue.delta(m, (after_rev, after_slug))
        part, size = [], 0
        for entry in entries:
            if part and size + len(entry) > 60000:
                self.send(DELTA, stream, part, b"", [])
                part, size = [], 0
            part.append(entry)
            size += len(entry) + 3
        if part:
            self.send(DELTA, stream, part, b"", [])
        if hints or opening:
            for i in range(0, max(len(opening), 1), 1000):
                self.send(DELTA, stream, [], hints if i == 0 else b"", opening[i:i + 1000])
        self.send(DELTA_END, stream, catalogue.head.signed)

    def serve_repair(self, message):
        """Digests, or what a bucket lacks (§6, Repair)."""
        kind, stream, lab, audience, n = message[:5]
        catalogue = self.lab.catalogues.get((NONE, lab, audience))
        if catalogue is None or catalogue.head is None or catalogue.head.n != n:
            self.send(DELTA_END, stream, None)
        elif kind == BUCKETS:
            digests = b"".join(digests_of(catalogue.entries))
            self.send(BUCKETS, stream, lab, audience, ANSWER, digests)
        else:
            bucket, theirs = message[5:7]
            ours = pairs_of(catalogue.entries, bucket)
            held = {theirs[i:i + 48] for i in range(0, len(theirs), 48)}
            for i in range(0, len(ours), 48):
                if ours[i:i + 48] not in held:
                    self.send(BUCKET, stream, lab, audience, ANSWER, bucket, b"",
                              [catalogue.entries[ours[i:i + 16]]])
            self.send(BUCKET, stream, lab, audience, ANSWER, bucket, ours, [])

    def send_proof(self, lab, proof):
        """A fork proof, in parts; a HEADS must follow that names its arrival."""
        for message in proof_messages(lab, proof):
            self.send(*message)

    # -- theirs to us

    def take_proof(self, message):
        _, lab, size, offset, part = message
        whose, before = self.part if offset else (lab, b"")
        need((whose, len(before)) == (lab, offset), "a part out of order")
        self.part = lab, before + part
        if len(before + part) == size:
            self.part = None, b""
            record, *_ = checked_fork(before + part)
            need(record.lab == lab, "a proof about another lab")
            self.lab.proofs[lab] = before + part

    def want(self):
        """Asks for the next thing offered and not held."""
        while self.queue and self.fetching is None:
            head, arrival = self.queue.pop(0)
            held = self.lab.catalogues.get(head.name, Catalogue()).head
            if held is not None and held.order >= head.order:
                self.read_up_to(arrival)
                continue
            stream, self.next_stream = self.next_stream, self.next_stream + 1
            anew = held is not None and (head.name in self.anew
                                         or held.generation != head.generation)
            self.fetching = {"stream": stream, "name": head.name, "arrival": arrival, "entries": [],
                             "withdrawn": b"", "opening": [], "anew": anew}
            m = held.n if held and not anew else 0
            self.send(WANT, stream, head.lab, head.audience, m, 0, None)

    def read_up_to(self, arrival):
        index, cursor = self.lab.read[self.them]
        self.lab.read[self.them] = index, max(cursor, arrival)

    def settle(self):
        """Tells how far their store was read, once nothing offered is left to fetch."""
        if self.fetching is None and not self.queue and self.their_upto > self.their_cursor:
            self.read_up_to(self.their_upto)
            self.their_cursor = self.their_upto
            self.send(ACK, self.their_cursor, self.announced)

    def take(self, message):
        """One message of theirs."""
        self.seen.append(message)
        kind = message[0]
        if kind == RECORDS:
            for signed in typed(message, int, list)[1]:
                record = Record(signed)
                held = self.lab.records.get(record.lab)
                if held is None or held.generation < record.generation:
                    self.lab.records[record.lab] = record
        elif kind == RECEIPTS:
            for signed in typed(message, int, list)[1]:
                found = checked_receipt(signed, self.lab.records.get)
                if found and found[1] > self.lab.receipts.get(found[0], ((0, 0), None))[0]:
                    self.lab.receipts[found[0]] = found[1:]
        elif kind == HEADS:
            _, self.their_upto, offers = typed(message, int, int, list)
            for arrival, signed in offers:
                self.queue.append((Head(signed, self.lab.records.get), arrival))
        elif kind == WANT:
            typed(message, int, int, 32, str, int, int, None)
            self.serve(*message[1:])
        elif kind in (DELTA, DELTA_END):
            self.take_delta(message)
        elif kind in (BUCKETS, BUCKET):
            self.serve_repair(message)
        elif kind == PROOF:
            self.take_proof(message)
        elif kind == PING:
            self.send(PONG, message[1])
        elif kind == BYE:
            raise Closed(message[1:])
        else:
            need(kind in (ACK, PONG, REKEY), f"a message of type {kind} now")

    def take_delta(self, message):
        now = self.fetching
        need(now is not None and message[1] == now["stream"], "a stream nobody asked for")
        if message[0] == DELTA:
            _, _, entries, withdrawn, opening = typed(message, int, int, list, bytes, list)
            need(len(withdrawn) % 16 == 0, "half a hint")
            need(all(isinstance(each, bytes) and len(each) in (8, 32, 33) for each in opening),
                 "no item of an opening")
            now["entries"] += entries
            now["withdrawn"] += withdrawn
            now["opening"] += opening
            return
        self.fetching = None
        need(message[2] is not None, "it cannot be served")
        head = Head(message[2], self.lab.records.get)
        need(head.name == now["name"], "the head of another catalogue")
        catalogue = self.lab.catalogues.setdefault(head.name, Catalogue())
        try:
            catalogue.apply(now["entries"], now["withdrawn"], now["opening"], head, now["anew"])
        except Unlinked:
            if now["anew"] or catalogue.head is None:
                raise
            self.anew.add(head.name)  # is the held head on a side?
            self.queue.insert(0, (head, now["arrival"]))
            return
        self.anew.discard(head.name)
        self.lab.arrived(head.name)
        self.read_up_to(now["arrival"])

    def run(self, true, limit_s=2 * PATIENCE_S):
        """Plays its part until true() is."""
        end = time.monotonic() + limit_s
        while True:
            self.announce()
            self.want()
            self.settle()
            if true():
                return self
            need(time.monotonic() < end, "what was awaited did not happen in time")
            if self.pending or select.select([self.socket], [], [], 0.05)[0]:
                self.take(self.receive())


if __name__ == "__main__":
    sys.exit("peer.py is a library")
