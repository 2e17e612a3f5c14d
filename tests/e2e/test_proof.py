#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""prove and verify-proof: what one lab's daemon proves, anybody checks without one."""
import json
import os

import lab
import tap
from lab import converge, resource


class Proofs(lab.Case):
    """Two labs; B proves what A signed."""

    def prove(self, teller, ref):
        path = os.path.join(self.top, "proof")
        with open(path, "wb") as file:
            file.write(teller.rpc("prove", ref=ref)["proof"])
        return path

    def check(self, teller, path):
        return teller.run([lab.ESSAIM, "verify-proof", "--json", path])

    def setUp(self):
        super().setUp()
        self.a, self.b = self.lab("Ti Lab"), self.lab("Région Sud")
        self.a.publish([resource(f"salle-{k}") for k in range(300)])
        self.a.meets(self.b)
        converge([self.a, self.b])

    def test_a_relay_proves_an_entry_to_whoever_has_no_daemon(self):
        path = self.prove(self.b, "ti-lab/salle-7")
        self.a.stop()
        self.b.stop()
        answer = self.check(self.b, path)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        proven = json.loads(answer.stdout)
        self.assertTrue(proven["present"])
        self.assertEqual((proven["lab"]["id"], proven["slug"]), (self.a.did, "salle-7"))
        self.assertEqual(proven["body"]["title"], {"fr": "Ressource salle-7"})

    def test_with_json_the_proof_is_one_document(self):
        said = json.loads(self.b.good("prove", "ti-lab/salle-7", "--json"))
        path = self.prove(self.b, "ti-lab/salle-7")
        with open(path, "rb") as file:
            self.assertEqual(bytes.fromhex(said.pop("proof")), file.read())
        self.assertEqual(said, json.loads(self.check(self.b, path).stdout))

    def test_a_withdrawn_entry_is_proven_absent(self):
        self.a.withdraw("salle-7")
        converge([self.a, self.b])
        proven = json.loads(self.check(self.b, self.prove(self.b, "ti-lab/salle-7")).stdout)
        self.assertFalse(proven["present"])
        self.assertEqual(proven["head"]["n"], 2)

    def test_an_altered_proof_proves_nothing(self):
        path = self.prove(self.b, "ti-lab/salle-7")
        with open(path, "rb") as file:
            good = file.read()
        for at in range(0, len(good), 97):
            with open(path, "wb") as file:
                file.write(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
            self.assertEqual(self.check(self.b, path).returncode, 1)

    def test_a_file_that_cannot_be_read_is_named_with_the_next_step(self):
        missing = self.check(self.b, self.top + "/nulle-part")
        self.assertEqual(missing.returncode, 3)
        self.assertIn("nulle-part", missing.stderr)
        self.assertIn("vérifiez le nom", missing.stderr)
        directory = self.check(self.b, self.top)
        self.assertEqual(directory.returncode, 1)
        self.assertIn(self.top, directory.stderr)
        with open(self.top + "/enorme", "wb") as file:
            file.truncate(1 << 30)
        large = self.check(self.b, self.top + "/enorme")
        self.assertNotEqual(large.returncode, 0)
        self.assertIn("enorme", large.stderr)


if __name__ == "__main__":
    tap.main()
