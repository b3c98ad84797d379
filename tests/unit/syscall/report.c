/* SPDX-License-Identifier: MIT */
/*
 * Reports: the texts, the walk over mappings, installing and layout.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/mm_text.h"
#include "support/waits.h"

static char text[MM_TEXT];

#define GAP_6 "      "
#define GAP_17 "                 "

static void maps_reads_like_procs(void **state)
{
	struct fixture *f = *state;
	const struct samara_file_identity id = {
		.size = sizeof(id),
		.name = "/usr/bin/x\ny",
		.dev_major = 0xfe,
		.dev_minor = 3,
		.ino = 247134,
	};
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct samara_file *file;

	assert_int_equal(samara_file_named(f->machine, &id, &file), 0);
	assert_int_equal(samara_mmap(f->mm, 0x400000, 2 * PAGE, PROT_READ | PROT_EXEC,
				     MAP_PRIVATE | MAP_FIXED, file, 3 * PAGE),
			 0x400000);
	samara_file_put(file);
	layout.start_brk = 0x500000;
	layout.brk = 0x501000;
	layout.start_stack = 0x7ffffffde000;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_int_equal(samara_brk(f->mm, 0x502000), 0x502000);
	map_pages(f->mm, 0, 1, RW, 0);
	map_pages(f->mm, 1, 2, RW, MAP_SHARED);
	assert_int_equal(samara_mmap(f->mm, 0x7ffffffdd000, 2 * PAGE, RW,
				     MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN, NULL,
				     0),
			 0x7ffffffdd000);
	assert_int_equal(mm_text(f->mm, samara_print_maps, text), 0);
	/* The fixture's memfd has inode 1. */
	assert_string_equal(text,
			    "00400000-00402000 r-xp 00003000 fe:03 247134" GAP_6 GAP_17 GAP_6
			    "/usr/bin/x\\012y\n"
			    "00501000-00502000 rw-p 00000000 00:00 0" GAP_17 GAP_17 "[heap]\n"
			    "10000000000-10000001000 rw-p 00000000 00:00 0 \n"
			    "10000001000-10000002000 rw-s 00000000 00:01 2" GAP_17 GAP_6 "     "
			    "/dev/zero (deleted)\n"
			    "7ffffffdd000-7ffffffdf000 rw-p 00000000 00:00 0" GAP_17 GAP_6 "   "
			    "[stack]\n"
			    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0" GAP_17 " "
			    "[vsyscall]\n");
}

static void a_long_map_is_written_in_pieces(void **state)
{
	struct fixture *f = *state;
	size_t lines = 0;

	for (unsigned long i = 0; i < 3000; i++)
		map_pages(f->mm, 2 * i, 2 * i + 1, RW, 0);
	assert_int_equal(mm_text(f->mm, samara_print_maps, text), 0);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 3001);
	assert_int_equal(samara_print_maps(f->mm, -1), -EBADF);
}

struct printer {
	struct samara_mm *mm;
	int fd, err;
	pid_t tid; /* atomic */
};

static int handled; /* atomic */

static void handle(int signo)
{
	(void)signo;
	__atomic_store_n(&handled, 1, __ATOMIC_RELEASE);
}

static void *print_it(void *arg)
{
	struct printer *p = arg;

	__atomic_store_n(&p->tid, gettid(), __ATOMIC_RELEASE);
	p->err = samara_print_maps(p->mm, p->fd);
	close(p->fd);
	return NULL;
}

/* Whoever reads the pipe is slow, and a signal comes meanwhile. */
static void a_signal_does_not_end_a_report(void **state)
{
	const struct sigaction interrupts = { .sa_handler = handle };
	struct fixture *f = *state;
	struct printer p = { .mm = f->mm };
	size_t filled = 0, got = 0;
	struct sigaction before;
	pthread_t thread;
	int ends[2];
	ssize_t n;

	map_pages(f->mm, 0, 1, RW, 0);
	assert_int_equal(mm_text(f->mm, samara_print_maps, text), 0);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while ((n = write(ends[1], text, 1)) == 1)
		filled++;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	assert_int_equal(sigaction(SIGUSR1, &interrupts, &before), 0);
	p.fd = ends[1];
	handled = 0;
	assert_int_equal(pthread_create(&thread, NULL, print_it, &p), 0);
	while (!__atomic_load_n(&p.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	assert_true(comes_to_sleep(thread, p.tid));
	assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
	while (!__atomic_load_n(&handled, __ATOMIC_ACQUIRE))
		sched_yield();
	while ((n = read(ends[0], text + MM_TEXT / 2, 4096)) > 0)
		got += (size_t)n;
	pthread_join(thread, NULL);
	assert_int_equal(p.err, 0);
	text[MM_TEXT / 2 - 1] = '\0';
	assert_int_equal(got, filled + strlen(text));
	close(ends[0]);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void smaps_gives_size_and_flags(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 33, RW, MAP_GROWSDOWN);
	assert_int_equal(mm_text(f->mm, samara_print_smaps, text), 0);
	assert_non_null(
		strstr(text, "\nSize:                132 kB\nKernelPageSize:        4 kB\n"));
	assert_non_null(
		strstr(text, "\nRss:                   0 kB\nPss:                   0 kB\n"));
	assert_non_null(
		strstr(text, "\nTHPeligible:           0\nVmFlags: rd wr mr mw me gd ac \n"));
	assert_non_null(strstr(text, "[vsyscall]\nSize:                  4 kB\n"));
}

/* One entry: two pages shared with a child, one written since, one clean; LOCKONFAULT. */
static void smaps_gives_each_line(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	char byte;

	map_file(f, 0, 8, RW, MAP_PRIVATE, 0);
	assert_int_equal(samara_mlock2(f->mm, AT(0), 8 * PAGE, MLOCK_ONFAULT), 0);
	write_pages(f->mm, 0, 3);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	write_pages(f->mm, 2, 3);
	assert_int_equal(samara_read(f->mm, AT(5), &byte, 1, NULL), 1);
	assert_int_equal(mm_text(f->mm, samara_print_smaps, text), 0);
	*strstr(text, "ffffffffff600000") = '\0';
	assert_string_equal(strchr(text, '\n'), "\n"
						"Size:                 32 kB\n"
						"KernelPageSize:        4 kB\n"
						"MMUPageSize:           4 kB\n"
						"Rss:                  16 kB\n"
						"Pss:                  12 kB\n"
						"Pss_Dirty:             8 kB\n"
						"Shared_Clean:          0 kB\n"
						"Shared_Dirty:          8 kB\n"
						"Private_Clean:         4 kB\n"
						"Private_Dirty:         4 kB\n"
						"Referenced:           16 kB\n"
						"Anonymous:            12 kB\n"
						"KSM:                   0 kB\n"
						"LazyFree:              0 kB\n"
						"AnonHugePages:         0 kB\n"
						"ShmemPmdMapped:        0 kB\n"
						"FilePmdMapped:         0 kB\n"
						"Shared_Hugetlb:        0 kB\n"
						"Private_Hugetlb:       0 kB\n"
						"Swap:                  0 kB\n"
						"SwapPss:               0 kB\n"
						"Locked:               12 kB\n"
						"THPeligible:           0\n"
						"VmFlags: rd wr mr mw me lo lf ac \n");
	samara_mm_exit(child);
}

static void flags_text_needs_room(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(samara_vm_flags_text(SAMARA_VM_READ | SAMARA_VM_SEALED, buf, 8), 6);
	assert_string_equal(buf, "rd sl ");
	assert_int_equal(samara_vm_flags_text(7, buf, 8), -ENOSPC);
	assert_int_equal(samara_vm_flags_text(0, buf, 0), -ENOSPC);
}

static void mappings_are_walked_by_their_ends(void **state)
{
	struct fixture *f = *state;
	struct samara_vma_info info;

	map_file(f, 0, 2, PROT_READ, MAP_SHARED, 5);
	assert_int_equal(samara_vma_next(f->mm, 0, &info), 0);
	assert_int_equal(info.start, AT(0));
	assert_int_equal(info.offset, 5 * PAGE);
	assert_string_equal(info.perms, "r--s");
	assert_string_equal(info.name, "/memfd:test (deleted)");
	assert_int_equal(samara_vma_next(f->mm, AT(1), &info), 0);
	assert_int_equal(samara_vma_next(f->mm, info.end, &info), -ENOENT);
	assert_int_equal(samara_gate_info(f->mm, &info), 0);
	assert_string_equal(info.perms, "--xp");
}

static void a_copied_name_outlives_the_mapping(void **state)
{
	struct fixture *f = *state;
	const struct samara_file_identity id = { .size = sizeof(id), .name = "/a/file" };
	struct samara_vma_info info = { .start = 1 };
	struct samara_file *file;
	char name[8];

	assert_int_equal(samara_vma_next_copy(f->mm, 0, &info, name, sizeof(name)), -ENOENT);
	assert_int_equal(samara_file_named(f->machine, &id, &file), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file,
				     PAGE),
			 AT(0));
	assert_int_equal(samara_vma_next_copy(f->mm, 0, &info, name, 7), -ENOSPC);
	assert_int_equal(info.start, 1);
	assert_int_equal(samara_vma_next_copy(f->mm, 0, &info, name, sizeof(name)), 0);
	samara_file_put(file);
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	assert_int_equal(info.start, AT(0));
	assert_int_equal(info.offset, PAGE);
	assert_ptr_equal(info.name, name);
	assert_string_equal(info.name, "/a/file");
}

static void the_gate_follows_the_machine(void **state)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_vma_info info;
	struct samara_mm *mm;

	(void)state;
	cfg.flags = SAMARA_MACHINE_NO_GATE;
	assert_int_equal(samara_machine_create(&cfg, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	samara_machine_destroy(machine); /* the mm keeps it */
	assert_int_equal(samara_gate_info(mm, &info), -ENOENT);
	assert_int_equal(mm_text(mm, samara_print_maps, text), 0);
	assert_string_equal(text, "");
	samara_mm_exit(mm);
}

static void installing_puts_mappings_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct samara_mapping m = {
		.start = AT(0), .end = AT(2), .prot = RW, .flags = MAP_PRIVATE
	};
	struct samara_mapping next = m;

	next.start = AT(2);
	next.end = AT(3);
	assert_int_equal(samara_mm_install(f->mm, &m), 0);
	assert_int_equal(samara_mm_install(f->mm, &next), 0);
	assert_map(f->mm, "0-2 rw-p, 2-3 rw-p");
	assert_int_equal(samara_mm_install(f->mm, &m), -EEXIST);
	m.name = "[nonsense]";
	m.start = AT(10);
	m.end = AT(11);
	assert_int_equal(samara_mm_install(f->mm, &m), -EINVAL);
	m.name = NULL;
	m.end = AT(10);
	assert_int_equal(samara_mm_install(f->mm, &m), -EINVAL);
}

static void a_layout_that_cannot_be_installed_changes_nothing(void **state)
{
	struct fixture *f = *state;
	const struct samara_mapping special[] = {
		{ .start = AT(0),
		  .end = AT(2),
		  .prot = PROT_READ | PROT_EXEC,
		  .vm_flags = SAMARA_VM_SEALED,
		  .name = "[vdso]" },
		{ .start = AT(2), .end = AT(4), .prot = PROT_READ, .name = "[vvar]" },
		{ .start = AT(3), .end = AT(4), .prot = PROT_READ, .name = "[vvar_vclock]" },
	};
	struct samara_layout layout = SAMARA_LAYOUT_INIT, was = SAMARA_LAYOUT_INIT;

	samara_get_layout(f->mm, &was);
	layout.mmap_base = AT(500);
	layout.special = special;
	layout.nr_special = 3;
	assert_int_equal(samara_set_layout(f->mm, &layout), -EEXIST);
	assert_map(f->mm, "");
	samara_get_layout(f->mm, &layout);
	assert_int_equal(layout.mmap_base, was.mmap_base);
	layout.mmap_base = AT(500);
	layout.special = special;
	layout.nr_special = 2;
	assert_int_equal(samara_set_layout(f->mm, &layout), 0);
	assert_map(f->mm, "0-2 r-xp, 2-4 r--p");
	layout.mmap_base = 1UL << 60;
	assert_int_equal(samara_set_layout(f->mm, &layout), -EINVAL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(maps_reads_like_procs),
		test(a_long_map_is_written_in_pieces),
		test(a_signal_does_not_end_a_report),
		test(smaps_gives_size_and_flags),
		test(smaps_gives_each_line),
		cmocka_unit_test(flags_text_needs_room),
		test(mappings_are_walked_by_their_ends),
		test(a_copied_name_outlives_the_mapping),
		cmocka_unit_test(the_gate_follows_the_machine),
		test(installing_puts_mappings_as_they_are),
		test(a_layout_that_cannot_be_installed_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
