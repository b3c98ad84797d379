/* SPDX-License-Identifier: MIT */
/*
 * What the child tells of pages: pagemap and sums of contents, of its own and
 * of the processes that wait, into the arena. Nothing is brought in by looking.
 * A process that dropped its capabilities is not shown one that has them.
 * Part of child.c.
 */
#ifndef CLI_CHECK_CHILD_PAGES_H
#define CLI_CHECK_CHILD_PAGES_H

#include "access.h"

#define PM_PRESENT (1UL << 63)

/* One process's files. */
struct looked_at {
	uint64_t nr;
	int own;
	long pagemap, mem;
};

/* One line of its map. */
struct mapped {
	uint64_t start, end;
	int accessible, disk;
};

static int contains(const char *text, const char *end, const char *word)
{
	for (; text < end; text++)
		if (*text == *word && begins_with(text, end, word))
			return 1;
	return 0;
}

static const char *next_line(const char *at, const char *end, struct mapped *out)
{
	const char *line = at;

	out->start = hex(&at);
	at++;
	out->end = hex(&at);
	at++;
	out->accessible = at[0] != '-' || at[1] != '-' || at[2] != '-';
	while (at < end && *at != '\n')
		at++;
	out->disk = contains(line, at, "samara-check-");
	return at + 1;
}

static uint64_t sum_of_page(const struct looked_at *p, uint64_t at)
{
	char *const buf = work_at(0);

	if (p->own)
		return sum_add(0, (const void *)at, at, 4096);
	if (p->mem < 0)
		return 0;
	if (sys4(__NR_pread64, (uint64_t)p->mem, (uint64_t)buf, 4096, at) != 4096)
		return ~0UL;
	return sum_add(0, buf, at, 4096);
}

/* 0, or -1 when there is no more room. */
static int look_at_mapping(const struct looked_at *p, const struct mapped *m,
			   struct wire_answer *answer)
{
	const uint64_t *const entries = work_at(WIRE_WORK_ENTRIES);
	const uint64_t n = (m->end - m->start) / 4096;

	if (n > WIRE_RUN || m->start < WIRE_LOW || m->end > 1UL << 47)
		return 0;
	if (sys4(__NR_pread64, (uint64_t)p->pagemap, (uint64_t)entries, n * 8, m->start / 512) !=
	    (long)(n * 8))
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		struct wire_page *to = at_offset(HEAD->text.at);

		if (!entries[i] || (m->disk && is_of_disk(entries[i])))
			continue;
		if (HEAD->text.at + sizeof(*to) > HEAD->size)
			return -1;
		to->at = (m->start + i * 4096) | p->nr;
		to->entry = entries[i];
		to->sum = (entries[i] & PM_PRESENT) && m->accessible ?
				  sum_of_page(p, m->start + i * 4096) :
				  0;
		HEAD->text.at += sizeof(*to);
		answer->pages.n++;
	}
	return 0;
}

static int look_at_process(const struct looked_at *p, long maps, struct wire_answer *answer)
{
	char *const text = work_at(WIRE_WORK_MAP);
	const long len = slurp(maps, text, WIRE_WORK - WIRE_WORK_MAP);
	const char *at = text;
	int err = len < 0 ? -1 : 0;

	while (!err && at < text + len) {
		struct mapped m;

		at = next_line(at, text + len, &m);
		err = look_at_mapping(p, &m, answer);
	}
	return err;
}

static void close_file(long fd)
{
	if (fd >= 0)
		sys3(__NR_close, (uint64_t)fd, 0, 0);
}

static int show_pages(struct wire_answer *answer)
{
	const uint32_t me = LANES ? ~0U : HEAD->procs.now; /* the director is none */
	int err = 0;

	answer->pages.at = HEAD->text.at;
	for (uint32_t i = 0; !err && i <= HEAD->procs.forks; i++) {
		const int32_t pid = HEAD->procs.pid[i];
		const long maps = open_of(pid, "maps");
		const struct looked_at p = {
			.nr = i,
			.own = i == me,
			.pagemap = open_of(pid, "pagemap"),
			.mem = i == me ? -1 : open_of(pid, "mem"),
		};

		if (maps < 0 || p.pagemap < 0)
			answer->pages.unseen |= 1U << i;
		else
			err = look_at_process(&p, maps, answer);
		if (!p.own && p.mem < 0)
			answer->pages.unread |= 1U << i;
		close_file(maps);
		close_file(p.pagemap);
		close_file(p.mem);
	}
	return err;
}

#endif
