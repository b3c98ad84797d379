/* SPDX-License-Identifier: MIT */
/* uffd_bits, an invariant of uffd/uffd.h, checked. */
#ifndef RANGE_VALIDATE_BITS_H
#define RANGE_VALIDATE_BITS_H

#include "core/mm.h"

struct samara_report;

/*
 * The entries of vma, of an mm that has had a userfaultfd. 0 or -EUCLEAN, and then the report names
 * the invariant. mmap_lock is held. Takes the leaves' locks.
 */
int range_validate_bits(struct vma *vma, struct samara_report *out) __must_check;

#endif
