/* SPDX-License-Identifier: MIT */
/*
 * The table of src/mmu/entry.h: what each walker does with each kind of entry that is neither empty
 * nor present. What is left of the entry is told by a letter:
 *
 *   -  empty                g  a guard                p  a present page with the same bytes
 *   =  as it was            r  migrates, shared       s  the same slot, not exclusive
 *                           x  migrates, exclusive, read-only
 *   0, 1  as it was, and what mincore says            .  not asked
 *   W, X  as = and x, and write-protected by userfaultfd
 *   f, b, a  as it was: -EFAULT, -EBUSY, -EAGAIN
 */
#include <errno.h>
#include <string.h>

#include <samara/access.h>

#include "fault/swapin.h"
#include "mmu/entry.h"
#include "store/swap_area.h"
#include "support/cmocka_all.h"
#include "support/page_world.h"
#include "uffd/uffd.h"

#define AT_PAGE 5UL
#define BYTE 0x5a

enum kind { GUARD, POISON, UFFD_WP, M_READ, M_WRITE, M_EXCL, M_FILE, SWAP, SWAP_EXCL, KINDS };

static const char *const kind_names[KINDS] = {
	"guard",        "poison",      "uffd-wp", "migration read", "migration write",
	"migration ex", "of a file's", "swap",    "swap exclusive",
};

/* One entry of a kind in a private mapping of a file, or of anonymous memory. */
struct scene {
	struct world *w;
	struct vma *vma, *child;
	struct folio *moving;
	pte_t before;
};

static void put_kind(struct scene *s, enum kind kind)
{
	static const enum swp_type types[] = { [M_READ] = SWP_MIGRATION_READ,
					       [M_WRITE] = SWP_MIGRATION_WRITE,
					       [M_EXCL] = SWP_MIGRATION_EXCL,
					       [M_FILE] = SWP_MIGRATION_READ };

	switch (kind) {
	case GUARD:
		put_marker(s->vma, AT_PAGE, MARKER_GUARD);
		break;
	case POISON:
		put_marker(s->vma, AT_PAGE, MARKER_POISON);
		break;
	case UFFD_WP:
		put_marker(s->vma, AT_PAGE, MARKER_UFFD_WP);
		break;
	case SWAP:
	case SWAP_EXCL:
		put_swap(s->vma, AT_PAGE, BYTE, kind == SWAP ? 0 : SWP_EXCLUSIVE);
		break;
	default:
		if (kind == M_FILE)
			put_file(s->vma, AT_PAGE, 0);
		else
			put_anon(s->vma, AT_PAGE, BYTE);
		s->moving = world_depart(s->vma, AT_PAGE, types[kind]);
	}
	s->before = pte_of(s->vma->vm_mm, AT_PAGE);
}

static void scene_up(struct scene *s, struct world *w, enum kind kind, struct world_file *file)
{
	*s = (struct scene){ .w = w };
	s->vma = world_vma(w, 0, 16, VM_RW, file);
	world_anon_vma(s->vma);
	put_kind(s, kind);
	assert_world(w);
}

static void scene_down(struct scene *s)
{
	struct samara_mm *child = s->child ? s->child->vm_mm : NULL;

	assert_world(s->w);
	if (child)
		world_vma_gone(s->w, s->child);
	if (child && child != s->vma->vm_mm)
		world_mm_gone(s->w, child);
	world_vma_gone(s->w, s->vma);
	if (s->moving)
		world_arrive(s->w, s->moving);
	assert_world(s->w);
}

static bool page_is_ours(const struct world *w, pte_t pte)
{
	const unsigned char *bytes = pfn_to_virt(w->ram, pte_pfn(pte));

	for (unsigned long i = 0; i < WORLD_PAGE; i++)
		if (bytes[i] != BYTE)
			return false;
	return true;
}

/* Without the marks of a move and of a fork. */
static pte_t essence(pte_t pte)
{
	if (pte_migration(pte))
		return swp_without(pte, MIGRATION_SOFT_DIRTY | MIGRATION_WAS_EXCLUSIVE);
	if (!swp_none(pte_swap_entry(pte)))
		return swp_without(pte, SWP_SOFT_DIRTY | SWP_WAS_EXCLUSIVE);
	return pte;
}

static char letter(const struct scene *s, pte_t now)
{
	const swp_entry_t swap = pte_swap_entry(s->before);

	now = essence(now);
	if (pte_none(now))
		return '-';
	if (pte_same(now, s->before))
		return '=';
	if (pte_marker(now) == MARKER_GUARD)
		return 'g';
	if (pte_migration(now) && migration_pfn(now) == migration_pfn(s->before))
		return swp_type(now) == SWP_MIGRATION_READ ? 'r' : 'x';
	if (!swp_none(swap) && pte_same(now, mk_swap_pte(swap, 0)))
		return 's';
	return pte_present(now) && page_is_ours(s->w, now) ? 'p' : '?';
}

static char letter_at(const struct scene *s, unsigned long page)
{
	return letter(s, pte_of(s->vma->vm_mm, page));
}

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
	assert_int_equal(copy_page_range(s->child, s->vma), 0);
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

/* Registered for write protection by a userfaultfd that has asked for nothing else. */
static char uffd_protect(struct scene *s)
{
	struct samara_uffd uffd = { .features = UFFD_READY };
	char is;
	pte_t now;

	s->vma->vm_flags |= VM_UFFD_WP;
	s->vma->rare.uffd = &uffd;
	assert_int_equal(range_uffd_protect(s->vma, PG(0), PG(16)), 0);
	now = pte_of(s->vma->vm_mm, AT_PAGE);
	s->vma->rare.uffd = NULL;
	if (pte_marker(now) || !pte_any_uffd_wp(now))
		return letter(s, now);
	is = letter(s, swp_without(now, pte_migration(now) ? MIGRATION_UFFD_WP : SWP_UFFD_WP));
	return is == '=' ? 'W' : is == 'x' ? 'X' : '?';
}

static char uffd_unprotect(struct scene *s)
{
	uffd_protect(s);
	range_uffd_unprotect(s->vma, PG(0), PG(16));
	return letter_at(s, AT_PAGE);
}

/* What UFFDIO_MOVE answers, or what is at the new place. */
static char uffd_move(struct scene *s)
{
	struct uffd_move m = {
		.src = s->vma, .from = PG(AT_PAGE), .to = PG(2000), .len = WORLD_PAGE
	};
	int err;

	m.dst = s->child = world_vma(s->w, 2000, 2016, VM_RW, NULL);
	world_anon_vma(m.dst);
	err = uffd_move_pages(&m);
	if (m.busy)
		folio_put(s->w->ram, m.busy);
	if (err) {
		assert_int_equal(letter_at(s, AT_PAGE), '=');
		return err == -EFAULT ? 'f' : err == -EBUSY ? 'b' : err == -EAGAIN ? 'a' : '?';
	}
	assert_true(pte_none(pte_of(s->vma->vm_mm, AT_PAGE)));
	return letter_at(s, 2000);
}

static char fill(struct scene *s, enum fill_kind kind)
{
	struct folio *folio = folio_alloc(s->w->ram, 0, FOLIO_RAW);
	struct fill_desc d = {
		.vma = s->vma, .addr = PG(AT_PAGE), .pages = 1, .kind = kind, .folio = &folio
	};
	unsigned int done;
	int err;

	assert_non_null(folio);
	memset(folio_virt(s->w->ram, folio), BYTE, WORLD_PAGE);
	done = range_fill(&d, &err);
	assert_int_equal(err, done ? 0 : -EEXIST);
	if (folio)
		folio_put(s->w->ram, folio);
	return letter_at(s, AT_PAGE);
}

static char fill_copy(struct scene *s)
{
	return fill(s, FILL_COPY);
}

static char fill_zero(struct scene *s)
{
	return fill(s, FILL_ZERO);
}

static char fill_poison(struct scene *s)
{
	return fill(s, FILL_POISON);
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

static const struct row {
	const char *name;
	char (*walk)(struct scene *s);
	bool anon;        /* of anonymous memory, else a private mapping of a file */
	const char *what; /* by kind */
} rows[] = {
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
	{ "uffd protect", uffd_protect, false, "===WXWWWW" },
	{ "uffd unprotect", uffd_unprotect, false, "==-=x====" },
	{ "uffd move", uffd_move, true, "fffaaa.b=" },
	{ "fill, copy", fill_copy, false, "ppp======" },
	{ "fill, zeros", fill_zero, false, "=========" },
	{ "fill, poison", fill_poison, false, "=========" },
	{ "lazyfree", lazyfree, true, "=-====.--" },
	{ "guard install", install, false, "=gggggggg" },
	{ "guard remove", remove_guard, false, "-========" },
	{ "mincore", mincore_says, true, "000111.00" },
	{ "swapoff", unuse, false, "=======pp" },
};

static void each_walker_meets_each_kind(void **state)
{
	struct world *w = *state;
	bool wrong = false;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		for (enum kind kind = 0; kind < KINDS; kind++) {
			struct scene s;
			char is;

			if (row->what[kind] == '.')
				continue;
			scene_up(&s, w, kind, row->anon ? NULL : &w->shmem);
			is = row->walk(&s);
			scene_down(&s);
			if (is == row->what[kind])
				continue;
			print_error("%s, %s: %c, not %c\n", row->name, kind_names[kind], is,
				    row->what[kind]);
			wrong = true;
		}
	}
	assert_false(wrong);
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
	assert_int_equal(copy_page_range(child, vma), 0);
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
