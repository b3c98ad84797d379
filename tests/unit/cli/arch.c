/* SPDX-License-Identifier: MIT */
/*
 * Which machine a trace comes from, and what follows from it.
 */
#include <errno.h>

#include "unit/cli/feed.h"

static enum arch of(const char *text, int wanted)
{
	return arch_of_text(text, strlen(text), wanted);
}

static void the_beginning_of_a_trace_tells(void **state)
{
	static const struct {
		const char *text;
		int wanted;
		enum arch arch;
	} cases[] = {
		{ "brk(NULL) = 0x555555576000\nmmap(NULL, 1, 1, 2, 3, 0) = 0x7ffff7fc0000\n", -1,
		  ARCH_X86_64 },
		{ "brk(NULL) = 0x804c000\nmmap2(NULL, 1, 1, 2, 3, 0) = 0xb7fea000\n", -1,
		  ARCH_I386_3G },
		{ "brk(NULL) = 0x804c000\nmmap2(NULL, 1, 1, 2, 3, 0) = 0xf7ff0000\n", -1,
		  ARCH_I386 },
		{ "old_mmap(NULL, 1, 1, 2, 3, 0) = 0xfffffffff7ff0000\n", -1, ARCH_I386 },
		{ "mmap(NULL, 1, 1, 2, 3, 0) = 0xfffff7fe8000\n", -1, ARCH_AARCH64 },
		{ "mmap(NULL, 1, 1, 2, 3, 0) = 0x7fb7ffe000\n", -1, ARCH_AARCH64_39 },
		/* asked for, not chosen */
		{ "mmap(0x7fb7ffe000, 1, 1, 2, 3, 0) = 0x7fb7ffe000\n", -1, ARCH_X86_64 },
		/* the 32-bit program comes later, and a message says so */
		{ "mmap(NULL, 1, 1, 2, 3, 0) = 0x7ffff7fc0000\n[ Process PID=7 runs in 32 bit "
		  "mode. ]\nmmap2(NULL, 1, 1, 2, 3, 0) = 0xf7ff0000\n",
		  -1, ARCH_X86_64 },
		{ "", -1, ARCH_X86_64 },
		{ "mmap2(NULL, 1, 1, 2, 3, 0)", -1, ARCH_X86_64 }, /* cut off */
		/* --arch: the size is looked for */
		{ "brk(NULL) = 0x804c000\nmmap2(NULL, 1, 1, 2, 3, 0) = 0xb7fea000\n", ARCH_I386,
		  ARCH_I386_3G },
		{ "", ARCH_I386, ARCH_I386 },
		{ "", ARCH_I386_3G, ARCH_I386_3G },
		{ "mmap(NULL, 1, 1, 2, 3, 0) = 0x7fb7ffe000\n", ARCH_AARCH64, ARCH_AARCH64_39 },
		{ "mmap2(NULL, 1, 1, 2, 3, 0) = 0xb7fea000\n", ARCH_X86_64, ARCH_X86_64 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (of(cases[i].text, cases[i].wanted) != cases[i].arch)
			fail_msg("%s: %s", cases[i].text,
				 arch_name(of(cases[i].text, cases[i].wanted)));
}

static void a_recorded_map_tells(void **state)
{
	static const struct {
		struct map_line line;
		unsigned long mmap_base;
		enum arch now, arch;
	} cases[] = {
		{ { .end = 0xffffe000, .name = "[stack]" }, 0, ARCH_X86_64, ARCH_I386 },
		{ { .end = 0xc0000000, .name = "[stack]" }, 0, ARCH_X86_64, ARCH_I386_3G },
		{ { .end = 0xbf800000, .name = "[stack]" }, 0, ARCH_I386, ARCH_I386 },
		{ { .end = 0x7ffffffff000, .name = "[stack]" }, 0, ARCH_I386, ARCH_X86_64 },
		{ { .end = 0xffffffffff601000, .name = "[vsyscall]" }, 0, ARCH_I386, ARCH_X86_64 },
		{ { .end = 1UL << 48, .name = "[stack]" }, 0, ARCH_X86_64, ARCH_AARCH64 },
		{ { .end = 1UL << 39, .name = "[stack]" }, 0, ARCH_X86_64, ARCH_AARCH64_39 },
		/* code may be low on every machine */
		{ { .end = 0x401000, .name = "/bin/x" }, 0, ARCH_X86_64, ARCH_X86_64 },
		{ { .end = 0x401000, .name = "/bin/x" }, 0, ARCH_I386, ARCH_I386 },
		{ { .end = 0x401000, .name = "/bin/x" }, 0x7ffff7fff000, ARCH_I386, ARCH_X86_64 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct map_line line = cases[i].line;
		struct snapshot s = { .lines = { .at = &line, .nr = 1 },
				      .layout.mmap_base = cases[i].mmap_base };

		assert_int_equal(arch_of_map(&s, cases[i].now), cases[i].arch);
	}
}

static void every_geometry_makes_a_machine(void **state)
{
	enum arch found;

	(void)state;
	for (int i = 0; i < ARCH_NR; i++) {
		assert_int_equal(samara_geometry_check(arch_geometry((enum arch)i)), 0);
		assert_int_equal(arch_by_name(arch_name((enum arch)i), &found), 0);
		assert_int_equal(found, i);
	}
	assert_int_equal(arch_by_name("vax", &found), -ENOENT);
}

static struct space *space_of(int pid)
{
	struct process *p = world_process(&r.world, pid);

	assert_non_null(p);
	return p->space;
}

/* mmap2 tells it where strace has been told to be quiet about modes. */
static void a_32_bit_call_makes_an_empty_space_small(void **state)
{
	(void)state;
	feed("7 execve(\"/x\", [\"x\"], 0xffffd000 /* 1 var */) = 0");
	feed("7 brk(NULL) = 0x804c000");
	assert_int_equal(space_of(7)->arch, ARCH_X86_64);
	feed("7 mmap2(NULL, 8192, " RW ") = 0xf7ff0000");
	assert_int_equal(space_of(7)->arch, ARCH_I386);
	feed("7 brk(0x804d000) = 0x804d000"); /* what brk(NULL) had told is kept */
	feed("7 mmap2(0xfffff000, 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = "
	     "-1 ENOMEM (Cannot allocate memory)");
	feed("7 munmap(0xffffe000, 8192) = -1 EINVAL (Invalid argument)");
	assert_int_equal(r.stats.calls, 5);
	assert_int_equal(r.stats.call_diffs, 0);
}

static void modes_change_with_execve(void **state)
{
	(void)state;
	feed("7 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	feed("7 mmap(NULL, 4096, " RW ") = 0x7ffff7fc0000");
	feed("7 execve(\"/y\", [\"y\"], 0x1 /* 1 var */) = 0");
	feed("7 [ Process PID=7 runs in 32 bit mode. ]");
	assert_int_equal(space_of(7)->arch, ARCH_I386);
	feed("7 mmap2(NULL, 4096, " RW ") = 0xf7ff0000");
	feed("7 clone(child_stack=NULL, flags=SIGCHLD) = 8");
	assert_int_equal(space_of(8)->arch, ARCH_I386);
	feed("8 execve(\"/z\", [\"z\"], 0x1 /* 1 var */) = 0");
	assert_int_equal(space_of(8)->arch, ARCH_I386); /* strace tells only changes */
	feed("8 execve(\"/z\", [\"z\"], 0x1 /* 1 var */) = 0");
	feed("8 [ Process PID=8 runs in 64 bit mode. ]");
	assert_int_equal(space_of(8)->arch, ARCH_X86_64);
	feed("8 mmap(NULL, 4096, " RW ") = 0x7ffff7fc0000");
	assert_int_equal(r.stats.call_diffs, 0);
	/* a program may make a call of the other kind and keeps its space */
	feed("8 [ Process PID=8 runs in 32 bit mode. ]");
	assert_int_equal(space_of(8)->arch, ARCH_X86_64);
	assert_int_equal(mappings(8), 1);
}

/* strace was told to be quiet about modes, and no map was recorded. */
static void an_address_beyond_the_space_makes_it_large(void **state)
{
	(void)state;
	feed("7 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	feed("7 mmap2(NULL, 4096, " RW ") = 0xf7ff0000");
	feed("7 execve(\"/y\", [\"y\"], 0x1 /* 1 var */) = 0");
	feed("7 brk(NULL) = 0x403000");
	assert_int_equal(space_of(7)->arch, ARCH_I386);
	feed("7 mmap(NULL, 4096, " RW ") = 0x7ffff7fc0000");
	assert_int_equal(space_of(7)->arch, ARCH_X86_64);
	feed("7 execve(\"/y\", [\"y\"], 0x1 /* 1 var */) = 0");
	feed("7 mmap(NULL, 4096, " RW ") = 0xfffff7fc0000");
	assert_int_equal(space_of(7)->arch, ARCH_AARCH64);
	assert_int_equal(r.stats.calls, 4);
	assert_int_equal(r.stats.call_diffs, 0);
}

static void signs_are_taken_off_in_32_bits(void **state)
{
	(void)state;
	feed("7 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	feed("7 mmap2(NULL, 8192, " RW ") = 0xfffffffff7ff0000");
	feed("7 mprotect(0xfffffffff7ff0000, 4096, PROT_READ) = 0");
	feed("7 munmap(0xf7ff1000, 4096) = 0");
	assert_int_equal(r.stats.calls, 3);
	assert_int_equal(r.stats.call_diffs, 0);
	assert_int_equal(mappings(7), 1);
}

static unsigned long offset_at(int pid, unsigned long addr)
{
	struct samara_vma_info vma;

	assert_int_equal(samara_vma_next(space_of(pid)->mm, addr, &vma), 0);
	assert_int_equal(vma.start, addr);
	return vma.offset;
}

/* mmap2's offset is bytes in most traces and pages in old ones. */
static void offsets_of_mmap2_are_bytes_or_pages(void **state)
{
	(void)state;
	feed("7 execve(\"/x\", [\"x\"], 0x1 /* 1 var */) = 0");
	feed("7 mmap2(NULL, 4096, PROT_READ, MAP_PRIVATE, 3</a>, 0x3000) = 0xf7ff0000");
	assert_int_equal(offset_at(7, 0xf7ff0000), 0x3000);
	feed("7 mmap2(NULL, 4096, PROT_READ, MAP_PRIVATE, 3</b>, 0x13d) = 0xf7fe0000");
	assert_int_equal(offset_at(7, 0xf7fe0000), 0x13d000);
	feed("7 mmap2(NULL, 4096, PROT_READ, MAP_PRIVATE, 3</c>, 0x1000) = 0xf7fd0000");
	assert_int_equal(offset_at(7, 0xf7fd0000), 0x1000000);
	assert_int_equal(r.stats.call_diffs, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_beginning_of_a_trace_tells),
		cmocka_unit_test(a_recorded_map_tells),
		cmocka_unit_test(every_geometry_makes_a_machine),
		TEST(a_32_bit_call_makes_an_empty_space_small),
		TEST(modes_change_with_execve),
		TEST(an_address_beyond_the_space_makes_it_large),
		TEST(signs_are_taken_off_in_32_bits),
		TEST(offsets_of_mmap2_are_bytes_or_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
