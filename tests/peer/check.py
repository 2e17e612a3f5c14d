#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""check.py VECTORS: peer.py against the golden vectors: forks, openings through merge heads,
recovery statements, receipts, the messages for repair and proofs; and a fork of its own, joined again."""
import json
import sys

import peer
from peer import Refused

KEYS = {"fork": peer.checked_fork, "recover": peer.checked_recovery}


def refuses(action, *arguments):
    try:
        action(*arguments)
    except Refused:
        return True
    return False


def heads_of(vectors, name):
    """The heads of a branch, by number."""
    record = peer.Record(bytes.fromhex(vectors["records"][0]["bytes"]))
    return [None, *(peer.Head(bytes.fromhex(each), {record.lab: record}.get)
                    for each in vectors["branches"][name])]


def open_branch(vectors, one):
    """As a replica does that holds head `held` and is offered `offered`."""
    heads = heads_of(vectors, one["branch"])
    held, head = heads[one["held"]], heads[one["offered"]]
    items = [bytes.fromhex(each) for each in one["opening"]]
    below = {int(n): bytes.fromhex(each) for n, each in one["below"].items()}
    peer.need(held is None or items[:1] == [held.hash], "starts elsewhere")
    chain = peer.Chain(held.n if held else 1, held.history if held else peer.NONE, items, below.get)
    peer.need((chain.n, chain.history) == (head.n, head.history), "unlinked")


def vectors_check(vectors):
    for one in vectors["forks"]:
        record, k, heads, at_k = peer.checked_fork(bytes.fromhex(one["bytes"]))
        hashes = [record.lab, heads[0].hash, heads[1].hash, *at_k]
        yield k == one["k"] and [each.hex() for each in hashes] == [
            one[name] for name in ("lab", "a", "b", "a_at_k", "b_at_k")]
    for one in vectors["entries"]:
        yield peer.hint_of(bytes.fromhex(one["bytes"])).hex() == one["hint"]
    for one in vectors["recoveries"]:
        yield peer.checked_recovery(bytes.fromhex(one["bytes"]))[0]
    a = peer.Record(bytes.fromhex(vectors["records"][0]["bytes"]))
    for one in vectors["receipts"]:
        items = one["value"]
        record = type("Record", (), {"generation": items[3], "signing_pk": a.signing_pk})
        found = peer.checked_receipt(bytes.fromhex(one["bytes"]), lambda lab: record)
        yield found is None or list(found[1]) == items[3:5]
        yield (found is None) == (items[6]["bin"] != peer.NONE.hex())
        yield found is None or len(found[2]) == len(items[7])
    for one in vectors["joined"]:
        yield not refuses(open_branch, vectors, one)
    for one in vectors["bad"]:
        data = bytes.fromhex(one.get("bytes", "")) + bytes(one.get("zeros", 0))
        if one["what"] == "receipt":
            yield refuses(peer.checked_receipt, data, {a.lab: a}.get)
        elif one["what"] in KEYS:
            yield refuses(KEYS[one["what"]], data)
        elif one["what"] == "opening" and "branch" in one:
            yield refuses(open_branch, vectors, one)
        elif one["what"] == "message" and one["why"].split()[0] in ("BUCKETS", "BUCKET", "PROOF"):
            yield refuses(lambda octets: peer.bounded(peer.decode(octets)), data) != bool(one["ok"])
    for one in vectors["messages"]:
        value = peer.decode(bytes.fromhex(one["bytes"]))
        if value[0] in (peer.BUCKETS, peer.BUCKET, peer.PROOF):
            yield peer.bounded(value) == value and len(value) == peer.ITEMS[value[0]]


def fork_check():
    """A lab on two machines: a proof, a merge head, and replicas of either branch that take it."""
    one = peer.Lab("Ti Lab")
    one.publish([(f"fiche-{i}", "need", {"title": str(i)}) for i in range(4)])
    other = one.twin()
    replicas = [peer.Catalogue(), peer.Catalogue()]
    for _ in range(3):
        one.publish([("ici", "need", {"title": "ici"})])
    other.publish([("ailleurs", "need", {"title": "ailleurs"})], ["fiche-1"])
    for replica, lab in zip(replicas, (one, other)):
        replica.apply(*lab.own.delta(0), lab.own.head)
    yield one.own.apart(other.own) == 2
    proof = one.own.fork_proof(one.record.signed, other.own)
    record, k, heads, _ = peer.checked_fork(proof)
    yield record.lab == one.id and k == 2 and [head.n for head in heads] == [2, 4]
    for i in range(0, len(proof), 7):
        yield refuses(peer.checked_fork, proof[:i] + bytes([proof[i] ^ 1]) + proof[i + 1:])
    parts = peer.proof_messages(one.id, proof)
    yield all(peer.bounded(part) for part in parts) and b"".join(p[4] for p in parts) == proof
    yield one.own.apart(replicas[0]) is None
    head = one.merge(other)
    yield head.n == 5 and head.history == one.own.chain().history
    slugs = sorted(peer.decode(entry)[0] for entry in one.own.entries.values())
    yield slugs == ["ailleurs", "fiche-0", "fiche-2", "fiche-3", "ici"]
    replicas[0].apply(*one.own.delta(4), head)  # the trunk's takes it as any delta
    yield refuses(replicas[1].apply, *one.own.delta(2), head)
    replicas[1].apply(*one.own.delta(0), head, anew=True)  # the side's is asked anew
    one.publish(withdraw=["ici"])
    for replica in replicas:
        replica.apply(*one.own.delta(5), one.own.head)
        yield replica.entries == one.own.entries and replica.items == one.own.items


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = [*vectors_check(json.load(file)), *fork_check()]
    wrong = [number for number, fact in enumerate(facts) if not fact]
    print(f"{len(facts)} facts, wrong: {wrong or 'none'}")
    return 1 if wrong else 0


sys.exit(main())
