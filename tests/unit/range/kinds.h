/* SPDX-License-Identifier: MIT */
/*
 * One entry of each kind that is neither empty nor present, and a walker that meets it. What is
 * left of the entry is told by a letter:
 *
 *   -  empty                g  a guard                p  a present page with the same bytes
 *   =  as it was            r  migrates, shared       s  the same slot, not exclusive
 *                           x  migrates, exclusive, read-only
 *   0, 1  as it was, and what mincore says            .  not asked
 *   W, X  as = and x, and write-protected by userfaultfd
 *   f, b, a  as it was: -EFAULT, -EBUSY, -EAGAIN
 */
#ifndef UNIT_RANGE_KINDS_H
#define UNIT_RANGE_KINDS_H

#include "mmu/entry.h"
#include "support/cmocka_all.h"
#include "support/page_world.h"

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

static inline void put_kind(struct scene *s, enum kind kind)
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

static inline void scene_up(struct scene *s, struct world *w, enum kind kind,
			    struct world_file *file)
{
	*s = (struct scene){ .w = w };
	s->vma = world_vma(w, 0, 16, VM_RW, file);
	world_anon_vma(s->vma);
	put_kind(s, kind);
	assert_world(w);
}

static inline void scene_down(struct scene *s)
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

static inline bool page_is_ours(const struct world *w, pte_t pte)
{
	const unsigned char *bytes = pfn_to_virt(w->ram, pte_pfn(pte));

	for (unsigned long i = 0; i < WORLD_PAGE; i++)
		if (bytes[i] != BYTE)
			return false;
	return true;
}

/* Without the marks of a move and of a fork. */
static inline pte_t essence(pte_t pte)
{
	if (pte_migration(pte))
		return swp_without(pte, MIGRATION_SOFT_DIRTY | MIGRATION_WAS_EXCLUSIVE);
	if (!swp_none(pte_swap_entry(pte)))
		return swp_without(pte, SWP_SOFT_DIRTY | SWP_WAS_EXCLUSIVE);
	return pte;
}

static inline char letter(const struct scene *s, pte_t now)
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

static inline char letter_at(const struct scene *s, unsigned long page)
{
	return letter(s, pte_of(s->vma->vm_mm, page));
}

struct row {
	const char *name;
	char (*walk)(struct scene *s);
	bool anon;        /* of anonymous memory, else a private mapping of a file */
	const char *what; /* by kind */
};

/* Each walker meets each kind; fails the running test. */
static inline void meet_all(struct world *w, const struct row *rows, size_t nr)
{
	bool wrong = false;

	for (size_t i = 0; i < nr; i++) {
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

#endif
