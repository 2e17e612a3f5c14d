#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""seeds.py: writes inputs to begin with into corpus/TARGET: one good object of every kind.

Made from doc/protocol.md and doc/control.md, not from the code under test. What fuzzing finds
beyond them is added by `tests/fuzz/run --keep`.
"""
import hashlib
import json
import os
import sys

import msgpack

HERE = os.path.dirname(os.path.abspath(__file__))
KEY, NETWORK, INSTANCE = bytes(range(32)), bytes(32), bytes(range(16))
CONTENTS = []
BODY = {
    "audience": ["élèves", "territoire"],
    "body": {"fr": "# Titre\n\nUn texte\tavec « guillemets » et 🐝."},
    "contact": {"email": "labo@ville.example", "name": "Labo", "role": "équipe"},
    "created": "2026-02-28",
    "data_licence": "etalab-2.0",
    "lang": "fr",
    "licence": "CC-BY-4.0",
    "links": [{"rel": "repo", "sha256": "0" * 64, "title": "A", "type": "text/html",
               "url": "https://ville.example/a?b=c"}],
    "mt": ["en"],
    "orgs": [{"id": "siren:217500016", "name": "Ville", "role": "owner"}],
    "relations": [{"label": "A", "rel": "answers", "to": "velo-ecole"}],
    "review_by": "2027-01-01",
    "same_as": ["https://www.wikidata.org/entity/Q42"],
    "seeking": ["adopters", "funding"],
    "source": {"fetched": "2026-01-01T00:00:00Z", "format": "csv", "id": "7", "licence": "MIT",
               "rev": "a", "url": "https://ville.example/"},
    "summary": "En une phrase.",
    "tags": ["vélo", "école"],
    "territory": ["com:75056", "dep:2A", "reg:11", "nuts:FR10", "fr"],
    "themes": ["01", "10"],
    "title": {"en": "Swarm", "fr": "Essaim"},
    "updated": "2026-03-01",
}
CONF = """# essaimd.conf
[network]
listen = [::1]:7000
max_links = 8
[log]
level = debug ; words
[control]
socket = /run/essaim/control.sock
[roles]
reader = users
admin = wheel
[quota]
entries = 1000
bytes = 65536
"""
YAML = """%YAML 1.2
---
# une fiche
kind: innovation
slug: velo-ecole
title: {fr: Vélo, en: "Bike \\u00e9 \\U0001F41D"}
summary: 'l''école'
body: |
  # Titre

  Un texte.
folded: >-
  une
  deux

  trois
number: -12
hex: 0x1f
none: ~
yes: true
tags: [a, b, "c d"]
orgs:
  - name: Ville
    role: owner
  - {name: Autre, role: partner}
...
---
- {kind: need, slug: a, title: A}
- kind: need
  slug: b
---
a: &x 1
b: *x
"""


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def entry(slug="velo-ecole", rev=1, kind="innovation", body=None):
    return pack([slug, rev, kind, BODY if body is None else body])


def lab(generation, last_good):
    return pack(["lab", 1, KEY, generation, "Ti Lab", KEY, KEY, 1767225600, last_good])


def recover(link_pk=KEY):
    return pack(["recover", 1, KEY, link_pk, 1767225600])


def receipt(number, rows):
    return pack(["erased", 1, KEY, 1, number, 1767225600, NETWORK, rows])


def head(n, audience="public"):
    return pack(["head", 1, NETWORK, KEY, 1, audience, n, 3, 900, KEY, bytes(32), 1767225600,
                 INSTANCE])


def signed(payload):
    return pack([payload, bytes(64)])


# Forms of texts: right ones, and ones next to them.
TEXTS = """fr pt-BR x-a i-klingon x a toolongword fr- fr-waytoolong1 zh-Hant-TW
https://ville.example/a http:///a https://?a https://#a ftp:/x mailto:a@b.example javascript:x data:x
tel:+33 urn:isbn:1 foo:bar 1http://a http+x://a ht_tp://a : a: https://a<b https://a>b https://a"b
https://a\\b https://a`b geo:1 GIT+SSH://h
contact@ville.example jean.dupont@ville.example a@b @b.c a@ a@b. a@.b a@@b.c a@b.c. j.dupont@a.b
jean.lab@v.f mairie.x@v.f jean.d@v.f jean.dupont j1.du2@v.f
2026-02-28 2026-02-29 2024-02-29 2000-02-29 1900-02-29 0000-01-01 2026-13-01 2026-00-01 2026-04-31
2026-1-01 2026/01/01 2026-01/01 20x6-01-01 2026-0x-01 2026-01-00
2026-01-01T00:00:00Z 2026-01-01T24:00:00Z 2026-01-01T00:60:00Z 2026-01-01T00:00:60Z
2026-01-01T00:00:61Z 2026-01-01T00:00:00.5Z 2026-01-01T00:00:00.Z 2026-01-01T00:00:00.xZ
2026-01-01T00:00:00,5Z 2026-01-01T00:00:00+Z 2026-01-01t00:00:00Z 2026-01-01T00-00:00Z
2026-01-01T00:00-00Z 2026-01-01T00:00:000 2026-02-30T00:00:00Z
com:75056 com:2A004 com:00001 com:97105 com:7505 com:9900x com:99001 com:2C004 dep:2A dep:2B dep:2C
dep:3A dep:01 dep:00 dep:96 dep:971 dep:990 dep:1 dep:1234 reg:11 reg:1 reg:1a epci:200054781 epci:2
nuts:FR10 nuts:F nuts:FR1011 nuts:fr nuts:Fr FR FR- FR-A FR-IDF FR-IDFX FR_A FR-a Fr-A fR be:1 be: :1
Be:1 be:a/b be:a.b_c-d fr Fr
siren:217500016 siren:217500017 siren:21750001 siren:21750001x siret:21750001600019
siret:35600000000048 siret:35600000049837 siret:35600000049838 siret:2175 rna:W751234567 rna:W75
rna:X751234567 rna:W75123456- wikidata:Q42 wikidata:Q wikidata:P42 wikidata:Q4x ror:02feahw73
ror:02feahw7 ror:02feahw7- other
CC-BY-4.0 etalab-2.0 GPL(1):a+b a/b a_b
velo-ecole did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX/velo
did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX
did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX/
did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX/- did:key:z6Mk/velo ../x""".split()
TEXTS += ["", " CC", "CC BY", "f" * 64, "F" * 64, "f" * 63, "g" * 64, "a" * 201, "https://a b",
          "https://" + "a" * 3000, "a@" + "b" * 260 + ".c", "x" * 36, "be:" + "a" * 70, "\u00e9@b.c",
          "jean.dup\u00f4nt@v.f", *("https://a" + mark for mark in
                                   "\u00a0\u00ad\u061c\u1680\u2000\u200f\u2010\u2028\u202f\u2030"
                                   "\u205f\u206f\u2070\u3000\ufeff\u007f\u0080\u00e9\U0001f41d")]
# Bodies whose fields hold each of them, and what else a field must not be.
FIELDS = ["audience", "body", "contact", "created", "data_licence", "id", "kind", "lang", "licence",
          "links", "mt", "orgs", "relations", "rev", "review_by", "same_as", "seeking", "slug",
          "source", "summary", "tags", "territory", "themes", "title", "updated", "url"]
ODD = [None, True, 0, b"x", [], {}, [1], {"fr": 1}, {"fr": ""}, {"": "a"}, {"zz-": "a"}, "x" * 501,
       ["a"] * 21, ["x" * 41], [{}], [["a"]], ["01", "1", "10"], {"en": "a", "fr": "b"},
       {"email": "jean.dupont@ville.example"}, {"email": "no"}, {"url": "no"}, {"zz": 1},
       [{"rel": "repo", "url": "https://a.example"}], [{"rel": "zz", "title": 1, "url": "x"}],
       [{"id": "siren:217500017", "name": "V", "role": "owner", "type": "x"}], [{"role": "zz"}],
       [{"rel": "answers", "to": "a"}], [{"rel": "zz", "to": "-"}],
       {"fetched": "2026-01-01T00:00:00Z", "format": "csv", "id": "1", "licence": "MIT",
        "sha256": "f" * 64, "url": "https://a.example"},
       {"fetched": "x", "sha256": "x", "url": "x"}, "javascript:x", "\u0301", ["a", "a"],
       "\u00e9" * 260]


def odd_bodies():
    for odd in ODD + [[text for text in TEXTS if len(text) < 40][i::9] for i in range(9)]:
        for part in range(0, len(FIELDS), 9):
            yield {field: odd for field in FIELDS[part:part + 9]}
    yield {"summary": "S", "title": "T" * 201, "x" * 300: {"y" * 300: 1}, "\u00e9" * 200: 1}
    yield {f"f{i:03}": [i] for i in range(100)}


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
    [1, 1, 0, NETWORK, KEY, 0, b"statement", 0, INSTANCE, None, 0],
    [5, 1, [], b"", [KEY, bytes([0, 0, 0, 0, 0, 0, 0, 1]), b"\1" + KEY, KEY]],
    [7, 1, KEY, "public", 1, b""],
    [7, 1, KEY, "public", 2**64 - 1, bytes(8192)],
    [8, 1, KEY, "public", 1, 0, b"", []],
    [8, 1, KEY, "public", 7, 255, bytes(96), [entry()]],
    [9, KEY, 1, 0, b"p"],
    [9, KEY, 524288, 524283, b"proof"],
    [10, 5, 6],
    [11, 1],
    [12, 2**40],
    [13, 3, "protocol error"],
    [14],
    [17, []],
    [17, [signed(receipt(1, [])), signed(receipt(2, [[KEY, "public", 1, 70000]]))]],
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
    "receipts": [{"after": KEY, "since": 7}],
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
    for body in odd_bodies():
        yield "entry", entry("s-1", 1, "need", body)
    yield "entry", pack({"a": 1})
    yield "entry", pack(["-", 1, "need", {}])
    for text in TEXTS:
        yield "pattern", text.encode()
    for payload in (lab(1, []), lab(2**32, [[NETWORK, "public", 1, KEY]] * 3), lab(0, [])):
        yield "lab", b"\0" + payload
    yield "lab", b"\1" + signed(lab(1, []))
    for payload in (recover(), recover(bytes(32)), recover(b""), lab(1, [])):
        yield "recover", b"\0" + payload
        yield "recover", b"\1" + signed(payload)
    rows = [[KEY, "a", 1, 1], [KEY, "public", 2, 2**63], [b"\xff" * 32, "public", 1, 300]]
    for payload in (receipt(1, []), receipt(2**63, rows), receipt(3, rows[::-1]), receipt(0, rows),
                    receipt(4, rows[:1] * 2)):
        yield "receipt", b"\0" + payload
        yield "receipt", b"\1" + signed(payload)
    for payload in (head(1), head(2**63, "a:b"), head(0)):
        yield "head", b"\0" + payload
    yield "head", b"\1" + signed(head(1))
    for message in MESSAGES:
        yield "msg", b"\0" + pack(message)
        for i, item in enumerate(message):
            for wrong in (None, [[]], 2**64 - 1):
                if wrong != item:
                    yield "msg", b"\0" + pack(message[:i] + [wrong] + message[i + 1:])
    for number in range(14):
        yield "msg", bytes([1, number]) + bytes(range(1, 120))
    yield "did", KEY
    yield "did", bytes(32)
    yield "did", PARAMS["peers_add"][0]["lab"].encode()
    for method, params in PARAMS.items():
        yield "ctl", pack([0, 7, method, params])
    yield "ctl", pack([1, 7, {"code": "E-SLUG", "message": "m"}, None]) + pack([2, "change", [{}]])
    for first in range(4):
        yield "handshake", bytes([first, 10]) + bytes(range(60))
        yield "session", bytes([first]) + bytes([0, 0, 50, 0, 9, 1, 3, 120, 1, 10, 0, 14, 9, 0]) * 3


DID = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"
COMMANDS = [
    "publish\n-\n--dry-run\n--json", "list\n--limit\n10\n--fields=lab,title.fr\n--kind=need\n--mine",
    "sync\n--wait=2\n--timeout\n30", "recover\n--from\n" + DID + "@a:1\n--from=" + DID + "@b:2",
    "bundle\nexport\n--lab=a\n--lab\nb\nf.essaim", "--dir", "-d\nx\n-hqyV", "--limit=-1", "--wait=x",
    "show\n--\n--json", "--color=never\nstatus", "--color=x", "--zzz", "-z", "withdraw\na\n--erase",
    "--timeout=99999999999999999999", "--if-rev=0\npublish", "--json=1", "--lab=a\n" * 65,
    "--from=a\n" * 9, DID, DID + "@[::1]:7000", DID + "@a", DID + "@a:0", DID + "@", "@a:1",
]


def text_seeds():
    for command in COMMANDS:
        yield "words", command
    key = "essaim-key-1 root " + "0f" * 32 + "\n"
    guard = f"essaim-guard-1 {7:020} {'0e' * 32} "
    guard += hashlib.blake2b(guard.encode(), digest_size=32).hexdigest()[:16] + "\n"
    for text in (key, guard):
        for other in (text, text[:-1], text + "\n", text.upper(), text.replace("1", "2"),
                      text.replace("0", "g"), text.replace(" ", "\t"), "9" + text[1:],
                      text.replace("000000", "999999")):
            yield "keyfile", other
    yield "keyfile", key.replace("root", "link")
    record = {"kind": "need", "slug": "a-1", **BODY}
    compact = json.dumps(record, ensure_ascii=False)
    broken = '{"kind":"need","slug":"a","n":[-1,0,18446744073709551615,9223372036854775808],' \
             '"s":"\\ud83d\\udc1d\\u00e9\\n\\/","x":null,"m":{"b":1,"a":{}},"f":1.5}'
    yield "conf", CONF
    yield "conf", "[network]\nlisten=*:0\n"
    for address in ("a.example:1", "[fe80::1]:65535", "*:7", "192.0.2.1:7000"):
        yield "conf", address
    yield "yaml", YAML
    yield "yaml", json.dumps([record, record], indent=1)
    for part in YAML.split("---"):
        yield "yaml", part
    for target in ("json", "ndjson"):
        yield target, json.dumps(record, indent=1)
        yield target, compact
        yield target, compact + "\n\n" + broken + "\n"
        yield target, "\ufeff [" + compact + "," + broken + "]"
        yield target, broken
        yield target, '{"kind":"need","slug":"a","t":"\\u0000\\ud800"}'
    yield "value", "gras \x1b[1m \u202e \u200b \t\n\r \x7f \x85 \u2028 é 🐝 \U000e0041"


for target, text in text_seeds():
    CONTENTS.append((target, text.encode()))
for value in (BODY, MESSAGES, list(PARAMS.values()), [2**63, -2**63, 2**64 - 1, None, 0.5, b"\0"]):
    CONTENTS.append(("value", pack(value)))
# What the hostile peer does: publish nineteen large entries, announce, fall silent after eighteen,
# come again, announce, serve the rest. Then: publish, announce, serve, withdraw, announce, serve
# with a crowd of hints.
ANNOUNCE, AGAIN = [8, 0, 0, 0, 0, 0], [28, 0, 1, 1, 0, 1, 0x33, 0, 0, 0, 1, 0]
CONTENTS.append(("peer", bytes([0, 3, 0, 0, 19, 255] + ANNOUNCE + [13, 24, 18] + AGAIN + ANNOUNCE
                               + [13, 0])))
CONTENTS.append(("peer", bytes([0, 3, 0, 0, 5, 9] + ANNOUNCE + [13, 0, 0, 4, 0, 2] + ANNOUNCE
                               + [13, 25, 1])))
for change in range(1, 7):
    CONTENTS.append(("proof", bytes([0, 18, 0, change, 0])))
    CONTENTS.append(("proof", bytes([0, 18, 1, 2, 2, 1, change - 1, 1, change * 9, 0])))
with open(os.path.join(HERE, "..", "golden", "vectors.json"), encoding="utf-8") as file:
    VECTORS = json.load(file)
RECORDS, HEADS = ([bytes.fromhex(one["bytes"]) for one in VECTORS[name] if len(one["bytes"]) < 2000]
                  for name in ("records", "heads"))
SIBLINGS = [bytes(32)] * 8
PROOF = ["proof", 1, RECORDS[0], HEADS[0], "a", None, b"", SIBLINGS]
for at, wrong in ((0, "zzz"), (1, 2), (2, RECORDS[-1]), (3, HEADS[-1]), (3, RECORDS[0]), (4, "-"),
                  (5, b""), (5, 1), (5, entry()), (6, bytes(47)), (6, bytes(48)), (6, bytes(96)),
                  (7, SIBLINGS[1:]), (7, [b""] * 8), (7, [1] * 8), (7, None), (4, 1), (4, "a")):
    CONTENTS.append(("proof", b"\1" + pack(PROOF[:at] + [wrong] + PROOF[at + 1:])))
BEGIN = [0, 3, 0, 0, 5, 9] + ANNOUNCE + [13, 0]
for oddity in range(1, 9):
    CONTENTS.append(("peer", bytes(BEGIN + [3, 0, 1, oddity, 0, 0, 1, 7] + ANNOUNCE + [13, 0])))
for lie in range(1, 10):
    CONTENTS.append(("peer", bytes(BEGIN + [0, 0, 1, 7, 4, 0, 2] + ANNOUNCE + [13, 16 + lie, 1])))
for fork in ([0, 0, 3, 3], [2], [3]):
    CONTENTS.append(("peer", bytes(BEGIN + [5, 0] + fork + ANNOUNCE + [13, 0]
                                   + [0, 0, 1, 7] + ANNOUNCE + [13, 0])))
CONTENTS += [("fork", b"\1" + bytes.fromhex(one["bytes"])) for one in VECTORS["forks"]]
CONTENTS += [("recover", b"\1" + bytes.fromhex(one["bytes"])) for one in VECTORS["recoveries"]]
CONTENTS += [("msg", b"\0" + bytes.fromhex(one["bytes"]) + bytes(one["zeros"]))
             for one in VECTORS["bad"] if one["what"] == "message" and one["zeros"] < 100]
# Two heads in common; 3 of each; b: 4, 5 joins a's 3, 6, 7; a: 4. Then heads 4 and 7 of them from
# 3 on, as they are, altered in each way, with a bit flipped; and two heads of one branch.
BRANCHES, SHOWN = [0, 2, 3, 0, 5, 0, 4, 0], [0, 3, 6, 1]
for rest in ([0], [2, 0, 99, 1], [3, 1, 5, 64], *([1, i, act, 1] for act in range(7) for i in (0, 1)),
             *([1, 0, 2, k] for k in range(7)),
             *([1, i, 5] + [int(i == at) for i in range(4)] for at in range(4) for i in (0, 1))):
    CONTENTS.append(("fork", bytes(BRANCHES + SHOWN + rest)))
for k in (2, 4, 5):
    CONTENTS.append(("fork", bytes(BRANCHES + [0, 3, 3, 1, 1, 0, 2, k])))
for shown in ([0, 2, 2, 0], [0, 3, 6, 0], [0, 3, 6, 2], [7, 3, 5, 1], [0, 0, 0, 0]):
    CONTENTS.append(("fork", bytes(BRANCHES + shown + [0])))
# From 3: four hashes and a side of two; a tie; sixteen sides and one more.
CONTENTS.append(("opening", bytes([2, 1] + [0, 1] * 4 + [8, 2, 10, 9, 10, 9, 0, 5])))
CONTENTS.append(("opening", bytes([0, 0] + [0, 5] + [8, 0, 10, 4, 0, 5, 8, 0, 10, 5])))
CONTENTS.append(("opening", bytes([4, 1] + [0, 9, 8, 3, 10, 7] * 17)))
# Who writes bundles: publishes five entries at the second lab, announces, gives the delta, says
# goodbye, and the node reads. Then lies of each kind, signed ones, flips and cuts, another history,
# new keys, the node's own export; and files as they are.
SAID, READ, AGAIN = [10, 1, 1, 0, 14, 0, 0], [20, 21, 0], [8]
FIRST = [0, 3, 1, 5, 9] + SAID + READ
CONTENTS.append(("bundle", bytes(FIRST + [4, 1, 2] + AGAIN + SAID + READ)))
for lie in range(1, 10):
    for about in (0, 1, 3):
        CONTENTS.append(("bundle", bytes(FIRST + [0, 1, 1, 7, 8] + SAID[:4] + [14, 0, 15 + lie, about]
                                         + READ)))
for oddity in range(1, 9):
    CONTENTS.append(("bundle", bytes(FIRST + [5, 1, 0, oddity, 0, 1, 1, 7] + AGAIN + SAID + READ)))
for size in (1, 2, 3, 4):
    CONTENTS.append(("bundle", bytes([0, 3, 1, 19, 255] + SAID + [20, 21, size])))
for spoil in ([25, 1, 40, 3], [26, 9] + [0x92, 11] * 5, [27, 3, 0, 1, 0x80], [28, 3, 0]):
    CONTENTS.append(("bundle", bytes([0, 3, 1, 5, 9] + SAID + spoil + [21, 0, 30, 9, 9, 31, 0, 4])))
CONTENTS.append(("bundle", bytes(FIRST + [6, 1, 3, 1, 4] + AGAIN + SAID + READ + [29, 21, 0])))
CONTENTS.append(("bundle", bytes(FIRST + [7, 1, 3, 0, 1, 3, 4] + AGAIN + SAID + READ + [29, 21, 0])))
sys.path.insert(0, os.path.join(HERE, "..", "peer"))
import bundle, peer  # noqa: E401,E402
peer.time.time = lambda: 1767225600
WHO = peer.Lab("Python")
WHO.root, WHO.signing = (peer.nacl.signing.SigningKey(bytes([i]) * 32) for i in (1, 2))
WHO.id, WHO.link_secret, WHO.instance = bytes(WHO.root.verify_key), bytes(32), INSTANCE
WHO.record = peer.Record(WHO.signed_record())
WHO.records = {WHO.id: WHO.record}
WHO.publish([(f"fiche-{i}", "need", {"title": "T"}) for i in range(4)])
WHO.publish([("fiche-1", "need", {"title": "U"})], ["fiche-2"])
CONTENTS.append(("bundle", b"\1" + bundle.write(WHO)))
CONTENTS.append(("bundle", b"\1" + bundle.write(WHO)[:-20]))
for number in range(8):
    dice = b"".join(hashlib.sha512(bytes([number, i, 1])).digest() for i in range(4))
    CONTENTS += [("fork", b"\0" + dice), ("opening", dice)]
for number in range(6):
    dice = b"".join(hashlib.sha512(bytes([number, i])).digest() for i in range(6))
    CONTENTS += [(name, dice) for name in ("bundle", "control", "peer", "root")]
for target, content in CONTENTS + list(seeds()):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    name = hashlib.sha1(content).hexdigest()
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)
