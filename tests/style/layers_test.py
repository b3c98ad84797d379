# SPDX-License-Identifier: MIT
"""tools/check-layers catches a breach of each kind, and only breaches."""
import unittest

from house import C, HouseTest

HOUSE = {
    "include/samara/types.h": C + "#include <stddef.h>\n",
    "include/samara/tree.h": C + "#include <samara/types.h>\n",
    "src/base/list.h": C,
    "src/maple/node.h": C + '#include "base/list.h"\n#include <samara/tree.h>\n',
    "src/maple/node.c": C + '#include <sys/mman.h>\n#include "maple/node.h"\n#include "node.h"\n',
    "src/maple/writer.h": C,
    "src/frame/folio.h": C,
    "src/vma/map.c": C + '#include "maple/writer.h"\n',
    "src/vma/map.h": C,
    "cli/main.c": C + '#include "replay/line.h"\n#include <samara/tree.h>\n#include <zlib.h>\n',
    "cli/replay/line.h": C,
    "examples/one.c": C + "#include <samara/tree.h>\n",
    "tests/unit/maple/node.c": C + '#include "maple/node.h"\n#include "support/seed.h"\n',
}


class Layers(HouseTest):
    tool = "check-layers"

    def broken(self, path, include, what):
        files = dict(HOUSE)
        files[path] = C + "\n" + "#include " + include + "\n"
        self.breaks(files, path + ":3", what)

    def test_a_clean_house_passes(self):
        self.passes(HOUSE)

    def test_a_higher_floor_is_seen(self):
        self.broken("src/maple/node.c", '"vma/map.h"', "above it")
        self.broken("src/maple/node.c", "<vma/map.h>", "above it")

    def test_a_room_of_the_same_floor_is_seen(self):
        self.broken("src/maple/node.c", '"frame/folio.h"', "one floor")

    def test_a_room_looks_inside_the_tree(self):
        self.broken("src/vma/map.c", '"maple/node.h"', "writer.h")
        self.broken("src/vma/map.h", "<maple/node.h>", "writer.h")
        self.broken("src/vma/map.c", '"maple/nothing.h"', "writer.h")

    def test_a_source_file_is_included(self):
        self.broken("src/maple/walk.c", '"maple/node.c"', "source file")
        self.broken("tests/unit/maple/walk.c", '"maple/node.c"', "source file")

    def test_a_way_up_is_taken(self):
        self.broken("src/maple/node.c", '"../base/list.h"', "a way up")
        self.broken("cli/main.c", '"../src/base/list.h"', "a way up")

    def test_a_file_lives_outside_the_rooms(self):
        self.broken("src/cellar/x.c", '"base/list.h"', "no room")
        self.broken("src/x.c", '"base/list.h"', "not in a room")

    def test_the_command_looks_into_src(self):
        self.broken("cli/main.c", '"base/list.h"', "cli/ sees")
        self.broken("cli/main.c", "<base/list.h>", "cli/ sees")

    def test_an_example_looks_into_src(self):
        self.broken("examples/one.c", '"base/list.h"', "examples/ sees")

    def test_a_public_header_shows_a_private_one(self):
        self.broken("include/samara/tree.h", '"base/list.h"', "a public header")
        self.broken("include/samara/tree.h", "<base/list.h>", "a public header")
        self.broken("include/samara/tree.h", "<urcu-bp.h>", "a public header")

    def test_a_room_above_base_synchronises_by_itself(self):
        for line, what in (("__atomic_fetch_add(&n, 1, 0);", "__atomic_fetch_add"),
                           ("__sync_synchronize();", "__sync_synchronize"),
                           ("#include <pthread.h>", "pthread.h"),
                           ("#include <stdatomic.h>", "stdatomic.h"),
                           ("#include <linux/futex.h>", "linux/futex.h"),
                           ("#include <urcu/urcu-bp.h>", "urcu/urcu-bp.h"),
                           ("#include <threads.h>", "threads.h"),
                           ("static _Atomic int n;", "_Atomic"),
                           ("static volatile int n;", "volatile"),
                           ('__asm__ __volatile__("mfence" ::: "memory");', "__asm__"),
                           ("syscall(SYS_futex, &n, FUTEX_WAKE_PRIVATE, 1);", "SYS_futex"),
                           ("syscall(SYS_membarrier, 1, 0, 0);", "SYS_membarrier"),
                           ("pthread_mutex_lock(&m);", "pthread_mutex_lock"),
                           ("urcu_bp_read_lock();", "urcu_bp_read_lock"),
                           ("schedule_relax();", "schedule_relax"),
                           ("__builtin_ia32_pause();", "__builtin_ia32_pause"),
                           ("/* why */ usleep(1);", "usleep(")):
            files = dict(HOUSE)
            files["src/vma/map.c"] = C + "/* not __atomic_load_n() */\n" + line + "\n"
            self.breaks(files, "src/vma/map.c:3", what)
            files = dict(HOUSE)
            files["src/base/lock.c"] = C + line + "\n"
            self.passes(files)

    def test_words_that_only_look_like_synchronising(self):
        for line in ("/* a volatile word,\n * pthread_join() */", 'puts("asm volatile");', "// pthread_create()",
                     "futex_wait(&n, 0, FUTEX_ANYONE, NULL);", "int usleep_time;"):
            files = dict(HOUSE)
            files["src/vma/map.c"] = C + line + "\n"
            self.passes(files)

    def test_a_public_header_is_missing(self):
        self.broken("cli/main.c", "<samara/nothing.h>", "no public header")


unittest.main()
