# SPDX-License-Identifier: EUPL-1.2
"""A second reader and writer of bundles, from doc/protocol.md §10 alone, over peer.py.

    read(octets)      what a file holds, every signature, chain, count and root checked
    write(who)        the file of a peer.Lab; messages(who) and pack(…) for those that lie
"""
import peer
from peer import BYE, DELTA, DELTA_END, HEADS, PROOF, RECORDS, decode, encode, need

MAGIC = b"essaim-bundle-1\n"
FRAME_MAX = 65519


def frames(octets):
    """The messages, decoded, and what is left of a frame that was cut off."""
    need(octets[:16] == MAGIC, "no bundle")
    found, at = [], 16
    while len(octets) - at >= 2:
        size = int.from_bytes(octets[at:at + 2], "big")
        need(0 < size <= FRAME_MAX, "a frame of a wrong size")
        if len(octets) - at - 2 < size:
            break
        found.append(decode(octets[at + 2:at + 2 + size]))
        at += 2 + size
    return found, octets[at:]


def pack(said):
    """The file of these messages."""
    packed = [encode(message) for message in said]
    return MAGIC + b"".join(len(each).to_bytes(2, "big") + each for each in packed)


class Reading:
    """What the messages of a file come to."""

    def __init__(self, said):
        self.records, self.catalogues, self.proofs = {}, {}, {}
        self.announced = {}  # arrival -> head
        self.order = []  # catalogues, as first announced
        self.arrival, self.whole, self.listed = 0, False, False
        self.now = None  # the delta under way: stream, entries, withdrawn, opening
        self.part = (None, b"")
        for message in said:
            need(not self.whole, "something behind the end")
            {RECORDS: self.take_records, HEADS: self.take_heads, PROOF: self.take_proof,
             DELTA: self.take_delta, DELTA_END: self.take_end, BYE: self.take_bye}[message[0]](
                 *message[1:])

    def take_records(self, records):
        for signed in records:
            record = peer.Record(signed)
            held = self.records.get(record.lab)
            if held is None or held.generation < record.generation:
                self.records[record.lab] = record

    def take_heads(self, upto, heads):
        self.listed = True
        for arrival, signed in heads:
            need(self.arrival < arrival <= upto, "arrivals out of order")
            self.arrival = arrival
            head = peer.Head(signed, self.records.get)
            self.announced[arrival] = head
            if head.name not in self.order:
                self.order.append(head.name)

    def take_proof(self, lab, size, offset, part):
        whose, before = self.part if offset else (lab, b"")
        need((whose, len(before)) == (lab, offset), "a part out of order")
        self.part = lab, before + part
        if len(before + part) == size:
            self.part = None, b""
            record, *_ = peer.checked_fork(before + part)
            need(record.lab == lab, "a proof about another lab")
            self.proofs[lab] = before + part

    def take_delta(self, stream, entries, withdrawn, opening):
        if self.now is None:
            need(stream in self.announced, "a delta that was not announced")
            self.now = [stream, [], b"", []]
        need(self.now[0] == stream, "a delta inside another")
        self.now[1] += entries
        self.now[2] += withdrawn
        self.now[3] += opening

    def take_end(self, stream, signed):
        self.take_delta(stream, [], b"", [])
        _, entries, withdrawn, opening = self.now
        self.now = None
        name = self.announced[stream].name
        need(name == self.order[0], "deltas in another order than the heads")
        self.order.pop(0)
        if signed is not None:
            head = peer.Head(signed, self.records.get)
            newest = max(each.order for each in self.announced.values() if each.name == name)
            need(head.name == name and head.order >= newest, "another head, or an older one")
            self.catalogues[name] = peer.Catalogue().apply(entries, withdrawn, opening, head)

    def take_bye(self, code, reason):
        need(self.listed and self.now is None and (code, reason) == (0, ""), "a goodbye too early")
        self.whole = True


def read(octets):
    said, rest = frames(octets)
    reading = Reading(said)
    need(reading.whole and not rest, "the file is not whole")
    return reading


def messages(who, names=None):
    """What that lab's file says: of these catalogues, or of all it holds."""
    names = list(names or who.catalogues)
    labs = sorted({name[1] for name in names})
    said = [[RECORDS, [who.records[lab].signed]] for lab in labs]
    heads = [[i, who.catalogues[name].head.signed] for i, name in enumerate(names, 1)]
    said.append([HEADS, len(heads), heads])
    for stream, name in enumerate(names, 1):
        entries, hints, opening = who.catalogues[name].delta(0)
        for i in range(0, len(entries), 50):
            said.append([DELTA, stream, entries[i:i + 50], b"", []])
        for i in range(0, max(len(opening), 1), 1000):
            said.append([DELTA, stream, [], hints if i == 0 else b"", opening[i:i + 1000]])
        said.append([DELTA_END, stream, who.catalogues[name].head.signed])
    return said + [[BYE, 0, ""]]


def write(who, names=None):
    return pack(messages(who, names))
