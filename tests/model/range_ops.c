/* SPDX-License-Identifier: MIT */
/*
 * Random work on the pages of a family of processes: writes (with a copy-on-write of the test's
 * own), forks that succeed or run out of memory, exits, zapping, guards, mprotect, moves,
 * MADV_FREE, pins. A plain array says what each process must see; after every step each entry is
 * compared with it, and now and then all counts are recounted.
 *
 *   A page that is pinned while it is its process's own stays the page which that process sees.
 *   A fork that fails leaves every page as exclusive as it was.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#include "support/page_world.h"
#include "support/random.h"

#define PAGES 700UL
#define PLACES 2
#define PLACE(i) ((i)*5000UL + 300) /* page numbers; not at a leaf's beginning */
#define PINS 4

enum kind { NONE, ANON, ZERO, GUARD, POISON };

struct cell {
	unsigned char kind, byte;
};

struct process {
	struct samara_mm *mm; /* NULL: none */
	struct vma *vma;
	unsigned int place;
	struct cell cell[PAGES];
};

struct pin {
	struct folio *folio;   /* NULL: free */
	struct process *owner; /* NULL: the page need not be seen any more */
	unsigned long n;
};

struct model {
	struct world *w;
	struct rng rng;
	struct process process[WORLD_MMS];
	struct pin pin[PINS];
	unsigned long forks, failed_forks;
};

static unsigned long at(const struct process *p, unsigned long n)
{
	return PLACE(p->place) + n;
}

static pte_t entry(const struct process *p, unsigned long n)
{
	return pte_of(p->mm, at(p, n));
}

static void broken(const struct process *p, unsigned long n, const char *what)
{
	fprintf(stderr, "page %lu: %s, expected kind %u, entry %#lx\n", n, what, p->cell[n].kind,
		(unsigned long)entry(p, n).v);
	test_replay(test_seed());
	fail();
}

static void check_cell(struct model *m, const struct process *p, unsigned long n)
{
	const pte_t pte = entry(p, n);
	const unsigned char *bytes;

	switch (p->cell[n].kind) {
	case NONE:
		if (!pte_none(pte))
			broken(p, n, "is there");
		return;
	case ZERO:
		if (!pte_present(pte) || !pte_special(pte))
			broken(p, n, "no zero frame");
		return;
	case GUARD:
	case POISON:
		if (pte_marker(pte) != (p->cell[n].kind == GUARD ? MARKER_GUARD : MARKER_POISON))
			broken(p, n, "no marker");
		return;
	default:
		if (!pte_present(pte) || pte_special(pte))
			broken(p, n, "no page");
		bytes = pfn_to_virt(m->w->ram, pte_pfn(pte));
		if (bytes[0] != p->cell[n].byte || bytes[WORLD_PAGE - 1] != p->cell[n].byte)
			broken(p, n, "other contents");
	}
}

static void check(struct model *m)
{
	for (int i = 0; i < WORLD_MMS; i++)
		for (unsigned long n = 0; m->process[i].mm && n < PAGES; n++)
			check_cell(m, &m->process[i], n);
	for (int i = 0; i < PINS; i++) {
		const struct pin *pin = &m->pin[i];

		if (pin->folio && pin->owner &&
		    folio_of(pin->owner->mm, at(pin->owner, pin->n)) != pin->folio)
			broken(pin->owner, pin->n, "another page than the pinned one");
	}
}

/* Pages of p in [from, to) went: pins of them are only pins now. */
static void forget_pins(struct model *m, const struct process *p, unsigned long from,
			unsigned long to)
{
	for (int i = 0; i < PINS; i++)
		if (m->pin[i].owner == p && m->pin[i].n >= from && m->pin[i].n < to &&
		    p->cell[m->pin[i].n].kind != ANON)
			m->pin[i].owner = NULL;
}

/* What a write fault does, in the least words: reuse or copy. */
static void write_page(struct model *m, struct process *p, unsigned long n)
{
	const unsigned char byte = (unsigned char)rng_below(&m->rng, 256);
	struct cell *cell = &p->cell[n];
	struct folio *folio;
	pte_t *pte;

	if (cell->kind == GUARD || cell->kind == POISON || !(p->vma->vm_flags & VM_WRITE))
		return;
	folio = cell->kind == ANON ? folio_of(p->mm, at(p, n)) : NULL;
	if (folio && !folio_test(folio, FOLIO_EXCLUSIVE) && folio_count(folio) == 1)
		folio_set(folio, FOLIO_EXCLUSIVE);
	if (folio && folio_test(folio, FOLIO_EXCLUSIVE)) {
		memset(folio_virt(m->w->ram, folio), byte, WORLD_PAGE);
		pte = table_pte(p->mm, table_find(p->mm, PG(at(p, n))), PG(at(p, n)));
		pte_set(pte, pte_with(pte_read(pte), PTE_WRITE | PTE_DIRTY));
	} else {
		world_zap(p->vma, at(p, n), at(p, n) + 1, ZAP_ALL);
		put_anon(p->vma, at(p, n), byte);
	}
	*cell = (struct cell){ ANON, byte };
}

static void read_page(struct process *p, unsigned long n)
{
	if (p->cell[n].kind != NONE)
		return;
	put_zero(p->vma, at(p, n));
	p->cell[n].kind = ZERO;
}

static void zap(struct model *m, struct process *p, unsigned long from, unsigned long to)
{
	const enum zap_what what = (enum zap_what)rng_below(&m->rng, 3);

	world_zap(p->vma, at(p, from), at(p, to), what);
	for (unsigned long n = from; n < to; n++) {
		const unsigned int kind = p->cell[n].kind;
		const bool stays = what == ZAP_ALL         ? false :
				   what == ZAP_KEEP_GUARDS ? kind == GUARD :
							     kind != ZERO;

		if (!stays)
			p->cell[n].kind = NONE;
	}
	forget_pins(m, p, from, to);
}

static void guards(struct model *m, struct process *p, unsigned long from, unsigned long to)
{
	const bool install = rng_one_in(&m->rng, 2);

	if (install)
		assert_int_equal(guard_install(p->vma, PG(at(p, from)), PG(at(p, to))), 0);
	else
		guard_remove(p->vma, PG(at(p, from)), PG(at(p, to)));
	for (unsigned long n = from; n < to; n++) {
		if (install)
			p->cell[n].kind = GUARD;
		else if (p->cell[n].kind == GUARD)
			p->cell[n].kind = NONE;
	}
	forget_pins(m, p, from, to);
}

static void protect(struct model *m, struct process *p)
{
	static const unsigned long rights[] = { VM_RW, VM_RW, VM_RO, VM_RW & ~VM_ACCESS_FLAGS };

	p->vma->vm_flags = rights[rng_below(&m->rng, 4)];
	change_protection(p->vma, p->vma->vm_start, p->vma->vm_end, p->vma->vm_flags);
}

static void move(struct model *m, struct process *p)
{
	struct move_desc d = { .from = p->vma, .len = PAGES * WORLD_PAGE };
	const unsigned int place = 1 - p->place;

	d.old_addr = p->vma->vm_start;
	d.new_addr = PG(PLACE(place));
	d.to = world_vma_in(m->w, p->mm, d.new_addr, d.new_addr + d.len, p->vma->vm_flags);
	d.to->vm_pgoff = p->vma->vm_pgoff;
	assert_int_equal(anon_vma_clone(d.to, p->vma, NULL), 0);
	assert_int_equal(move_prepare(&d), 0);
	move_page_tables(&d);
	world_vma_gone(m->w, p->vma);
	p->vma = d.to;
	p->place = place;
}

static void pin(struct model *m, struct process *p, unsigned long n)
{
	struct pin *pin = &m->pin[rng_below(&m->rng, PINS)];

	if (pin->folio) {
		folio_put_many(m->w->ram, pin->folio, FOLIO_PIN_BIAS);
		pin->folio = NULL;
	} else if (p->cell[n].kind == ANON) {
		struct folio *folio = folio_of(p->mm, at(p, n));

		for (unsigned int i = 0; i < FOLIO_PIN_BIAS; i++)
			folio_get(folio);
		*pin = (struct pin){ folio, folio_test(folio, FOLIO_EXCLUSIVE) ? p : NULL, n };
	}
}

static void leave(struct model *m, struct process *p)
{
	for (unsigned long n = 0; n < PAGES; n++)
		p->cell[n].kind = NONE;
	forget_pins(m, p, 0, PAGES);
	world_vma_gone(m->w, p->vma);
	world_mm_gone(m->w, p->mm);
	p->mm = NULL;
}

static void take_exclusive(const struct process *p, unsigned char *exclusive)
{
	for (unsigned long n = 0; n < PAGES; n++)
		exclusive[n] = p->cell[n].kind == ANON &&
			       folio_test(folio_of(p->mm, at(p, n)), FOLIO_EXCLUSIVE);
}

static void do_fork(struct model *m, struct process *p, struct process *child)
{
	unsigned char before[PAGES], after[PAGES];

	take_exclusive(p, before);
	child->mm = world_mm(m->w);
	child->place = p->place;
	child->vma = world_fork(m->w, child->mm, p->vma);
	m->forks++;
	samara_inject_nth(rng_below(&m->rng, 12));
	if (!copy_page_range(child->vma, p->vma, NULL)) {
		samara_inject_nth(0);
		if (p->vma->anon_vma)
			memcpy(child->cell, p->cell, sizeof(p->cell));
		return;
	}
	samara_inject_nth(0);
	m->failed_forks++;
	leave(m, child);
	copy_undo(p->vma);
	take_exclusive(p, after);
	assert_memory_equal(before, after, sizeof(before));
}

static void fork_or_exit(struct model *m, struct process *p)
{
	struct process *other = &m->process[rng_below(&m->rng, WORLD_MMS)];

	if (other == p)
		return;
	if (other->mm)
		leave(m, other);
	else
		do_fork(m, p, other);
}

static void step(struct model *m)
{
	struct process *p = &m->process[rng_below(&m->rng, WORLD_MMS)];
	const unsigned long from = rng_below(&m->rng, PAGES);
	const unsigned long to =
		min(PAGES, from + 1 + rng_below(&m->rng, rng_one_in(&m->rng, 3) ? PAGES : 8));

	if (!p->mm)
		return;
	switch (rng_below(&m->rng, 24)) {
	case 0:
		zap(m, p, from, to);
		break;
	case 1:
		guards(m, p, from, to);
		break;
	case 2:
		protect(m, p);
		break;
	case 3:
		move(m, p);
		break;
	case 4:
		range_lazyfree(p->vma, PG(at(p, from)), PG(at(p, to)));
		for (unsigned long n = from; n < to; n++)
			if (p->cell[n].kind == POISON)
				p->cell[n].kind = NONE;
		break;
	case 5:
	case 6:
		fork_or_exit(m, p);
		break;
	case 7:
	case 8:
		pin(m, p, from);
		break;
	case 9:
		if (p->cell[from].kind == NONE) {
			put_marker(p->vma, at(p, from), MARKER_POISON);
			p->cell[from].kind = POISON;
		}
		break;
	case 10:
		read_page(p, from);
		break;
	default:
		for (unsigned long n = from; n < to; n += 1 + rng_below(&m->rng, 3))
			write_page(m, p, n);
	}
}

static void every_process_sees_its_own_pages(void **state)
{
	static struct model m;
	const unsigned long steps = (test_full() ? 400000 : 20000) / test_slowdown();

	m = (struct model){ .w = *state };
	rng_init(&m.rng, test_seed());
	m.process[0].mm = m.w->mm[0];
	m.process[0].vma = world_vma(m.w, PLACE(0), PLACE(0) + PAGES, VM_RW, NULL);
	world_anon_vma(m.process[0].vma);
	for (unsigned long i = 0; i < steps; i++) {
		step(&m);
		check(&m);
		if (i % 16 == 0)
			assert_world(m.w);
	}
	for (int i = 0; i < PINS; i++)
		if (m.pin[i].folio)
			folio_put_many(m.w->ram, m.pin[i].folio, FOLIO_PIN_BIAS);
	/* Both kinds of ends have happened. */
	assert_true(m.failed_forks > 0 && m.forks > m.failed_forks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_process_sees_its_own_pages, world_up,
						world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
