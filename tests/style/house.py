# SPDX-License-Identifier: MIT
"""A scratch checkout for the tests of tools/check-layers and tools/tidy."""
import os
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
C = "/* SPDX-License-Identifier: MIT */\n"


class HouseTest(unittest.TestCase):
    tool = None

    def run_on(self, files):
        """(exit status, output) of the tool on a checkout that holds these files."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8", newline="") as f:
                    f.write(text)
            done = subprocess.run([sys.executable, os.path.join(TOOLS, self.tool), root],
                                  stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout

    def passes(self, files):
        status, output = self.run_on(files)
        self.assertEqual(status, 0, output)
        self.assertIn(" 0 breaches", output)

    def breaks(self, files, where, what):
        """Exactly one breach, at where, whose text contains what."""
        status, output = self.run_on(files)
        self.assertEqual(status, 1, output)
        self.assertIn(" 1 breaches", output)
        self.assertIn(where + ": ", output)
        self.assertIn(what, output)
