/* SPDX-License-Identifier: MIT */
/*
 * The child's program, an ELF file for x86-64.
 */
#ifndef CLI_CHECK_EMBED_H
#define CLI_CHECK_EMBED_H

#include <stddef.h>

extern const char check_child[], check_child_end[];

size_t check_child_size(void);

#endif
