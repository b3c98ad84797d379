/* SPDX-License-Identifier: MIT */
/*
 * What runs an mm outside the library (<samara/backend.h>), as a unit of it (tlb_unit.h).
 *
 * It is never filled: it asks by itself (access/backend.c), and has a translation until flush() or
 * moved() says that it is another one.
 *
 * The unit keeps the mm's memory, not its map: the mm may end first, and lets go of the unit then.
 */
#include <errno.h>
#include <stddef.h>

#include "alloc/mem.h"
#include "base/sized.h"
#include "core/mms.h"
#include "mmu/translation.h"

static DEFINE_ALLOC_SITE(unit_site, "unit");

struct samara_unit {
	struct tlb_unit unit;
	struct tlb_ops ops; /* those of call */
	struct samara_unit_ops call;
	void *priv;
	struct samara_mm *mm; /* (i) counted */
};

static struct samara_unit *public_unit(struct tlb_unit *unit)
{
	return container_of(unit, struct samara_unit, unit);
}

/* end 0: the top of the address space. */
static void flush(struct tlb_unit *unit, unsigned long start, unsigned long end, enum tlb_lost lost)
{
	const struct samara_unit *u = public_unit(unit);

	if (lost != TLB_LOST_USE)
		u->call.flush(u->priv, start, end,
			      lost == TLB_LOST_WRITE ? SAMARA_LOST_WRITE : SAMARA_LOST_ALL);
}

static void unit_flush_range(struct tlb_unit *unit, unsigned long start, unsigned long last,
			     enum tlb_lost lost)
{
	flush(unit, start, last + 1, lost);
}

static void unit_flush_all(struct tlb_unit *unit, enum tlb_lost lost)
{
	flush(unit, 0, 0, lost);
}

static void unit_wait(struct tlb_unit *unit)
{
	const struct samara_unit *u = public_unit(unit);

	u->call.wait(u->priv);
}

static bool unit_moved(struct tlb_unit *unit, const struct vma *vma, unsigned long addr, pte_t pte)
{
	const struct samara_unit *u = public_unit(unit);
	struct samara_translation t;

	translate_entry(vma, addr, pte, &t);
	return u->call.moved(u->priv, &t);
}

static bool unit_young(struct tlb_unit *unit, unsigned long addr)
{
	const struct samara_unit *u = public_unit(unit);

	return u->call.young(u->priv, addr & mm_page_mask(u->mm));
}

static void unit_detached(struct tlb_unit *unit)
{
	const struct samara_unit *u = public_unit(unit);

	u->call.detached(u->priv);
}

int samara_unit_attach(struct samara_mm *mm, const struct samara_unit_ops *ops, void *priv,
		       struct samara_unit **out)
{
	const int refused = mm_call(mm);
	struct samara_unit_ops call;
	struct samara_unit *u;
	int err = refused ? refused : sized_get(&call, sizeof(call), ops);

	if (err)
		return err;
	if (!call.flush)
		return -EINVAL;
	u = mem_zalloc(&unit_site, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->call = call;
	u->priv = priv;
	u->mm = mm;
	u->ops = (struct tlb_ops){
		.flush_range = unit_flush_range,
		.flush_all = unit_flush_all,
		.flush_wait = call.wait ? unit_wait : NULL,
		.moved = call.moved ? unit_moved : NULL,
		.young = call.young ? unit_young : NULL,
		.detached = call.detached ? unit_detached : NULL,
	};
	u->unit.ops = &u->ops;
	mm_get(mm);
	tlb_unit_attach(&u->unit, mm);
	*out = u;
	return 0;
}

void samara_unit_detach(struct samara_unit *unit)
{
	struct samara_mm *mm;

	if (!unit || mm_is_foreign(unit->mm))
		return;
	mm = unit->mm;
	tlb_unit_leave(&unit->unit, mm);
	mem_free(&unit_site, unit);
	mm_put(mm);
}
