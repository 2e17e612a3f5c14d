#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""A second Noise_XX_25519_ChaChaPoly_SHA512, written from revision 34 of the specification.

    noise_xx.py make > noise-xx.json     makes our vectors (always the same ones)
    noise_xx.py check FILE               replays them, both sides; exit 1 where one differs

It shares nothing with proto/noise.c: HMAC and SHA-512 come from Python, X25519 and
ChaCha20-Poly1305 from OpenSSL (python3-cryptography), where the C side stands on libsodium.
"""
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NAME, RAW = b"Noise_XX_25519_ChaChaPoly_SHA512", serialization.Encoding.Raw
PATTERN = (("e",), ("e", "ee", "s", "es"), ("s", "se"))


def public(secret):
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(RAW, serialization.PublicFormat.Raw)


def hkdf(chaining_key, material):
    key = hmac.digest(chaining_key, material, "sha512")
    first = hmac.digest(key, b"\x01", "sha512")
    return first, hmac.digest(key, first + b"\x02", "sha512")


class Cipher:
    def __init__(self, key):
        self.key, self.nonce = key[:32], 0

    def run(self, verb, octets, ad=b""):  # verb: "encrypt" or "decrypt"
        nonce = bytes(4) + self.nonce.to_bytes(8, "little")
        self.nonce += 1
        return getattr(ChaCha20Poly1305(self.key), verb)(nonce, octets, ad)

    def rekey(self):
        self.key = ChaCha20Poly1305(self.key).encrypt(bytes(4) + b"\xff" * 8, bytes(32), b"")[:32]


class Party:
    def __init__(self, initiator, prologue, static, ephemeral):
        self.initiator, self.s, self.e = initiator, static, ephemeral
        self.h = self.ck = NAME.ljust(64, b"\0")
        self.rs = self.re = self.cipher = self.pair = None
        self.mix(prologue)

    def mix(self, octets):
        self.h = hashlib.sha512(self.h + octets).digest()

    def token_dh(self, token):
        first, second = token if self.initiator else token[::-1]
        secret = X25519PrivateKey.from_private_bytes(getattr(self, first))
        theirs = X25519PublicKey.from_public_bytes(getattr(self, "r" + second))
        self.ck, key = hkdf(self.ck, secret.exchange(theirs))
        self.cipher = Cipher(key)

    def run(self, verb, octets):
        out = self.cipher.run(verb, octets, self.h) if self.cipher else octets
        self.mix(out if verb == "encrypt" else octets)
        return out

    def write(self, step, payload):
        out = b""
        for token in PATTERN[step]:
            if len(token) == 1:  # e travels in the clear: there is no key yet
                out += self.run("encrypt", public(getattr(self, token)))
            else:
                self.token_dh(token)
        return out + self.run("encrypt", payload)

    def read(self, step, message):
        for token in PATTERN[step]:
            if len(token) == 1:
                size = 32 if self.cipher is None else 48
                key, message = self.run("decrypt", message[:size]), message[size:]
                setattr(self, "r" + token, key)
            else:
                self.token_dh(token)
        return self.run("decrypt", message)

    def split(self):  # send, receive
        self.pair = self.pair or [Cipher(key) for key in hkdf(self.ck, b"")]
        return self.pair if self.initiator else self.pair[::-1]


def replay(vector):
    """Runs both sides over the payloads; the messages and the handshake hash they come to."""
    parties = [Party(side == "init", *(bytes.fromhex(vector[f"{side}_{what}"]) for what in
               ("prologue", "static", "ephemeral"))) for side in ("init", "resp")]
    sealed = []
    for i, message in enumerate(vector["messages"]):
        payload = bytes.fromhex(message["payload"])
        ours, theirs = parties[i % 2], parties[1 - i % 2]
        if i < 3:
            sealed.append(ours.write(i, payload))
            got = theirs.read(i, sealed[-1])
        else:
            send, receive = ours.split()[0], theirs.split()[1]
            if message.get("rekey"):
                send.rekey(), receive.rekey()
            sealed.append(send.run("encrypt", payload))
            got = receive.run("decrypt", sealed[-1])
        assert got == payload
    return [out.hex() for out in sealed], parties[0].h.hex()


def make():
    def stream(label, size):
        return hashlib.shake_256(b"essaim noise vector " + label.encode()).hexdigest(size)
    vectors = []
    for k, sizes in enumerate(([0, 0, 0], [0, 0, 0, 1, 2, 300, 0, 7, 9], [5, 6, 7, 8, 9, 10],
                               [104, 104, 104], [0, 0, 0, 2, 2, 50, 50, 3, 3, 8, 8], [0] * 6)):
        vector = {"protocol_name": NAME.decode()}
        for side in ("init", "resp"):
            vector[f"{side}_prologue"] = "" if k == 3 else (b"essaim\x01").hex()
            for key in ("static", "ephemeral"):
                vector[f"{side}_{key}"] = stream(f"{k} {side} {key}", 32)
        rekeys = (5, 6, 9) if k == 4 else ()
        vector["messages"] = [{"payload": stream(f"{k} {i}", size), "rekey": i in rekeys}
                              for i, size in enumerate(sizes)]
        sealed, vector["handshake_hash"] = replay(vector)
        [message.update(ciphertext=out) for message, out in zip(vector["messages"], sealed)]
        vectors.append(vector)
    return {"vectors": vectors}


def check(path):
    verdicts = []
    for number, vector in enumerate(json.load(open(path, encoding="ascii"))["vectors"]):
        if vector["protocol_name"] != NAME.decode():
            continue  # another suite
        sealed, handshake_hash = replay(vector)
        wanted = [message["ciphertext"] for message in vector["messages"]]
        verdicts.append((sealed, handshake_hash) == (wanted, vector["handshake_hash"]))
        print(f"vector {number}: {'same' if verdicts[-1] else 'DIFFERS'}")
    return not verdicts or not all(verdicts)


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        sys.exit(print(json.dumps(make(), indent=1)))
    sys.exit(check(sys.argv[2]) if sys.argv[1:2] == ["check"] and sys.argv[2:] else __doc__)
