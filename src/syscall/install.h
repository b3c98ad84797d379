/* SPDX-License-Identifier: MIT */
#ifndef SYSCALL_INSTALL_H
#define SYSCALL_INSTALL_H

#include "core/mm.h"

/* samara_mm_install() with mmap_lock held for writing. */
int install_mapping(struct samara_mm *mm, const struct samara_mapping *mapping) __must_check;

#endif
