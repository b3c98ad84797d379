/* SPDX-License-Identifier: MIT */
/*
 * A tree as text, for debugging, and as Graphviz. The tree's lock is held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc/cache.h"
#include "maple/node.h"

/* Text: one line for each slot, indented by depth. */
struct dump {
	const struct maple_tree *mt;
	enum mt_dump_format format;
	FILE *to;
};

static void dump_range(const struct dump *dump, unsigned long first, unsigned long last)
{
	if (dump->format == mt_dump_hex)
		fprintf(dump->to, "%lx-%lx", first, last);
	else
		fprintf(dump->to, "%lu-%lu", first, last);
}

static void dump_node(const struct dump *dump, const maple_head *node, unsigned long min,
		      unsigned long max, int indent)
{
	const maple_inner *inner = (const maple_inner *)node;
	const maple_leaf *leaf = (const maple_leaf *)node;

	fprintf(dump->to, "%*s%p level %u, ", indent, "", (const void *)node, node->level);
	dump_range(dump, min, max);
	fprintf(dump->to, ", %u slots, %u live%s\n", node->count, node->live,
		node->dead ? ", DEAD" : "");
	for (unsigned int i = 0; i < node->count; i++) {
		unsigned long first = i ? inner->key[i] : min;
		unsigned long last = i + 1u < node->count ? inner->key[i + 1] - 1 : max;

		fprintf(dump->to, "%*s%2u: ", indent + 2, "", i);
		if (!node->level) {
			dump_range(dump, leaf->start[i], leaf->last[i]);
			fprintf(dump->to, ": %p\n", leaf->slot[i]);
			continue;
		}
		dump_range(dump, first, last);
		if (inner->slot[i] && tree_tracks_gaps(dump->mt)) {
			struct extent extent = *extent_of(inner, i);

			fprintf(dump->to, ", holds ");
			dump_range(dump, extent.lo, extent.hi);
			fprintf(dump->to, ", largest gap %lu", extent.gap);
		}
		fprintf(dump->to, "%s\n", inner->slot[i] ? "" : ": empty");
		if (inner->slot[i])
			dump_node(dump, inner->slot[i], first, last, indent + 4);
	}
}

void samara_mt_dump(const struct maple_tree *mt, enum mt_dump_format format)
{
	struct dump dump = { mt, format, stderr };
	const void *root = mt->ma_root;

	fprintf(stderr, "maple_tree %p: flags %x, height %u, root %p\n", (const void *)mt,
		mt->ma_flags, samara_mt_height(mt), root);
	if (root_is_node(root))
		dump_node(&dump, root_node(root), 0, ULONG_MAX, 0);
	else if (root)
		fprintf(stderr, "0: %p\n", root);
}

void samara_mas_dump(const struct ma_state *mas)
{
	static const char *const status[] = { "active", "start",    "root",      "none",
					      "pause",  "overflow", "underflow", "error" };

	fprintf(stderr, "ma_state %p: tree %p, %s, index %lx, last %lx\n", (const void *)mas,
		(const void *)mas->tree, status[mas->status], mas->index, mas->last);
	fprintf(stderr, "  node %p, offset %u, min %lx, max %lx\n", (const void *)mas->node,
		mas->offset, mas->min, mas->max);
	if (samara_mas_is_err(mas))
		fprintf(stderr, "  errno %d\n", samara_mas_errno(mas));
}

void samara_mt_bug(const struct maple_tree *mt, const struct ma_state *mas, const char *file,
		   int line, const char *condition, bool fatal)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, fatal ? "BUG" : "WARNING", condition);
	if (mas)
		samara_mas_dump(mas);
	if (mt)
		samara_mt_dump(mt, mt_dump_hex);
	if (fatal)
		abort();
}

void samara_mt_validate(struct maple_tree *mt)
{
	struct samara_report report = { .invariant = NULL };

	if (samara_mtree_validate(mt, &report))
		samara_mt_bug(mt, NULL, __FILE__, __LINE__, report.text, true);
}

void samara_mt_cache_shrink(void)
{
	cache_shrink_all();
}

/* Graphviz ---------------------------------------------------------------- */

static void dot_leaf(FILE *to, const maple_leaf *leaf)
{
	fprintf(to, "\tn%p [shape=record, label=\"{leaf", (const void *)leaf);
	for (unsigned int i = 0; i < leaf->head.count; i++)
		fprintf(to, "|%lx - %lx%s", leaf->start[i], leaf->last[i],
			leaf->slot[i] ? "" : " (erased)");
	fprintf(to, "}\"];\n");
}

static void dot_node(const struct dump *dump, const maple_head *node)
{
	const maple_inner *inner = (const maple_inner *)node;

	if (!node->level) {
		dot_leaf(dump->to, (const maple_leaf *)node);
		return;
	}
	fprintf(dump->to, "\tn%p [shape=record, label=\"", (const void *)node);
	for (unsigned int i = 0; i < node->count; i++) {
		fprintf(dump->to, "%s<s%u> ", i ? "|" : "", i);
		if (i)
			fprintf(dump->to, "%lx", inner->key[i]);
		if (inner->slot[i] && tree_tracks_gaps(dump->mt))
			fprintf(dump->to, "\\ngap %lx", extent_of(inner, i)->gap);
	}
	fprintf(dump->to, "\"];\n");
	for (unsigned int i = 0; i < node->count; i++) {
		if (!inner->slot[i])
			continue;
		fprintf(dump->to, "\tn%p:s%u -> n%p;\n", (const void *)node, i, inner->slot[i]);
		dot_node(dump, inner->slot[i]);
	}
}

/* 0, or -errno of the file. The descriptor stays open. */
int samara_mtree_print_dot(const struct maple_tree *mt, int fd)
{
	struct dump dump = { .mt = mt };
	const void *root = mt->ma_root;
	int own = dup(fd), err = 0;

	if (own < 0)
		return -errno;
	dump.to = fdopen(own, "w");
	if (!dump.to) {
		err = -errno;
		close(own);
		return err;
	}
	fprintf(dump.to, "digraph maple_tree {\n\tnode [fontname=monospace, fontsize=10];\n");
	if (root_is_node(root))
		dot_node(&dump, root_node(root));
	else
		fprintf(dump.to, "\troot [shape=box, label=\"%s\"];\n", root ? "0 - 0" : "empty");
	fprintf(dump.to, "}\n");
	if (fclose(dump.to))
		err = -errno;
	return err;
}
