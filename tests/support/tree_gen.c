/* SPDX-License-Identifier: MIT */
/*
 * Random operations in universes of several shapes; see tree_ops.h.
 *
 * Where bugs are: at the ends of what is already there. So half of all indices
 * are the first or last index of some entry, or one beside it.
 *
 * A tree grows to its target with short stores, shrinks with wide ones, and so
 * on in waves, so that nodes are split and emptied all the time. Every other
 * batch begins with insertions only, for a tree of some depth.
 */
#include "tree_ops.h"

#include <string.h>

#define PAGE 4096ul
#define TOP (ULONG_MAX - 255)

const struct tree_universe tree_universes[] = {
	{ "tiny", 0, 63, 1, 18, PATTERN_UNIFORM, 22 },
	{ "dense", 0, 1023, 1, 260, PATTERN_UNIFORM, 16 },
	{ "top", TOP, ULONG_MAX, 1, 70, PATTERN_UNIFORM, 14 },
	{ "sparse", 0, ULONG_MAX, 1, 90, PATTERN_MAGNITUDE, 14 },
	{ "pages", 0x400000, 0x7ffffffff000, PAGE, 200, PATTERN_UNIFORM, 12 },
	{ "clusters", 0, ULONG_MAX, 1, 160, PATTERN_CLUSTERS, 8 },
	{ "upwards", 0, 1ul << 40, 16, 300, PATTERN_UP, 6 },
	{ "downwards", 1 << 20, 1ul << 40, 16, 300, PATTERN_DOWN, 6 },
	{ "deep", 0, 1ul << 32, 1, 4000, PATTERN_UNIFORM, 2 },
};
const size_t tree_universe_count = sizeof(tree_universes) / sizeof(tree_universes[0]);

void tree_gen_init(struct tree_gen *gen, const struct tree_universe *u, unsigned int flags,
		   uint64_t seed)
{
	size_t i;

	memset(gen, 0, sizeof(*gen));
	rng_init(&gen->rng, seed);
	gen->u = u;
	gen->flags = flags;
	gen->at = u->pattern == PATTERN_DOWN ? u->hi : u->lo;
	gen->grow = true;
	gen->fill = rng_one_in(&gen->rng, 2) ? (unsigned int)u->target : 0;
	for (i = 0; i < 6; i++)
		gen->center[i] = rng_between(&gen->rng, u->lo, u->hi);
	gen->center[0] = 0;
	gen->center[5] = ULONG_MAX;
}

static unsigned long to_grain(const struct tree_gen *gen, unsigned long index)
{
	return index - index % gen->u->grain;
}

static unsigned long pattern_index(struct tree_gen *gen)
{
	const struct tree_universe *u = gen->u;
	struct rng *rng = &gen->rng;
	unsigned long step = u->grain * (1 + rng_below(rng, 4));

	switch (u->pattern) {
	case PATTERN_UNIFORM:
		break;
	case PATTERN_MAGNITUDE:
		return rng_one_in(rng, 2) ? rng_magnitude(rng) : ~rng_magnitude(rng);
	case PATTERN_UP:
		gen->at = gen->at + step > u->hi ? u->lo : gen->at + step;
		return gen->at;
	case PATTERN_DOWN:
		gen->at = gen->at - step < u->lo || step > gen->at ? u->hi : gen->at - step;
		return gen->at;
	case PATTERN_CLUSTERS:
		return gen->center[rng_below(rng, 6)] + rng_below(rng, 400) - 200;
	}
	return to_grain(gen, rng_between(rng, u->lo, u->hi));
}

/* An index at the edge of an entry, or one beside it. */
static unsigned long edge_index(struct tree_gen *gen, const struct tree_model *m)
{
	const struct model_range *r = &m->r[rng_below(&gen->rng, m->n)];

	switch (rng_below(&gen->rng, 6)) {
	case 0:
		return r->first - 1;
	case 1:
		return r->last + 1;
	case 2:
		return r->last;
	case 3:
		return r->first + (r->last - r->first) / 2;
	default:
		return r->first;
	}
}

static unsigned long pick_index(struct tree_gen *gen, const struct tree_model *m)
{
	unsigned long index;

	if (rng_one_in(&gen->rng, 40))
		return rng_one_in(&gen->rng, 2) ? gen->u->lo : gen->u->hi;
	if (m->n && rng_one_in(&gen->rng, 2)) {
		index = edge_index(gen, m);
		/* Stay in the universe, but not always: 0 and ULONG_MAX are wanted too. */
		if ((index >= gen->u->lo && index <= gen->u->hi) || rng_one_in(&gen->rng, 50))
			return index;
	}
	return pattern_index(gen);
}

/* A length - 1. Entries are short while the tree shall grow, wide while it shall shrink. */
static unsigned long pick_extent(struct tree_gen *gen)
{
	unsigned long room = (gen->u->hi - gen->u->lo) / gen->u->target;

	if (rng_one_in(&gen->rng, 4))
		return gen->u->grain - 1;
	if (gen->u->pattern == PATTERN_UP || gen->u->pattern == PATTERN_DOWN)
		room = 40;
	if (gen->u->pattern == PATTERN_MAGNITUDE || gen->u->pattern == PATTERN_CLUSTERS)
		room = gen->grow || !rng_one_in(&gen->rng, 3) ? 8 : rng_magnitude(&gen->rng);
	room = gen->grow ? room / 2 + 1 : room * 3;
	if (rng_one_in(&gen->rng, 30 + gen->u->target / 4))
		room = rng_magnitude(&gen->rng);
	return to_grain(gen, rng_below(&gen->rng, room | 1)) + gen->u->grain - 1;
}

static void pick_range(struct tree_gen *gen, const struct tree_model *m, struct tree_op *op)
{
	if (rng_one_in(&gen->rng, 400 + 8 * gen->u->target)) {
		op->a = 0;
		op->b = ULONG_MAX;
		return;
	}
	op->a = pick_index(gen, m);
	if (m->n && rng_one_in(&gen->rng, 6)) {
		op->b = edge_index(gen, m);
		if (gen->grow && op->b - op->a > (gen->u->hi - gen->u->lo) / gen->u->target)
			op->b = op->a;
	} else {
		op->b = op->a + pick_extent(gen);
	}
	if (op->b < op->a && !rng_one_in(&gen->rng, 30)) {
		unsigned long swap = op->a;

		/* over the top: end there; else the other way round */
		if (op->b < gen->u->lo || op->a > ULONG_MAX - (1ul << 20)) {
			op->b = gen->u->hi;
		} else {
			op->a = op->b;
			op->b = swap;
		}
	}
}

static void pick_window(struct tree_gen *gen, const struct tree_run *run, struct tree_op *op)
{
	struct rng *rng = &gen->rng;

	op->a = rng_one_in(rng, 4) ? 0 : pick_index(gen, &run->m);
	op->b = rng_one_in(rng, 4) ? ULONG_MAX : pick_index(gen, &run->m);
	if (op->b < op->a && !rng_one_in(rng, 20)) {
		unsigned long swap = op->a;

		op->a = op->b;
		op->b = swap;
	}
	switch (rng_below(rng, 8)) {
	case 0:
		op->c = rng_magnitude(rng);
		break;
	case 1:
		op->c = op->b - op->a + rng_below(rng, 3);
		break;
	case 2: /* exactly some gap of the tree, or one more */
		if (run->m.n > 1) {
			size_t i = rng_below(rng, run->m.n - 1);

			op->c = run->m.r[i + 1].first - run->m.r[i].last - 1 + rng_below(rng, 2);
			break;
		}
		/* fallthrough */
	default:
		op->c = (1 + rng_below(rng, 4)) * gen->u->grain;
	}
}

static unsigned long pick_limit(struct tree_gen *gen, const struct tree_run *run, bool down)
{
	const struct model_cursor *c = &run->c;
	struct rng *rng = &gen->rng;

	if (!rng_one_in(rng, 4))
		return down ? 0 : ULONG_MAX;
	switch (rng_below(rng, 4)) {
	case 0:
		return down ? c->index - rng_below(rng, 3) : c->last + rng_below(rng, 3);
	case 1:
		return down ? c->index - pick_extent(gen) : c->last + pick_extent(gen);
	default:
		return pick_index(gen, &run->m);
	}
}

static bool is_read(unsigned int kind)
{
	return kind >= OP_WALK && kind <= OP_FIND_RANGE_REV;
}

static unsigned char pick_kind(struct tree_gen *gen)
{
	unsigned int kinds = gen->flags & MT_FLAGS_ALLOC_RANGE ? OP_RARE : OP_ALLOC_RANGE;
	unsigned char kind;

	if (gen->repeat) {
		gen->repeat--;
		return gen->last_kind;
	}
	if (gen->fill) {
		gen->fill--;
		return OP_INSERT_RANGE;
	}
	if (rng_one_in(&gen->rng, 20000))
		return (unsigned char)(OP_RARE + rng_below(&gen->rng, OP_KINDS - OP_RARE));
	if (rng_one_in(&gen->rng, 500))
		return (unsigned char)rng_below(&gen->rng, OP_RARE);
	kind = (unsigned char)rng_below(&gen->rng, kinds);
	/* a copy costs as much as the tree is large */
	if (kind == OP_DUP && gen->u->target > 100 && !rng_one_in(&gen->rng, gen->u->target / 32))
		kind = OP_LOAD;
	/* long walks now and then, through whole leaves */
	if (is_read(kind) && rng_one_in(&gen->rng, 40))
		gen->repeat = (unsigned int)rng_below(&gen->rng, 60);
	gen->last_kind = kind;
	return kind;
}

void tree_gen_op(struct tree_gen *gen, const struct tree_run *run, struct tree_op *op)
{
	const struct tree_model *m = &run->m;

	if (m->n > gen->u->target)
		gen->grow = false;
	else if (m->n < gen->u->target / 8)
		gen->grow = true;
	op->kind = pick_kind(gen);
	op->value = (uint32_t)rng_next(&gen->rng);
	op->c = rng_next(&gen->rng) >> 40;
	switch (op->kind) {
	case OP_GAP:
	case OP_GAP_REV:
	case OP_ALLOC_RANGE:
	case OP_ALLOC_RRANGE:
	case OP_ALLOC_CYCLIC:
	case OP_GAP_STORE:
	case OP_GAP_REV_STORE:
		pick_window(gen, run, op);
		return;
	case OP_MT_FIND:
	case OP_MT_FIND_AFTER:
	case OP_MT_NEXT:
		op->a = pick_index(gen, m);
		op->b = rng_one_in(&gen->rng, 2) ? ULONG_MAX : pick_index(gen, m);
		return;
	case OP_MT_PREV:
		op->a = pick_index(gen, m);
		op->b = rng_one_in(&gen->rng, 2) ? 0 : pick_index(gen, m);
		return;
	default:
		break;
	}
	if (is_read(op->kind)) {
		op->a = pick_limit(gen, run,
				   op->kind == OP_PREV || op->kind == OP_PREV_RANGE ||
					   op->kind == OP_FIND_REV ||
					   op->kind == OP_FIND_RANGE_REV);
		op->b = 0;
		return;
	}
	pick_range(gen, m, op);
}
