/* SPDX-License-Identifier: MIT */
/*
 * Links follow what calls do to VMAs, and the validator finds each kind of damage.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include "base/report.h"
#include "rmap/link.h"
#include "support/mm_shape.h"
#include "vma/find.h"

static struct vma *at(struct samara_mm *mm, unsigned long page)
{
	return vma_lookup(mm, AT(page));
}

/* How many links the file has on pages [first, last], and where the first of them begins. */
static unsigned int mappings(struct fixture *f, unsigned long first, unsigned long last)
{
	const struct interval_tree *tree = &f->file->inode->i_mmap.tree;
	struct interval_node *node = interval_tree_iter_first(tree, first, last);
	unsigned int n = 0;

	for (; node; node = interval_tree_iter_next(node, first, last))
		n++;
	assert_int_equal(interval_tree_validate(tree, NULL), 0);
	return n;
}

static void a_file_knows_who_maps_it(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *child;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	map_file(f, 10, 14, PROT_READ, MAP_PRIVATE, 6);
	map_pages(f->mm, 20, 24, RW, 0);
	assert_int_equal(mappings(f, 0, 5), 1);
	assert_int_equal(mappings(f, 6, 7), 2);
	assert_int_equal(mappings(f, 8, 9), 1);
	assert_int_equal(mappings(f, 10, ~0UL), 0);
	assert_null(at(f->mm, 20)->rmap.links);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	assert_int_equal(mappings(f, 6, 7), 4);
	samara_mm_exit(child);
	assert_int_equal(mappings(f, 6, 7), 2);
}

static void links_follow_the_bounds(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	assert_int_equal(samara_munmap(f->mm, AT(2), 2 * PAGE), 0);
	assert_map(f->mm, "0-2 rw-s @0, 4-8 rw-s @4");
	assert_int_equal(mappings(f, 2, 3), 0);
	assert_int_equal(mappings(f, 0, 7), 2);
	assert_int_equal(samara_munmap(f->mm, AT(4), PAGE), 0);
	assert_int_equal(mappings(f, 4, 4), 0);
	assert_int_equal(samara_munmap(f->mm, AT(7), PAGE), 0);
	assert_int_equal(mappings(f, 7, 7), 0);
	/* The hole is filled: one VMA again, one link. */
	map_file(f, 2, 5, RW, MAP_SHARED, 2);
	assert_map(f->mm, "0-7 rw-s @0");
	assert_int_equal(mappings(f, 0, 7), 1);
	assert_int_equal(samara_mprotect(f->mm, AT(3), PAGE, PROT_READ), 0);
	assert_int_equal(mappings(f, 0, 7), 3);
	assert_int_equal(mappings(f, 3, 3), 1);
	assert_int_equal(samara_mprotect(f->mm, AT(3), PAGE, RW), 0);
	assert_map(f->mm, "0-7 rw-s @0");
	assert_int_equal(mappings(f, 0, 7), 1);
	/* Over the middle of it, something else. */
	map_pages(f->mm, 1, 2, RW, 0);
	assert_map(f->mm, "0-1 rw-s @0, 1-2 rw-p, 2-7 rw-s @2");
	assert_int_equal(mappings(f, 1, 1), 0);
}

static void links_follow_a_move(void **state)
{
	struct fixture *f = *state;

	map_file(f, 0, 8, RW, MAP_SHARED, 0);
	assert_int_equal(samara_mremap(f->mm, AT(2), 2 * PAGE, 2 * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, AT(20)),
			 AT(20));
	assert_map(f->mm, "0-2 rw-s @0, 4-8 rw-s @4, 20-22 rw-s @2");
	assert_int_equal(mappings(f, 2, 3), 1);
	assert_int_equal(samara_mremap(f->mm, AT(4), 4 * PAGE, 6 * PAGE, 0, 0), AT(4));
	assert_int_equal(mappings(f, 8, 9), 1);
	assert_int_equal(samara_mremap(f->mm, AT(4), 6 * PAGE, PAGE, 0, 0), AT(4));
	assert_int_equal(mappings(f, 5, 9), 0);
	/* Length 0: a second mapping of the same pages. */
	assert_int_equal(samara_mremap(f->mm, AT(0), 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				       AT(30)),
			 AT(30));
	assert_int_equal(mappings(f, 0, 0), 2);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
}

/*
 * A private mapping that was written to has links to its file and to its family, and both follow.
 */
static void written_private_mappings_have_both(void **state)
{
	struct fixture *f = *state;
	struct anon_vma *anon;

	map_file(f, 0, 8, RW, MAP_PRIVATE, 0);
	write_pages(f->mm, 0, 1);
	anon = at(f->mm, 0)->anon_vma;
	assert_int_equal(samara_munmap(f->mm, AT(2), 2 * PAGE), 0);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
	assert_int_equal(anon->active_vmas, 2);
	assert_null(interval_tree_iter_first(&anon->tree, 2, 3));
	assert_non_null(interval_tree_iter_first(&anon->tree, 7, 7));
	assert_ptr_equal(node_link(interval_tree_iter_first(&anon->tree, 7, 7))->vma, at(f->mm, 7));
	assert_int_equal(mappings(f, 0, 7), 2);
}

static void dontunmap_leaves_the_source_without_family(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	write_pages(f->mm, 0, 4);
	assert_int_equal(samara_mremap(f->mm, AT(0), 4 * PAGE, 4 * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* DONTUNMAP */, AT(8)),
			 AT(8));
	assert_null(at(f->mm, 0)->anon_vma);
	assert_non_null(at(f->mm, 8)->anon_vma);
	assert_int_equal(at(f->mm, 8)->anon_vma->active_vmas, 1);
	assert_int_equal(samara_mm_validate(f->mm, NULL), 0);
}

static void expect(const struct vma *vma, const char *invariant)
{
	struct samara_report report = { 0 };

	assert_int_equal(rmap_validate_vma(vma, &report), -EUCLEAN);
	assert_string_equal(report.invariant, invariant);
	assert_true(report.text[0]);
}

static void each_broken_invariant_is_named(void **state)
{
	struct fixture *f = *state;
	struct rmap_link *file, *own;
	struct vma *vma;

	map_file(f, 0, 4, RW, MAP_PRIVATE, 0);
	write_pages(f->mm, 0, 1);
	vma = at(f->mm, 0);
	file = vma_file_link(vma);
	own = vma_anon_links(vma);
	assert_int_equal(rmap_validate_vma(vma, NULL), 0);

	vma->vm_pgoff++;
	expect(vma, "link_tree");
	vma->vm_pgoff--;
	down_write(&own->anon->root->lock);
	link_remove(own);
	up_write(&own->anon->root->lock);
	expect(vma, "link_tree");
	down_write(&own->anon->root->lock);
	link_insert(own);
	up_write(&own->anon->root->lock);
	vma->rmap.links = own;
	expect(vma, "link_file");
	vma->rmap.links = file;
	vma->is_anon = true;
	expect(vma, "link_file");
	vma->is_anon = false;
	vma->rmap.anon_links = 2;
	expect(vma, "link_anon");
	vma->rmap.anon_links = 1;
	vma->anon_vma->active_vmas = 0;
	expect(vma, "link_anon");
	vma->anon_vma->active_vmas = 1;
	own->vma = NULL;
	expect(vma, "link_anon");
	own->vma = vma;
	assert_int_equal(rmap_validate_vma(vma, NULL), 0);
}

static void families_of_two_roots_are_found(void **state)
{
	struct fixture *f = *state;
	struct rmap_link *link;
	struct vma *vma;
	struct anon_vma *was;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	write_pages(f->mm, 0, 1);
	write_pages(f->mm, 4, 5);
	vma = at(f->mm, 0);
	link = vma_anon_links(vma);
	was = link->anon;
	link->anon = at(f->mm, 4)->anon_vma;
	expect(vma, "link_root");
	link->anon = was;
	vma->anon_vma = NULL;
	expect(vma, "link_anon");
	vma->anon_vma = was;
	assert_int_equal(rmap_validate_vma(vma, NULL), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_knows_who_maps_it),
		test(links_follow_the_bounds),
		test(links_follow_a_move),
		test(written_private_mappings_have_both),
		test(dontunmap_leaves_the_source_without_family),
		test(each_broken_invariant_is_named),
		test(families_of_two_roots_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
