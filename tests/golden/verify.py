#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""A second reader of Essaim's bytes, written from doc/protocol.md alone: verifies every vector of
vectors.json and refuses every bad one. (verify_link.py beside it replays the link.)"""
import hashlib, json, re, sys  # noqa: E401
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from canonical import Reader, decode, want

# ---- §§1 and 3: hashes and names
def tag(name):
    return f"essaim1 {name}".encode().ljust(16, b"\0")
def digest(name, data, size=32):
    return hashlib.blake2b(tag(name) + data, digest_size=size).digest()
def lab_of(did):
    base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    want(re.fullmatch(f"did:key:z[{base58[1:]}][{base58}]*", did), "no did:key")
    key = sum(base58.index(digit) * 58 ** i for i, digit in enumerate(reversed(did[9:])))
    want(key >> 256 == 0xed01, "another codec or size")
    return (key & (1 << 256) - 1).to_bytes(32, "big")

# ---- shapes of items: * is a list of them, ? that or nil
def text(pattern, size):
    return lambda v: type(v) is str and len(v.encode()) <= size and re.fullmatch(pattern, v)
def sized(low, high, step=1):
    return lambda v: type(v) is bytes and low <= len(v) <= high and len(v) % step == 0
def number(low, end=1 << 64):
    return lambda v: type(v) is int and low <= v < end

SHAPES = {
    "u": number(0), "n": number(1), "stream": number(0, 1 << 32), "1": number(1, 2),
    **{word: text(word, 7) for word in ("lab", "head", "fork", "recover", "erased", "proof")},
    "name": text("[^\t\n\r]+", 64), "slug": text("[a-z0-9][a-z0-9-]*", 64),
    "kind": text("[a-z][a-z0-9-]*", 32), "audience": text("[a-z0-9][a-z0-9:._-]*", 64),
    "reason": text("[^\t\n\r]*", 200), "byte": number(0, 256), "size": number(1, 524289),
    "b16": sized(16, 16), "b32": sized(32, 32), "b64": sized(64, 64), "bin": sized(0, 65535),
    "RECORD": sized(1, 8192), "HEAD": sized(1, 512), "ENTRY": sized(1, 61440),
    "b16s": sized(0, 65535, 16), "b48s": sized(0, 65535, 48),
    "pairs": sized(0, 1 << 24, 48), "digests": sized(0, 8192, 8192),
    "part": sized(1, 61440), "opened": lambda v: type(v) is bytes and len(v) in (8, 32, 33),
    "map": lambda v: type(v) is dict, "arrived": lambda v: shaped(v, "u HEAD"),
    "RECEIPT": sized(1, 61440), "row": lambda v: shaped(v, "b32 audience n n"),
    "good": lambda v: shaped(v, "b32 audience n b32")}
def fits(value, shape):
    if shape[-1] == "*":
        return type(value) is list and all(fits(item, shape[:-1]) for item in value)
    return (shape[-1] == "?" and value is None) or SHAPES[shape.rstrip("?")](value)
def shaped(value, shapes):
    return type(value) is list and len(value) == len(shapes.split()) and all(
        map(fits, value, shapes.split()))

# ---- §§4, 9 and 11: entries, roots, signed objects, openings
def entry(data):
    value = decode(data, depth_max=9, nodes_max=4100)  # around a body: 8 deep, 4,096 nodes
    want(len(data) <= 61440 and shaped(value, "slug n kind map"))
    return value
def catalogue(stream):
    """slug hash -> entry bytes, of entries that stand one behind the other."""
    entries = {}
    while stream:
        size = Reader(stream, depth_max=9).at
        one, stream = stream[:size], stream[size:]
        entries[digest("slug", entry(one)[0].encode(), 16)] = one
    return entries
def root(entries):
    buckets = [b""] * 256
    for slug_hash in sorted(entries):
        buckets[slug_hash[0]] += slug_hash + digest("leaf", entries[slug_hash])
    digests = level = [digest("bucket", bucket) for bucket in buckets]
    while len(level) > 1:
        level = [digest("node", level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0], digests
def form(data, purpose):
    """The fields of a signed object, its payload and signature."""
    size, shapes = {"lab": (8192, "lab 1 b32 n name b32 b32 u good*"),
                    "head": (512, "head 1 b32 b32 n audience n u u b32 b32 u b16"),
                    "erased": (61440, "erased 1 b32 n n u b32 row*"),
                    "recover": (256, "recover 1 b32 b32 u")}[purpose]
    parts = decode(data)
    want(len(data) <= size and shaped(parts, "bin b64"))
    items = decode(parts[0])
    want(shaped(items, shapes))
    want(purpose != "lab" or len(items[8]) <= (32 if items[3] > 1 else 0), "last_good")
    rows = [row[:2] for row in items[7]] if purpose == "erased" else []
    want(all(a < b for a, b in zip(rows, rows[1:])) and len(rows) <= 1000, "rows")
    return items, *parts
def signed(data, purpose, key=None):
    """Form, then fields, then the signature; heads and receipts are signed by the key given,
    the others by the lab they name."""
    items, payload, signature = form(data, purpose)
    VerifyKey(key or items[2]).verify(tag(purpose) + payload, signature)
    return items, digest("headhash", payload)
def fold(start, history, items, below):
    """From history(start) over an opening's items: the number and the history they lead to, and
    the trunk's hashes. `below`: the trunk's histories before."""
    n, at, trunk, side, sides = start, {**below, start: history}, {}, None, 0
    for item in [*items, b""]:
        if len(item) == 33:
            want(side and item[0] == 1 and side[0] + len(side[1]) < n, "no hash of a side")
            side[1].append(item[1:])
            want(side[0] + len(side[1]) < n or item[1:] < trunk[n - 1], "the side is the trunk")
            continue
        if side:
            want(side[1] and side[0] in at and len(item) != 8, "no side")
            joined = at[side[0]]
            for head_hash in side[1]:
                joined = digest("history", joined + head_hash)
            at[n], side = digest("merge", at[n] + joined), None
        if len(item) == 8:
            want(trunk and 0 < int.from_bytes(item, "big") < n and sides < 16, "no k")
            side, sides = (int.from_bytes(item, "big"), []), sides + 1
        elif item:
            want(len(item) == 32, "no item")
            trunk[n], n = item, n + 1
            at[n] = digest("history", at[n - 1] + item)
    return n, at[n], trunk
def linked(held, offered, opening, below):
    """`held`: items and hash of the held head, or None; `offered`: the other head's items."""
    want(not held or opening[:1] == [held[1]], "does not begin with the held head")
    start, history = (held[0][6], held[0][10]) if held else (1, bytes(32))
    want(fold(start, history, opening, below)[:2] == (offered[6], offered[10]), "unlinked")
def fork(data):
    """§8: the lab, k, whether it is exact, the two heads' hashes and those at k."""
    value = decode(data)
    want(len(data) < 524289 and shaped(value, "fork 1 RECORD n HEAD b32 opened* HEAD b32 opened*"))
    record, k = signed(value[2], "lab")[0], value[3]
    (a, a_hash), (b, b_hash) = (signed(value[i], "head", record[5]) for i in (4, 7))
    want(a[2:6] == b[2:6] and a[3:5] == record[2:4], "not of one catalogue and generation")
    want((a[6], a_hash) < (b[6], b_hash) and k <= a[6], "order")
    at_k = []
    for head, own_hash, i in (a, a_hash, 5), (b, b_hash, 8):
        *reached, trunk = fold(k, value[i], value[i + 1], {})
        want(reached == [head[6], head[10]], "unlinked")
        at_k.append(trunk.get(k, own_hash))
    want(at_k[0] != at_k[1], "the same at k")
    return [record[2], k, value[5] == value[8], a_hash, b_hash, *at_k]

def proof(data):
    """§7: the lab, the head's hash, the slug, the leaf or None."""
    value = decode(data)
    want(len(data) <= 1 << 24 and shaped(value, "proof 1 RECORD HEAD slug ENTRY? pairs b32*"))
    record = signed(value[2], "lab")[0]
    head, head_hash = signed(value[3], "head", record[5])
    want(head[3:5] == record[2:4] and len(value[7]) == 8, "not of one lab and generation")
    slug_hash, leaf = digest("slug", value[4].encode(), 16), None
    pairs = [value[6][i:i + 48] for i in range(0, len(value[6]), 48)]
    want(all(a[:16] < b[:16] for a, b in zip(pairs, pairs[1:])), "pairs do not ascend")
    want(all(pair[0] == slug_hash[0] for pair in pairs), "of another bucket")
    top, at = digest("bucket", value[6]), slug_hash[0]
    for sibling in value[7]:
        top = digest("node", sibling + top if at % 2 else top + sibling)
        at //= 2
    want(top == head[9], "another root")
    leaves = [pair[16:] for pair in pairs if pair[:16] == slug_hash]
    if value[5] is not None:
        leaf = digest("leaf", value[5])
        want(entry(value[5])[0] == value[4], "another slug")
    want(leaves == ([] if leaf is None else [leaf]), "another entry, or none")
    return [record[2], head_hash, value[4], leaf]

# ---- §6: messages
MESSAGES = {1: "u u b32 b32 u RECORD? u b16 b16? u", 2: "RECORD*", 3: "u arrived*",
            4: "stream b32 audience u u b16?", 5: "stream ENTRY* b16s opened*", 6: "stream HEAD?",
            7: "stream b32 audience n digests", 8: "stream b32 audience n byte b48s ENTRY*",
            9: "b32 size u part", 10: "u u", 11: "u", 12: "u", 13: "u reason", 14: "",
            17: "RECEIPT*"}
RESERVED = {15: "bin RECORD", 16: "RECORD"}
def message(data, table=None):
    table, value = table or MESSAGES, decode(data)
    want(type(value) is list and value and type(value[0]) is int and value[0] in table, "type")
    want(shaped(value[1:], table[value[0]]))
    want(value[0] != 1 or value[5] or value[6], "generation 0 and no statement")
    want(value[0] != 4 or (value[5] > 0) == (value[6] is not None), "half a place to go on from")
    want(value[0] != 9 or value[3] + len(value[4]) <= value[2], "beyond the end")
    return value

# ---- the vectors
def good(v):
    for lab in v["labs"].values():
        root_pk = SigningKey(raw(lab["root_seed"])).verify_key.encode()
        yield root_pk == lab_of(lab["did"]) == raw(lab["lab"])
        yield SigningKey(raw(lab["signing_seed"])).verify_key.encode() == raw(lab["signing_pk"])
    for one in v["hashes"]:
        yield digest(one["tag"][8:], one["text"].encode()) == raw(one["hash"])
    for one in v["entries"]:
        data = raw(one["bytes"])
        yield entry(data) == one["value"] and digest("leaf", data) == raw(one["leaf"])
        slug_hash = digest("slug", one["value"][0].encode(), 16)
        yield slug_hash == raw(one["slug_hash"])
        yield slug_hash[:1] + digest("gone", digest("leaf", data), 16)[:15] == raw(one["hint"])
    for one in v["roots"]:
        top, digests = root(catalogue(raw(one["entries"])))
        yield [top, digests[0], digest("bucket", b"".join(digests))] == [
            raw(one[name]) for name in ("root", "first_digest", "digests_hashed_as_a_bucket")]
    for one in v["records"]:
        items = signed(raw(one["bytes"]), "lab")[0]
        yield items == one["value"] and items[2] == raw(one["key"])
    for one in v["heads"]:
        items, head_hash = signed(raw(one["bytes"]), "head", raw(one["key"]))
        live = catalogue(raw(one["entries"]))
        yield items == one["value"] and head_hash == raw(one["head_hash"])
        yield [len(live), sum(map(len, live.values())), root(live)[0]] == items[7:10]
        yield all(entry(data)[1] <= items[6] for data in live.values())
    for name, table in (("messages", MESSAGES), ("reserved", RESERVED)):
        yield all(message(raw(one["bytes"]), table) == one["value"] for one in v[name])
        yield {one["value"][0] for one in v[name]} == set(table)
    yield all(accepted(v, {"what": "opening", **one}) for one in v["openings"] + v["joined"])
    for one in v["forks"]:
        lab, k, exact, *hashes = fork(raw(one["bytes"]))
        yield [lab, *hashes] == [raw(one[name]) for name in ("lab", "a", "b", "a_at_k", "b_at_k")]
        yield (k, exact) == (one["k"], one["exact"])
    yield all(signed(raw(one["bytes"]), "erased", raw(one["key"]))[0] == one["value"]
              for one in v["receipts"])
    yield all(signed(raw(one["bytes"]), "recover")[0] == one["value"] for one in v["recoveries"])
def opening(v, one):
    chain = v["branches"].get(one.get("branch"), [h["bytes"] for h in v["heads"]])
    heads = [signed(raw(head), "head", raw(v["heads"][0]["key"])) for head in chain]
    held = heads[one["held"] - 1] if one["held"] else None
    linked(held, heads[one["offered"] - 1][0], [raw(item) for item in one["opening"]],
           {int(n): raw(history) for n, history in one.get("below", {}).items()})
def accepted(v, one):
    data = raw(one.get("bytes", "")) + bytes(one.get("zeros", 0))
    try:
        {"value": lambda: decode(data, nodes_max=4096), "entry": lambda: entry(data),
         "message": lambda: message(data), "did": lambda: lab_of(one["text"]),
         "record": lambda: signed(data, "lab"), "fork": lambda: fork(data),
         "receipt": lambda: signed(data, "erased", raw(v["labs"]["a"]["signing_pk"])),
         "recover": lambda: signed(data, "recover"), "opening": lambda: opening(v, one),
         "head": lambda: signed(data, "head", raw(v["heads"][0]["key"]))}[one["what"]]()
    except (ValueError, BadSignatureError):
        return False
    return True

raw = bytes.fromhex
def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file, object_hook=lambda o: raw(o["bin"]) if set(o) == {"bin"} else o)
def main():
    v = load(sys.argv[1])
    wrong = [f"good fact number {i}" for i, fact in enumerate(good(v)) if not fact] + [
        str(one) for one in v["bad"] if accepted(v, one) != bool(one.get("ok"))]
    return "\n".join(wrong) or print(f"{len(v['bad'])} bad and all good vectors: as due")

if __name__ == "__main__":
    sys.exit(main())
