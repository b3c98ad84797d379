/* SPDX-License-Identifier: MIT */
/*
 * When an entry gets its write right without a write fault, for those who give rights back.
 */
#ifndef RANGE_PROTECT_H
#define RANGE_PROTECT_H

#include "range/leaf.h"

/*
 * Whether pte, present in vma whose flags are or become vm_flags, may be writable: a write fault
 * would do no more than set that bit (protect.c). The leaf's lock is held.
 */
bool entry_may_write(const struct vma *vma, unsigned long vm_flags, pte_t pte);

#endif
