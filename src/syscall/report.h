/* SPDX-License-Identifier: MIT */
/*
 * The description of one VMA, for <samara/mm.h>'s structs and for the texts made of them.
 */
#ifndef SYSCALL_REPORT_H
#define SYSCALL_REPORT_H

#include "core/mm.h"

/* mmap_lock is held. */
void vma_describe(const struct vma *vma, struct samara_vma_info *out);

/* The gate of this machine; false when it has none. Takes no lock. */
bool gate_describe(const struct samara_mm *mm, struct samara_vma_info *out);

#endif
