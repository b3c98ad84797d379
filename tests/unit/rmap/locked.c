/* SPDX-License-Identifier: MIT */
/*
 * A walk from a page and a change of VMAs' bounds exclude each other, by the lock of the file or
 * of the family.
 */
#include "rmap/link.h"
#include "space.h"
#include "support/waits.h"

static struct fixture *fx;

/* Calls that change VMAs with links. Pages 0-7 are mapped, 4-7 read-only, 10-13 again. */

static void unmap_all(void *arg)
{
	assert_int_equal(samara_munmap(fx->mm, AT(0), 4 * PAGE), 0);
}

static void unmap_left(void *arg)
{
	assert_int_equal(samara_munmap(fx->mm, AT(0), PAGE), 0);
}

static void unmap_right(void *arg)
{
	assert_int_equal(samara_munmap(fx->mm, AT(7), PAGE), 0);
}

static void unmap_middle(void *arg)
{
	assert_int_equal(samara_munmap(fx->mm, AT(1), PAGE), 0);
}

static void protect_part(void *arg)
{
	assert_int_equal(samara_mprotect(fx->mm, AT(1), PAGE, PROT_READ), 0);
}

static void protect_border(void *arg)
{
	assert_int_equal(samara_mprotect(fx->mm, AT(3), PAGE, PROT_READ), 0);
}

static void protect_merges(void *arg)
{
	assert_int_equal(samara_mprotect(fx->mm, AT(4), 4 * PAGE, RW), 0);
}

static void grow(void *arg)
{
	assert_int_equal(samara_mremap(fx->mm, AT(4), 4 * PAGE, 5 * PAGE, 0, 0), AT(4));
}

static void move(void *arg)
{
	assert_int_equal(samara_mremap(fx->mm, AT(4), 2 * PAGE, 2 * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, AT(20)),
			 AT(20));
}

static void fork_and_exit(void *arg)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(fx->mm, &child), 0);
	samara_mm_exit(child);
}

static const struct {
	const char *name;
	void (*call)(void *arg);
} changes[] = {
	{ "munmap of all", unmap_all },
	{ "munmap, left", unmap_left },
	{ "munmap, right", unmap_right },
	{ "munmap, middle", unmap_middle },
	{ "mprotect", protect_part },
	{ "mprotect, border", protect_border },
	{ "mprotect, merge", protect_merges },
	{ "mremap, grow", grow },
	{ "mremap, move", move },
	{ "fork", fork_and_exit },
};

struct placed {
	unsigned long start, last;
	unsigned int n;
};

/* The links in a tree: their number, where the first begins, the last ends. */
static struct placed places(const struct interval_tree *tree)
{
	struct interval_node *node = interval_tree_iter_first(tree, 0, ~0UL);
	struct placed p = { .start = ~0UL };

	for (; node; node = interval_tree_iter_next(node, 0, ~0UL)) {
		p.start = min(p.start, node->start);
		p.last = max(p.last, node->last);
		p.n++;
	}
	return p;
}

/* With the lock held for reading each change waits, and the tree is as it was until then. */
static void changes_wait_for_walks(struct rwsem *sem, const struct interval_tree *tree, size_t i)
{
	struct waiting_call c = { .call = changes[i].call };
	struct placed before, now;

	print_message("%s\n", changes[i].name);
	down_read(sem);
	before = places(tree);
	assert_true(waits_for(&c, sem));
	now = places(tree);
	assert_memory_equal(&before, &now, sizeof(now));
	up_read(sem);
	call_returns(&c);
	assert_int_equal(samara_mm_validate(fx->mm, NULL), 0);
}

static void changes_of_a_files_mappings_wait_for_walks(void **state)
{
	fx = *state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		map_file(fx, 0, 8, RW, MAP_SHARED, 0);
		assert_int_equal(samara_mprotect(fx->mm, AT(4), 4 * PAGE, PROT_READ), 0);
		changes_wait_for_walks(&fx->file->inode->i_mmap.lock, &fx->file->inode->i_mmap.tree,
				       i);
		assert_int_equal(samara_munmap(fx->mm, AT(0), 40 * PAGE), 0);
	}
}

static void changes_of_a_familys_mappings_wait_for_walks(void **state)
{
	fx = *state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct anon_vma *family;

		map_pages(fx->mm, 0, 8, RW, 0);
		put_anon(fx->mm, 1);
		put_anon(fx->mm, 5);
		assert_int_equal(samara_mprotect(fx->mm, AT(4), 4 * PAGE, PROT_READ), 0);
		family = vma_of(fx->mm, 5)->anon_vma;
		assert_ptr_equal(family, vma_of(fx->mm, 1)->anon_vma);
		assert_true(anon_vma_try_get(family)); /* its last VMA may go */
		changes_wait_for_walks(&family->root->lock, &family->tree, i);
		assert_int_equal(samara_munmap(fx->mm, AT(0), 40 * PAGE), 0);
		assert_true(interval_tree_empty(&family->tree));
		anon_vma_put(family);
	}
}

/* walks ------------------------------------------------------------------------ */

static struct folio *walked;
static unsigned int found; /* atomic: the test looks while the walk waits */

static unsigned int pages_found(void)
{
	return __atomic_load_n(&found, __ATOMIC_RELAXED);
}

static enum rmap_answer count_one(struct rmap_walk *walk, struct vma *vma, unsigned long addr)
{
	assert_in_range(addr, vma->vm_start, vma->vm_end - 1);
	__atomic_fetch_add(&found, 1, __ATOMIC_RELAXED);
	return RMAP_ON;
}

static void walk(void *arg)
{
	struct rmap_walk walk = {
		.ram = ram_of(fx->mm),
		.folio = walked,
		.gate = MM_GATE_LOOK,
		.one = count_one,
	};

	__atomic_store_n(&found, 0, __ATOMIC_RELAXED);
	hold(walked);
	rmap_walk(&walk);
	let_go(walk.ram, walked);
}

static void a_walk_waits_for_changes(void **state)
{
	struct waiting_call anon = { .call = walk }, file = { .call = walk };
	struct anon_vma *family;

	fx = *state;
	map_file(fx, 0, 4, RW, MAP_SHARED, 0);
	map_pages(fx->mm, 20, 24, RW, 0);
	walked = put_anon(fx->mm, 21);
	family = vma_of(fx->mm, 21)->anon_vma;
	down_write(&family->root->lock);
	assert_true(waits_for(&anon, &family->root->lock));
	assert_int_equal(pages_found(), 0);
	up_write(&family->root->lock);
	call_returns(&anon);
	assert_int_equal(pages_found(), 1);

	walked = put_file(fx->mm, 1, 0);
	down_write(&fx->file->inode->i_mmap.lock);
	assert_true(waits_for(&file, &fx->file->inode->i_mmap.lock));
	assert_int_equal(pages_found(), 0);
	up_write(&fx->file->inode->i_mmap.lock);
	call_returns(&file);
	assert_int_equal(pages_found(), 1);
	assert_int_equal(refcount_read(&family->refs), 1); /* what the walk took is given back */
	clear_pages(fx->mm, 0, 24);
}

/* A folio of four pages, of which VMAs have some: each page of each VMA once, none beside. */
static void a_large_folio_is_found_page_by_page(void **state)
{
	struct folio *folio;

	fx = *state;
	map_pages(fx->mm, 0, 8, RW, 0);
	folio = folio_alloc(ram_of(fx->mm), 2, FOLIO_ZEROED);
	assert_non_null(folio);
	put_anon(fx->mm, 3);
	folio_add_new_anon(folio, vma_of(fx->mm, 3), AT(2));
	walked = folio;
	walk(NULL);
	assert_int_equal(pages_found(), 4); /* pages 2 to 5 */
	assert_int_equal(samara_munmap(fx->mm, AT(3), 2 * PAGE), 0);
	walk(NULL);
	assert_int_equal(pages_found(), 2); /* the last of one, the first of the other */
	assert_int_equal(samara_munmap(fx->mm, AT(2), PAGE), 0);
	walk(NULL);
	assert_int_equal(pages_found(), 1);
	folio_unmap(ram_of(fx->mm), folio);
	clear_pages(fx->mm, 0, 8);
}

static void a_family_that_has_gone_is_not_had(void **state)
{
	struct anon_vma *family;

	fx = *state;
	map_pages(fx->mm, 0, 2, RW, 0);
	put_anon(fx->mm, 1);
	family = vma_of(fx->mm, 1)->anon_vma;
	rcu_read_lock(); /* its memory stays */
	assert_true(anon_vma_try_get(family));
	clear_pages(fx->mm, 0, 2);
	assert_int_equal(samara_munmap(fx->mm, AT(0), 2 * PAGE), 0);
	assert_true(anon_vma_try_get(family));
	anon_vma_put(family);
	anon_vma_put(family);
	assert_false(anon_vma_try_get(family));
	rcu_read_unlock();
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(changes_of_a_files_mappings_wait_for_walks),
		test(changes_of_a_familys_mappings_wait_for_walks),
		test(a_walk_waits_for_changes),
		test(a_large_folio_is_found_page_by_page),
		test(a_family_that_has_gone_is_not_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
