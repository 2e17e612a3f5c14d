#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""Real catalogues: 853 innovations and 71 needs, published at two labs, the same at three.

The data is no part of this tree: ESSAIM_SHARED names its folder, else it is looked for beside the
tree; without it these tests are skipped, and say so.
"""
import os
import pty
import select
import signal

import convert
import lab
import peer
import tap
from lab import ESSAIM, Failure, converge, pack

SHARED = os.environ.get("ESSAIM_SHARED") or os.path.join(lab.SOURCE, "..", "shared")
IPSX = os.path.join(SHARED, "data", "ipsx", "cases.ndjson")
EIG = os.path.join(SHARED, "data", "eig-defis", "defis.ndjson")
HOSTILE = "\u2028\u009d\u200b\u200e\u2060"  # what must not reach a terminal
KEPT = HOSTILE + "\u00a0"  # what the real texts hold and must go on holding


def on_terminal(a_lab, *words, columns=120):
    """What a command shows on a terminal, as bytes."""
    child, terminal = pty.fork()
    if child == 0:
        lab.die_with_parent()
        os.environ.update({"LC_ALL": "C.UTF-8", "TERM": "xterm", "COLUMNS": str(columns),
                           "PAGER": "cat"})
        os.execv(ESSAIM, [ESSAIM, "--dir", a_lab.dir, *words])
    shown = b""
    while True:
        if not select.select([terminal], [], [], lab.LIMIT_S)[0]:
            os.kill(child, signal.SIGKILL)
            break
        try:
            octets = os.read(terminal, 65536)
        except OSError:  # how a terminal says that nobody is left on its other side
            break
        if not octets:
            break
        shown += octets
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise Failure(f"essaim {words} on a terminal: {status}\n{shown.decode('utf-8', 'replace')}")
    return shown


def texts(value):
    """Every text in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def ndjson(records):
    return "".join(convert.json.dumps(each, ensure_ascii=False) + "\n" for each in records)


def body_of(record):
    return pack({key: value for key, value in record.items() if key not in ("kind", "slug")})


@lab.unittest.skipUnless(os.path.exists(IPSX) and os.path.exists(EIG),
                         f"NO REAL DATA: {IPSX} is not there (set ESSAIM_SHARED)")
class Real(lab.Case):
    """One network, three nodes, two of them publishing."""

    limit_s = 120

    def test_the_converter_keeps_every_character_that_matters(self):
        records = convert.converted("ipsx", IPSX) + convert.converted("eig", EIG)
        self.assertEqual(len(records), 853 + 71)
        self.assertEqual(len({each["slug"] for each in records}), len(records))
        texts = "".join(text for each in records for text in each["body"].values())
        for character in KEPT:
            self.assertIn(character, texts, hex(ord(character)))

    def test_853_innovations_and_71_needs_end_byte_identical_at_three_nodes(self):
        innovations, needs = convert.converted("ipsx", IPSX), convert.converted("eig", EIG)
        a, b, c = self.labs_in_a_row("Observatoire européen", "Relais", "Lab du ministère")
        for where, records in ((a, innovations), (c, needs)):
            done = where.cli("publish", "-", stdin=ndjson(records))
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        converge([a, b, c], lambda: len(b.heads()) == 2, 60 * tap.SLOW)
        self.same(a, b, c)
        self.clean(a, b, c)
        held = b.entries()
        self.assertEqual(len(held), 853 + 71)
        for each in (a, c):
            entries = {peer.slug_hash(slug): entry for (owner, slug), entry in held.items()
                       if owner == each.id}
            self.assertEqual(peer.root_of(entries), b.heads()[each.id, "public"][3])
        self.bytes_are_the_converters(held, a.id, innovations)
        self.bytes_are_the_converters(held, c.id, needs)
        self.terminal_is_safe(b, a, innovations)
        for each in (a, b, c):
            done = each.cli("verify")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def bytes_are_the_converters(self, held, owner, records):
        """What travelled is what the author wrote, byte for byte."""
        for record in records:
            slug, kind = record["slug"], record["kind"]
            entry = held[owner, slug]
            self.assertEqual(entry, b"\x94" + pack(slug) + pack(1) + pack(kind) + body_of(record))

    def terminal_is_safe(self, where, owner, records):
        """No hostile character as it is on a terminal, in show and in the lists."""
        met = set()
        for record in records:
            text = record["body"]["en"]
            found = {character for character in HOSTILE if character in text}
            if not found - met:
                continue
            met |= found
            shown = on_terminal(where, "show", f"{owner.did}/{record['slug']}").decode("utf-8")
            for character in found:
                self.assertNotIn(character, shown, f"{hex(ord(character))} in {record['slug']}")
                self.assertIn(f"{ord(character):x}", shown.lower().replace("{", ""), record["slug"])
            json = where.good("--json", "show", f"{owner.did}/{record['slug']}")
            self.assertIn(record["body"]["en"], list(texts(convert.json.loads(json))))
        self.assertEqual(met, set(HOSTILE))
        listed = on_terminal(where, "list").decode("utf-8")
        for character in HOSTILE:
            self.assertNotIn(character, listed)

    def test_publishing_the_real_catalogue_twice_changes_nothing(self):
        a = self.lab()
        text = ndjson(convert.converted("eig", EIG))
        self.assertEqual(a.cli("publish", "-", stdin=text).returncode, 0)
        heads = a.heads()
        self.assertEqual(a.cli("publish", "-", stdin=text).returncode, 0)
        self.assertEqual(a.heads(), heads)


if __name__ == "__main__":
    tap.main()
