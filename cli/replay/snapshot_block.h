/* SPDX-License-Identifier: MIT */
/*
 * Reading one block of a maps file.
 */
#ifndef CLI_REPLAY_SNAPSHOT_BLOCK_H
#define CLI_REPLAY_SNAPSHOT_BLOCK_H

#include "replay/snapshot.h"

/* `@ line N pid P kind K`, perhaps with ` tid T`. NULL: it is not that, or no memory. */
struct snapshot *snapshot_block_head(const char *line);

/* One more line of the block; the two counts are the arrays' sizes. 0, -EINVAL or -ENOMEM. */
int snapshot_block_line(struct snapshot *s, const char *line, size_t *room_lines,
			size_t *room_touched);

/* Room for one more element; doubles. 0 or -ENOMEM. */
int snapshot_grow(void **array, size_t have, size_t *room, size_t size);

#endif
