/* SPDX-License-Identifier: MIT */
/*
 * Which hosts samara check takes for a referee, and of which calls: the facts are made up. That
 * they are measured rightly is shown by tests/cli/check_hosts.sh.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/cmocka_all.h"

#include "check/check.h"

#define MIB (1UL << 20)

/* A plain host that can be the referee. */
static struct host_facts plain(void)
{
	return (struct host_facts){
		.ended = true,
		.uname = { .release = "6.18.44", .machine = "x86_64" },
		.proc = { .there = true, .frames = true },
		.zero = { .page = ZERO_PAGE_SHARED, .frame = 7 },
		.addr = { .gate = GATE_EXEC,
			  .min_hint = 65536,
			  .min_fixed = 4096,
			  .stack_gap = MIB },
		.vm = { .overcommit_ratio = 50, .max_map_count = 65530 },
		.process = { .file_limit = RLIM_INFINITY, .nofile_limit = 1024 },
	};
}

static void a_host_that_is_as_the_library_can_be_judges(void **state)
{
	struct host_facts f = plain();

	(void)state;
	assert_null(facts_cannot_judge(&f));
	/* All of these the library's machine can have too, or nothing is lost by them. */
	f.zero.page = ZERO_PAGE_NONE;
	f.zero.frame = NONE;
	f.proc.frames = false;
	f.huge.no_thp = f.huge.thp_stays = true;
	f.huge.no_gibibytes = f.huge.hugetlb_odd = f.prot.pkeys = f.addr.random = true;
	f.addr.gate = GATE_READ;
	f.addr.min_hint = f.addr.min_fixed = 0;
	f.addr.stack_gap = 16 * MIB;
	f.vm.overcommit = 1;
	f.vm.max_map_count = 1000;
	assert_null(facts_cannot_judge(&f));
}

#define ODD(field, value, why) \
	do { \
		struct host_facts f = plain(); \
		const char *said; \
\
		f.field = value; \
		said = facts_cannot_judge(&f); \
		if (!said || !strstr(said, why)) \
			fail_msg("%s: %s", #field, said ? said : "taken for a referee"); \
		assert_null(strchr(said, '\n')); \
	} while (0)

static void what_the_library_cannot_be_is_named(void **state)
{
	struct host_facts f = plain();

	(void)state;
	ODD(ended, false, "measured");
	ODD(proc.there, false, "/proc");
	ODD(proc.soft_dirty, true, "soft-dirty");
	ODD(addr.la57, true, "five levels");
	ODD(zero.page, ZERO_PAGE_UNKNOWN, "untouched");
	ODD(addr.min_hint, 2 * MIB, "mmap_min_addr");
	ODD(addr.min_fixed, MIB, "mmap_min_addr");
	ODD(addr.stack_gap, 0, "stack");
	ODD(huge.shmem, true, "shared memory");
	ODD(huge.thp_stays, true, "huge pages");
	ODD(ksm_runs, true, "ksm");
	ODD(prot.no_write_exec, true, "executable");
	ODD(vm.max_map_count, -1, "max_map_count");
	ODD(vm.overcommit, -1, "overcommit_memory");
	ODD(process.file_limit, MIB, "RLIMIT_FSIZE");
	ODD(process.nofile_limit, 20, "RLIMIT_NOFILE");
	ODD(disk.error, ENOSPC, "/var/tmp");
	ODD(disk.maps_dev[1], 3, "/var/tmp");
	snprintf(f.uname.release, sizeof(f.uname.release), "6.12.1");
	assert_non_null(strstr(facts_cannot_judge(&f), "6.18"));
	f = plain();
	snprintf(f.uname.machine, sizeof(f.uname.machine), "aarch64");
	assert_non_null(strstr(facts_cannot_judge(&f), "x86-64"));
	f = plain();
	f.vm.overcommit = 2;
	assert_null(facts_cannot_judge(&f));
	f.vm.overcommit_kbytes = 4096;
	assert_non_null(strstr(facts_cannot_judge(&f), "overcommit_kbytes"));
}

static struct wire_op mmap_op(uint64_t at, uint64_t flags)
{
	return (struct wire_op){
		.nr = SYS_mmap,
		.arg = { at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | flags, ~0UL },
	};
}

static void calls_that_one_host_cannot_judge_are_left_out_there(void **state)
{
	const struct wire_op huge = mmap_op(0, MAP_HUGETLB), low32 = mmap_op(0, MAP_32BIT);
	const struct wire_op zero = mmap_op(0, MAP_FIXED), page = mmap_op(PAGE, MAP_FIXED);
	const struct wire_op above = mmap_op(0x10000, MAP_FIXED);
	const struct wire_op gate = { .nr = OP_LOAD, .arg = { WIRE_GATE + 5, 1 } };
	const struct wire_op across = { .nr = OP_LOAD, .arg = { WIRE_GATE - 5, 8 } };
	struct host_facts f = plain();

	(void)state;
	assert_null(facts_cannot_judge_op(&f, &huge));
	assert_null(facts_cannot_judge_op(&f, &low32));
	assert_null(facts_cannot_judge_op(&f, &zero));
	assert_non_null(facts_cannot_judge_op(&f, &page));
	assert_null(facts_cannot_judge_op(&f, &above));
	assert_null(facts_cannot_judge_op(&f, &gate));
	f.huge.hugetlb_odd = f.addr.random = true;
	f.addr.gate = GATE_READ;
	f.addr.min_fixed = 0;
	assert_non_null(facts_cannot_judge_op(&f, &huge));
	assert_non_null(facts_cannot_judge_op(&f, &low32));
	assert_non_null(facts_cannot_judge_op(&f, &zero));
	assert_non_null(facts_cannot_judge_op(&f, &gate));
	assert_non_null(facts_cannot_judge_op(&f, &across));
	f.addr.min_hint = 0;
	assert_null(facts_cannot_judge_op(&f, &zero));
	assert_null(facts_cannot_judge_op(&f, &page));
}

static void answers_that_are_about_something_else_are_no_difference(void **state)
{
	const struct wire_op fork = { .nr = OP_FORK_STAY }, map = mmap_op(0, 0);
	const struct wire_op write = { .nr = OP_FILE_WRITE, .arg = { WIRE_FD_FILE + FILE_DISK } };
	struct settings set = { .found.facts = plain(), .machine.overcommit = -1 };

	(void)state;
	assert_null(answer_cannot_judge(&set, &fork, 0, 0));
	assert_null(answer_cannot_judge(&set, &fork, -ENOMEM, 0));
	assert_non_null(answer_cannot_judge(&set, &fork, -EAGAIN, 0));
	assert_null(answer_cannot_judge(&set, &map, -EAGAIN, 0));
	assert_non_null(answer_cannot_judge(&set, &map, -ENOSYS, 0));
	assert_non_null(answer_cannot_judge(&set, &write, -ENOSPC, 10));
	assert_non_null(answer_cannot_judge(&set, &write, 4, 10));
	assert_null(answer_cannot_judge(&set, &write, 10, 4));
	/* Under overcommit mode 2 other programs matter, unless the limit was set far off. */
	assert_null(answer_cannot_judge(&set, &map, -ENOMEM, 0));
	set.found.facts.vm.overcommit = 2;
	assert_non_null(answer_cannot_judge(&set, &map, -ENOMEM, 0));
	assert_non_null(answer_cannot_judge(&set, &map, 0, -ENOMEM));
	assert_null(answer_cannot_judge(&set, &map, -EINVAL, 0));
	set.machine.commit_is_ours = true;
	assert_null(answer_cannot_judge(&set, &map, -ENOMEM, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_is_as_the_library_can_be_judges),
		cmocka_unit_test(what_the_library_cannot_be_is_named),
		cmocka_unit_test(calls_that_one_host_cannot_judge_are_left_out_there),
		cmocka_unit_test(answers_that_are_about_something_else_are_no_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
