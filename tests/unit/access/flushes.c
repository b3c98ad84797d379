/* SPDX-License-Identifier: MIT */
/*
 * What a CPU remembers of a page is gone when the call returns that took it away: each right by
 * mprotect, the right to write by write-back, the page by holes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/notifier.h>

#include "support/advice.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static struct samara_cpu *cpu;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_cpu_destroy(cpu);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

/* Whether the TLB alone allows it. */
static bool remembers(unsigned long addr, enum samara_access access)
{
	bool found;

	samara_cpu_enter(cpu);
	found = samara_cpu_lookup(cpu, addr, access);
	samara_cpu_exit(cpu);
	return found;
}

/* Whether it is allowed; remembered from then on. */
static bool may(unsigned long addr, enum samara_access access)
{
	struct samara_fault fault;
	bool found;

	samara_cpu_enter(cpu);
	found = samara_cpu_miss(cpu, addr, access, &fault);
	samara_cpu_exit(cpu);
	return found;
}

static void store(unsigned long addr, char byte)
{
	struct samara_fault fault;
	char *p;

	samara_cpu_enter(cpu);
	p = samara_cpu_lookup(cpu, addr, SAMARA_ACCESS_WRITE);
	if (!p)
		p = samara_cpu_miss(cpu, addr, SAMARA_ACCESS_WRITE, &fault);
	assert_non_null(p);
	*p = byte;
	samara_cpu_exit(cpu);
}

static int rights_of(int prot)
{
	/* As on x86: what may be written or run can be read. */
	return prot & PROT_WRITE ? prot | PROT_READ : prot & PROT_EXEC ? prot | PROT_READ : prot;
}

static const int right[] = {
	[SAMARA_ACCESS_READ] = PROT_READ,
	[SAMARA_ACCESS_WRITE] = PROT_WRITE,
	[SAMARA_ACCESS_EXEC] = PROT_EXEC,
};

/* Pages 0 to 2; the middle one's rights change, or all three's. */
static void change_rights(unsigned long a, int from, int to, unsigned long first, unsigned long n)
{
	const unsigned long len = n * MEM_PAGE;

	assert_int_equal(samara_mprotect(m.mm, a, 3 * MEM_PAGE, RW), 0);
	for (unsigned long page = 0; page < 3; page++)
		store(a + page * MEM_PAGE, 'x');
	assert_int_equal(samara_mprotect(m.mm, a, 3 * MEM_PAGE, from), 0);
	for (unsigned long page = 0; page < 3; page++)
		for (unsigned int k = 0; k < SAMARA_ACCESS_KINDS; k++)
			assert_int_equal(may(a + page * MEM_PAGE, k),
					 !!(rights_of(from) & right[k]));
	assert_int_equal(samara_mprotect(m.mm, a + first * MEM_PAGE, len, to), 0);
	for (unsigned long page = 0; page < 3; page++) {
		const bool changed = page >= first && page < first + n;
		const int rights = rights_of(changed ? to : from);

		/* All of it before the next miss, which fills the slot anew. */
		for (unsigned int k = 0; k < SAMARA_ACCESS_KINDS; k++)
			assert_true(rights & right[k] || !remembers(a + page * MEM_PAGE, k));
		for (unsigned int k = 0; k < SAMARA_ACCESS_KINDS; k++)
			assert_int_equal(may(a + page * MEM_PAGE, k), !!(rights & right[k]));
	}
}

static void a_right_that_mprotect_takes_away_is_gone(void **state)
{
	const int how[] = { MAP_PRIVATE, MAP_SHARED };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const unsigned long a = mem_map(&m, 3, RW, how[i], NULL);

		for (int from = 0; from < 8; from++) {
			for (int to = 0; to < 8; to++) {
				change_rights(a, from, to, 0, 3);
				change_rights(a, from, to, 1, 1);
			}
		}
		assert_int_equal(samara_munmap(m.mm, a, 3 * MEM_PAGE), 0);
	}
}

static char host_byte(int fd, unsigned long at)
{
	char byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	return byte;
}

/* Ways to ask for write-back of the first page. */
static int by_msync(struct samara_file *file, unsigned long a)
{
	(void)file;
	return samara_msync(m.mm, a, MEM_PAGE, MS_SYNC);
}

static int by_sync(struct samara_file *file, unsigned long a)
{
	(void)a;
	return samara_file_sync(file);
}

/* What is stored after write-back is written by the next. */
static void a_store_after_write_back_is_not_lost(void **state)
{
	int (*const sync[])(struct samara_file *, unsigned long) = { by_msync, by_sync };
	FILE *f = tmpfile();
	struct samara_file *file;
	unsigned long a, b;

	(void)state;
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 2 * MEM_PAGE), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fileno(f), &file), 0);
	a = mem_map(&m, 2, RW, MAP_SHARED, file);
	b = mem_map(&m, 2, RW, MAP_SHARED, file);
	for (int i = 0; i < 6; i++) {
		/* Through two places in turn, both of which the CPU knows. */
		const unsigned long at = i & 1 ? a : b;

		store(a, '-');
		store(b, '-');
		store(at + 9, (char)('a' + i));
		assert_true(remembers(a, SAMARA_ACCESS_WRITE));
		assert_true(remembers(b, SAMARA_ACCESS_WRITE));
		assert_int_equal(sync[i / 3](file, a), 0);
		assert_int_equal(host_byte(fileno(f), 9), 'a' + i);
		assert_false(remembers(a, SAMARA_ACCESS_WRITE));
		assert_false(remembers(b, SAMARA_ACCESS_WRITE));
		assert_false(pte_write(mem_pte(&m, a)) || pte_dirty(mem_pte(&m, a)));
		assert_false(pte_write(mem_pte(&m, b)) || pte_dirty(mem_pte(&m, b)));
		/* Reading goes on. */
		assert_true(may(a, SAMARA_ACCESS_READ));
		assert_false(remembers(a, SAMARA_ACCESS_WRITE));
	}
	samara_file_put(file);
	assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, b, 2 * MEM_PAGE), 0);
	fclose(f);
}

struct reader {
	unsigned long addr;
	int changes; /* seen so far */
	char byte;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	assert_int_equal(samara_read(m.mm, r->addr, &r->byte, 1, NULL), 1);
	return NULL;
}

/* The first time that its pages were unmapped, another thread comes and has one mapped again. */
static void read_again(const struct samara_notifier_range *range, void *priv)
{
	struct reader *r = priv;
	pthread_t thread;

	(void)range;
	if (r->changes++)
		return;
	assert_int_equal(pthread_create(&thread, NULL, read_one, r), 0);
	pthread_join(thread, NULL);
}

static void a_page_that_came_back_while_a_hole_is_made_goes_again(void **state)
{
	static const struct samara_notifier_ops ops = { .end = read_again };
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 2, RW, MAP_SHARED, file);
	struct reader r = { .addr = a };
	struct samara_notifier *notifier;
	char byte;

	(void)state;
	assert_true(may(a, SAMARA_ACCESS_READ));
	assert_int_equal(samara_notifier_register(m.mm, &ops, &r, &notifier), 0);
	assert_int_equal(samara_file_punch_hole(file, 0, MEM_PAGE), 0);
	samara_notifier_unregister(notifier);
	assert_int_equal(r.changes, 2);
	assert_int_equal(r.byte, 1); /* before it left the cache */
	assert_true(pte_none(mem_pte(&m, a)));
	assert_false(remembers(a, SAMARA_ACCESS_READ));
	assert_int_equal(samara_read(m.mm, a, &byte, 1, NULL), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
	samara_file_put(file);
}

/* Calls that take something away from pages: four of them, which one leaf table serves. */
#define FOUR (4 * MEM_PAGE)
#define PLACE 0x40000000UL

static long unmap(unsigned long a)
{
	return samara_munmap(m.mm, a, FOUR);
}

static long drop(unsigned long a)
{
	return samara_madvise(m.mm, a, FOUR, MADV_DONTNEED);
}

static long drop_lazily(unsigned long a)
{
	return samara_madvise(m.mm, a, FOUR, MADV_FREE);
}

static long guard(unsigned long a)
{
	return samara_madvise(m.mm, a, FOUR, MADV_GUARD_INSTALL);
}

static long forbid_writing(unsigned long a)
{
	return samara_mprotect(m.mm, a, FOUR, PROT_READ);
}

static long forbid_all(unsigned long a)
{
	return samara_mprotect(m.mm, a, FOUR, PROT_NONE);
}

static long move(unsigned long a)
{
	const unsigned long to = a + 2 * FOUR;

	return (long)(samara_mremap(m.mm, a, FOUR, FOUR, MREMAP_MAYMOVE | MREMAP_FIXED, to) - to);
}

static const struct {
	long (*call)(unsigned long a);
	bool spares_zero_pages; /* they lose no right */
} takers[] = {
	{ unmap, false },         { drop, false },       { drop_lazily, true }, { guard, false },
	{ forbid_writing, true }, { forbid_all, false }, { move, false },
};

static unsigned long flushes_of(long (*call)(unsigned long a))
{
	const unsigned long before = cpu->flushes;

	assert_int_equal(call(PLACE), 0);
	return cpu->flushes - before;
}

static void new_pages(void)
{
	assert_int_equal(samara_munmap(m.mm, PLACE, 8 * FOUR), 0);
	assert_int_equal(samara_mmap(m.mm, PLACE, FOUR, RW, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
				     NULL, 0),
			 PLACE);
}

/* No CPU waits for a call that takes nothing from it, or more than once for one that does. */
static void there_is_one_flush_if_something_was_taken_away(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++) {
		long (*const call)(unsigned long a) = takers[i].call;

		new_pages();
		assert_int_equal(flushes_of(call), 0);
		for (unsigned long used = 1; used <= 4; used++) {
			new_pages();
			for (unsigned long page = 0; page < used; page++)
				store(PLACE + page * MEM_PAGE, 'x');
			assert_int_equal(flushes_of(call), 1);
			/* The pages are gone, or can lose no more. */
			if (call != unmap && call != move)
				assert_int_equal(flushes_of(call), 0);
		}
		new_pages();
		assert_true(may(PLACE, SAMARA_ACCESS_READ));
		assert_int_equal(flushes_of(call), !takers[i].spares_zero_pages);
	}
	assert_int_equal(samara_munmap(m.mm, PLACE, 8 * FOUR), 0);
}

static void meet_nothing(void *arg)
{
	(void)arg;
}

static void without_a_cpu_the_lock_of_cpus_is_not_taken(void **state)
{
	(void)state;
	if (!at_locks_available())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++) {
		new_pages();
		store(PLACE, 'x');
		samara_cpu_run(cpu, NULL);
		meet_at(&m.mm->watch.cpus_lock, 1, meet_nothing, NULL);
		assert_int_equal(takers[i].call(PLACE), 0);
		assert_false(meet_end());
		samara_cpu_run(cpu, m.mm);
	}
	assert_int_equal(samara_munmap(m.mm, PLACE, 8 * FOUR), 0);
}

static struct samara_file *flushed_file;

static long give_rights(unsigned long a)
{
	return samara_mprotect(m.mm, a, FOUR, RW);
}

static long lock(unsigned long a)
{
	return samara_mlock(m.mm, a, FOUR);
}

static long look(unsigned long a)
{
	unsigned char there[4];

	return samara_mincore(m.mm, a, FOUR, there);
}

static long write_back(unsigned long a)
{
	return samara_msync(m.mm, a, FOUR, MS_SYNC);
}

static long punch_elsewhere(unsigned long a)
{
	(void)a;
	return samara_file_punch_hole(flushed_file, FOUR, MEM_PAGE);
}

static long lengthen(unsigned long a)
{
	(void)a;
	return samara_file_set_length(flushed_file, 9 * MEM_PAGE);
}

static void what_takes_nothing_away_flushes_nothing(void **state)
{
	long (*const calls[])(unsigned long a) = { lock,       look,
						   write_back, punch_elsewhere,
						   lengthen,   give_rights };

	(void)state;
	flushed_file = mem_file(&m, 8);
	assert_int_equal(
		samara_mmap(m.mm, PLACE, FOUR, RW, MAP_FIXED | MAP_SHARED, flushed_file, 0), PLACE);
	for (unsigned long page = 0; page < 4; page++)
		store(PLACE + page * MEM_PAGE, 'x');
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_int_equal(flushes_of(calls[i]), 0);
	assert_true(remembers(PLACE, SAMARA_ACCESS_WRITE));
	assert_int_equal(samara_munmap(m.mm, PLACE, FOUR), 0);
	samara_file_put(flushed_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_right_that_mprotect_takes_away_is_gone),
		TEST(there_is_one_flush_if_something_was_taken_away),
		TEST(without_a_cpu_the_lock_of_cpus_is_not_taken),
		TEST(what_takes_nothing_away_flushes_nothing),
		TEST(a_store_after_write_back_is_not_lost),
		TEST(a_page_that_came_back_while_a_hole_is_made_goes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
