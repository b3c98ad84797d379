/* SPDX-License-Identifier: MIT */
/*
 * Families: who shares one, what fork makes of them, and when they go.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "rmap/link.h"
#include "support/mm_shape.h"
#include "vma/find.h"

static struct vma *at(struct samara_mm *mm, unsigned long page)
{
	struct vma *vma = vma_lookup(mm, AT(page));

	assert_non_null(vma);
	return vma;
}

static void prepare(struct samara_mm *mm, unsigned long page)
{
	mmap_read_lock(mm);
	assert_int_equal(anon_vma_prepare(at(mm, page)), 0);
	mmap_read_unlock(mm);
}

static struct anon_vma *family(struct samara_mm *mm, unsigned long page)
{
	return at(mm, page)->anon_vma;
}

static struct samara_mm *fork_of(struct samara_mm *mm)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(mm, &child), 0);
	assert_int_equal(samara_mm_validate(child, NULL), 0);
	return child;
}

static void the_first_write_makes_a_family(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_null(family(f->mm, 0));
	prepare(f->mm, 0);
	assert_non_null(family(f->mm, 0));
	assert_int_equal(at(f->mm, 0)->rmap.anon_links, 1);
	assert_ptr_equal(family(f->mm, 0)->root, family(f->mm, 0));
	assert_int_equal(family(f->mm, 0)->active_vmas, 1);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
}

static void neighbours_that_could_be_one_share_it(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 2, 4, RW | PROT_EXEC, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	map_pages(f->mm, 7, 8, RW, 0);
	prepare(f->mm, 4);
	prepare(f->mm, 2); /* the next one's */
	prepare(f->mm, 0); /* and its */
	prepare(f->mm, 7); /* there is a hole between */
	assert_ptr_equal(family(f->mm, 0), family(f->mm, 4));
	assert_ptr_equal(family(f->mm, 2), family(f->mm, 4));
	assert_ptr_not_equal(family(f->mm, 7), family(f->mm, 4));
	assert_int_equal(family(f->mm, 0)->active_vmas, 3);
	assert_map(f->mm, "0-2 rw-p, 2-4 rwxp, 4-6 rw-p, 7-8 rw-p");
}

static void a_split_shares_and_a_merge_takes_over(void **state)
{
	struct fixture *f = *state;
	struct anon_vma *anon;

	map_pages(f->mm, 0, 6, RW, 0);
	prepare(f->mm, 0);
	anon = family(f->mm, 0);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, PROT_READ), 0);
	assert_map(f->mm, "0-2 rw-p, 2-4 r--p, 4-6 rw-p");
	assert_ptr_equal(family(f->mm, 2), anon);
	assert_int_equal(anon->active_vmas, 3);
	assert_int_equal(samara_mprotect(f->mm, AT(2), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-6 rw-p");
	assert_int_equal(anon->active_vmas, 1);
	/* What has none takes over that of what it swallows. */
	map_pages(f->mm, 10, 12, RW, 0);
	map_pages(f->mm, 12, 14, PROT_READ, 0);
	prepare(f->mm, 12);
	anon = family(f->mm, 12);
	assert_int_equal(samara_mprotect(f->mm, AT(12), 2 * PAGE, RW), 0);
	assert_map(f->mm, "0-6 rw-p, 10-14 rw-p");
	assert_ptr_equal(family(f->mm, 10), anon);
	assert_int_equal(anon->active_vmas, 1);
}

static void fork_makes_a_child_family(void **state)
{
	struct fixture *f = *state;
	struct anon_vma *parents, *childs;
	struct samara_mm *child;

	map_pages(f->mm, 0, 4, RW, 0);
	prepare(f->mm, 0);
	parents = family(f->mm, 0);
	child = fork_of(f->mm);
	childs = family(child, 0);
	assert_ptr_not_equal(childs, parents);
	assert_ptr_equal(childs->parent, parents);
	assert_ptr_equal(childs->root, parents);
	assert_int_equal(at(child, 0)->rmap.anon_links, 2);
	assert_ptr_equal(vma_anon_links(at(child, 0))->anon, childs); /* own first */
	assert_int_equal(parents->children, 1);
	assert_int_equal(parents->active_vmas, 1);
	samara_mm_exit(child);
	assert_int_equal(parents->children, 0);
}

static void what_is_wiped_or_untouched_has_no_family_in_the_child(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	prepare(f->mm, 4);
	assert_int_equal(samara_madvise(f->mm, AT(4), 2 * PAGE, MADV_WIPEONFORK), 0);
	child = fork_of(f->mm);
	assert_null(family(child, 0));
	assert_null(family(child, 4));
	samara_mm_exit(child);
}

/* A service that replaces itself by its child over and over: the parent exits each time. */
static void a_chain_of_forks_keeps_few_families(void **state)
{
	struct fixture *f = *state;
	const unsigned long before = samara_live_objects();
	unsigned long after_ten = 0;
	unsigned int most = 0;

	map_pages(f->mm, 0, 4, RW, 0);
	prepare(f->mm, 0);
	for (int i = 0; i < 200; i++) {
		struct samara_mm *child = fork_of(f->mm);

		samara_mm_exit(f->mm);
		f->mm = child;
		prepare(child, 0);
		most = at(child, 0)->rmap.anon_links > most ? at(child, 0)->rmap.anon_links : most;
		if (i == 9)
			after_ten = samara_live_objects();
	}
	assert_true(most <= 4);
	assert_true(samara_live_objects() <= after_ten);
	assert_true(after_ten > before);
}

static void a_family_with_two_children_is_not_taken_over(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child, *one, *two, *late;
	struct anon_vma *childs;

	map_pages(f->mm, 0, 4, RW, 0);
	prepare(f->mm, 0);
	child = fork_of(f->mm);
	childs = family(child, 0);
	one = fork_of(child);
	two = fork_of(child);
	samara_mm_exit(child);
	/* Nobody writes to it any more, but two descend from it. */
	assert_int_equal(childs->active_vmas, 0);
	assert_int_equal(childs->children, 2);
	late = fork_of(one);
	assert_ptr_not_equal(family(late, 0), childs);
	samara_mm_exit(late);
	samara_mm_exit(two);
	assert_int_equal(childs->children, 1);
	late = fork_of(one);
	assert_ptr_equal(family(late, 0), childs);
	assert_int_equal(childs->active_vmas, 1);
	assert_int_equal(at(late, 0)->rmap.anon_links, 3);
	samara_mm_exit(late);
	samara_mm_exit(one);
}

static void the_root_outlives_its_vmas(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	struct anon_vma *root;

	map_pages(f->mm, 0, 4, RW, 0);
	prepare(f->mm, 0);
	root = family(f->mm, 0);
	child = fork_of(f->mm);
	assert_int_equal(samara_munmap(f->mm, AT(0), 4 * PAGE), 0);
	assert_int_equal(root->active_vmas, 0);
	assert_ptr_equal(family(child, 0)->root, root);
	assert_int_equal(samara_mm_validate(child, NULL), 0);
	samara_mm_exit(child);
}

/* Links, and a copy that is made of some and then goes. */
static void a_refused_link_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;
	struct vma *src, *copy;
	unsigned long live;
	unsigned int n;

	map_pages(f->mm, 0, 4, RW, 0);
	map_file(f, 4, 8, RW, MAP_PRIVATE, 0);
	prepare(f->mm, 4);
	child = fork_of(f->mm);
	src = at(child, 4);
	copy = vma_alloc(child);
	vma_set_range(copy, src->vm_start, src->vm_end, src->vm_pgoff);
	copy->vm_file = src->vm_file;
	live = samara_live_objects();
	for (n = 1;; n++) {
		samara_inject_nth(n);
		if (!vma_links_copy(copy, src, NULL))
			break;
		samara_inject_nth(0);
		assert_null(copy->rmap.links);
		assert_null(copy->anon_vma);
		assert_int_equal(samara_live_objects(), live);
	}
	samara_inject_nth(0);
	assert_int_equal(n, 1 + vma_links_wanted(src)); /* one of the file, two of families */
	vma_unlink(copy);
	assert_null(copy->rmap.links);
	for (n = 1;; n++) {
		samara_inject_nth(n);
		if (!anon_vma_fork(copy, src))
			break;
		samara_inject_nth(0);
		assert_null(copy->rmap.links);
		assert_int_equal(samara_live_objects(), live);
	}
	samara_inject_nth(0);
	assert_int_equal(n, 1 + src->rmap.anon_links + 2); /* a link and a family more */
	vma_unlink(copy);
	for (n = 1;; n++) {
		samara_inject_nth(n);
		if (!anon_vma_prepare(at(child, 0)))
			break;
		samara_inject_nth(0);
		assert_null(family(child, 0));
		assert_int_equal(samara_live_objects(), live);
	}
	samara_inject_nth(0);
	assert_int_equal(n, 3);
	vma_free(copy);
	samara_mm_exit(child);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

static void a_vma_with_too_many_families_is_not_forked(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child = NULL;
	struct vma *vma;

	map_pages(f->mm, 0, 4, RW, 0);
	prepare(f->mm, 0);
	vma = at(f->mm, 0);
	vma->rmap.anon_links = ANON_LINKS_MAX;
	assert_int_equal(samara_fork(f->mm, &child), -ENOMEM);
	vma->rmap.anon_links = 1;
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	samara_mm_exit(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_first_write_makes_a_family),
		test(neighbours_that_could_be_one_share_it),
		test(a_split_shares_and_a_merge_takes_over),
		test(fork_makes_a_child_family),
		test(what_is_wiped_or_untouched_has_no_family_in_the_child),
		test(a_chain_of_forks_keeps_few_families),
		test(a_family_with_two_children_is_not_taken_over),
		test(the_root_outlives_its_vmas),
		test(a_refused_link_leaves_nothing),
		test(a_vma_with_too_many_families_is_not_forked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
