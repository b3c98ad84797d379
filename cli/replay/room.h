/* SPDX-License-Identifier: MIT */
/*
 * Where there is room in a map: the areas that are taken, without what they
 * are. Cheap to copy, so that orders of calls can be tried before one is done.
 */
#ifndef CLI_REPLAY_ROOM_H
#define CLI_REPLAY_ROOM_H

#include "replay/world.h"

struct room {
	struct map_range *taken; /* ascending, apart from each other or adjacent */
	size_t nr, size;
	unsigned long base; /* addresses are chosen downwards from here */
};

/* 0 or -ENOMEM. */
int room_of(struct samara_mm *mm, struct room *out);
int room_copy(const struct room *from, struct room *out);
void room_free(struct room *room);

/*
 * Could the call have been done in this state with this answer (a value, or
 * -errno)? 1, and the state is the one after it; 0: no; -ENOMEM. Lenient where the kernel's choice
 * has further rules: files and moved areas of 2 MiB and more, hints, shared memory segments.
 */
int room_call(struct room *room, const struct call *c, unsigned long answer);

#endif
