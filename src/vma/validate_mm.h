/* SPDX-License-Identifier: MIT */
#ifndef VMA_VALIDATE_MM_H
#define VMA_VALIDATE_MM_H

#include "core/mm.h"

/* The invariants of core/mm.h and core/vma.h, by name. 0 or -EUCLEAN. mmap_lock is held. */
int mm_validate(struct samara_mm *mm, struct samara_report *out) __must_check;

#endif
