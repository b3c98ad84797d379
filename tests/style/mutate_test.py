# SPDX-License-Identifier: MIT
"""tools/mutate makes the changes that its rules name, and no others."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

from mutation.cover import Cover  # noqa: E402
from mutation.rules import RULES, mutants_of  # noqa: E402
from mutation.source import Source  # noqa: E402

HEAD = "/* SPDX-License-Identifier: MIT */\n#define LIMIT (1 + 2)\nstatic int table[2] = { 1, 2 };\n"


def source(*body, head=HEAD):
    return Source("src/base/a.c", head + "\nint f(struct x *p,\n      int err)\n{\n" +
                  "".join(f"\t{line}\n" for line in body) + "}\n")


class Mutate(unittest.TestCase):
    def gives(self, rule, body, *expected):
        """The rule, on this body, gives these bodies: of each the lines that differ."""
        body = [body] if isinstance(body, str) else body
        found = [m.new for m in mutants_of(source(*body)) if m.rule == rule]
        self.assertEqual(sorted(found), sorted(expected))

    def test_compare(self):
        self.gives("compare", "if (a < b && c->d == 0)", "if (a <= b && c->d == 0)",
                   "if (a < b && c->d != 0)")
        self.gives("compare", "x = y << 2;")

    def test_logic(self):
        self.gives("logic", "return a && b;", "return a || b;")

    def test_arithmetic(self):
        self.gives("arithmetic", "x = a + b * c - (d);", "x = a - b * c - (d);",
                   "x = a + b * c + (d);")
        self.gives("arithmetic", "x = a | b << 1;", "x = a & b << 1;", "x = a | b >> 1;")
        self.gives("arithmetic", "x |= a;", "x &= a;")
        for unary in ("return -EINVAL;", "x = -1;", "x = (long)-1;", "f(&a, -b);", "int *a = &b;"):
            self.gives("arithmetic", unary)

    def test_force(self):
        self.gives("force", ["if (f(a) &&", "    b)", "\tg();"], "if (0\n)", "if (1\n)")
        self.gives("force", ["while (a)", "\tg();"], "while (0)")
        self.gives("force", ["for (i = 0; i < n; i++)", "\tg();"], "for (i = 0; 0; i++)")
        self.gives("force", ["switch (a) {", "case 1:", "\tg();", "}"])

    def test_negate(self):
        self.gives("negate", "if (a)", "if (!(a))")
        self.gives("negate", "x = !y;", "x = y;")
        self.gives("negate", "return true;", "return false;")

    def test_drop_call(self):
        self.gives("drop_call", "tlb_flush(p, a);", ";")
        self.gives("drop_call", "(void)p->ops->put(p);", ";")
        self.gives("drop_call", ["list_for_each_entry(a, b, c)", "\tput(a);"], ";")
        for other in ("x = f(p);", "int x = f(p);", "return f(p);"):
            self.gives("drop_call", other)

    def test_drop_assign(self):
        self.gives("drop_assign", "p->x += 1;", ";")
        self.gives("drop_assign", "p->n++;", ";")
        self.gives("drop_assign", "*p = f(x = 1);", ";")
        self.gives("drop_assign", "unsigned long x = 1;")

    def test_constant(self):
        self.gives("constant", "x = 0;", "x = (0 + 1);")
        self.gives("constant", "x = a[0x1fUL];", "x = a[(0x1fUL + 1)];", "x = a[(0x1fUL - 1)];")

    def test_swap(self):
        self.gives("swap", ["lock(a);", "p->x = 1;"], "p->x = 1;\nlock(a);")
        self.gives("swap", ["p->x = 1;", "p->y = 1;"])
        self.gives("swap", ["lock(a);", "if (b)", "\tput(b);", "unlock(a);"])
        self.gives("swap", ["put(b);", "return 0;"])
        self.gives("swap", ["int n = 0;", "f();", "put(b);", "n++;"], "put(b);\nf();")
        self.gives("swap", ["int n = 0;", "n++;", "put(n);"], "put(n);\nn++;")

    def test_error(self):
        self.gives("error", "return -EINVAL;", "return 0;")
        self.gives("error", "return err;", "return 0;")
        self.gives("error", "return f(err);")

    def test_leave(self):
        self.gives("leave", ["goto a;", "a:", "f();", "b:", "g();"], "goto b;")
        self.gives("leave", "break;", ";", "continue;")
        self.gives("leave", "return;", ";")

    def test_assertions_are_left_alone(self):
        for line in ("BUG_ON(a < 1 && !b);", "if (VM_WARN_ON(a == 1))", "prefetch(a + 1);"):
            found = [m.new for m in mutants_of(source(line)) if m.rule not in ("force", "negate")]
            self.assertEqual(found, [])

    def test_an_if_around_a_prefetch_alone_is_left_alone(self):
        self.gives("negate", ["if (a->b && c)", "\t__builtin_prefetch(c);"])
        self.gives("constant", ["if (a[1])", "\tprefetch(a[1]);"])
        self.gives("negate", ["if (a)", "\tf(c);"], "if (!(a))")

    def test_a_probe_on_the_head_of_a_function_is_the_functions(self):
        cover = Cover.__new__(Cover)
        text = source("x = 1;")
        head, first, last = (text.text[:text.text.index(part)].count("\n") + 1
                             for part in ("int f(", "\tx = 1", "}\n"))
        cover.spans = {"src/base/a.c": [("f", first - 1, last, "digest")]}
        for line in (head, first, last):
            self.assertEqual(cover.function_at("src/base/a.c", line)[0], "f")
        self.assertIsNone(cover.function_at("src/base/a.c", last + 1))

    def test_a_mutant_keeps_its_lines_and_its_name(self):
        body = ["if (f(a,", "      b))", "\treturn -EINVAL;", "x++;", "x++;", "g(p);", "h(p);"]
        here, moved = source(*body), source(*body, head=HEAD + "\n\nint x;\n")
        mutants = mutants_of(here)
        self.assertEqual([m.ident for m in mutants], [m.ident for m in mutants_of(moved)])
        self.assertEqual(len({m.ident for m in mutants}), len(mutants))
        self.assertEqual({m.function for m in mutants}, {"f"})
        self.assertEqual({m.rule for m in mutants} - set(RULES), set())
        for m in mutants:
            changed = m.apply(here.text)
            self.assertEqual(changed.count("\n"), here.text.count("\n"))
            self.assertNotEqual(changed, here.text)


unittest.main()
