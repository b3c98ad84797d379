/* SPDX-License-Identifier: MIT */
/*
 * What another thread does to a page's entry while the page moves: between the walk that puts
 * migration entries in and the one that restores them. Each is done to a page that moves, and to
 * one that has to stay because of a reference.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "rmap/link.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 1UL << 20);

static unsigned long at; /* the page; the one behind it is there, too */
static struct samara_mm *child;
static struct samara_file *file; /* whose pages they are; NULL: anonymous */

static void set(struct samara_mm *mm, unsigned long addr, unsigned long value)
{
	assert_int_equal(samara_write(mm, addr, &value, sizeof(value), NULL), sizeof(value));
}

static unsigned long word(struct samara_mm *mm, unsigned long addr)
{
	unsigned long value = 0;

	assert_int_equal(samara_read(mm, addr, &value, sizeof(value), NULL), sizeof(value));
	return value;
}

static pte_t pte_in(struct samara_mm *mm, unsigned long addr)
{
	const struct mem other = { .machine = m.machine, .mm = mm };

	return mem_pte(&other, addr);
}

enum moves { STAYS, MOVES };

/* The lock of the tree that both walks go through. */
static struct rwsem *tree_lock(const struct folio *folio)
{
	if (file)
		return &file->inode->i_mmap.lock;
	return &((struct anon_vma *)folio->mapping)->root->lock;
}

/* The page moves, or not, and act() is called between the walks by another thread. */
static void move_beside(enum moves moves, void (*act)(void *arg))
{
	struct folio *folio = mem_folio(&m, at), *to;
	struct ram *ram = m.machine->ram;

	folio_get(folio);
	assert_true(lru_isolate_folio(ram, folio));
	to = folio_alloc(ram, 0, FOLIO_RAW);
	assert_non_null(to);
	if (moves == STAYS)
		folio_get(folio);
	meet_at(tree_lock(folio), 2, act, NULL);
	assert_int_equal(folio_migrate(m.machine->store, folio, to), moves == MOVES ? 0 : -EBUSY);
	assert_true(meet_end());
	if (moves == STAYS)
		folio_put(ram, folio);
	lru_add(ram, moves == MOVES ? to : folio);
	folio_put(ram, to);
	folio_put(ram, folio);
}

static void map_anon(void)
{
	file = NULL;
	at = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	set(m.mm, at, 7);
	set(m.mm, at + MEM_PAGE, 8);
}

static void map_shared(void)
{
	assert_int_equal(samara_file_shmem(m.machine, 2 * MEM_PAGE, &file), 0);
	at = mem_map(&m, 2, RW, MAP_SHARED, file);
	set(m.mm, at, 7);
	set(m.mm, at + MEM_PAGE, 8);
}

static void drop(void)
{
	assert_int_equal(samara_munmap(m.mm, at, 2 * MEM_PAGE), 0);
	samara_file_put(file);
	file = NULL;
	assert_int_equal(mem_frames(&m), 0);
}

static void each_way(void (*map)(void), void (*check)(enum moves moves))
{
	if (!at_locks_available())
		skip();
	for (enum moves moves = STAYS; moves <= MOVES; moves++) {
		map();
		check(moves);
		mem_check(&m);
		drop();
	}
}

/* fork -------------------------------------------------------------------------- */

static void act_fork(void *arg)
{
	meet_join();
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_true(pte_migration(pte_in(child, at)));
}

static void check_forked(enum moves moves)
{
	struct folio *folio;

	move_beside(moves, act_fork);
	folio = mem_folio(&m, at);
	assert_int_equal(folio_maps(folio), 2);
	assert_false(folio_test(folio, FOLIO_EXCLUSIVE));
	assert_false(pte_write(mem_pte(&m, at)) || pte_write(pte_in(child, at)));
	set(m.mm, at, 9);
	assert_int_equal(word(child, at), 7);
	samara_mm_exit(child);
}

static void the_copies_of_a_fork_are_restored_and_not_exclusive(void **state)
{
	(void)state;
	each_way(map_anon, check_forked);
}

static void check_forked_shared(enum moves moves)
{
	/* A guard makes fork copy the entries. */
	assert_int_equal(samara_madvise(m.mm, at + MEM_PAGE, MEM_PAGE, 102), 0);
	move_beside(moves, act_fork);
	assert_int_equal(folio_maps(mem_folio(&m, at)), 2);
	set(m.mm, at, 9);
	assert_int_equal(word(child, at), 9);
	samara_mm_exit(child);
}

static void shared_memory_stays_shared_by_a_fork(void **state)
{
	(void)state;
	each_way(map_shared, check_forked_shared);
}

static unsigned long fork_asks; /* allocations of a fork */

static int fork_without(unsigned long nth)
{
	int err;

	samara_inject_nth(nth);
	err = samara_fork(m.mm, &child);
	samara_inject_nth(0);
	if (!err)
		samara_mm_exit(child);
	return err;
}

static void act_forks_fail(void *arg)
{
	meet_join();
	for (unsigned long nth = 1; nth <= fork_asks; nth++)
		assert_int_equal(fork_without(nth), -ENOMEM);
}

static void check_fork_failed(enum moves moves)
{
	const struct folio *folio;

	for (fork_asks = 0; fork_without(fork_asks + 1);)
		fork_asks++;
	assert_true(fork_asks > 5);
	set(m.mm, at, 7); /* exclusive again, after the fork that has not failed */
	move_beside(moves, act_forks_fail);
	folio = mem_folio(&m, at);
	assert_int_equal(folio_maps(folio), 1);
	assert_true(folio_test(folio, FOLIO_EXCLUSIVE));
	set(m.mm, at, 9);
	assert_ptr_equal(mem_folio(&m, at), folio);
}

static void forks_that_fail_leave_the_page(void **state)
{
	(void)state;
	each_way(map_anon, check_fork_failed);
}

/* others ------------------------------------------------------------------------ */

static void act_unmap(void *arg)
{
	meet_join();
	assert_int_equal(samara_munmap(m.mm, at, MEM_PAGE), 0);
}

static void check_unmapped(enum moves moves)
{
	move_beside(moves, act_unmap);
	assert_true(pte_none(mem_pte(&m, at)));
	assert_int_equal(word(m.mm, at + MEM_PAGE), 8);
}

static void what_is_unmapped_is_not_restored(void **state)
{
	(void)state;
	each_way(map_anon, check_unmapped);
	each_way(map_shared, check_unmapped);
}

static void act_discard(void *arg)
{
	meet_join();
	assert_int_equal(samara_madvise(m.mm, at, MEM_PAGE, MADV_DONTNEED), 0);
	assert_true(pte_none(mem_pte(&m, at)));
}

static void check_discarded(enum moves moves)
{
	const unsigned long left = file ? 7 : 0;

	move_beside(moves, act_discard);
	assert_int_equal(word(m.mm, at), left);
}

static void what_is_discarded_is_not_restored(void **state)
{
	(void)state;
	each_way(map_anon, check_discarded);
	each_way(map_shared, check_discarded);
}

static unsigned long moved_to;

static void act_remap(void *arg)
{
	meet_join();
	moved_to = samara_mremap(m.mm, at, MEM_PAGE, MEM_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				 at + 64 * MEM_PAGE);
	assert_int_equal(moved_to, at + 64 * MEM_PAGE);
	assert_true(pte_migration(mem_pte(&m, moved_to)));
}

static void check_remapped(enum moves moves)
{
	move_beside(moves, act_remap);
	assert_true(pte_none(mem_pte(&m, at)));
	assert_int_equal(word(m.mm, moved_to), 7);
	if (!file)
		assert_true(folio_test(mem_folio(&m, moved_to), FOLIO_EXCLUSIVE));
	assert_int_equal(samara_munmap(m.mm, moved_to, MEM_PAGE), 0);
}

static void what_is_moved_elsewhere_is_restored_there(void **state)
{
	(void)state;
	each_way(map_anon, check_remapped);
	each_way(map_shared, check_remapped);
}

static void act_protect(void *arg)
{
	meet_join();
	assert_int_equal(samara_mprotect(m.mm, at, 2 * MEM_PAGE, PROT_READ), 0);
}

static void check_protected(enum moves moves)
{
	const struct folio *folio;

	move_beside(moves, act_protect);
	assert_true(pte_present(mem_pte(&m, at)) && !pte_write(mem_pte(&m, at)));
	assert_int_equal(samara_write(m.mm, at, "x", 1, NULL), 0);
	folio = mem_folio(&m, at);
	assert_int_equal(samara_mprotect(m.mm, at, 2 * MEM_PAGE, RW), 0);
	set(m.mm, at, 9);
	assert_ptr_equal(mem_folio(&m, at), folio); /* exclusive as before: no copy */
}

static void a_page_that_may_not_be_written_any_more_comes_back_so(void **state)
{
	(void)state;
	each_way(map_anon, check_protected);
	each_way(map_shared, check_protected);
}

static void act_no_access(void *arg)
{
	meet_join();
	assert_int_equal(samara_mprotect(m.mm, at, 2 * MEM_PAGE, PROT_NONE), 0);
}

static void check_no_access(enum moves moves)
{
	move_beside(moves, act_no_access);
	assert_true(pte_present(mem_pte(&m, at)) && !pte_accessible(mem_pte(&m, at)));
}

static void a_page_that_may_not_be_accessed_any_more_comes_back_so(void **state)
{
	(void)state;
	each_way(map_anon, check_no_access);
}

static void act_exit(void *arg)
{
	meet_join();
	samara_mm_exit(child);
}

static void check_exited(enum moves moves)
{
	assert_int_equal(samara_fork(m.mm, &child), 0);
	move_beside(moves, act_exit);
	assert_int_equal(folio_maps(mem_folio(&m, at)), 1);
	assert_int_equal(word(m.mm, at), 7);
}

static void an_mm_that_exits_takes_its_entries_along(void **state)
{
	(void)state;
	each_way(map_anon, check_exited);
}

/* They wait for the folio's lock, and then find the page. */
static void act_touch(void *arg)
{
	meet_join();
	set(m.mm, at, 9);
	assert_int_equal(samara_mlock(m.mm, at, 2 * MEM_PAGE), 0);
}

static void check_touched(enum moves moves)
{
	move_beside(moves, act_touch);
	assert_int_equal(word(m.mm, at), 9);
	assert_int_equal(samara_munlock(m.mm, at, 2 * MEM_PAGE), 0);
}

static void who_touches_the_page_waits(void **state)
{
	(void)state;
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	each_way(map_anon, check_touched);
	each_way(map_shared, check_touched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_copies_of_a_fork_are_restored_and_not_exclusive),
		TEST(shared_memory_stays_shared_by_a_fork),
		TEST(forks_that_fail_leave_the_page),
		TEST(what_is_unmapped_is_not_restored),
		TEST(what_is_discarded_is_not_restored),
		TEST(what_is_moved_elsewhere_is_restored_there),
		TEST(a_page_that_may_not_be_written_any_more_comes_back_so),
		TEST(a_page_that_may_not_be_accessed_any_more_comes_back_so),
		TEST(an_mm_that_exits_takes_its_entries_along),
		TEST(who_touches_the_page_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
