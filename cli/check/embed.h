/* SPDX-License-Identifier: MIT */
/*
 * Files inside `samara': the child's programs, ELF files for x86-64; what programs
 * written by --repro begin with.
 */
#ifndef CLI_CHECK_EMBED_H
#define CLI_CHECK_EMBED_H

#include <stdbool.h>
#include <stddef.h>

extern const char check_child[], check_child_end[];
extern const char check_lanes[], check_lanes_end[];

extern const char check_repro[], check_repro_end[];

/* That for sequences with lanes (seq_has_lanes()), or for the others. */
const char *check_program(bool lanes, size_t *size);
size_t check_repro_size(void);

#endif
