# SPDX-License-Identifier: MIT
"""tools/tidy catches a breach of each kind, and its ratchet only shrinks."""
import unittest

from house import C, HouseTest

RATCHET = "tools/tidy.ratchet"


def function(name, body):
    return "int %s(int x)\n{\n%s}\n" % (name, "\tx++;\n" * (body - 2))


class Tidy(HouseTest):
    tool = "tidy"

    def with_entry(self, entry, body):
        """A file with a function f of so many lines, and that entry of the ratchet."""
        return {"src/base/a.c": C + function("f", body), RATCHET: "src/base/a.c %s\n" % entry}

    def test_a_clean_file_passes(self):
        self.passes({"src/base/a.c": C + "/* sprintf( is a word here */\n" +
                     'const char *s = "strcpy(";\n' + function("f", 70) +
                     "\n" * (450 - 3 - 71), "README.md": "x\n"})

    def test_a_long_file(self):
        self.breaks({"src/base/a.c": C + "\n" * 450}, "src/base/a.c:451", "lines: 451")

    def test_a_long_function(self):
        self.breaks({"cli/a.c": C + function("f", 70) + function("g", 71)}, "cli/a.c:74",
                    "function:g: 71")

    def test_a_struct_of_many_members(self):
        def struct(members):
            return C + "\n/* ; */\nstruct s {\n" + members + "};\n"

        self.passes({"src/base/a.h": struct("\tint x; /* y, z; */\n" * 12)})
        self.breaks({"src/base/a.h": struct("\tint x;\n" * 13)}, "src/base/a.h:4", "members:s: 13")
        self.breaks({"cli/a.c": struct("\tint x, *y;\n" * 6 + "\tint bit : 1;\n")},
                    "cli/a.c:4", "members:s: 13")
        self.breaks({"include/samara/a.h": struct("\tint x;\n" * 13)},
                    "include/samara/a.h:4", "members:s: 13")
        self.passes({"tests/a.h": struct("\tint x;\n" * 13)})

    def test_what_counts_as_one_member(self):
        self.passes({"src/base/a.h": C + "struct s {\n" + "\tint x;\n" * 10 +
                     "\tint (*f)(int a, int b, int c);\n" +
                     "\tstruct {\n" + "\t\tint y;\n" * 12 + "\t} t;\n};\n"})
        self.breaks({"src/base/a.h": C + "struct s {\n\tunion {\n" + "\t\tint y;\n" * 13 +
                     "\t} u;\n};\n"}, "src/base/a.h:3", "members:u: 13")

    def test_public_structs_of_a_settled_shape_are_left_alone(self):
        many = C + "struct samara_cpu {\n" + "\tint x;\n" * 13 + "};\n"
        self.passes({"include/samara/cpu.h": many})
        self.breaks({"src/mmu/cpu.h": many}, "src/mmu/cpu.h:2", "members:samara_cpu: 13")

    def test_a_condition_that_changes_something_and_vanishes(self):
        for change, named in (("n++", "++"), ("--n", "--"), ("n = 1", "="), ("(a |= b)", "|="),
                              ("n <<= 1", "<<="), ("!folio_trylock(f)", "folio_trylock"),
                              ("mutex_lock(m)", "mutex_lock"), ("folio_try_get(f)", "folio_try_get"),
                              ("atomic_inc(&n) > 1", "atomic_inc"), ("folio_put(r,\n\tf)", "folio_put"),
                              ("is_set(x) && take_slot(x)", "take_slot"), ("WRITE_ONCE(n, 1)", "WRITE_ONCE"),
                              ("f(g(h), folio_test_clear(f, X))", "folio_test_clear")):
            for macro in ("VM_WARN_ON", "VM_BUG_ON", "VM_WARN_ON_ONCE"):
                self.breaks({"src/base/a.c": C + "void f(void)\n{\n\tif (%s(%s))\n\t\t;\n}\n" %
                             (macro, change)}, "src/base/a.c:4", "%s(): a release build does not "
                            "do '%s'" % (macro, named))

    def test_a_condition_that_only_looks(self):
        for look in ("a == b || a <= b || a != b || a >= b", "atomic_read(&n)", "spin_is_locked(l)",
                     "lock_rank_holds(RANK_MM)", "f(a) && !list_empty(&l)", "a->b - c",
                     "folio_test(f, FOLIO_LOCKED)", "READ_ONCE(n)", "is_set(x)"):
            self.passes({"src/base/a.c": C + "void f(void)\n{\n\tVM_WARN_ON(%s);\n\tn++;\n}\n" %
                         look})
        self.passes({"src/base/a.h": C + "#define VM_WARN_ON(cond) ({ bool hit = !!(cond); hit; })\n",
                     "src/base/a.c": C + "void f(void)\n{\n\tBUG_ON(!folio_trylock(f));\n}\n"})

    def test_a_wide_line(self):
        self.breaks({"src/base/a.c": C + "\t" + "x" * 93 + "\n"}, "src/base/a.c:2", "columns: 101")
        self.passes({"include/samara/a.h": C + "\t" + "x" * 93 + "\n"})
        for path in ("include/samara/a.h", "tools/a.py"):
            text = C + "x" * 121 + "\n"
            self.breaks({path: text}, path + ":2", "columns: 121")

    def test_space_at_the_end(self):
        self.breaks({"docs/a.md": "x \n"}, "docs/a.md:1", "space at the end")
        self.breaks({"src/base/a.c": C + "int x;\t\n"}, "src/base/a.c:2", "space at the end")
        self.breaks({"src/base/a.c": C + "int x;\r\n"}, "src/base/a.c:2", "space at the end")

    def test_no_newline_at_the_end(self):
        self.breaks({"src/base/a.c": C + "int x;"}, "src/base/a.c:2", "no newline")

    def test_no_license(self):
        self.breaks({"src/base/a.c": "\n" + C}, "src/base/a.c:1", "SPDX")
        self.breaks({"tools/a": "#!/bin/sh\ntrue\n"}, "tools/a:2", "SPDX")
        self.passes({"tools/a": "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"})

    def test_banned_calls(self):
        for call in ("sprintf", "strcpy", "strcat", "gets", "atoi", "alloca"):
            self.breaks({"tests/a.c": C + "\n\t%s(x);\n" % call}, "tests/a.c:3", call)
        self.passes({"tests/a.c": C + "int y = my_gets(x), z = fgets(x);\n"})

    def test_the_ratchet_excuses_what_it_names(self):
        self.passes({"src/base/a.c": C + function("f", 80) + "\n" * 400,
                     RATCHET: "src/base/a.c function:f 80\nsrc/base/a.c lines 482\n"})

    def test_the_ratchet_does_not_excuse_more(self):
        self.breaks(self.with_entry("function:f 79", 80), "src/base/a.c:3", "function:f: 80")

    def test_the_ratchet_shrinks(self):
        self.breaks(self.with_entry("function:f 81", 80), RATCHET + ":1", "lower it to 80")
        self.breaks(self.with_entry("function:f 71", 70), RATCHET + ":1", "remove it")
        self.breaks({"src/base/a.c": C, RATCHET: "\nsrc/base/gone.c lines 500\n"},
                    RATCHET + ":2", "remove it")

    def test_the_ratchet_is_readable(self):
        self.breaks({RATCHET: "src/base/a.c everything 1\n"}, RATCHET + ":1", "not an entry")


unittest.main()
