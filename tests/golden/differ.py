#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Two readers of the same bytes: differ.py JUDGE VECTORS [--seed N] [--mutants N] [CORPUS…]

Every file of the fuzz corpora, and mutants of the golden vectors (changed within, and signed anew
with the keys they were made with), go to proto/ (the program JUDGE) and to verify.py, which was
written from doc/protocol.md alone. Both must accept and refuse the same, and read the same into
what they accept. Prints what differs as JUDGE takes it, and the seed; 0 where nothing does.
"""
import argparse
import os
import random
import subprocess
import sys
import time
import msgpack
import verify
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

raw = bytes.fromhex
LONG = bool(os.environ.get("ESSAIM_LONG"))
SIZE_MAX = 100_000
EDGES = [0, 1, 2, 3, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 2,
         2**64 - 1, -1, -32, -33, -2**63]
WORDS = ["", "a", "-", "a-", "0:._-", "public", "lab", "head", "fork", "proof", "recover", "erased",
         "é", "A", "a\tb", "a\nb", "a" * 32, "a" * 33, "a" * 64, "a" * 65, "b" * 200, "b" * 201]


def flat(value):
    """A value in the words of judge.c."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "T", False: "F"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "b" + value.hex()
    if isinstance(value, str):
        return "s" + value.encode().hex()
    if isinstance(value, dict):
        return " ".join(["{", *(flat(part) for pair in value.items() for part in pair), "}"])
    return " ".join(["[", *map(flat, value), "]"])


def items(values):
    return " ".join(map(flat, values))


# ---- the second reader

def entry(data):
    return items([*verify.entry(data), verify.digest("slug", verify.entry(data)[0].encode(), 16),
                  verify.digest("leaf", data)])


def head_form(data):
    fields, payload, _ = verify.form(data, "head")
    return items([*fields[2:], verify.digest("headhash", payload)])


def head(data):
    verify.want(len(data) >= 32)
    fields, head_hash = verify.signed(data[32:], "head", data[:32])
    return items([*fields[2:], head_hash])


def receipt(data):
    verify.want(len(data) >= 32)
    return items(verify.signed(data[32:], "erased", data[:32])[0][2:])


def opening(data):
    start, history, hashes, n, end = verify.decode(data)
    verify.want(verify.fold(start, history, hashes, {})[:2] == (n, end))
    return ""


READERS = {
    "did": lambda data: flat(verify.lab_of(data.decode("ascii"))),
    "entry": entry,
    "fork": lambda data: items(verify.fork(data)),
    "head": head,
    "head-form": head_form,
    "message": lambda data: items(verify.message(data)),
    "opening": opening,
    "proof": lambda data: items(verify.proof(data)),
    "receipt": receipt,
    "receipt-form": lambda data: items(verify.form(data, "erased")[0][2:]),
    "record": lambda data: items(verify.signed(data, "lab")[0][2:]),
    "record-form": lambda data: items(verify.form(data, "lab")[0][2:]),
    "recover": lambda data: items(verify.signed(data, "recover")[0][2:]),
    "value": lambda data: flat(verify.decode(data, nodes_max=4096)),
}


KEYED = ("head", "opening", "receipt")  # more than the object itself


def second(what, data):
    try:
        return ("ok " + READERS[what](data)).strip()
    except (ValueError, BadSignatureError):
        return "no"


# ---- what is read

def corpora(folders):
    """Each file as it is, and without the byte that chooses in some targets, as everything that
    stands alone."""
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read(SIZE_MAX)
            for data in (content, content[1:]):
                yield from ((what, data) for what in READERS if what not in KEYED)


class Mutator:
    """Objects of the vectors, changed in one place or two; half of them signed again."""

    def __init__(self, vectors, dice):
        self.dice = dice
        labs = vectors["labs"].values()
        self.roots = {raw(lab["lab"]): SigningKey(raw(lab["root_seed"])) for lab in labs}
        self.signers = {raw(lab["signing_pk"]): SigningKey(raw(lab["signing_seed"]))
                        for lab in labs}
        self.keys = [raw(lab["lab"]) for lab in labs] + list(self.signers) + [bytes(32)]
        short = {name: [raw(one["bytes"]) for one in vectors[name] if len(one["bytes"]) < 9000]
                 for name in ("entries", "records", "heads", "messages", "forks", "receipts",
                              "recoveries")}
        self.signing = raw(vectors["heads"][0]["key"])
        self.heads = short["heads"] + [raw(one) for branch in vectors["branches"].values()
                                       for one in branch]
        self.records = [one for one in short["records"] if self.signing in one]
        self.entries = [raw(one["bytes"]) for one in vectors["entries"]]
        self.vectors, self.short = vectors, short
        self.makers = [self.value, self.entry, self.message, self.message, self.record, self.head,
                       self.receipt,
                       self.recover, self.fork, self.fork, self.proof, self.proof, self.opening,
                       self.opening, self.did]

    # -- changing

    def other(self, old):
        dice = self.dice
        if isinstance(old, bool) or old is None:
            return dice.choice([None, True, 0, b"", "a", []])
        if isinstance(old, int):
            return dice.choice([dice.choice(EDGES), old + 1, max(old - 1, -2**63), b"\1"])
        if isinstance(old, str):
            return dice.choice([dice.choice(WORDS), old + "a", old[:-1], old.encode(), 1])
        if isinstance(old, bytes):
            at = dice.randrange(len(old) + 1)
            flipped = old[:at] + bytes([dice.randrange(256)]) + old[at + 1:]
            return dice.choice([flipped, old[:-1], old + b"\0", b"", dice.choice(self.keys), None,
                                bytes(len(old)), old[:len(old) // 2]])
        if isinstance(old, dict):
            return dice.choice([{}, {**old, "zz": [{}]}, {"a": old}, list(old)])
        if not old:
            return dice.choice([[0], [b""], {}, None])
        at = dice.randrange(len(old))
        return dice.choice([old[:at] + old[at + 1:], old[:at] + [old[at]] + old[at:], old[::-1],
                            [old], [], old[:at] + [None] + old[at:]])

    def changed(self, value):
        """In one place, mostly an outer one."""
        inner = isinstance(value, (list, dict)) and value and self.dice.random() < 0.8
        if not inner:
            return self.other(value)
        if isinstance(value, dict):
            key = self.dice.choice(list(value))
            return {**value, key: self.changed(value[key])}
        at = self.dice.randrange(len(value))
        return value[:at] + [self.changed(value[at])] + value[at + 1:]

    def bent(self, data):
        """Changed below what msgpack is: a byte, an end, a longer form of one number."""
        at = self.dice.randrange(len(data) + 1)
        return self.dice.choice([
            data[:at] + bytes([self.dice.randrange(256)]) + data[at + 1:], data[:at],
            data + b"\xc0", data[:at] + b"\xcc" + data[at:],
            data[:at] + bytes([self.dice.choice(b"\0\x1f\x7f\x80\x90\xc0\xc4\xd9\xdc\xff")])
            + data[at:]])

    def packed(self, value):
        try:
            return msgpack.packb(value, use_bin_type=True)
        except (OverflowError, ValueError):
            return b"\xc1"

    def spoilt(self, data):
        """Any object: as it is, changed within, or bent."""
        pick = self.dice.random()
        if pick < 0.1:
            return data
        if pick < 0.3:
            return self.bent(data)
        try:
            return self.packed(self.changed(verify.decode(data, depth_max=16)))
        except ValueError: # it was changed before
            return self.bent(data)

    def signed(self, data, purpose):
        """A signed object whose payload is changed, and mostly signed again."""
        payload, signature = verify.decode(data)
        payload = self.spoilt(payload)
        if self.dice.random() < 0.85:
            server = purpose in ("head", "erased")
            keys, key = (self.signers, self.signing) if server else (self.roots, self.keys[0])
            try:
                key = key if server else verify.decode(payload)[2]
            except (ValueError, TypeError, IndexError, KeyError):
                pass
            signer = keys.get(key if isinstance(key, bytes) else b"",
                              self.roots[self.keys[0]])
            signature = signer.sign(verify.tag(purpose) + payload).signature
        data = self.packed([payload, signature])
        return self.bent(data) if self.dice.random() < 0.05 else data

    # -- one of each kind

    def value(self):
        body = verify.decode(self.dice.choice(self.entries), depth_max=16)[3]
        for _ in range(self.dice.randrange(4)):
            body = self.changed(body)
        return "value", self.spoilt(self.packed(body))

    def entry(self):
        return "entry", self.spoilt(self.dice.choice(self.entries))

    def message(self):
        return "message", self.spoilt(self.dice.choice(self.short["messages"]))

    def record(self):
        data = self.signed(self.dice.choice(self.short["records"]), "lab")
        return self.dice.choice(["record", "record-form"]), data

    def head(self):
        data = self.signed(self.dice.choice(self.heads), "head")
        return self.dice.choice([("head", self.signing + data), ("head-form", data)])

    def receipt(self):
        data = self.signed(self.dice.choice(self.short["receipts"]), "erased")
        return self.dice.choice([("receipt", self.signing + data), ("receipt-form", data)])

    def recover(self):
        return "recover", self.signed(self.dice.choice(self.short["recoveries"]), "recover")

    def fork(self):
        value = verify.decode(self.dice.choice(self.short["forks"]))
        pick = self.dice.randrange(8)
        if pick < 2:
            at = self.dice.choice([4, 7])
            value[at] = self.signed(value[at], "head")
        elif pick == 2:
            value[2] = self.signed(value[2], "lab")
        elif pick == 3:
            value[4:7], value[7:10] = value[7:10], value[4:7]
        elif pick == 4:
            value[self.dice.choice([4, 7])] = self.dice.choice(self.heads)
        elif pick < 7:
            at = self.dice.choice([3, 5, 6, 8, 9])
            value[at] = self.changed(value[at])
        return "fork", self.spoilt(self.packed(value)) if pick == 7 else self.packed(value)

    def opening(self):
        """Of the chains of heads: true ones, with another start or end, other items, sides."""
        one = self.dice.choice([one for one in self.vectors["openings"] + self.vectors["joined"]
                                if one["opening"]])
        chain = self.vectors["branches"].get(
            one.get("branch"), [head["bytes"] for head in self.vectors["heads"]])
        heads = [verify.form(raw(head), "head")[0] for head in chain]
        held = heads[one["held"] - 1] if one["held"] else None
        start, history = (held[6], held[10]) if held else (1, bytes(32))
        end, hashes = heads[one["offered"] - 1], [raw(item) for item in one["opening"]]
        n, last = end[6], end[10]
        for _ in range(self.dice.randrange(4)):
            at = self.dice.randrange(len(hashes)) if hashes else 0
            some = hashes[at:at + self.dice.randrange(1, 5)]
            hashes[at:at + len(some)] = self.dice.choice([
                [], some[::-1], some * 2, [*some, (n - 1).to_bytes(8, "big")],
                [self.dice.choice([bytes(8), (start).to_bytes(8, "big"), b"\1" + bytes(32),
                                   b"\2" + bytes(32), bytes(31), b"\xff" * 8]), *some],
                [b"\1" + item[-32:].rjust(32, b"\0") for item in some],
                [item[-32:].rjust(32, b"\0") for item in some]])
        if self.dice.random() < 0.8: # what the items do lead to, where they lead anywhere
            try:
                n, last = verify.fold(start, history, hashes, {})[:2]
            except ValueError:
                pass
        if self.dice.random() < 0.1:
            n, last = self.dice.choice([(n + 1, last), (n - 1, last), (n, bytes(32))])
        return "opening", self.packed([start, history, hashes, n, last])

    def proof(self):
        """Of one head whose catalogue is made here."""
        dice, count = self.dice, self.dice.randrange(1, 40)
        entries = {}
        for i in range(count):
            data = self.packed([f"s{i}", 1, "need", {"title": "T"}])
            entries[verify.digest("slug", f"s{i}".encode(), 16)] = data
        top, digests = verify.root(entries)
        items_, _, _ = verify.form(self.heads[0], "head")
        number = dice.randrange(count + 5)
        slug = f"s{number}"
        slug_hash = verify.digest("slug", slug.encode(), 16)
        pairs = [key + verify.digest("leaf", entries[key]) for key in sorted(entries)
                 if key[0] == slug_hash[0]]
        path, at, level = [], slug_hash[0], digests
        while len(level) > 1:
            path.append(level[at ^ 1])
            level = [verify.digest("node", level[i] + level[i + 1])
                     for i in range(0, len(level), 2)]
            at //= 2
        items_[9] = top
        payload = self.packed(items_)
        signature = self.signers[self.signing].sign(verify.tag("head") + payload).signature
        value = ["proof", 1, dice.choice(self.records), self.packed([payload, signature]), slug,
                 entries.get(slug_hash), b"".join(pairs), path]
        pick = dice.randrange(6)
        if pick == 0:
            value[6] = b"".join(pairs[::-1] + pairs[:1])
        elif pick == 1:
            value[5] = dice.choice([None, b"", *entries.values()])
        elif pick == 2:
            value[3] = self.signed(value[3], "head")
        elif pick < 5:
            at = dice.randrange(2, 8)
            value[at] = self.changed(value[at])
        return "proof", self.spoilt(self.packed(value)) if pick == 5 else self.packed(value)

    def did(self):
        text = self.dice.choice([lab["did"] for lab in self.vectors["labs"].values()])
        at = self.dice.randrange(len(text) + 1)
        text = self.dice.choice([text, text[:at] + self.dice.choice("1z0Ok:é\n") + text[at:],
                                 text[:at] + text[at + 1:], text[:9] + "1" + text[9:]])
        return "did", text.encode()

    def mutants(self, count):
        for i in range(count):
            yield self.makers[i % len(self.makers)]()


def compare(judge, asked):
    """How many of each kind were accepted and refused; what the two differ in."""
    lines = "".join(f"{what} {data.hex()}\n" for what, data in asked)
    answers = subprocess.run([judge], input=lines, stdout=subprocess.PIPE, check=True,
                             encoding="ascii").stdout.splitlines()
    verify.want(len(answers) == len(asked), "one answer a line")
    counts, wrong = {what: [0, 0] for what in READERS}, []
    for (what, data), answer in zip(asked, answers):
        expected = second(what, data)
        counts[what][expected == "no"] += 1
        if answer != expected:
            wrong.append(f"{what} {data.hex()}\n  proto/: {answer}\n  protocol.md: {expected}")
    return counts, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("judge")
    parser.add_argument("vectors")
    parser.add_argument("corpora", nargs="*")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--mutants", type=int, default=300_000 if LONG else 20_000)
    asked = parser.parse_args()
    mutator = Mutator(verify.load(asked.vectors), random.Random(asked.seed))
    sources = (("corpora", list(corpora(asked.corpora))),
               (f"mutants, seed {asked.seed}", list(mutator.mutants(asked.mutants))))
    print(f"1..{len(sources)}")
    failed = False
    for i, (name, cases) in enumerate(sources):
        counts, wrong = compare(asked.judge, cases)
        seen = ", ".join(f"{what} {yes}/{yes + no}" for what, (yes, no) in counts.items())
        # A kind that is never accepted, or never refused, would show nothing.
        if i == 1:
            wrong += [f"{what}: all alike" for what, pair in counts.items() if 0 in pair]
        print(f"{'not ok' if wrong else 'ok'} {i + 1} - {name}: read alike (accepted: {seen})")
        print("".join(f"# {line}\n" for one in wrong[:20] for line in one.splitlines()), end="")
        failed |= bool(wrong)
    return 1 if failed else 0


sys.exit(main())
