/* SPDX-License-Identifier: MIT */
/*
 * The table of src/mmu/entry.h: what each walker does with each kind of entry that is neither empty
 * nor present. Requests of userfaultfds: kinds_uffd.c.
 */
#include <samara/access.h>

#include "fault/swapin.h"
#include "store/swap_area.h"
#include "unit/range/kinds.h"

/* the walkers; each returns a letter ------------------------------------------------ */

static char after_zap(struct scene *s, enum zap_what what)
{
	world_zap(s->vma, 0, 16, what);
	return letter_at(s, AT_PAGE);
}

static char zap_all(struct scene *s)
{
	return after_zap(s, ZAP_ALL);
}

static char zap_keep(struct scene *s)
{
	return after_zap(s, ZAP_KEEP_GUARDS);
}

static char zap_file(struct scene *s)
{
	return after_zap(s, ZAP_FILE_ONLY);
}

static void fork_scene(struct scene *s)
{
	s->child = world_fork(s->w, world_mm(s->w), s->vma);
	assert_int_equal(copy_page_range(s->child, s->vma, NULL), 0);
}

static char fork_parent(struct scene *s)
{
	fork_scene(s);
	return letter_at(s, AT_PAGE);
}

static char fork_child(struct scene *s)
{
	fork_scene(s);
	return letter(s, pte_of(s->child->vm_mm, AT_PAGE));
}

static char fork_registered(struct scene *s)
{
	s->vma->vm_flags |= VM_UFFD_WP;
	return fork_child(s);
}

/* The parent once the child of a failed fork has exited. */
static char fork_fails(struct scene *s)
{
	fork_scene(s);
	world_vma_gone(s->w, s->child);
	world_mm_gone(s->w, s->w->mm[1]);
	s->child = NULL;
	copy_undo(s->vma);
	return letter_at(s, AT_PAGE);
}

static char move(struct scene *s)
{
	struct move_desc d = { .from = s->vma, .old_addr = PG(0), .len = PG(16) - PG(0) };

	s->child = world_vma(s->w, 2000, 2016, VM_RW, s->vma->vm_file ? &s->w->shmem : NULL);
	s->child->vm_pgoff = s->vma->vm_pgoff;
	assert_int_equal(anon_vma_clone(s->child, s->vma, NULL), 0);
	d.to = s->child;
	d.new_addr = PG(2000);
	assert_int_equal(move_prepare(&d), 0);
	move_page_tables(&d);
	assert_true(pte_none(pte_of(s->vma->vm_mm, AT_PAGE)));
	return letter_at(s, 2000 + AT_PAGE);
}

static char protect(struct scene *s)
{
	s->vma->vm_flags = VM_RO;
	change_protection(s->vma, PG(0), PG(16), VM_RO);
	return letter_at(s, AT_PAGE);
}

static char protect_back(struct scene *s)
{
	protect(s);
	s->vma->vm_flags = VM_RW;
	change_protection(s->vma, PG(0), PG(16), VM_RW);
	return letter_at(s, AT_PAGE);
}

static char lazyfree(struct scene *s)
{
	range_lazyfree(s->vma, PG(0), PG(16));
	return letter_at(s, AT_PAGE);
}

static char install(struct scene *s)
{
	assert_int_equal(guard_install(s->vma, PG(0), PG(16)), 0);
	return letter_at(s, AT_PAGE);
}

static char remove_guard(struct scene *s)
{
	guard_remove(s->vma, PG(0), PG(16));
	return letter_at(s, AT_PAGE);
}

static char mincore_says(struct scene *s)
{
	unsigned char vec[16];

	range_mincore(s->vma, PG(0), PG(16), vec);
	assert_int_equal(letter_at(s, AT_PAGE), '=');
	return (char)('0' + vec[AT_PAGE]);
}

static char unuse(struct scene *s)
{
	const unsigned int area = s->w->area ? swap_area_number(s->w->area) : 0;
	unsigned long at = s->vma->vm_start;

	assert_int_equal(vma_swap_in(s->vma, area, &at), 0);
	return letter_at(s, AT_PAGE);
}

static const struct row rows[] = {
	{ "zap all", zap_all, false, "---------" },
	{ "zap, keep guards", zap_keep, false, "=-=------" },
	{ "zap, file's only", zap_file, false, "======-==" },
	{ "fork, parent", fork_parent, false, "====rr==s" },
	{ "fork, child", fork_child, false, "==-=rr==s" },
	{ "fork, registered", fork_registered, false, "====rr==s" },
	{ "fork fails", fork_fails, false, "====x====" },
	{ "move", move, false, "=========" },
	{ "protect", protect, false, "====x====" },
	{ "protect, and back", protect_back, false, "====x====" },
	{ "lazyfree", lazyfree, true, "=-====.--" },
	{ "guard install", install, false, "=gggggggg" },
	{ "guard remove", remove_guard, false, "-========" },
	{ "mincore", mincore_says, true, "000111.00" },
	{ "swapoff", unuse, false, "=======pp" },
};

static void each_walker_meets_each_kind(void **state)
{
	meet_all(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

/* reports ------------------------------------------------------------------------------ */

static struct range_look look_at(const struct scene *s)
{
	struct range_look look;

	range_look(s->vma, s->vma->vm_start, s->vma->vm_end, &look);
	return look;
}

static void smaps_counts_what_is_swapped_or_on_its_way(void **state)
{
	struct world *w = *state;
	struct range_look look;
	struct scene s;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		const bool swap = kind == SWAP || kind == SWAP_EXCL;
		const bool moves = kind >= M_READ && kind <= M_FILE;

		scene_up(&s, w, kind, &w->shmem);
		look = look_at(&s);
		assert_int_equal(look.swapped, swap);
		assert_int_equal(look.swap_pss >> 12, swap ? 4096 : 0);
		assert_int_equal(look.rss, moves);
		assert_int_equal(look.pss >> 12, moves ? 4096 : 0);
		assert_int_equal(look.anon, moves && kind != M_FILE);
		fork_scene(&s);
		look = look_at(&s);
		assert_int_equal(look.swapped, swap);
		assert_int_equal(look.swap_pss >> 12, swap ? 2048 : 0);
		assert_int_equal(look.pss >> 12, moves ? 2048 : 0);
		scene_down(&s);
	}
}

static void pagemap_tells_type_and_place(void **state)
{
	struct world *w = *state;
	struct scene s;

	scene_up(&s, w, SWAP, &w->shmem);
	assert_int_equal(pagemap_entry(s.vma, PG(AT_PAGE)),
			 SAMARA_PM_SWAP | swp_slot(pte_swap_entry(s.before)) << 5 |
				 swp_area(pte_swap_entry(s.before)));
	scene_down(&s);
	scene_up(&s, w, M_WRITE, &w->shmem);
	assert_int_equal(pagemap_entry(s.vma, PG(AT_PAGE)),
			 SAMARA_PM_SWAP | folio_pfn(w->ram, s.moving) << 5 | 26);
	scene_down(&s);
	scene_up(&s, w, M_EXCL, &w->shmem);
	assert_int_equal(pagemap_entry(s.vma, PG(AT_PAGE)) & 31, 25);
	scene_down(&s);
	scene_up(&s, w, M_FILE, &w->shmem);
	assert_int_equal(pagemap_entry(s.vma, PG(AT_PAGE)),
			 SAMARA_PM_SWAP | SAMARA_PM_FILE | folio_pfn(w->ram, s.moving) << 5 | 24);
	scene_down(&s);
}

static void uffd_wp_of_a_swapped_page_goes_where_the_page_goes(void **state)
{
	struct world *w = *state;
	struct vma *vma = world_vma(w, 0, 16, VM_RW | VM_UFFD_WP, &w->shmem), *child;

	put_swap(vma, 1, BYTE, SWP_UFFD_WP);
	put_swap(vma, 2, BYTE, SWP_UFFD_WP);
	child = world_fork(w, world_mm(w), vma);
	child->vm_flags &= ~VM_UFFD_WP;
	assert_int_equal(copy_page_range(child, vma, NULL), 0);
	assert_true(pte_any_uffd_wp(pte_of(w->mm[0], 1)));
	assert_false(pte_any_uffd_wp(pte_of(w->mm[1], 1)));
	assert_true(pagemap_entry(vma, PG(1)) & SAMARA_PM_UFFD_WP);
	/* It outlives a page of a file's mapping. */
	world_zap(vma, 1, 2, ZAP_KEEP_GUARDS);
	assert_int_equal(pte_marker(pte_of(w->mm[0], 1)), MARKER_UFFD_WP);
	world_zap(vma, 2, 3, ZAP_ALL);
	assert_true(pte_none(pte_of(w->mm[0], 2)));
	assert_world(w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_walker_meets_each_kind),
		test(smaps_counts_what_is_swapped_or_on_its_way),
		test(pagemap_tells_type_and_place),
		test(uffd_wp_of_a_swapped_page_goes_where_the_page_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
