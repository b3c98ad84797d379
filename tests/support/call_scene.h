/* SPDX-License-Identifier: MIT */
/*
 * A small address space with some of everything for two calls to be made on, and what they leave,
 * as text.
 *
 *   0..7     anonymous, 0..4 written, 5 read; 3 pinned
 *   8..11    the memfd, shared; 8 and 9 written
 *   12..15   the memfd, private; 12 written, 13 read
 *   16..19   nothing
 *   511..514 anonymous, written, in two leaves
 */
#ifndef SAMARA_TEST_CALL_SCENE_H
#define SAMARA_TEST_CALL_SCENE_H

#include "support/mem.h"

#define SCENE_BASE 0x10000000000UL
#define AT(page) (SCENE_BASE + (page)*MEM_PAGE)

struct anon_vma;

struct scene {
	struct mem m;
	struct samara_pin pin; /* of page 3, until it is given up */
	bool pinned;
	struct samara_file *file;
	struct samara_mm *child[2];
	struct anon_vma *family;
	char said[2][64]; /* by the two calls */
};

/* One machine for all scenes; at the end nothing may be left. */
void scene_machine_up(void);
void scene_machine_down(void);

/* The scene of now. */
extern struct scene scene;
void scene_open(void);
void scene_unpin(void);
/* Every validator; then all of it goes. */
void scene_close(void);

/*
 * From here on it is an error to change what a lock protects while that is not held
 * (support/at_locks.h). One thread only.
 */
void scene_guard(void);
void scene_guard_end(void);

/* What the two calls said, maps, page tables, bytes, counts, the file. */
struct left {
	char text[24 << 10];
	size_t len;
};
void scene_look(struct left *left);
/* Pages of the file leave the page tables first: they may or may not be there. */
void scene_settle(void);

#endif
