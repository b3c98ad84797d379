/* SPDX-License-Identifier: MIT */
/*
 * The sorted array that says what a tree should contain; see tree_model.h.
 */
#include "tree_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_init(struct tree_model *m)
{
	memset(m, 0, sizeof(*m));
}

void model_free(struct tree_model *m)
{
	free(m->r);
	model_init(m);
}

size_t model_at(const struct tree_model *m, unsigned long index)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->r[mid].last < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct model_range model_slot(const struct tree_model *m, unsigned long index)
{
	size_t i = model_at(m, index);
	struct model_range slot = { 0, ULONG_MAX, NULL };

	if (i < m->n && m->r[i].first <= index)
		return m->r[i];
	if (i > 0)
		slot.first = m->r[i - 1].last + 1;
	if (i < m->n)
		slot.last = m->r[i].first - 1;
	return slot;
}

void *model_load(const struct tree_model *m, unsigned long index)
{
	return model_slot(m, index).entry;
}

bool model_is_empty(const struct tree_model *m, unsigned long first, unsigned long last)
{
	size_t i = model_at(m, first);

	return i == m->n || m->r[i].first > last;
}

bool model_cuts(const struct tree_model *m, unsigned long first, unsigned long last)
{
	struct model_range left = model_slot(m, first), right = model_slot(m, last);

	return (left.entry && left.first < first) || (right.entry && right.last > last);
}

static void make_room(struct tree_model *m, size_t n)
{
	if (n <= m->room)
		return;
	m->room = n * 2 + 64;
	m->r = realloc(m->r, m->room * sizeof(*m->r));
	if (!m->r)
		abort();
}

/* Put n ranges in the place of those from i up to, not including, j. */
static void replace(struct tree_model *m, size_t i, size_t j, const struct model_range *with,
		    size_t n)
{
	if (i == j && !n)
		return;
	make_room(m, m->n + n);
	memmove(&m->r[i + n], &m->r[j], (m->n - j) * sizeof(*m->r));
	if (n)
		memcpy(&m->r[i], with, n * sizeof(*with));
	m->n = m->n - (j - i) + n;
}

/* Where Linux keeps the entry of 0..0 after this store. */
static bool kept_in_root(const struct tree_model *m, unsigned long first, unsigned long last,
			 const void *entry)
{
	bool small = !m->n || m->root_entry;

	if (!entry)
		return m->root_entry && first > 0;
	return small && !first && !last && ((unsigned long)entry & 3) != 2;
}

void model_store(struct tree_model *m, unsigned long first, unsigned long last, void *entry)
{
	struct model_range with[3];
	size_t i = model_at(m, first), j = i, n = 0;
	bool in_root = kept_in_root(m, first, last, entry);

	while (j < m->n && m->r[j].first <= last)
		j++;
	if (i < j && m->r[i].first < first)
		with[n++] = (struct model_range){ m->r[i].first, first - 1, m->r[i].entry };
	if (entry)
		with[n++] = (struct model_range){ first, last, entry };
	if (i < j && m->r[j - 1].last > last)
		with[n++] = (struct model_range){ last + 1, m->r[j - 1].last, m->r[j - 1].entry };
	replace(m, i, j, with, n);
	m->root_entry = in_root && m->n;
}

void *model_erase(struct tree_model *m, unsigned long index)
{
	struct model_range slot = model_slot(m, index);

	if (slot.entry)
		model_store(m, slot.first, slot.last, NULL);
	return slot.entry;
}

int model_insert(struct tree_model *m, unsigned long first, unsigned long last, void *entry)
{
	if (!model_is_empty(m, first, last))
		return -EEXIST;
	model_store(m, first, last, entry);
	return 0;
}

static bool window_is_wrong(unsigned long min, unsigned long max, unsigned long size)
{
	return min > max || !size || size - 1 > max - min;
}

int model_gap(const struct tree_model *m, unsigned long min, unsigned long max, unsigned long size,
	      unsigned long *first)
{
	unsigned long from = min;
	size_t i;

	if (window_is_wrong(min, max, size))
		return -EINVAL;
	for (i = model_at(m, min);; i++) {
		unsigned long end = max;

		if (i < m->n && m->r[i].first <= max) {
			if (m->r[i].first <= from)
				goto taken;
			end = m->r[i].first - 1;
		}
		if (end - from >= size - 1) {
			*first = from;
			return 0;
		}
		if (i == m->n || m->r[i].first > max)
			return -EBUSY;
taken:
		if (m->r[i].last >= max)
			return -EBUSY;
		from = m->r[i].last + 1;
	}
}

int model_gap_rev(const struct tree_model *m, unsigned long min, unsigned long max,
		  unsigned long size, unsigned long *first)
{
	unsigned long to = max;
	size_t i;

	if (window_is_wrong(min, max, size))
		return -EINVAL;
	/* r[i - 1] is the next entry downwards */
	i = model_at(m, max);
	if (i < m->n && m->r[i].first <= max)
		i++;
	for (;; i--) {
		unsigned long begin = min;

		if (i > 0 && m->r[i - 1].last >= min) {
			if (m->r[i - 1].last >= to)
				goto taken;
			begin = m->r[i - 1].last + 1;
		}
		if (to - begin >= size - 1) {
			*first = to - (size - 1);
			return 0;
		}
		if (!i || m->r[i - 1].last < min)
			return -EBUSY;
taken:
		if (m->r[i - 1].first <= min)
			return -EBUSY;
		to = m->r[i - 1].first - 1;
	}
}

bool model_either_shape(const struct tree_model *m)
{
	return m->n == 1 && !m->r[0].last && !m->root_entry;
}

enum model_shape model_shape(const struct tree_model *m)
{
	if (!m->n)
		return MODEL_EMPTY;
	return m->root_entry ? MODEL_ROOT : MODEL_NODES;
}

#define SAY(...) (snprintf(text, room, __VA_ARGS__), -1)

static int compare_entries(const struct tree_model *m, struct maple_tree *mt, char *text,
			   size_t room)
{
	MA_STATE(mas, mt, 0, 0);
	void *entry;
	size_t i = 0;

	mas_for_each(&mas, entry, ULONG_MAX) {
		if (i == m->n)
			return SAY("forwards: an entry too many at %#lx..%#lx", mas.index,
				   mas.last);
		if (mas.index != m->r[i].first || mas.last != m->r[i].last ||
		    entry != m->r[i].entry)
			return SAY("forwards: entry %zu is %#lx..%#lx %p, should be %#lx..%#lx %p",
				   i, mas.index, mas.last, entry, m->r[i].first, m->r[i].last,
				   m->r[i].entry);
		i++;
	}
	if (i != m->n)
		return SAY("forwards: %zu entries, should be %zu", i, m->n);
	mas_set(&mas, ULONG_MAX);
	mas_for_each_rev(&mas, entry, 0) {
		if (!i)
			return SAY("backwards: an entry too many at %#lx..%#lx", mas.index,
				   mas.last);
		i--;
		if (mas.index != m->r[i].first || mas.last != m->r[i].last ||
		    entry != m->r[i].entry)
			return SAY("backwards: entry %zu is %#lx..%#lx %p, should be %#lx..%#lx %p",
				   i, mas.index, mas.last, entry, m->r[i].first, m->r[i].last,
				   m->r[i].entry);
	}
	return i ? SAY("backwards: the first %zu entries were not met", i) : 0;
}

int model_compare(const struct tree_model *m, struct maple_tree *mt, char *text, size_t room)
{
	struct samara_report report = { NULL, "" };
	struct samara_tree_stats stats;
	int err = samara_mtree_validate(mt, &report);

	if (err)
		return SAY("validate: %d, %s: %s", err, report.invariant ? report.invariant : "?",
			   report.text);
	samara_mtree_stats(mt, &stats);
	if (stats.entries != m->n)
		return SAY("stats: %lu entries, should be %zu", stats.entries, m->n);
	if (mtree_empty(mt) != !m->n)
		return SAY("mtree_empty() is %d with %zu entries", mtree_empty(mt), m->n);
	if (!m->n && (stats.nodes || stats.bytes || mt_height(mt)))
		return SAY("an empty tree of %lu nodes, %lu bytes, height %u", stats.nodes,
			   stats.bytes, mt_height(mt));
	if (m->root_entry && mt_height(mt))
		return SAY("height %u with only 0..0 stored", mt_height(mt));
	if (m->n && !m->root_entry && !model_either_shape(m) && !mt_height(mt))
		return SAY("height 0 with %zu entries", m->n);
	return compare_entries(m, mt, text, room);
}
