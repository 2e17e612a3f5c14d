# SPDX-License-Identifier: EUPL-1.2
"""Runs the unittest cases of a script in the order they are written and prints TAP.

The sentence of a case is its doc string, or its name with the underscores made spaces. A case that
takes longer than its class's `limit_s` (60 s unless it says otherwise) fails; its diagnosis goes to
the comment lines. `tap.main()` ends the process, non-zero when a case failed.
"""
import os
import signal
import sys
import traceback
import unittest

SLOW = 4 if os.environ.get("ESSAIM_SANITIZED") else 1  # how much more patient to be
LONG = bool(os.environ.get("ESSAIM_LONG"))


class TooLate(Exception):
    """A case took longer than it may."""


def _too_late(*_):
    raise TooLate("this took too long")


class Result(unittest.TestResult):
    """Prints one line of TAP a case."""

    def __init__(self):
        super().__init__()
        self.number, self.troubled = 0, False

    def line(self, word, sentence, end=""):
        self.number += 1
        print(f"{word} {self.number} - {sentence}{end}", flush=True)

    @staticmethod
    def comment(text):
        for each in text.rstrip().split("\n"):
            print("# " + each, flush=True)

    @staticmethod
    def sentence(test):
        told = test.shortDescription()
        return told or test.id().rsplit(".", 1)[-1].removeprefix("test_").replace("_", " ")

    def startTest(self, test):
        super().startTest(test)
        self.troubled = False
        signal.alarm(int(getattr(test, "limit_s", 60) * SLOW * (30 if LONG else 1)))

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self.troubled:
            self.line("ok", self.sentence(test))

    def trouble(self, test, error):
        self.comment("".join(traceback.format_exception(*error)))
        for lab in () if self.troubled else getattr(type(test), "labs_shown", lambda: [])():
            self.comment(f"--- log of {lab.name}\n" + lab.log_tail())
        self.line("not ok", self.sentence(test))
        self.troubled = True

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.comment(str(subtest))
            self.trouble(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", self.sentence(test), f" # SKIP {reason}")


def main():
    """Runs every case of __main__ (or those whose name contains an argument); exits."""
    module = sys.modules["__main__"]
    suite = unittest.TestSuite()
    count = 0
    for case in list(vars(module).values()):
        if not (isinstance(case, type) and issubclass(case, unittest.TestCase)):
            continue
        names = [name for name in vars(case) if name.startswith("test_")
                 and (len(sys.argv) < 2 or any(word in name for word in sys.argv[1:]))]
        suite.addTests(case(name) for name in names)
        count += len(names)
    signal.signal(signal.SIGALRM, _too_late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    result = Result()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(not result.wasSuccessful() or result.number == 0)
