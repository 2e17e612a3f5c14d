#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""seeds.py: writes inputs to begin with into corpus/TARGET: one good object of every kind.

Made from doc/protocol.md and doc/control.md, not from the code under test. What fuzzing finds
beyond them is added by `tests/fuzz/run --keep`.
"""
import hashlib
import os

import msgpack

HERE = os.path.dirname(os.path.abspath(__file__))
KEY, NETWORK, INSTANCE = bytes(range(32)), bytes(32), bytes(range(16))
BODY = {
    "audience": ["élèves", "territoire"],
    "body": "# Titre\n\nUn texte\tavec « guillemets » et 🐝.",
    "contact": {"email": "labo@ville.example", "name": "Labo"},
    "date": "2026-02-28",
    "lang": "fr",
    "licence": "CC-BY-4.0",
    "links": [{"rel": "source", "url": "https://ville.example/a?b=c"}],
    "orgs": [{"id": "siren:217500016", "name": "Ville", "role": "lead"}],
    "summary": "En une phrase.",
    "tags": ["vélo", "école"],
    "territories": ["com:75056", "dep:2A", "reg:11", "nuts:FR10"],
    "title": "Essaim",
    "translations": {"en": {"title": "Swarm"}},
}


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def entry(slug="velo-ecole", rev=1, kind="innovation", body=None):
    return pack([slug, rev, kind, BODY if body is None else body])


def lab(generation, last_good):
    return pack(["lab", 1, KEY, generation, "Ti Lab", KEY, KEY, 1767225600, last_good])


def head(n, audience="public"):
    return pack(["head", 1, NETWORK, KEY, 1, audience, n, 3, 900, KEY, bytes(32), 1767225600,
                 INSTANCE])


def signed(payload):
    return pack([payload, bytes(64)])


MESSAGES = [
    [1, 1, 0, NETWORK, KEY, 1, signed(lab(1, [])), 0, INSTANCE, None, 0],
    [1, 1, 0, NETWORK, KEY, 3, None, 1, INSTANCE, INSTANCE, 300],
    [2, [signed(lab(1, [])), signed(lab(2, [[NETWORK, "public", 9, KEY]]))]],
    [3, 7, [[5, signed(head(1))], [7, signed(head(70000))]]],
    [4, 1, KEY, "public", 0, 0, None],
    [4, 2, KEY, "public", 3, 4, INSTANCE],
    [5, 1, [entry(), entry("b", 2, "need", {})], INSTANCE * 2, [KEY, KEY]],
    [5, 1, [], b"", []],
    [6, 1, signed(head(4))],
    [6, 1, None],
    [7, 1, KEY, "public", 1, b""],
    [8, 1, KEY, "public", 1, 255, b"", []],
    [9, KEY, b"proof"],
    [10, 5, 6],
    [11, 1],
    [12, 2**40],
    [13, 3, "protocol error"],
    [14],
    [15, b"token", b"record"],
    [16, b"record"],
]

PARAMS = {
    "hello": [],
    "status": [{}],
    "labs": [{"lab": "Ti Lab"}],
    "list": [{"kind": "innovation", "limit": 10, "own": True, "after": b"\0" * 24}],
    "show": [{"ref": "ti-lab/velo-ecole"}],
    "publish": [{"entries": [["a", "need", pack({"title": "A"})], ["b", "event", pack({}), 3]],
                 "more": False, "dry_run": True}],
    "withdraw": [{"slugs": ["a", "b"]}],
    "peers_list": [],
    "peers_add": [{"lab": "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
                   "address": "192.0.2.1:7000", "alias": "voisin"}],
    "peers_remove": [{"lab": "voisin"}],
    "sync": [{"wait": 1, "timeout_ms": 100}],
    "watch": [None],
    "verify": [{"after": bytes(24)}],
}


def seeds():
    """(target, bytes) of every seed."""
    values = [None, True, 0, 127, 128, 2**64 - 1, -1, -33, -2**63, "", "é" * 40, b"x" * 300, [],
              {}, {"a": [1, {"b": {"c": [[[[]]]]}}], "ab": -200}, [0] * 20, 1.5,
              {f"k{i:02}": i for i in range(17)}]
    for value in values:
        yield "scan", pack(value)
    yield "scan", entry()
    for body in ({}, {"title": "A"}, BODY, {"title": 3, "tags": "x", "unknown": [{}]}):
        for kind in ("innovation", "lab", "event"):
            yield "entry", entry("s-1", 70000, kind, body)
    for payload in (lab(1, []), lab(2**32, [[NETWORK, "public", 1, KEY]] * 3), lab(0, [])):
        yield "lab", b"\0" + payload
    yield "lab", b"\1" + signed(lab(1, []))
    for payload in (head(1), head(2**63, "a:b"), head(0)):
        yield "head", b"\0" + payload
    yield "head", b"\1" + signed(head(1))
    for message in MESSAGES:
        yield "msg", b"\0" + pack(message)
        yield "msg", bytes([1, message[0]]) + bytes(range(1, 120))
    yield "did", KEY
    yield "did", bytes(32)
    yield "did", PARAMS["peers_add"][0]["lab"].encode()
    for method, params in PARAMS.items():
        yield "ctl", pack([0, 7, method, params])
    yield "ctl", pack([1, 7, {"code": "E-SLUG", "message": "m"}, None]) + pack([2, "change", [{}]])
    for first in range(4):
        yield "handshake", bytes([first, 10]) + bytes(range(60))
        yield "session", bytes([first]) + bytes([0, 0, 50, 0, 9, 1, 3, 120, 1, 10, 0, 14, 9, 0]) * 3


for target, content in seeds():
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    name = hashlib.sha1(content).hexdigest()
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)
