/* SPDX-License-Identifier: MIT */
/*
 * The child's program (child/child.c) as bytes inside `samara`.
 */
#include "check/embed.h"

__asm__(".pushsection .rodata\n"
	".globl check_child, check_child_end\n"
	".hidden check_child, check_child_end\n"
	"check_child:\n"
	".incbin \"" CHECK_CHILD "\"\n"
	"check_child_end:\n"
	".byte 0\n"
	".popsection\n");

size_t check_child_size(void)
{
	return (size_t)(check_child_end - check_child);
}
