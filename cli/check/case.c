/* SPDX-License-Identifier: MIT */
/*
 * Named cases: sequences in a file, with what is expected written beside them.
 *
 *   # anything
 *   mmap(W, 0x2000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W
 *   mprotect(W+0x1000, 0x1000, READ) = 0
 *   | W-W+0x1000 rw-p 0 -
 *   | W+0x1000-W+0x2000 r--p 0x1000 - (rd mr mw me ac)
 *
 * Lines with a bar are the whole map after the call before them, without the
 * child's own two mappings: range, permissions, offset, what is mapped (- for
 * anonymous memory, shared, memfd, disk, readonly, zero, [heap]), and in brackets, if one
 * cares, VmFlags. A call without ` = ' may answer anything. Where the host is asked,
 * pages are compared after every call.
 *
 * `needs zero_page' or `needs no_zero_page' before the first call: what is expected depends on
 * what reading untouched memory maps. The library's machine is made so; a host that is not so is
 * not asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check/case.h"

/* What a mapping is called in a case. */
static const char *kind_name(const char *line, size_t len)
{
	static const struct {
		const char *in_map, *name;
	} known[] = {
		{ "/memfd:window", "memfd" },   { "samara-check-", "disk" },
		{ "/dev/zero (del", "shared" }, { "/dev/zero", "zero" },
		{ "[heap]", "[heap]" },         { "[stack]", "[stack]" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (memmem(line, len, known[i].in_map, strlen(known[i].in_map)))
			return known[i].name;
	return "-";
}

static size_t line_length(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return (size_t)((newline ? newline : end) - at);
}

/* A line of /proc/PID/maps and one of VmFlags, as a case has them. False: the child's own. */
static bool brief(const char *line, size_t len, const char *flags, size_t flags_len, char *out)
{
	char from[32], to[32], perms[5];
	unsigned long start, end, offset;

	if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, perms, &offset) != 4)
		return false;
	if (start < WIRE_LOW || start >= samara_geometry_x86_64()->task_size)
		return false;
	number_text(start, from, sizeof(from));
	number_text(end, to, sizeof(to));
	while (flags_len && flags[flags_len - 1] == ' ')
		flags_len--;
	snprintf(out, BRIEF, offset ? "| %s-%s %s %#lx %s (%.*s)" : "| %s-%s %s %lu %s (%.*s)",
		 from, to, perms, offset, kind_name(line, len), (int)flags_len, flags);
	return true;
}

/* The map after call i, a line at a time. False: no more. */
struct brief_walk {
	const char *at, *end, *flags, *flags_end;
};

static void brief_start(struct brief_walk *w, const struct ours *o, unsigned int i)
{
	const struct seen *s = &o->seen[i];

	w->at = o->text.at + s->text_at;
	w->end = w->at + s->text_len;
	w->flags = o->text.at + s->flags_at;
	w->flags_end = w->flags + s->flags_len;
}

static bool brief_next(struct brief_walk *w, char *out)
{
	bool found = false;

	while (!found && w->at < w->end) {
		const size_t len = line_length(w->at, w->end);
		const size_t flags_len = line_length(w->flags, w->flags_end);

		found = brief(w->at, len, w->flags, flags_len, out);
		w->at += len + (w->at + len < w->end);
		w->flags += flags_len + (w->flags + flags_len < w->flags_end);
	}
	return found;
}

int case_write(FILE *to, const struct seq *seq, const struct ours *o, const char *title)
{
	char text[CALL_TEXT], ret[64], detail[DETAIL], line[BRIEF];
	struct brief_walk w;

	fprintf(to, "#%s\n", title);
	for (unsigned int i = 0; i < seq->n; i++) {
		op_text(&seq->op[i], text, sizeof(text));
		if (!o) {
			fprintf(to, "%s\n", text);
			continue;
		}
		answer_text(o->seen[i].ret, ret, sizeof(ret));
		seen_text(o, i, detail, sizeof(detail));
		fprintf(to, "%s = %s%s%s\n", text, ret, *detail ? " " : "", detail);
	}
	if (o && seq->n) {
		brief_start(&w, o, seq->n - 1);
		while (brief_next(&w, line))
			fprintf(to, "%s\n", line);
	}
	return ferror(to) ? -EIO : 0;
}

/* reading ------------------------------------------------------------------- */

static bool keep_line(struct script *s, const char *line)
{
	struct expected *e = &s->expected[s->seq.n - 1];
	const size_t len = strlen(line);
	char *more = realloc(e->map, e->map_len + len + 2);

	if (!more)
		return false;
	e->map = more;
	memcpy(more + e->map_len, line, len + 1);
	e->map_len += len;
	return true;
}

/* What the kernel has to be like. NULL, or what is wrong. */
static const char *take_need(struct script *s, const char *need)
{
	const size_t len = strcspn(need, " \t\r\n");

	if (s->seq.n)
		return "a need behind the first call";
	if (len == 9 && !memcmp(need, "zero_page", len))
		s->zero_page = ZERO_PAGE_SHARED;
	else if (len == 12 && !memcmp(need, "no_zero_page", len))
		s->zero_page = ZERO_PAGE_NONE;
	else
		return "needs what?";
	return NULL;
}

/* NULL, or what is wrong with the line. */
static const char *take_line(struct script *s, char *line)
{
	struct expected *e = &s->expected[s->seq.n];
	const char *why;

	line += strspn(line, " \t");
	if (*line == '#' && !s->title[0])
		snprintf(s->title, sizeof(s->title), "%.*s", (int)strcspn(line + 1, "\n"),
			 line + 1);
	if (*line == '#' || *line == '\n' || !*line)
		return NULL;
	if (*line == '|')
		return !s->seq.n          ? "a map before the first call" :
		       keep_line(s, line) ? NULL :
					    "too much of it";
	if (!strncmp(line, "needs ", 6))
		return take_need(s, line + 6);
	if (s->seq.n == MAX_OPS)
		return "too many calls";
	*e = (struct expected){ 0 };
	why = op_parse(line, &s->seq.op[s->seq.n], &e->answer);
	if (!why)
		s->seq.op[s->seq.n++].look |= LOOK_FLAGS | LOOK_PAGES;
	return why;
}

static int read_script(struct script *s, const char *path)
{
	FILE *f = fopen(path, "r");
	const char *why = NULL;
	unsigned int number = 0;
	char line[1024];

	if (!f)
		return -errno;
	s->zero_page = ZERO_PAGE_UNKNOWN;
	while (!why && fgets(line, sizeof(line), f)) {
		number++;
		why = strchr(line, '\n') || feof(f) ? take_line(s, line) : "a line too long";
	}
	if (!why && ferror(f))
		why = "cannot be read";
	fclose(f);
	if (!why && !s->seq.n)
		why = "no call in it";
	snprintf(s->why, sizeof(s->why), "line %u: %s", number, why ? why : "");
	return why ? -EINVAL : 0;
}

/* running ------------------------------------------------------------------- */

/* Is line what was expected? Without brackets there the flags do not matter. */
static bool line_fits(const char *expected, size_t len, const char *line)
{
	while (len && (expected[len - 1] == ' ' || expected[len - 1] == '\r'))
		len--;
	if (len && expected[len - 1] == ')')
		return strlen(line) == len && !memcmp(expected, line, len);
	return strlen(line) > len && !memcmp(expected, line, len) && line[len] == ' ' &&
	       line[len + 1] == '(';
}

static bool map_fits(const struct expected *e, const struct ours *o, unsigned int i,
		     struct difference *d)
{
	const char *at = e->map, *const end = e->map + e->map_len;
	struct brief_walk w;
	char line[BRIEF];
	bool more;

	brief_start(&w, o, i);
	do {
		const size_t len = at < end ? line_length(at, end) : 0;

		more = brief_next(&w, line);
		if (!more && !len)
			return true;
		if (!more || !len || !line_fits(at, len, line)) {
			*d = (struct difference){ .at = i, .what = "the map" };
			snprintf(d->host, sizeof(d->host), "%.*s", len ? (int)len : 6,
				 len ? at : "(none)");
			snprintf(d->ours, sizeof(d->ours), "%s", more ? line : "(none)");
			return false;
		}
		at += len + (at + len < end);
	} while (more);
	return true;
}

static bool fits(const struct script *s, const struct ours *o, unsigned int i, struct difference *d)
{
	const struct expected *e = &s->expected[i];
	char detail[DETAIL];

	if (e->answer.known && e->answer.ret != o->seen[i].ret) {
		*d = (struct difference){ .at = i, .what = "the answer" };
		answer_text(e->answer.ret, d->host, sizeof(d->host));
		answer_text(o->seen[i].ret, d->ours, sizeof(d->ours));
		return false;
	}
	seen_text(o, i, detail, sizeof(detail));
	if (e->answer.known && strcmp(e->answer.detail, detail) != 0) {
		*d = (struct difference){ .at = i };
		snprintf(d->what, sizeof(d->what), "%s",
			 is_uffd(s->seq.op[i].nr) ? "what it wrote" : "the signal");
		snprintf(d->host, sizeof(d->host), "%s", e->answer.detail);
		snprintf(d->ours, sizeof(d->ours), "%s", detail);
		return false;
	}
	return !e->map || map_fits(e, o, i, d);
}

static void tell(const char *path, const char *who, const struct script *s,
		 const struct difference *d)
{
	char text[CALL_TEXT];

	op_text(&s->seq.op[d->at], text, sizeof(text));
	printf("%s: call %u, %s: %s differs\n  %-9s %s\n  %-9s %s\n", path, d->at + 1, text,
	       d->what, who, d->host, "samara:", d->ours);
}

static void script_free(struct script *s)
{
	for (unsigned int i = 0; i < s->seq.n; i++)
		free(s->expected[i].map);
	free(s);
}

/* The library's machine; need UNKNOWN: as it is. 0 or -errno. */
static int be_as_needed(struct side_by_side *side, int need)
{
	if (need == ZERO_PAGE_UNKNOWN || need == side->ours.set.machine.zero_page)
		return 0;
	return ours_other_machine(&side->ours, need);
}

static bool is_as_needed(const struct side_by_side *side, int need)
{
	return need == ZERO_PAGE_UNKNOWN || need == (int)side->ours.set.found.facts.zero.page;
}

/* Why the host is not asked, or NULL. */
static const char *why_not_asked(const struct side_by_side *side, const struct script *s)
{
	const struct host_facts *facts = &side->ours.set.found.facts;
	const char *why = NULL;

	if (!is_as_needed(side, s->zero_page))
		return "its zero page is not as the case needs it";
	if (seq_has_lanes(&s->seq) && facts->uffd.why[0])
		return facts->uffd.why;
	for (unsigned int i = 0; !why && i < s->seq.n; i++) {
		why = facts_cannot_judge_op(facts, &s->seq.op[i]);
		if (!why && seq_may_have_huge_pages(&s->seq) && op_touches(&s->seq.op[i]))
			why = "it may build huge pages, and there are none here";
	}
	return why;
}

/* The library, with addresses in their usual places, against what is written. False: it differs. */
static bool as_written(struct side_by_side *side, struct script *s, const char *path, int *err)
{
	struct difference d;
	bool same = true;

	side->ours.begin.base = 0;
	side->ours.begin.bottom_up = false;
	side->ours.begin.lanes = seq_has_lanes(&s->seq);
	*err = ours_begin(&side->ours);
	for (unsigned int i = 0; !*err && same && i < s->seq.n; i++) {
		*err = ours_do(&side->ours, &s->seq.op[i], i);
		if (!*err && !fits(s, &side->ours, i, &d)) {
			tell(path, "expected:", s, &d);
			same = false;
		}
	}
	ours_end(&side->ours);
	side->ours.begin.base = side->host.begin.base;
	side->ours.begin.bottom_up = side->host.begin.bottom_up;
	return same;
}

/* The case again, with the library's answers and its last map. */
static int save(const struct script *s, const struct ours *o, const char *path)
{
	FILE *to = path ? fopen(path, "w") : NULL;
	int err;

	if (!path)
		return 0;
	if (!to)
		return -errno;
	err = case_write(to, &s->seq, o, s->title);
	return fclose(to) ? -errno : err;
}

int case_run(struct side_by_side *side, const char *path, const char *host_reason,
	     const char *save_to, json_t *out)
{
	struct script *s = calloc(1, sizeof(*s));
	const int usual = side->ours.set.machine.zero_page;
	const char *host = "agrees";
	bool same = false, host_same = true;
	int err;

	if (!s)
		return fail_check("out of memory");
	err = read_script(s, path);
	if (err) {
		fail_check("%s: %s", path, err == -EINVAL ? s->why : strerror(-err));
		script_free(s);
		return 2;
	}
	err = be_as_needed(side, s->zero_page);
	if (!host_reason)
		host_reason = why_not_asked(side, s);
	if (host_reason)
		host = "not asked";
	if (!err)
		same = as_written(side, s, path, &err);
	if (!err && same && !host_reason) {
		host_same = !seq_differs(side, &s->seq);
		if (!host_same) {
			tell(path, "host:", s, &side->diff);
			host = "disagrees";
		} else if (side->error) {
			host = side->error;
		}
	}
	if (!err)
		err = save(s, &side->ours, save_to);
	(void)!be_as_needed(side, usual);
	if (err)
		fail_check("%s: %s", path,
			   err == -EUCLEAN ? side->ours.broken.text : strerror(-err));
	else if (!out && same && host_same)
		printf("%s: %u calls as expected; the host: %s%s%s\n", path, s->seq.n, host,
		       host_reason ? ": " : "", host_reason ? host_reason : "");
	json_array_append_new(out, json_pack("{s:s s:b s:s}", "case", path, "as_expected", same,
					     "host", same ? host : "not asked"));
	script_free(s);
	return err ? 2 : same && host_same ? 0 : 1;
}
