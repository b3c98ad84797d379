/* SPDX-License-Identifier: MIT */
/*
 * Operations on a tree and its model side by side, as data: they can be
 * recorded, replayed, thinned out and printed as C calls.
 *
 *   universe --tree_gen--> ops[] --tree_run_ops--> first op that differs
 *                                      |
 *                     tree_shrink: fewer and fewer ops that still differ
 *
 * A run owns one tree, its model, one cursor and the model's cursor. Every
 * operation is carried out on both and everything visible is compared: results,
 * errno, the cursor's index, last and status.
 *
 * A change through the mtree_*() calls pauses the cursor first, as the
 * documentation asks of whoever drops the lock.
 */
#ifndef SAMARA_TEST_TREE_OPS_H
#define SAMARA_TEST_TREE_OPS_H

#include <stdint.h>
#include <stdio.h>

#include "random.h"
#include "tree_model.h"

enum tree_op_kind {
	OP_STORE_RANGE, /* mtree_store_range(a, b, value) */
	OP_STORE,       /* mtree_store(a, value) */
	OP_INSERT_RANGE,
	OP_INSERT,
	OP_ERASE,      /* mtree_erase(a) */
	OP_NULL_RANGE, /* mtree_store_range(a, b, NULL) */
	OP_LOAD,
	OP_MT_FIND, /* from a up to b */
	OP_MT_FIND_AFTER,
	OP_MT_NEXT,
	OP_MT_PREV,
	OP_GAP, /* mas_empty_area(a, b, c) */
	OP_GAP_REV,
	OP_DUP,  /* copy, compare, change the copy, destroy it */
	OP_WALK, /* the cursor's calls; a is the limit */
	OP_NEXT,
	OP_NEXT_RANGE,
	OP_PREV,
	OP_PREV_RANGE,
	OP_FIND,
	OP_FIND_RANGE,
	OP_FIND_REV,
	OP_FIND_RANGE_REV,
	OP_SET, /* mas_set(a) */
	OP_PAUSE,
	OP_MAS_STORE, /* mas_set_range(a, b), mas_store(value) */
	OP_MAS_STORE_GFP,
	OP_MAS_STORE_NULL,
	OP_MAS_STORE_HERE, /* __mas_set_range() inside the current range, mas_store() */
	OP_MAS_ERASE,      /* mas_set(a), mas_erase() */
	OP_MAS_ERASE_HERE,
	OP_PREALLOC,      /* mas_preallocate(), mas_store_prealloc(); c odd: of NULL */
	OP_PREALLOC_DROP, /* mas_preallocate(), mas_destroy() */
	OP_SWEEP_ERASE,   /* mas_for_each(a..b) erasing some entries, at most c */
	OP_SWEEP_STORE,   /* mas_for_each_rev(b..a) replacing some entries */
	OP_ALLOC_RANGE,   /* from here on: trees with gaps only (else: -EINVAL) */
	OP_ALLOC_RRANGE,
	OP_ALLOC_CYCLIC,
	OP_GAP_STORE, /* mas_empty_area(), then mas_store() on what it found */
	OP_GAP_REV_STORE,
	OP_RARE,              /* kinds below are not counted */
	OP_DESTROY = OP_RARE, /* mtree_destroy(), and go on with the empty tree */
	OP_RCU_OFF_ON,
	OP_KINDS,
};

struct tree_op {
	unsigned char kind;
	uint32_t value;
	unsigned long a, b, c;
};

struct tree_run {
	struct maple_tree mt;
	struct tree_model m;
	struct ma_state mas;
	struct model_cursor c;
	unsigned long next_id; /* of mtree_alloc_cyclic() */
	unsigned long changes;
	FILE *log;      /* when set, every call is printed */
	char text[512]; /* what differed */
};

void tree_run_init(struct tree_run *run, unsigned int flags);
void tree_run_free(struct tree_run *run);

/* The entry that a number stands for: not NULL, often repeated, with every legal low bits. */
void *tree_value(uint32_t value);

const char *tree_op_name(enum tree_op_kind kind);

/* 0, or -1 and run->text. */
int tree_op_apply(struct tree_run *run, const struct tree_op *op);

/* Everything: validator, all entries. 0, or -1 and run->text. */
int tree_run_check(struct tree_run *run);

/* Shared by tree_ops.c and tree_ops_cursor.c. */
int tree_op_normal(struct tree_run *run, const struct tree_op *op);
int tree_op_cursor(struct tree_run *run, const struct tree_op *op);
int tree_op_gap(struct tree_run *run, const struct tree_op *op);
__attribute__((format(printf, 2, 3))) int tree_differs(struct tree_run *run, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void tree_log(struct tree_run *run, const char *fmt, ...);
int tree_adopt(struct tree_run *run, unsigned long first, unsigned long last, const void *entry);
void tree_cursor_pause(struct tree_run *run);

/* tree_gen.c --------------------------------------------------------------- */

enum tree_pattern {
	PATTERN_UNIFORM,
	PATTERN_MAGNITUDE,
	PATTERN_UP,
	PATTERN_DOWN,
	PATTERN_CLUSTERS
};

struct tree_universe {
	const char *name;
	unsigned long lo, hi;
	unsigned long grain;  /* indices are multiples, ranges whole multiples */
	unsigned long target; /* entries */
	enum tree_pattern pattern;
	unsigned int share; /* of all operations, in percent */
};

extern const struct tree_universe tree_universes[];
extern const size_t tree_universe_count;

struct tree_gen {
	struct rng rng;
	const struct tree_universe *u;
	unsigned int flags; /* of the tree */
	unsigned long at;   /* PATTERN_UP and _DOWN */
	unsigned long center[6];
	unsigned int fill;   /* insertions still to come at the start */
	unsigned int repeat; /* the last cursor call that many times more */
	unsigned char last_kind;
	bool grow;
};

void tree_gen_init(struct tree_gen *gen, const struct tree_universe *u, unsigned int flags,
		   uint64_t seed);
void tree_gen_op(struct tree_gen *gen, const struct tree_run *run, struct tree_op *op);

/* tree_shrink.c ------------------------------------------------------------ */

struct tree_ops {
	struct tree_op *op;
	size_t n;
};

/* Run ops on a fresh tree. The index of the first that differs, or ops->n. */
size_t tree_run_ops(const struct tree_ops *ops, unsigned int flags, FILE *log, char *text,
		    size_t room);

/*
 * Remove operations as long as the rest still fails, each try in a child
 * process, so that crashes and hangs shrink like wrong answers. Then print the
 * rest as C calls to stderr. Returns the number of operations left, 0 when the
 * failure does not come back.
 */
size_t tree_shrink(struct tree_ops *ops, unsigned int flags);

#endif
