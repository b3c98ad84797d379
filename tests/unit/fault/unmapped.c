/* SPDX-License-Identifier: MIT */
/*
 * Pages of a file are unmapped while a fault is on its way: what the fault had asked for before is
 * not mapped after.
 *
 * A driver's operation waits for another thread's samara_file_unmap_pages(). Where a fault asks
 * no driver, the page's lock is held until the fault waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "store/file.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

/* It shows frame[shown], and shows the other one from the middle of a call on. */
struct screen {
	struct samara_file *file;
	unsigned long frame[2];
	int shown;
	int pfnmap;
	int turn_in_fault, turn_in_mkwrite; /* how often yet */
	unsigned int faults, writes;
};

MEM_FIXTURE(m, 1 << 20);

static void *unmap_all(void *arg)
{
	samara_file_unmap_pages(arg, 0, ~0UL);
	return NULL;
}

/* The device shows something else from now on, and says so in a thread of its own. */
static void turn(struct screen *s, int *times)
{
	pthread_t thread;

	if (!*times)
		return;
	--*times;
	s->shown = !s->shown;
	assert_int_equal(pthread_create(&thread, NULL, unmap_all, s->file), 0);
	pthread_join(thread, NULL);
}

static int prepare(void *priv, struct samara_vma_desc *desc)
{
	const struct screen *s = priv;

	if (s->pfnmap)
		desc->vm_flags |= SAMARA_VM_PFNMAP | SAMARA_VM_IO | SAMARA_VM_DONTEXPAND;
	return 0;
}

static int fault(void *priv, struct samara_vmf *vmf)
{
	struct screen *s = priv;
	const unsigned long frame = s->frame[s->shown];

	s->faults++;
	turn(s, &s->turn_in_fault);
	return samara_vmf_insert(vmf, frame);
}

static int page_mkwrite(void *priv, struct samara_vmf *vmf)
{
	struct screen *s = priv;

	(void)vmf;
	s->writes++;
	turn(s, &s->turn_in_mkwrite);
	return 0;
}

static const struct samara_file_ops ops[] = {
	{ .size = sizeof(ops[0]), .mmap_prepare = prepare, .fault = fault },
	{
		.size = sizeof(ops[0]),
		.mmap_prepare = prepare,
		.fault = fault,
		.page_mkwrite = page_mkwrite,
	},
};

/* Frame 0 is full of 'a', frame 1 of 'b'. */
static void open_screen(struct screen *s, const struct samara_file_ops *how, int pfnmap)
{
	*s = (struct screen){ .pfnmap = pfnmap };
	assert_int_equal(samara_file_device(m.machine, how, s, &s->file), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(samara_device_alloc(s->file, 0, &s->frame[i]), 0);
		memset(samara_device_bytes(s->file, s->frame[i]), 'a' + i, MEM_PAGE);
	}
}

static char read_byte(unsigned long addr)
{
	char byte;

	assert_int_equal(samara_read(m.mm, addr, &byte, 1, NULL), 1);
	return byte;
}

static char shown_byte(const struct screen *s, int frame)
{
	return *(const char *)samara_device_bytes(s->file, s->frame[frame]);
}

static void a_read_sees_what_the_driver_shows_now(void **state)
{
	const int how[] = { MAP_SHARED, MAP_PRIVATE };

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct screen s;
		unsigned long a;

		open_screen(&s, &ops[i / 2 % 2], i / 4);
		a = mem_map(&m, 1, RW, how[i % 2], s.file);
		s.turn_in_fault = 3;
		assert_int_equal(read_byte(a), 'b');
		assert_int_equal(s.faults, 4);
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		samara_file_put(s.file);
	}
}

static void a_private_copy_is_of_what_the_driver_shows_now(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct screen s;
		unsigned long a;

		open_screen(&s, &ops[0], i);
		a = mem_map(&m, 1, RW, MAP_PRIVATE, s.file);
		s.turn_in_fault = 1;
		assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
		assert_int_equal(read_byte(a + 1), 'b');
		assert_int_equal(shown_byte(&s, 0), 'a');
		assert_int_equal(shown_byte(&s, 1), 'b');
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		samara_file_put(s.file);
	}
}

/* Whether the page was read before or not. */
static void a_write_goes_where_the_driver_allows_it_now(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct screen s;
		unsigned long a;

		open_screen(&s, &ops[1], i / 2);
		a = mem_map(&m, 1, RW, MAP_SHARED, s.file);
		if (i % 2)
			assert_int_equal(read_byte(a), 'a');
		s.turn_in_mkwrite = 1;
		assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
		assert_int_equal(s.writes, 2);
		assert_int_equal(shown_byte(&s, 0), 'a');
		assert_int_equal(shown_byte(&s, 1), 'x');
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		samara_file_put(s.file);
	}
}

static void the_next_access_after_unmapping_faults_in_each_process(void **state)
{
	struct samara_mm *child;
	struct screen s;
	unsigned long a;
	char byte;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_screen(&s, &ops[0], i);
		a = mem_map(&m, 1, RW, MAP_SHARED, s.file);
		assert_int_equal(read_byte(a), 'a');
		assert_int_equal(samara_fork(m.mm, &child), 0);
		s.shown = 1;
		samara_file_unmap_pages(s.file, 0, 1);
		assert_int_equal(read_byte(a), 'b');
		assert_int_equal(samara_read(child, a, &byte, 1, NULL), 1);
		assert_int_equal(byte, 'b');
		samara_mm_exit(child);
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
		samara_file_put(s.file);
	}
}

struct one_fault {
	unsigned long addr;
	unsigned int flags, codes;
};

static void *fault_once(void *arg)
{
	struct one_fault *f = arg;

	f->codes = mem_fault(&m, f->addr, f->flags);
	return NULL;
}

/* Only the fault, not the access, which would make another one. */
static void a_fault_on_a_file_begins_anew(void **state)
{
	static const struct {
		int how;
		unsigned int flags;
	} kinds[] = {
		{ MAP_SHARED, 0 },
		{ MAP_SHARED, FAULT_WRITE },
		{ MAP_PRIVATE, 0 },
		{ MAP_PRIVATE, FAULT_WRITE },
	};
	struct samara_file *file = mem_file(&m, 4);

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const unsigned long a = mem_map(&m, 4, RW, kinds[i].how, file);
		struct folio *folio = page_cache_find(file->inode, 1);
		struct one_fault f = { .addr = a + MEM_PAGE, .flags = kinds[i].flags };
		pthread_t thread;

		assert_non_null(folio);
		folio_lock(folio);
		assert_int_equal(pthread_create(&thread, NULL, fault_once, &f), 0);
		while (!folio_test(folio, FOLIO_WAITED))
			sched_yield();
		samara_file_unmap_pages(file, 1, 1);
		folio_unlock(folio);
		pthread_join(thread, NULL);
		folio_put(m.machine->ram, folio);
		assert_int_equal(f.codes, VM_FAULT_DONE);
		for (unsigned long page = 0; page < 4; page++)
			assert_true(pte_none(mem_pte(&m, a + page * MEM_PAGE)));
		fault_once(&f);
		assert_true(pte_present(mem_pte(&m, f.addr)));
		assert_int_equal(mem_bytes(&m, f.addr)[0], 2);
		assert_int_equal(samara_munmap(m.mm, a, 4 * MEM_PAGE), 0);
	}
	samara_file_put(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_read_sees_what_the_driver_shows_now),
		TEST(a_private_copy_is_of_what_the_driver_shows_now),
		TEST(a_write_goes_where_the_driver_allows_it_now),
		TEST(the_next_access_after_unmapping_faults_in_each_process),
		TEST(a_fault_on_a_file_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
