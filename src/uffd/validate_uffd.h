/* SPDX-License-Identifier: MIT */
/* The invariants that uffd.h lists, checked. */
#ifndef UFFD_VALIDATE_UFFD_H
#define UFFD_VALIDATE_UFFD_H

#include "core/mm.h"

struct samara_report;

/* vma's registration. 0 or 1, and then the report names the invariant. mmap_lock is held. */
int uffd_validate_vma(const struct vma *vma, struct samara_report *out);

/* What is queued in mm's userfaultfds: the same. Takes their locks. */
int uffd_validate_queues(struct samara_mm *mm, struct samara_report *out);

#endif
