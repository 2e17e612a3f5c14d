#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""A daemon in memory, after doc/control.md, to test the command line alone.

    fake_daemon.py DIR        listens on DIR/control.sock, prints "ready", serves until killed

Two labs: its own (DIR/lab.record where there is one) and "Région Sud" (alias sud), which holds one
entry with hostile characters. A few names misbehave on purpose, for the tests: publishing the slug
"explose" closes the connection, "refusee" is refused, "muette" never answers.
"""
import hashlib
import os
import selectors
import socket
import sys
import time

import msgpack

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SUD = hashlib.sha256(b"sud").digest()


def did(lab):
    number, text = int.from_bytes(b"\xed\x01" + lab, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "did:key:z" + text


def tagged(tag, size, data):
    return hashlib.blake2b(tag.ljust(16, b"\0") + data, digest_size=size).digest()


def entry_bytes(slug, rev, kind, body):
    return b"\x94" + msgpack.packb(slug) + msgpack.packb(rev) + msgpack.packb(kind) + body


class Refused(Exception):
    def __init__(self, code, message, field=None):
        super().__init__(code)
        self.code, self.message, self.field = code, message, field


class Daemon:
    def __init__(self, directory):
        self.name, self.lab, self.generation = "Labo d'essai", hashlib.sha256(b"own").digest(), 1
        record = os.path.join(directory, "lab.record")
        if os.path.exists(record):
            with open(record, "rb") as file:
                payload = msgpack.unpackb(msgpack.unpackb(file.read())[0])
            self.lab, self.generation, self.name = payload[2], payload[3], payload[4]
        self.n, self.issued_at = 0, 1700000000
        self.entries = {self.lab: {}, SUD: {}}
        hostile = {"lang": "fr", "summary": "x", "title": {"en": "Evil \u202e\x9b\u200b\ttext",
                                                           "fr": "Méchant \u202e\x9b\u200b\ttexte"}}
        self.entries[SUD]["hostile"] = entry_bytes("hostile", 3, "innovation",
                                                   msgpack.packb(hostile))
        self.peers, self.batches, self.watchers = {}, {}, []
        self.damaged = os.path.exists(os.path.join(directory, "damaged"))
        self.role = "reader" if os.path.exists(os.path.join(directory, "reader")) else "admin"

    def lab_of(self, text):
        if not text:
            return self.lab
        slug = text.lower().replace(" ", "-")
        known = ((self.lab, self.name, None), (SUD, "Région Sud", "sud"))
        found = [lab for lab, name, alias in known
                 if text == did(lab) or slug == name.lower().replace(" ", "-") or text == alias]
        if not found:
            raise Refused("E-NOT-FOUND", "no such lab")
        return found[0]

    def names(self, lab):
        return (self.name, None) if lab == self.lab else ("Région Sud", "sud")

    def hello(self, _client, _params):
        return {"version": "0", "protocol": 1, "lab": self.lab, "did": did(self.lab),
                "name": self.name, "role": self.role}

    def status(self, _client, _params):
        own = self.entries[self.lab]
        head = {"n": self.n, "count": len(own), "bytes": sum(map(len, own.values())),
                "issued_at": self.issued_at}
        return {"version": "0", "protocol": 1, "lab": self.lab, "did": did(self.lab),
                "name": self.name, "network": bytes(32), "generation": 1, "pid": os.getpid(),
                "uptime_s": 3, "head": head if self.n else None, "labs": 2,
                "entries": sum(map(len, self.entries.values())), "bytes": 1, "arrival": 1,
                "index": bytes(16), "disk": {"used": 1, "free": 2, "map": 3},
                "links": [{"lab": SUD, "name": "Région Sud", "state": "live", "dialled": True,
                           "address": "127.0.0.1:4242", "since_s": 1, "received": 1, "sent": 1,
                           "cursor": 1, "acked": 1, "arrival": 1}],
                "fetches": [], "refused": {}, "warnings": ["disk-full", "clock is off"]}

    def labs(self, _client, params):
        wanted = [self.lab_of(params["lab"])] if "lab" in params else [self.lab, SUD]
        return {"labs": [{"lab": lab, "did": did(lab), "name": self.names(lab)[0],
                          "alias": self.names(lab)[1], "own": lab == self.lab, "generation": 1,
                          "catalogues": []} for lab in wanted]}

    def list(self, _client, params):
        labs = [self.lab] if params.get("own") else \
            [self.lab_of(params["lab"])] if "lab" in params else sorted(self.entries)
        rows = [(lab, slug, entry) for lab in labs for slug, entry in
                sorted(self.entries[lab].items())]
        after = int(params.get("after", b"\0").hex(), 16)
        page, at = [], after
        limit = min(params.get("limit", 100), 100)
        while at < len(rows) and len(page) < limit:
            lab, _slug, entry = rows[at]
            at += 1
            if params.get("kind") in (None, msgpack.unpackb(entry)[2]):
                page.append([lab, entry])
        return {"entries": page, "total": len(rows),
                "next": at.to_bytes(4, "big") if at < len(rows) else None}

    def show(self, _client, params):
        lab_text, _, slug = params["ref"].rpartition("/")
        lab = self.lab_of(lab_text)
        entry = self.entries[lab].get(slug)
        if entry is None:
            raise Refused("E-NOT-FOUND", "no such entry")
        return {"lab": lab, "name": self.names(lab)[0], "entry": entry, "generation": 1,
                "leaf": tagged(b"essaim1 leaf", 32, entry), "n": max(self.n, 1),
                "issued_at": self.issued_at}

    def verdict(self, slug, kind, body, if_rev):
        held = self.entries[self.lab].get(slug)
        rev = msgpack.unpackb(held)[1] if held else 0
        if slug == "refusee":
            raise Refused("E-FIELD", "refused on purpose", "title")
        if if_rev is not None and if_rev != rev:
            raise Refused("E-CONFLICT", "the entry has another revision", "rev")
        if held and msgpack.unpackb(held)[2] != kind:
            raise Refused("E-KIND", "the slug was already used for another kind", "kind")
        if held and held == entry_bytes(slug, rev, kind, body):
            return 2
        return 1 if held else 0

    def publish(self, client, params):
        if self.role == "reader":
            raise Refused("E-ROLE", "your role does not allow this")
        batch = self.batches.setdefault(client, [])
        batch += params["entries"]
        if any(entry[0] == "explose" for entry in batch):
            raise ConnectionError
        if any(entry[0] == "muette" for entry in batch):
            return None
        if params.get("more"):
            return {"received": len(params["entries"])}
        statuses, errors, changed = bytearray(), [], []
        for index, entry in enumerate(self.batches.pop(client)):
            try:
                status = self.verdict(*entry[:3], entry[3] if len(entry) > 3 else None)
            except Refused as refused:
                status = 3
                errors.append([index, refused.code, refused.field or "", refused.message])
            statuses.append(status)
            if status < 2:
                changed.append(entry)
        if changed and not params.get("dry_run"):
            self.n += 1
            for slug, kind, body, *_ in changed:
                self.entries[self.lab][slug] = entry_bytes(slug, self.n, kind, body)
                self.tell("published", slug, self.entries[self.lab][slug])
        return {"n": self.n, "statuses": bytes(statuses), "errors": errors[:1000]}

    def withdraw(self, _client, params):
        statuses, errors = bytearray(), []
        for index, slug in enumerate(params["slugs"]):
            gone = slug in self.entries[self.lab]
            statuses.append(0 if gone else 3)
            if not gone:
                errors.append([index, "E-NOT-FOUND", "", "not found"])
            elif not params.get("dry_run"):
                del self.entries[self.lab][slug]
                self.tell("withdrawn", slug, None)
        self.n += 0 in statuses
        return {"n": self.n, "statuses": bytes(statuses), "errors": errors}

    def peers_list(self, _client, _params):
        return {"peers": [{"lab": SUD, "did": text, "name": "", "alias": peer.get("alias"),
                           "address": peer.get("address"), "dial": "address" in peer,
                           "state": "live"} for text, peer in self.peers.items()]}

    def peers_add(self, _client, params):
        self.peers[params["lab"]] = params
        return {}

    def peers_remove(self, _client, params):
        if self.peers.pop(params["lab"], None) is None:
            raise Refused("E-NOT-FOUND", "no such peer")
        return {}

    def sync(self, _client, params):
        if params["wait"] > 1:
            time.sleep(params["timeout_ms"] / 1000)
            raise Refused("E-TIMEOUT", "timed out")
        return {"held": 1, "n": self.n}

    def watch(self, client, _params):
        self.watchers.append(client)
        return {}

    def tell(self, change, slug, entry):
        note = {"lab": self.lab, "name": self.name, "change": change, "n": self.n, "rev": self.n,
                "slug_hash": tagged(b"essaim1 slug", 16, slug.encode()), "entry": entry}
        for client in self.watchers:
            client.sendall(msgpack.packb([2, "change", [note]]))

    def verify(self, _client, params):
        total = sum(map(len, self.entries.values()))
        bad = [{"lab": self.lab, "slug_hash": bytes(16), "what": "leaf \x1b[31m"}]
        labs = [{"lab": lab, "did": did(lab), "name": self.names(lab)[0], "audience": "public",
                 "n": 3, "count": len(self.entries[lab]), "issued_at": self.issued_at,
                 "ok": not (self.damaged and lab == self.lab)} for lab in (self.lab, SUD)]
        if "after" not in params:
            return {"next": b"\1", "checked": total // 2, "total": total, "labs": labs[:1],
                    "problems": bad if self.damaged else []}
        return {"next": None, "checked": total, "total": total, "problems": [], "labs": labs[1:]}

    def answer(self, client, message):
        _, number, method, params = message
        try:
            result = getattr(self, method)(client, params[0] if params else {})
            if result is None:
                return b""
            return msgpack.packb([1, number, None, result])
        except Refused as refused:
            error = {"code": refused.code, "message": refused.message}
            if refused.field:
                error["field"] = refused.field
            return msgpack.packb([1, number, error, None])


def serve(directory):
    daemon = Daemon(directory)
    path = os.path.join(directory, "control.sock")
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client = listener.accept()[0]
                unpacker = msgpack.Unpacker(max_buffer_size=1 << 24)
                selector.register(client, selectors.EVENT_READ, unpacker)
                continue
            client = key.fileobj
            try:
                received = client.recv(1 << 20)
                if not received:
                    raise ConnectionError
                key.data.feed(received)
                for message in key.data:
                    client.sendall(daemon.answer(client, message))
            except (ConnectionError, OSError):
                selector.unregister(client)
                daemon.batches.pop(client, None)
                if client in daemon.watchers:
                    daemon.watchers.remove(client)
                client.close()


if __name__ == "__main__":
    serve(sys.argv[1])
