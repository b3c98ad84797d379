/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: bytes are operations on a tree and its model, most of them by a
 * cursor (support/tree_ops.h).
 *
 *   flags, { kind, operands }*
 *
 * An operand is one byte that says where it comes from, and what that needs:
 *
 *   00..7f      the number itself
 *   80..9f  n   an end of entry n of the tree, or one beside it
 *   a0..af  n   ULONG_MAX - n
 *   b0..b7  8   eight bytes, as they are
 *   b8..bf  n   n
 *   c0..df  n   2^(2 (byte - c0) + 1) + n
 *   e0..ff  n   the operand before + n - 64
 *
 * FUZZ_LOG=1 prints the operations as C calls. tree_cursor_corpus.py makes the
 * seeds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tree_ops.h"

#define OPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
	unsigned long before; /* the operand before */
};

static unsigned int take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static unsigned long entry_edge(const struct tree_model *m, unsigned int how, unsigned int n)
{
	const struct model_range *r;

	if (!m->n)
		return n;
	r = &m->r[n % m->n];
	switch (how & 7) {
	case 0:
		return r->first;
	case 1:
		return r->last;
	case 2:
		return r->first - 1;
	case 3:
		return r->last + 1;
	case 4:
		return r->first + 1;
	case 5:
		return r->last - 1;
	default:
		return r->first + (r->last - r->first) / 2;
	}
}

static unsigned long operand(struct input *in, const struct tree_model *m)
{
	unsigned int kind = take(in), i;
	unsigned long value = 0;

	if (kind < 0x80)
		value = kind;
	else if (kind < 0xa0)
		value = entry_edge(m, kind, take(in));
	else if (kind < 0xb0)
		value = ULONG_MAX - take(in);
	else if (kind < 0xb8)
		for (i = 0; i < 8; i++)
			value = value << 8 | take(in);
	else if (kind < 0xc0)
		value = take(in);
	else if (kind < 0xe0)
		value = (1ul << ((kind - 0xc0) * 2 + 1)) + take(in);
	else
		value = in->before + take(in) - 64;
	in->before = value;
	return value;
}

static void next_op(struct input *in, const struct tree_run *run, struct tree_op *op)
{
	op->kind = (unsigned char)(take(in) % OP_KINDS);
	op->value = (uint32_t)(take(in) << 8);
	op->value |= take(in);
	op->a = operand(in, &run->m);
	op->b = op->c = 0;
	if (op->kind >= OP_WALK && op->kind <= OP_SET)
		return;
	op->b = operand(in, &run->m);
	if (op->kind == OP_GAP || op->kind == OP_GAP_REV || op->kind >= OP_PREALLOC)
		op->c = operand(in, &run->m);
}

static void stop(struct tree_run *run, const struct tree_op *op)
{
	fprintf(stderr, "%s: %s\n", tree_op_name(op->kind), run->text);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size, 0 };
	struct tree_op op = { 0 };
	struct tree_run run;
	unsigned int n;

	tree_run_init(&run, take(&in) & (MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU));
	run.log = getenv("FUZZ_LOG") ? stderr : NULL;
	for (n = 0; n < OPS_MAX && in.at < in.end; n++) {
		next_op(&in, &run, &op);
		if (tree_op_apply(&run, &op) || (n % 32 == 31 && tree_run_check(&run)))
			stop(&run, &op);
	}
	if (tree_run_check(&run))
		stop(&run, &op);
	tree_run_free(&run);
	return 0;
}
