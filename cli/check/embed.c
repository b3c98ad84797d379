/* SPDX-License-Identifier: MIT */
/*
 * Files as bytes inside `samara`: the child's two programs (child/child.c), and the text
 * that --repro writes before the calls (child/repro.h, pattern.h).
 */
#include "check/embed.h"

__asm__(".pushsection .rodata\n"
	".globl check_child, check_child_end\n"
	".hidden check_child, check_child_end\n"
	"check_child:\n"
	".incbin \"" CHECK_CHILD "-0\"\n"
	"check_child_end:\n"
	".byte 0\n"
	".globl check_lanes, check_lanes_end\n"
	".hidden check_lanes, check_lanes_end\n"
	"check_lanes:\n"
	".incbin \"" CHECK_CHILD "-1\"\n"
	"check_lanes_end:\n"
	".byte 0\n"
	".globl check_repro, check_repro_end\n"
	".hidden check_repro, check_repro_end\n"
	"check_repro:\n"
	".incbin \"" CHECK_FOLDER "/child/repro.h\"\n"
	".incbin \"" CHECK_FOLDER "/pattern.h\"\n"
	"check_repro_end:\n"
	".byte 0\n"
	".popsection\n");

const char *check_program(bool lanes, size_t *size)
{
	*size = (size_t)(lanes ? check_lanes_end - check_lanes : check_child_end - check_child);
	return lanes ? check_lanes : check_child;
}

size_t check_repro_size(void)
{
	return (size_t)(check_repro_end - check_repro);
}
