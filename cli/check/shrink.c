/* SPDX-License-Identifier: MIT */
/*
 * A sequence on both sides, and the shortest part of it that still differs:
 * pieces are left out, from halves down to single calls, for as long as one can go; then
 * lengths become one page where that is enough.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"

#define TRIES 3

bool host_fresh(struct side_by_side *s, bool lanes)
{
	if (s->host.pid > 0 && s->host.begin.lanes == lanes)
		return true;
	if (s->host.pid > 0)
		host_stop(&s->host);
	s->error = host_start(&s->host, &s->ours.files, &s->ours.set, lanes);
	if (!s->error) {
		free(s->ours.begin.map);
		s->ours.begin.map = strdup(s->host.begin.map);
		s->ours.begin.bottom_up = s->host.begin.bottom_up;
		s->ours.begin.base = s->host.begin.base;
	}
	return !s->error;
}

void broken_invariant(struct side_by_side *s, unsigned int at)
{
	s->diff = (struct difference){ .at = at };
	snprintf(s->diff.what, sizeof(s->diff.what), "an invariant of the library");
	snprintf(s->diff.host, sizeof(s->diff.host), "(holds)");
	snprintf(s->diff.ours, sizeof(s->diff.ours), "%s: %s", s->ours.broken.invariant,
		 s->ours.broken.text);
}

/* Pages that the host has taken back, from whomever, since it started. */
static unsigned long pages_reclaimed(void)
{
	return host_counter("/proc/vmstat", "pgsteal_anon ") +
	       host_counter("/proc/vmstat", "pgsteal_file ");
}

/* Whether what is in memory is looked at: reclaim changes that, of MADV_FREE, files, with swap. */
static bool looks_at_pages(const struct seq *seq)
{
	for (unsigned int i = 0; i < seq->n; i++)
		if (seq->op[i].look & (LOOK_PAGES | LOOK_VEC))
			return true;
	return false;
}

/* The answers, as far as they go. True: they differ. */
static bool answers_differ(struct side_by_side *s, const struct seq *seq, unsigned long *compared)
{
	for (*compared = 0; *compared < s->host.head->result.done; ++*compared) {
		const unsigned int i = (unsigned int)*compared;
		const char *why;

		if (same_answer(&s->host, &s->ours, i, &s->diff))
			continue;
		why = answer_cannot_judge(&s->ours.set, &seq->op[i], host_answer(&s->host, i)->ret,
					  s->ours.seen[i].ret);
		if (!why)
			return true;
		s->error = why;
		return false;
	}
	return false;
}

bool seq_compare(struct side_by_side *s, const struct seq *seq, unsigned long *compared)
{
	const bool reclaimable = looks_at_pages(seq);
	unsigned long same = 0;

	for (int tries = 0; tries < TRIES; tries++) {
		const unsigned long before = reclaimable ? pages_reclaimed() : 0;
		bool differ;

		if (!host_fresh(s, s->ours.begin.lanes))
			return false;
		s->error = host_run(&s->host, seq);
		differ = answers_differ(s, seq, &same);
		if (!differ || !reclaimable || pages_reclaimed() == before) {
			if (compared)
				*compared += same;
			if (differ)
				s->error = NULL;
			else if (s->error)
				host_stop(&s->host); /* whatever state it is in */
			return differ;
		}
	}
	s->error = "the host reclaims memory all the time";
	return false;
}

bool seq_differs(struct side_by_side *s, struct seq *seq)
{
	unsigned int n;
	int err;

	s->error = NULL;
	s->ours.begin.lanes = seq_has_lanes(seq);
	if (!host_fresh(s, s->ours.begin.lanes))
		return false;
	err = ours_begin(&s->ours);
	for (n = 0; !err && n < seq->n; n++)
		err = ours_do(&s->ours, &seq->op[n], n);
	ours_end(&s->ours);
	if (err == -EUCLEAN) {
		broken_invariant(s, n - 1);
		return true;
	}
	if (err) {
		s->error = "the library is out of memory";
		return false;
	}
	return seq_compare(s, seq, NULL);
}

static bool differs_without(struct side_by_side *s, struct seq *seq, unsigned int at,
			    unsigned int len)
{
	static struct seq shorter;

	shorter = *seq;
	memmove(&shorter.op[at], &shorter.op[at + len],
		(seq->n - at - len) * sizeof(shorter.op[0]));
	shorter.n -= len;
	if (!seq_differs(s, &shorter))
		return false;
	shorter.n = s->diff.at + 1;
	*seq = shorter;
	return true;
}

static void shorten_lengths(struct side_by_side *s, struct seq *seq)
{
	for (unsigned int i = 0; i < seq->n; i++) {
		const uint64_t len = seq->op[i].arg[1];
		const enum arg_kind kind = calls[call_of(seq->op[i].nr)].kind[1];

		if (calls[call_of(seq->op[i].nr)].args < 2 || kind != ARG_NUM || len <= PAGE)
			continue;
		seq->op[i].arg[1] = PAGE;
		if (!seq_differs(s, seq))
			seq->op[i].arg[1] = len;
		else
			seq->n = s->diff.at + 1;
	}
}

/* More VmFlags never hurt here: without them a difference is seen later than it is there. */
static void look_at_all(struct seq *seq)
{
	uint32_t look = LOOK_FLAGS;

	for (unsigned int i = 0; i < seq->n; i++)
		look |= seq->op[i].look & LOOK_PAGES;
	for (unsigned int i = 0; i < seq->n; i++)
		seq->op[i].look |= look;
}

void seq_shrink(struct side_by_side *s, struct seq *seq)
{
	bool gone = true;

	seq->n = s->diff.at + 1;
	look_at_all(seq);
	if (seq_differs(s, seq))
		seq->n = s->diff.at + 1;
	while (gone) {
		gone = false;
		for (unsigned int len = seq->n / 2; len; len /= 2)
			for (unsigned int at = 0; at + len <= seq->n;)
				if (differs_without(s, seq, at, len))
					gone = true;
				else
					at += len;
	}
	shorten_lengths(s, seq);
	seq_differs(s, seq);
}
