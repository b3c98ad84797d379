/* SPDX-License-Identifier: MIT */
/*
 * Our map beside the kernel's.
 *
 * Compared are start, end, permissions, offset, device, inode and name of every
 * mapping, the gate included. Three things a trace of calls cannot tell:
 *
 *  - How far a stack has grown. Ours is grown to the recorded start first, by
 *    touching it; it may not have grown further.
 *  - The inode of shared anonymous memory. It only has to be the same one for
 *    mappings that have the same one there.
 *  - When a mapped file was deleted or renamed: ` (deleted)` is ignored when
 *    device and inode agree. Without -y a file is not known at all.
 */
#ifndef CLI_REPLAY_COMPARE_H
#define CLI_REPLAY_COMPARE_H

#include <stdio.h>

#include "replay/world.h"

struct map_diff {
	size_t at;   /* number of equal mappings before it */
	bool layout; /* areas lie elsewhere; only what they are was compared */
};

/* A mapping of ours as a line of a map; the name belongs to the mm. */
void map_line_of(struct map_line *line, const struct samara_vma_info *vma);

/* Let the map catch up with what the program did without the kernel. */
void compare_settle(struct space *s, const struct snapshot *kernel);

/* 0: equal; 1: not, and *out says where; -ENOMEM. */
int compare_maps(struct space *s, const struct snapshot *kernel, struct map_diff *out);

/* Both maps around the difference, side by side. */
void compare_print(struct space *s, const struct snapshot *kernel, const struct map_diff *diff,
		   FILE *to);

#endif
