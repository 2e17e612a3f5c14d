#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""The link of doc/protocol.md §5 a second time: from the keys and the messages of vectors.json it
makes every byte on the wire, handshake and rekeying included, and compares."""
import hashlib
import hmac
import json
import sys

from nacl.bindings import (crypto_aead_chacha20poly1305_ietf_encrypt, crypto_scalarmult,
                           crypto_scalarmult_base)

REKEY = b"\x91\x0e"


def seal(key, nonce, plain, more=b""):
    nonce = bytes(4) + nonce.to_bytes(8, "little")
    return crypto_aead_chacha20poly1305_ietf_encrypt(plain, more, nonce, key)


class Noise:
    """The symmetric state; one serves both sides, since we hold all the secrets."""

    def __init__(self, name, prologue):
        self.hash = self.chain = name.ljust(64, b"\0")
        self.key, self.nonce = None, 0
        self.mix(prologue)

    def mix(self, data):
        self.hash = hashlib.sha512(self.hash + data).digest()
        return data

    def derive(self, secret):
        base = hmac.digest(self.chain, secret, "sha512")
        first = hmac.digest(base, b"\x01", "sha512")
        return first, hmac.digest(base, first + b"\x02", "sha512")

    def agree(self, secret, public):
        self.chain, key = self.derive(crypto_scalarmult(secret, public))
        self.key, self.nonce = key[:32], 0

    def put(self, plain):
        sealed = seal(self.key, self.nonce, plain, self.hash) if self.key else plain
        self.nonce += 1
        return self.mix(sealed)


def frames(static, ephemeral, messages):
    """static, ephemeral: secrets of (dialler, responder); messages: (side, bytes)."""
    noise = Noise(b"Noise_XX_25519_ChaChaPoly_SHA512", b"essaim\x01")
    publics = [[crypto_scalarmult_base(secret) for secret in kind] for kind in (static, ephemeral)]
    (static_d, static_r), (ephemeral_d, ephemeral_r) = publics
    yield noise.mix(ephemeral_d) + noise.put(b"")
    second = noise.mix(ephemeral_r)
    noise.agree(ephemeral[1], ephemeral_d)  # ee
    second += noise.put(static_r)
    noise.agree(static[1], ephemeral_d)  # es
    yield second + noise.put(b"")
    third = noise.put(static_d)
    noise.agree(static[0], ephemeral_r)  # se
    yield third + noise.put(b"")
    ways = [[key[:32], 0] for key in noise.derive(b"")]
    for side, message in messages:
        way = ways[side]
        yield seal(way[0], way[1], message)
        way[1] += 1
        if message == REKEY:
            way[0] = seal(way[0], (1 << 64) - 1, bytes(32))[:32]


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    labs, link, sides = vectors["labs"], vectors["link"], ("dialler", "responder")
    static = [bytes.fromhex(labs[name]["link_secret"]) for name in "ab"]
    for name, secret in zip("ab", static):
        if crypto_scalarmult_base(secret).hex() != labs[name]["link_pk"]:
            sys.exit(f"another link key of lab {name}")
    ephemeral = [bytes.fromhex(link[side + "_ephemeral"]) for side in sides]
    messages = [(sides.index(one["from"]), bytes.fromhex(one["message"]))
                for one in link["frames"][3:]]
    if [one["from"] for one in link["frames"][:3]] != [sides[0], sides[1], sides[0]]:
        sys.exit("the handshake has another order")
    for number, (ours, one) in enumerate(zip(frames(static, ephemeral, messages), link["frames"])):
        if (len(ours).to_bytes(2, "big") + ours).hex() != one["wire"]:
            sys.exit(f"frame {number} differs")
    print(f"{len(link['frames'])} frames, as due")


main(sys.argv[1])
