# SPDX-License-Identifier: MIT
"""docs/man/: the pages about the library say what its headers say, and can be found.

Each name of a page has a page, perhaps a link (.so); each link leads to a page that has the name.
Each function that a synopsis shows is declared, with the same parameters. Each page of ours that
is referred to is there. What groff(1) warns of is an error, where there is one.
"""
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "man").iterdir()}
LINK = re.compile(r"\.so man3/(\S+)\n")
LINKS = {name: LINK.fullmatch(text)[1] for name, text in PAGES.items() if LINK.fullmatch(text)}
CALLS = {n: t for n, t in PAGES.items() if n.endswith(".3") and n not in LINKS}
DECLARED = re.compile(r"(\w[\w ]*\**)\b(samara_\w+)\(([^()]*)\)")


def names(text):
    return re.search(r"\.SH NAME\n(.*?) \\- ", text)[1].split(", ")


def prototypes(text):
    """{function: its prototype in one spelling}"""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"\bSAMARA_(API|MUST_CHECK)\b", "", text)
    found = {}
    for result, name, parameters in DECLARED.findall(" ".join(text.split())):
        found[name] = re.sub(r" *([*,]) *", r"\1", f"{result.strip()} {name}({parameters})")
    return found


def synopsis(text):
    """What .B and .BI show, without their quotes."""
    lines = re.search(r"\.SH SYNOPSIS\n(.*?)\.SH ", text, flags=re.S)[1].splitlines()
    shown = []
    for line in lines:
        if line.startswith(".BI "):
            words = re.findall(r'"([^"]*)"|(\S+)', line[4:])
            shown.append("".join(quoted or plain for quoted, plain in words))
    return " ".join(shown)


class Man(unittest.TestCase):
    def test_each_name_has_a_page(self):
        for page, text in CALLS.items():
            for name in names(text):
                self.assertIn(LINKS.get(name + ".3", name + ".3"), (page,), name)

    def test_each_link_leads_to_its_name(self):
        for link, page in LINKS.items():
            self.assertIn(link[:-2], names(CALLS[page]))

    def test_synopses_are_as_declared(self):
        declared = {}
        for header in sorted((ROOT / "include" / "samara").glob("*.h")):
            declared.update(prototypes(header.read_text(encoding="utf-8")))
        for page, text in CALLS.items():
            shown = prototypes(synopsis(text))
            self.assertEqual(sorted(shown), sorted(names(text)), page)
            for name, prototype in shown.items():
                self.assertEqual(prototype, declared[name])

    def test_references_lead_somewhere(self):
        for page, text in PAGES.items():
            for name, section in re.findall(r"^\.BR (samara\S*) \((\d)\)", text, flags=re.M):
                target = name.replace("\\-", "-") + "." + section
                self.assertTrue(target in PAGES, f"{page}: {target}")

    @unittest.skipUnless(shutil.which("groff"), "no groff(1)")
    def test_groff_has_nothing_to_say(self):
        for page, text in PAGES.items():
            if page in LINKS:
                continue
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z"], input=text, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page)


if __name__ == "__main__":
    unittest.main()
