# SPDX-License-Identifier: EUPL-1.2
"""Canonical msgpack, doc/protocol.md §2: decode(data) or ValueError. Of verify.py beside it."""
import re


def want(fact, why="does not fit"):
    if not fact:
        raise ValueError(why)


LEADS = {first + i: (kind, size << i, low) for first, kind, size, lows in (
    (0xc4, "bin", 1, (0, 256, 1 << 16)), (0xcc, "int", 1, (128, 256, 1 << 16, 1 << 32)),
    (0xd0, "int", 1, (-32, -128, -(1 << 15), -(1 << 31))), (0xd9, "str", 1, (32, 256, 1 << 16)),
    (0xdc, "array", 2, (16, 65536)), (0xde, "map", 2, (16, 65536))) for i, low in enumerate(lows)}


class Reader:
    """The canonical value at the head of `data`; `at` is its size."""

    def __init__(self, data, depth_max=8, nodes_max=65536):
        self.data, self.at, self.depth_max, self.nodes_left = data, 0, depth_max, nodes_max
        self.value = self.read(0)

    def take(self, size):
        want(size <= len(self.data) - self.at, "cut")
        self.at += size
        return self.data[self.at - size:self.at]

    def head(self):
        lead = self.take(1)[0]
        if lead in LEADS:
            kind, size, bound = LEADS[lead]
            value = int.from_bytes(self.take(size), "big", signed=bound < 0)
            want(value < bound if bound < 0 else value >= bound, "not the shortest form")
            return kind, value
        want(lead < 0xc1 or lead in (0xc2, 0xc3) or lead >= 0xe0, "float, ext or nothing")
        return (("int", lead) if lead < 0x80 else ("map", lead & 15) if lead < 0x90 else
                ("array", lead & 15) if lead < 0xa0 else ("str", lead & 31) if lead < 0xc0 else
                ("int", lead - 256) if lead >= 0xe0 else (None, [None, 0, False, True][lead & 3]))

    def read(self, depth):
        self.nodes_left -= 1
        want(self.nodes_left >= 0, "too many nodes")
        kind, value = self.head()
        if kind == "str":
            words = self.take(value).decode("utf-8")
            want(not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", words), "control character")
            return words
        if kind not in ("array", "map"):
            return self.take(value) if kind == "bin" else value
        want(depth < self.depth_max, "too deep")
        items = [self.read(depth + 1) for _ in range(value if kind == "array" else 2 * value)]
        if kind == "array":
            return items
        want(all(type(key) is str for key in items[::2]), "a key that is no text")
        keys = [key.encode() for key in items[::2]]
        want(all(a < b for a, b in zip(keys, keys[1:])), "keys do not ascend")
        return dict(zip(items[::2], items[1::2]))


def decode(data, **limits):
    reader = Reader(data, **limits)
    want(reader.at == len(data), "something follows")
    return reader.value
