/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries: 64 bits, laid out as on x86-64.
 *
 * Present (bit 0, or bit 8 for a page that no access reaches, PROT_NONE):
 *
 *    63   62 .. 52   51 ... 12
 *    NX      -        frame
 *
 *    11          10        9        8      7     6      5      4      3     2     1    0
 *    soft dirty was excl. special  no acc. huge  dirty  acc. uffd wp  -   user  write  P
 *
 * Not present: 0 is an empty entry; else bit 1 is set, so that none of them is 0
 *
 *    63 ..................... 16   15 .... 9    8    7..2    1    0
 *    value (slot, frame, bits)     type         0     0      1    0
 *
 * Of a swap area the value's lowest bits are SWP_BITS.
 * A migration entry's value is what has to be known to make the entry present again; its rights
 * are those that the VMA has then:
 *
 *    47 .. 37     36          35         34        33     32     31 ......... 0
 *       0     was excl.  soft dirty   uffd wp    dirty  acc.    frame
 *
 * Its type says whether it was writable, and if not, whether its anonymous page was exclusive. (A
 * writable entry of a private mapping always is.) The folio's own FOLIO_EXCLUSIVE is clear then.
 *
 * Above level 0 bit 3 says that the entry is a table below: the other bits are its address, which
 * is a multiple of 64. Any other entry there that is not 0 is huge. It is laid out as above.
 *
 * A leaf table's lock protects its entries. A reader without that lock uses pte_read(), and looks
 * again once it holds the lock.
 */
#ifndef MMU_PTE_H
#define MMU_PTE_H

#include "base/compiler.h"
#include "core/vma.h"
#include "store/swap.h"

typedef struct {
	uint64_t v;
} pte_t;

#define PTE_PRESENT (1ULL << 0)
#define PTE_WRITE (1ULL << 1)
#define PTE_USER (1ULL << 2)
#define PTE_TABLE (1ULL << 3) /* above level 0, and in no other entry */
#define PTE_UFFD_WP (1ULL << 4)
#define PTE_ACCESSED (1ULL << 5)
#define PTE_DIRTY (1ULL << 6)
#define PTE_HUGE (1ULL << 7)
#define PTE_NONE_ACCESS (1ULL << 8) /* without PTE_PRESENT: PROT_NONE */
#define PTE_SPECIAL (1ULL << 9)     /* a frame without a folio of ours: zero frame, PFN map */
#define PTE_WAS_EXCLUSIVE (1ULL << 10) /* before the last fork its folio was: range/copy.c */
#define PTE_SOFT_DIRTY (1ULL << 11)
#define PTE_NX (1ULL << 63)
#define PTE_PFN_SHIFT 12
#define PTE_PFN_MASK 0x000ffffffffff000ULL

/*
 * SWP_AREA and all above it: a slot of area type - SWP_AREA; mk_swap_pte(). A migration entry
 * counts in folio_moving() of its folio, not in folio_maps(), and in its mm's rss.
 */
enum swp_type {
	SWP_MARKER = 1,     /* value: enum pte_marker */
	SWP_MIGRATION_READ, /* value: mk_migration() */
	SWP_MIGRATION_WRITE,
	SWP_MIGRATION_EXCL, /* read-only, exclusive */
	SWP_AREA,
};
#define SWP_TYPES 128

/* In the value of a swap area's entry. */
#define SWP_EXCLUSIVE 1ULL /* its page was, or is in the swap cache, this process's alone */
#define SWP_UFFD_WP 2ULL
#define SWP_SOFT_DIRTY 4ULL
#define SWP_WAS_EXCLUSIVE 8ULL /* as PTE_WAS_EXCLUSIVE */
#define SWP_BITS 15ULL
#define SWP_SLOT_SHIFT 4

/* In the value of a migration entry, beside the frame. */
#define MIGRATION_YOUNG (1ULL << 32)
#define MIGRATION_DIRTY (1ULL << 33)
#define MIGRATION_UFFD_WP (1ULL << 34)
#define MIGRATION_SOFT_DIRTY (1ULL << 35)
#define MIGRATION_WAS_EXCLUSIVE (1ULL << 36) /* PTE_WAS_EXCLUSIVE */
#define MIGRATION_FRAME 0xffffffffULL

enum pte_marker { MARKER_UFFD_WP = 1, MARKER_POISON = 2, MARKER_GUARD = 4 };
/* No access comes by these. They may have the first one beside them, of PAGEMAP_SCAN. */
#define MARKER_STOPS (MARKER_POISON | MARKER_GUARD)

#define PTE_SWP 2ULL /* in a present entry this bit is PTE_WRITE */
#define PTE_SWP_TYPE_SHIFT 9
#define PTE_SWP_VALUE_SHIFT 16

static inline pte_t pte_empty(void) { return (pte_t){ 0 }; }
static inline bool pte_none(pte_t pte) { return !pte.v; }
static inline bool pte_same(pte_t a, pte_t b) { return a.v == b.v; }
static inline bool pte_present(pte_t pte) { return pte.v & (PTE_PRESENT | PTE_NONE_ACCESS); }
static inline bool pte_accessible(pte_t pte) { return pte.v & PTE_PRESENT; } /* a CPU may use it */
static inline bool pte_write(pte_t pte) { return pte.v & PTE_WRITE; }
static inline bool pte_dirty(pte_t pte) { return pte.v & PTE_DIRTY; }
static inline bool pte_young(pte_t pte) { return pte.v & PTE_ACCESSED; }
static inline bool pte_special(pte_t pte) { return pte.v & PTE_SPECIAL; }
static inline bool pte_exec(pte_t pte) { return !(pte.v & PTE_NX); }
static inline bool pte_uffd_wp(pte_t pte) { return pte.v & PTE_UFFD_WP; }
static inline unsigned long pte_pfn(pte_t pte) { return (pte.v & PTE_PFN_MASK) >> PTE_PFN_SHIFT; }

static inline pte_t pte_with(pte_t pte, uint64_t bits) { return (pte_t){ pte.v | bits }; }
static inline pte_t pte_without(pte_t pte, uint64_t bits) { return (pte_t){ pte.v & ~bits }; }

/* The access bits that pages of a mapping with these flags have, never with PTE_WRITE. */
static inline uint64_t pte_prot(unsigned long vm_flags)
{
	if (!(vm_flags & VM_ACCESS_FLAGS))
		return PTE_NONE_ACCESS | PTE_NX;
	return PTE_PRESENT | PTE_USER | (vm_flags & VM_EXEC ? 0 : PTE_NX);
}

/* What a write leaves in an entry, besides the right to write. */
#define PTE_WRITTEN (PTE_DIRTY | PTE_SOFT_DIRTY)

/* Young, not writable, not dirty. */
static inline pte_t mk_pte(unsigned long pfn, unsigned long vm_flags)
{
	return (pte_t){ (uint64_t)pfn << PTE_PFN_SHIFT | pte_prot(vm_flags) | PTE_ACCESSED };
}

static inline bool pte_swp(pte_t pte) { return !pte_present(pte) && !pte_none(pte); }

static inline pte_t mk_swp(unsigned int type, uint64_t value)
{
	return (pte_t){ value << PTE_SWP_VALUE_SHIFT | (uint64_t)type << PTE_SWP_TYPE_SHIFT |
			PTE_SWP };
}

static inline unsigned int swp_type(pte_t pte) { return pte.v >> PTE_SWP_TYPE_SHIFT & 0x7f; }
static inline uint64_t swp_value(pte_t pte) { return pte.v >> PTE_SWP_VALUE_SHIFT; }

/* type: one of SWP_MIGRATION_*; bits: some of MIGRATION_*. */
static inline pte_t mk_migration(enum swp_type type, unsigned long pfn, uint64_t bits)
{
	return mk_swp(type, pfn | bits);
}

static inline bool pte_migration(pte_t pte)
{
	return pte_swp(pte) && swp_type(pte) > SWP_MARKER && swp_type(pte) < SWP_AREA;
}

/* Of a migration entry. */
static inline unsigned long migration_pfn(pte_t pte) { return swp_value(pte) & MIGRATION_FRAME; }
static inline uint64_t migration_bits(pte_t pte) { return swp_value(pte) & ~MIGRATION_FRAME; }
/* The same with another type: read-only since fork or mprotect, say. */
static inline pte_t migration_as(pte_t pte, enum swp_type type)
{
	return mk_swp(type, swp_value(pte));
}

/* entry with some of SWP_BITS. */
static inline pte_t mk_swap_pte(swp_entry_t entry, uint64_t bits)
{
	return mk_swp(SWP_AREA + swp_area(entry),
		      (uint64_t)swp_slot(entry) << SWP_SLOT_SHIFT | bits);
}

/* The slot that an entry of a swap area names; none for any other entry. */
static inline swp_entry_t pte_swap_entry(pte_t pte)
{
	if (!pte_swp(pte) || swp_type(pte) < SWP_AREA)
		return (swp_entry_t){ 0 };
	return mk_swp_entry(swp_type(pte) - SWP_AREA, swp_value(pte) >> SWP_SLOT_SHIFT);
}

/* The same entry with, or without, some bits of its value. */
static inline pte_t swp_with(pte_t pte, uint64_t bits)
{
	return pte_with(pte, bits << PTE_SWP_VALUE_SHIFT);
}
static inline pte_t swp_without(pte_t pte, uint64_t bits)
{
	return pte_without(pte, bits << PTE_SWP_VALUE_SHIFT);
}

/* enum pte_marker bits of a marker, 0 for whatever is none. */
static inline unsigned int pte_marker(pte_t pte)
{
	return pte_swp(pte) && swp_type(pte) == SWP_MARKER ? (unsigned int)swp_value(pte) : 0;
}

static inline pte_t pte_read(const pte_t *pte)
{
	return (pte_t){ READ_ONCE(pte->v) };
}

static inline void pte_set(pte_t *pte, pte_t to)
{
	smp_store_release(&pte->v, to.v);
}

#endif
