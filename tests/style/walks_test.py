# SPDX-License-Identifier: MIT
"""The pages that lead through the source name functions and files that are there."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEP = re.compile(r"^\| `(\w+)` \| ([\w/.]+) \|", re.MULTILINE)
PATH = re.compile(r"`((?:src|tests|cli|include|tools|docs|bench)/[\w/.-]+\w)(?:/|/\*\*|)`")


def defines(text, name):
    """A line begins with a definition of name, or an enumerator of that name stands there."""
    return re.search(r"^[a-z][^;\n]*\b%s\((?:[^;]*?)\)[^;{]*\n?\{" % name, text, re.MULTILINE) or \
        re.search(r"^enum [^;]*\b%s\b" % name, text, re.MULTILINE)


class Walks(unittest.TestCase):
    def test_each_step_is_defined_in_the_file_beside_it(self):
        steps = STEP.findall((ROOT / "docs/walks.md").read_text(encoding="utf-8"))
        self.assertGreater(len(steps), 40)
        for name, path in steps:
            with self.subTest(name=name):
                text = (ROOT / "src" / path).read_text(encoding="utf-8")
                self.assertTrue(defines(text, name), f"{name} is not defined in src/{path}")

    def test_each_file_named_by_the_page_of_changes_is_there(self):
        text = (ROOT / "docs/changing.md").read_text(encoding="utf-8")
        paths = PATH.findall(text)
        self.assertGreater(len(paths), 30)
        for path in paths:
            with self.subTest(path=path):
                self.assertTrue((ROOT / path).exists(), f"there is no {path}")


unittest.main()
