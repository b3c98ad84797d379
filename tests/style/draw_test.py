# SPDX-License-Identifier: MIT
"""tools/draw-house draws rooms and arrows, and refuses those that lead upward."""
import os
import subprocess
import sys
import tempfile
import unittest

from house import C, HouseTest, TOOLS

HOUSE = {
    "docs/architecture.md": "",
    "include/samara/types.h": C,
    "src/base/list.h": C,
    "src/maple/writer.h": C + '#include "base/list.h"\n',
    "src/frame/folio.h": C + '#include "base/list.h"\n',
    "src/vma/map.c": C + '#include "maple/writer.h"\n#include "base/list.h"\n',
}


class Draw(HouseTest):
    tool = "draw-house"

    def test_an_arrow_upward_or_sideways_is_refused(self):
        for path, include, what in (
                ("src/base/list.c", "vma/map.h", "from base (floor 1) to vma (floor 8)"),
                ("src/maple/walk.c", "frame/folio.h", "from maple (floor 3) to frame (floor 3)")):
            status, output = self.run_on({**HOUSE, path: C + '#include "%s"\n' % include})
            self.assertEqual(status, 1, output)
            self.assertIn(path + ":2: an arrow " + what, output)

    def test_a_room_without_a_floor_is_refused(self):
        status, output = self.run_on({**HOUSE, "src/cellar/x.c": C})
        self.assertEqual(status, 1, output)
        self.assertIn("src/cellar is no room", output)

    def test_the_drawing_has_each_room_and_says_what_is_implied(self):
        with tempfile.TemporaryDirectory() as root:
            def put(path, text):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write(text)

            def draw(*options):
                return subprocess.run([sys.executable, os.path.join(TOOLS, self.tool), *options, root],
                                      stdout=subprocess.PIPE, text=True, check=False)

            for path, text in HOUSE.items():
                put(path, text)
            self.assertEqual(draw("--check").returncode, 1)
            self.assertIn("4 rooms, 4 arrows", draw().stdout)
            with open(os.path.join(root, "docs/house.svg"), encoding="utf-8") as f:
                svg = f.read()
            self.assertIn('class="way" data-way="vma-maple"', svg)
            self.assertIn('class="implied" data-way="vma-base"', svg)
            self.assertEqual(draw("--check").returncode, 0)
            put("src/frame/more.c", C)  # a file more in a room is the same drawing
            self.assertEqual(draw("--check").returncode, 0)
            put("src/vma/unmap.c", C + '#include "frame/folio.h"\n')
            self.assertEqual(draw("--check").returncode, 1)


unittest.main()
