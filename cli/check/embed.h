/* SPDX-License-Identifier: MIT */
/*
 * Files inside `samara': the child's program, an ELF file for x86-64; what programs
 * written by --repro begin with.
 */
#ifndef CLI_CHECK_EMBED_H
#define CLI_CHECK_EMBED_H

#include <stddef.h>

extern const char check_child[], check_child_end[];

extern const char check_repro[], check_repro_end[];

size_t check_child_size(void);
size_t check_repro_size(void);

#endif
