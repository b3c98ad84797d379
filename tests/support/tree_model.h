/* SPDX-License-Identifier: MIT */
/*
 * What a tree should contain and answer: a sorted array.
 *
 *   r[]   | 3..7 A | 8..8 B | 20..29 C |        n = 3
 *   slots  0..2 -   3..7 A   8..8 B   9..19 -   20..29 C   30..MAX -
 *
 * A slot is an entry's range or a whole run of empty indices between two
 * entries. Every operation is the simple one: find the place, change the array.
 * The cursor follows the documented states of <samara/maple_tree.h>; what each
 * call does in each state is written out in tree_model_cursor.c, from the
 * behaviour of Linux 6.12-6.18.
 *
 * Single-threaded; an allocation that fails ends the program.
 */
#ifndef SAMARA_TEST_TREE_MODEL_H
#define SAMARA_TEST_TREE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <samara/maple_tree.h>

struct model_range {
	unsigned long first, last;
	void *entry; /* NULL: an empty slot */
};

struct tree_model {
	struct model_range *r;
	size_t n, room;
	bool root_entry; /* only 0..0 is there, stored so: Linux keeps it in ma_root */
};

/* How a tree that holds these entries may look from outside. */
enum model_shape {
	MODEL_EMPTY,
	MODEL_ROOT, /* only 0..0, without a node */
	MODEL_NODES,
};

struct model_cursor {
	unsigned long index, last;
	enum maple_status status;
	/*
	 * The limit was met before the first walk. Linux has no position then
	 * and no defined answer to a further step; a test sets the cursor anew.
	 */
	bool lost;
};

/* The calls that move a cursor; limit is max, min, or unused. */
enum tree_read {
	READ_WALK,
	READ_NEXT,
	READ_NEXT_RANGE,
	READ_PREV,
	READ_PREV_RANGE,
	READ_FIND,
	READ_FIND_RANGE,
	READ_FIND_REV,
	READ_FIND_RANGE_REV,
	READ_CALLS,
};

void model_init(struct tree_model *m);
void model_free(struct tree_model *m);

/* The first range that ends at or after index; m->n when there is none. */
size_t model_at(const struct tree_model *m, unsigned long index);

/* The slot that contains index. */
struct model_range model_slot(const struct tree_model *m, unsigned long index);

void *model_load(const struct tree_model *m, unsigned long index);
bool model_is_empty(const struct tree_model *m, unsigned long first, unsigned long last);

/* Do both ends fall on slot boundaries? A NULL store there cuts no entry. */
bool model_cuts(const struct tree_model *m, unsigned long first, unsigned long last);

void model_store(struct tree_model *m, unsigned long first, unsigned long last, void *entry);
void *model_erase(struct tree_model *m, unsigned long index);

/* mas_empty_area() and mas_empty_area_rev(): 0 and *first, or -EINVAL, -EBUSY. */
int model_gap(const struct tree_model *m, unsigned long min, unsigned long max, unsigned long size,
	      unsigned long *first);
int model_gap_rev(const struct tree_model *m, unsigned long min, unsigned long max,
		  unsigned long size, unsigned long *first);

/* mtree_insert_range(): 0 or -EEXIST */
int model_insert(struct tree_model *m, unsigned long first, unsigned long last, void *entry);

/*
 * Only 0..0 is left of a larger tree: Linux keeps its node, and keeping the
 * entry in ma_root is as good. Both shapes are right then.
 */
bool model_either_shape(const struct tree_model *m);
enum model_shape model_shape(const struct tree_model *m);

void model_cursor_set(struct model_cursor *c, unsigned long first, unsigned long last);
void *model_read(const struct tree_model *m, enum model_shape shape, struct model_cursor *c,
		 enum tree_read call, unsigned long limit);

void *model_mt_find(const struct tree_model *m, unsigned long *index, unsigned long max);
void *model_mt_next(const struct tree_model *m, unsigned long index, unsigned long max);
void *model_mt_prev(const struct tree_model *m, unsigned long index, unsigned long min);

/* The same call on the tree. */
void *tree_read(struct ma_state *mas, enum tree_read call, unsigned long limit);
const char *tree_read_name(enum tree_read call);
const char *maple_status_name(enum maple_status status);

/*
 * Compare everything: every entry forwards and backwards, and the validator.
 * 0, or -1 with a line in text. The tree must be locked or quiet.
 */
int model_compare(const struct tree_model *m, struct maple_tree *mt, char *text, size_t room);

#endif
