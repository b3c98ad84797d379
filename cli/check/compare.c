/* SPDX-License-Identifier: MIT */
/*
 * One call's answer, map, VmFlags and totals on both sides.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "check/check.h"

/* Files whose inodes are not ours to know, or of which each side has its own. */
static const char *const own_files[] = { "/dev/zero (deleted)", "/memfd:window (deleted)",
					 "/samara-check-" };

/* Bytes of the line at at. */
static size_t line_length(const char *at, const char *end)
{
	const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

	return (size_t)((newline ? newline : end) - at);
}

/* Where the inode stands: behind range, permissions, offset and device. */
static size_t inode_at(const char *line, size_t len)
{
	size_t at = 0;

	for (int spaces = 0; at < len && spaces < 4; at++)
		spaces += line[at] == ' ';
	return at;
}

static bool same_line(const char *a, size_t len_a, const char *b, size_t len_b)
{
	const size_t head = inode_at(a, len_a);

	if (len_a == len_b && !memcmp(a, b, len_a))
		return true;
	if (head != inode_at(b, len_b) || memcmp(a, b, head) != 0)
		return false;
	for (size_t i = 0; i < sizeof(own_files) / sizeof(own_files[0]); i++)
		if (memmem(a, len_a, own_files[i], strlen(own_files[i])))
			return memmem(b, len_b, own_files[i], strlen(own_files[i]));
	return false;
}

static void say_lines(struct difference *d, const char *a, size_t la, const char *b, size_t lb)
{
	snprintf(d->host, sizeof(d->host), "%.*s", la ? (int)la : 6, la ? a : "(none)");
	snprintf(d->ours, sizeof(d->ours), "%.*s", lb ? (int)lb : 6, lb ? b : "(none)");
}

static bool same_text(const char *a, size_t la, const char *b, size_t lb, struct difference *d)
{
	const char *const end_a = a + la, *const end_b = b + lb;

	if (la == lb && !memcmp(a, b, la))
		return true;
	while (a < end_a || b < end_b) {
		la = line_length(a, end_a);
		lb = line_length(b, end_b);
		if (!same_line(a, la, b, lb)) {
			say_lines(d, a, la, b, lb);
			return false;
		}
		a += la + (a + la < end_a);
		b += lb + (b + lb < end_b);
	}
	return true;
}

static bool same_totals(const struct wire_answer *a, const struct seen *b, struct difference *d)
{
	static const char *const names[TOTALS] = { "VmSize", "VmLck", "VmData", "VmStk",
						   "VmExe + VmLib" };

	for (int i = 0; i < TOTALS; i++) {
		if (a->total[i] == b->total[i])
			continue;
		snprintf(d->what, sizeof(d->what), "%s (kB)", names[i]);
		snprintf(d->host, sizeof(d->host), "%ld", (long)a->total[i]);
		snprintf(d->ours, sizeof(d->ours), "%ld", b->total[i]);
		return false;
	}
	return true;
}

bool same_answer(const struct host *h, const struct ours *o, unsigned int i, struct difference *d)
{
	const struct wire_answer *a = host_answer(h, i);
	const struct seen *b = &o->seen[i];
	const char *text;
	size_t len;

	*d = (struct difference){ .at = i, .what = "the answer" };
	if (a->ret != b->ret && !b->left.unsure_ret) {
		answer_text(a->ret, d->host, sizeof(d->host));
		answer_text(b->ret, d->ours, sizeof(d->ours));
		return false;
	}
	if (!same_fault(a, b, d) || !same_uffd(h, o, i, d))
		return false;
	if (a->vec != b->vec && !b->left.may) {
		snprintf(d->what, sizeof(d->what), "what mincore says of pages");
		snprintf(d->host, sizeof(d->host), "%ld", (long)a->vec);
		snprintf(d->ours, sizeof(d->ours), "%ld", b->vec);
		return false;
	}
	if (a->rss != b->left.rss && !b->left.unsure_rss) {
		snprintf(d->what, sizeof(d->what), "RssAnon + VmSwap (kB)");
		snprintf(d->host, sizeof(d->host), "%ld", (long)a->rss);
		snprintf(d->ours, sizeof(d->ours), "%ld", b->left.rss);
		return false;
	}
	snprintf(d->what, sizeof(d->what), "the map");
	text = host_text(h, i, &len);
	if (!same_text(text, len, o->text.at + b->text_at, b->text_len, d))
		return false;
	if (!same_pages(h, o, i, d))
		return false;
	if (!a->flags.len)
		return true;
	snprintf(d->what, sizeof(d->what), "VmFlags");
	if (!same_text((const char *)h->head + a->flags.at, a->flags.len, o->text.at + b->flags_at,
		       b->flags_len, d))
		return false;
	return same_totals(a, b, d);
}
