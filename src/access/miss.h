/* SPDX-License-Identifier: MIT */
/*
 * What a unit that runs an mm (mmu/tlb_unit.h) does when it knows no translation.
 */
#ifndef ACCESS_MISS_H
#define ACCESS_MISS_H

#include "access/fault_door.h"
#include "mmu/tlb_unit.h"

/*
 * One walk of the page tables for an access to addr, made as how says (access_fault()). If the
 * entry allows it, the unit is filled; else the fault that it needs is made. 0: look again, and
 * miss again if need be; -EFAULT, -ENOMEM, -EAGAIN: the access cannot be made, *fault says why.
 * unit runs an mm. No lock is held.
 */
int tlb_unit_miss(struct tlb_unit *unit, unsigned long addr, unsigned int how,
		  struct samara_fault *fault) __must_check;

#endif
