/* SPDX-License-Identifier: MIT */
/*
 * The shape of an address space: page size, limits, places. x86-64 with four
 * levels of tables is the default; everything else is a parameter, so that one
 * program can hold address spaces of different machines.
 */
#ifndef SAMARA_GEOMETRY_H
#define SAMARA_GEOMETRY_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

/*
 *   0      map_min_addr                 map_window      task_size
 *   |- - - - - |------------ user mappings ---|- - - - - - - |  kernel ...
 *                     low_start..low_end                        gate_start..gate_end
 *                     (MAP_32BIT)                               ([vsyscall], in no mm)
 *
 * All addresses and sizes are bytes, all of them multiples of the page size.
 */
struct samara_geometry {
	size_t size;                   /* sizeof(struct samara_geometry) */
	unsigned int page_shift;       /* 12: pages of 4096 bytes */
	unsigned int huge_shift;       /* 21: what big mappings are aligned to (one entry of the second table level) */
	unsigned int levels;           /* 4: levels of page tables */
	unsigned int level_bits;       /* 9: bits of the address each level translates; 1 to 9 */
	unsigned long task_size;       /* first address no user mapping may cover */
	unsigned long map_window;      /* addresses are chosen below it unless the hint lies above */
	unsigned long map_min_addr;    /* vm.mmap_min_addr: below it only with SAMARA_CAP_SYS_RAWIO */
	unsigned long first_user_addr; /* lowest address that page tables serve */
	unsigned long table_ceiling;   /* where freeing page tables ends: not below task_size; 0: the top of all */
	unsigned long stack_gap;       /* kept free below a mapping that grows down */
	unsigned long low_start;       /* where MAP_32BIT maps; low_start == low_end: the flag is not known */
	unsigned long low_end;
	unsigned long gate_start;      /* gate_start == gate_end: there is no gate */
	unsigned long gate_end;
};

/* x86-64, four levels, 4096-byte pages. Static storage. */
SAMARA_API const struct samara_geometry *samara_geometry_x86_64(void);

/* x86-64, five levels: addresses above 47 bits on request (a hint above map_window). Static storage. */
SAMARA_API const struct samara_geometry *samara_geometry_x86_64_la57(void);

/*
 * 0; -E2BIG: a member that this library does not know; -EINVAL when the shape is impossible: sizes that are not
 * multiples of the page, limits out of order, more than 2^63 bytes of user addresses, tables of
 * more than 512 entries (level_bits above 9) or none, a table_ceiling below task_size.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_geometry_check(const struct samara_geometry *geometry);

SAMARA_END_DECLS

#endif
