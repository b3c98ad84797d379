/* SPDX-License-Identifier: MIT */
/*
 * Where addresses are chosen, by what a capture tells of the process: --place=own.
 */
#include "feed.h"

#define HEAD "# samara maps 1\n@ line 1 pid 7 kind exec\n"
#define MAP \
	"400000-401000 r-xp 00000000 00:00 0 \n" \
	"7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n" \
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
#define EXEC "7 execve(\"/bin/x\", [\"x\"], 0x7ffe /* 1 var */) = 0"
#define UP "7 mmap(NULL, 4096, " RW ") = 0x2aaaaaaab000"
#define DOWN "7 mmap(NULL, 4096, " RW ") = 0x7ffff7ffe000"

static void chosen(const char *maps, const char *call)
{
	begin_beside(maps, PLACE_OWN);
	feed(EXEC);
	feed(call);
	assert_int_equal(r.stats.moved, 0);
	replay_end(&r);
}

static void downwards_from_the_recorded_base(void **state)
{
	(void)state;
	chosen(HEAD "layout mmap_base 0x7ffff7fff000 personality 0x40000\n"
		    "limit stack 8388608 unlimited\n" MAP,
	       DOWN);
}

static void upwards_in_the_legacy_layout(void **state)
{
	(void)state;
	chosen(HEAD "layout mmap_base 0x7ffff7fff000 personality 0x240000\n" MAP, UP);
	chosen(HEAD "layout mmap_base 0x7ffff7fff000 personality 0x40000 legacy 0x1\n" MAP, UP);
	chosen(HEAD "layout personality 0x40000\nlimit stack unlimited unlimited\n" MAP, UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(downwards_from_the_recorded_base),
		cmocka_unit_test(upwards_in_the_legacy_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
