/* SPDX-License-Identifier: MIT */
/*
 * What an mm prints about itself, as a string.
 */
#ifndef SAMARA_TEST_MM_TEXT_H
#define SAMARA_TEST_MM_TEXT_H

#include <samara/mm.h>

#define MM_TEXT (1 << 20)

/* What print() prints, in buf of MM_TEXT bytes. 0 or -errno. */
int mm_text(struct samara_mm *mm, int (*print)(struct samara_mm *mm, int fd), char *buf);

#endif
