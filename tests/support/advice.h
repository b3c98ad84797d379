/* SPDX-License-Identifier: MIT */
/*
 * Linux's numbers that the C library's headers may be too old for.
 */
#ifndef SAMARA_TEST_ADVICE_H
#define SAMARA_TEST_ADVICE_H

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#endif
