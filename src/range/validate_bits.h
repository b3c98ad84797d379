/* SPDX-License-Identifier: MIT */
/* Which entries may allow a write, checked: uffd_bits (uffd/uffd.h), soft_dirty (soft_dirty.c). */
#ifndef RANGE_VALIDATE_BITS_H
#define RANGE_VALIDATE_BITS_H

#include "core/mm.h"

struct samara_report;

/*
 * The entries of vma. 0 or -EUCLEAN, and then the report names the invariant. mmap_lock is held.
 * Takes the leaves' locks.
 */
int range_validate_bits(struct vma *vma, struct samara_report *out) __must_check;

#endif
