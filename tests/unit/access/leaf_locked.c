/* SPDX-License-Identifier: MIT */
/*
 * A leaf table's lock keeps its entries as they are: each call that looks at one in earnest, or
 * changes it, waits while another thread holds the lock, and changes nothing before.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <samara/cpu.h>

#include "base/rcu.h"
#include "support/advice.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"
#include "support/waits.h"

#define RW (PROT_READ | PROT_WRITE)

enum what { ANON, FILE_PAGE, HOST };

static struct mem m;
static struct samara_file *file;
static unsigned long addr, len; /* what the calls on ranges are about */

static void call_read(void *arg)
{
	char byte;

	assert_int_equal(samara_read(m.mm, addr, &byte, 1, NULL), 1);
}

static void call_write(void *arg)
{
	char byte = 9;

	assert_int_equal(samara_write(m.mm, addr, &byte, 1, NULL), 1);
}

/* The page beside it, which is not there yet. */
static void call_fault(void *arg)
{
	char byte = 9;

	assert_int_equal(samara_write(m.mm, addr + MEM_PAGE, &byte, 1, NULL), 1);
}

static void call_munmap(void *arg)
{
	assert_int_equal(samara_munmap(m.mm, addr, len), 0);
}

static void call_mprotect(void *arg)
{
	assert_int_equal(samara_mprotect(m.mm, addr, len, PROT_READ), 0);
}

static void call_dontneed(void *arg)
{
	assert_int_equal(samara_madvise(m.mm, addr, len, MADV_DONTNEED), 0);
}

static void call_free(void *arg)
{
	assert_int_equal(samara_madvise(m.mm, addr, len, MADV_FREE), 0);
}

static void call_guard(void *arg)
{
	assert_int_equal(samara_madvise(m.mm, addr, len, MADV_GUARD_INSTALL), 0);
}

static void call_no_guard(void *arg)
{
	assert_int_equal(samara_madvise(m.mm, addr, len, MADV_GUARD_REMOVE), 0);
}

static void call_mremap(void *arg)
{
	assert_int_not_equal(samara_mremap(m.mm, addr, len, 600 * MEM_PAGE, MREMAP_MAYMOVE, 0),
			     addr);
}

static void call_fork(void *arg)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(m.mm, &child), 0);
	samara_mm_exit(child);
}

static void call_pin(void *arg)
{
	struct samara_pin pin;

	assert_int_equal(samara_pin_pages(m.mm, addr, 1, 0, &pin), 1);
	samara_unpin_pages(&pin, 1, 0);
}

static void call_msync(void *arg)
{
	assert_int_equal(samara_msync(m.mm, addr, len, MS_SYNC), 0);
}

static void call_truncate(void *arg)
{
	assert_int_equal(samara_file_set_length(file, 0), 0);
}

static const struct {
	const char *name;
	void (*call)(void *arg);
	enum what what;
} calls[] = {
	{ "a read", call_read, ANON },
	{ "a write", call_write, ANON },
	{ "a fault", call_fault, ANON },
	{ "a fault, file", call_fault, FILE_PAGE },
	{ "munmap", call_munmap, ANON },
	{ "munmap, file", call_munmap, FILE_PAGE },
	{ "mprotect", call_mprotect, ANON },
	{ "MADV_DONTNEED", call_dontneed, ANON },
	{ "MADV_FREE", call_free, ANON },
	{ "MADV_GUARD_INSTALL", call_guard, ANON },
	{ "MADV_GUARD_REMOVE", call_no_guard, ANON },
	{ "mremap", call_mremap, ANON },
	{ "fork", call_fork, ANON },
	{ "a pin", call_pin, ANON },
	{ "msync", call_msync, HOST },
	{ "truncation", call_truncate, FILE_PAGE },
};

static void map_page(enum what what)
{
	const int fd = what == HOST ? box_host_file(4 * MEM_PAGE) : -1;
	char byte = 1;

	file = NULL;
	if (what == FILE_PAGE)
		file = mem_file(&m, 4);
	if (what == HOST) {
		assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
		close(fd);
	}
	addr = mem_map(&m, 3, RW, file ? MAP_SHARED : MAP_PRIVATE, file);
	len = MEM_PAGE;
	assert_int_equal(samara_write(m.mm, addr, &byte, 1, NULL), 1);
	assert_true(pte_write(mem_pte(&m, addr)));
}

static void hold_up(size_t i)
{
	struct waiting_call c = { .call = calls[i].call };
	struct table *leaf;
	pte_t before, beside;

	map_page(calls[i].what);
	leaf = table_find(m.mm, addr);
	before = mem_pte(&m, addr);
	beside = mem_pte(&m, addr + MEM_PAGE);
	table_lock(leaf);
	if (!waits_for_spinlock(&c, &leaf->lock))
		fail_msg("%s does not wait", calls[i].name);
	assert_true(pte_same(mem_pte(&m, addr), before));
	assert_true(pte_same(mem_pte(&m, addr + MEM_PAGE), beside));
	table_unlock(leaf);
	call_returns(&c);
	samara_file_put(file);
}

static void each_call_waits_for_the_leaf(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		mem_open(&m, 16 << 20);
		hold_up(i);
		mem_check(&m);
		mem_close(&m);
	}
}

#ifdef SAMARA_DEBUG
static struct samara_spinlock *watched;
static unsigned int released;

static void in_a_section(enum lock_event event, const void *lock)
{
	if (event != LOCK_RELEASE || lock != watched)
		return;
	assert_true(rcu_read_held());
	released++;
}

static void count_releases(enum lock_event event, const void *lock)
{
	released += event == LOCK_RELEASE && lock == watched;
}

/* How often the call unlocks the leaf of addr, if that is what the hook counts. */
static unsigned int releases_of(void (*call)(void *arg),
				void (*hook)(enum lock_event event, const void *lock))
{
	watched = &table_find(m.mm, addr)->lock;
	released = 0;
	__atomic_store_n(&lock_hook, hook, __ATOMIC_RELEASE);
	call(NULL);
	__atomic_store_n(&lock_hook, NULL, __ATOMIC_RELEASE);
	return released;
}

/* A leaf may leave its tree under an access: only an RCU section keeps its memory. */
static void the_leaf_is_unlocked_inside_the_section_that_keeps_it(void **state)
{
	static void (*const accesses[])(void *arg) = { call_read, call_write };

	(void)state;
	mem_open(&m, 16 << 20);
	map_page(ANON);
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		assert_int_equal(releases_of(accesses[i], in_a_section), 1);
	mem_close(&m);
}

/* All that a walk has to do in a leaf is done under one hold of its lock. */
static void a_walk_locks_a_leaf_once(void **state)
{
	static void (*const walks[])(void *arg) = {
		call_mprotect, call_dontneed, call_free, call_guard, call_no_guard, call_fork,
	};
	const char bytes[2 * MEM_PAGE + 1] = { 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(walks); i++) {
		mem_open(&m, 16 << 20);
		map_page(ANON);
		len = 3 * MEM_PAGE;
		assert_int_equal(samara_write(m.mm, addr, bytes, sizeof(bytes), NULL),
				 sizeof(bytes));
		assert_int_equal(releases_of(walks[i], count_releases), 1);
		mem_close(&m);
	}
}

static void forbid(void *arg)
{
	(void)arg;
	assert_int_equal(samara_mprotect(m.mm, addr, MEM_PAGE, PROT_NONE), 0);
}

/* What the entry said before the leaf's lock was taken may not be true any more. */
static void the_entry_is_read_under_the_lock(void **state)
{
	char byte = 'n';

	(void)state;
	mem_open(&m, 16 << 20);
	map_page(ANON);
	meet_at(&table_find(m.mm, addr)->lock, 1, forbid, NULL);
	assert_true(samara_read(m.mm, addr, &byte, 1, NULL) < 1);
	assert_true(meet_end());
	assert_int_equal(byte, 'n');
	mem_close(&m);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_waits_for_the_leaf),
#ifdef SAMARA_DEBUG
		cmocka_unit_test(the_leaf_is_unlocked_inside_the_section_that_keeps_it),
		cmocka_unit_test(a_walk_locks_a_leaf_once),
		cmocka_unit_test(the_entry_is_read_under_the_lock),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
