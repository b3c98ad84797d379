/* SPDX-License-Identifier: MIT */
/*
 * Choosing the next line among the files of a trace.
 */
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay/input.h"
#include "replay/sources.h"
#include "replay/strace_line.h"

struct source {
	struct input *in;
	int tid;
	const char *line; /* read ahead; NULL: none */
	double time;
	bool ended;
	unsigned long cut; /* the number of a line that was too long and is not told yet; 0: none */
	char cut_why[80];
};

struct sources {
	struct source *all;
	size_t nr, turn;
	bool timed;
	char *maps;
};

void sources_close(struct sources *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nr; i++)
		input_close(s->all[i].in);
	free(s->all);
	free(s->maps);
	free(s);
}

size_t sources_count(const struct sources *s)
{
	return s->nr;
}

bool sources_timed(const struct sources *s)
{
	return s->timed;
}

const char *sources_maps(const struct sources *s)
{
	return s->maps ? s->maps : "";
}

/* NAME.PID, NAME.PID.zst: the number; 0: it is something else. */
static int suffix_pid(const char *path, size_t prefix)
{
	char *end;
	long pid = strtol(path + prefix + 1, &end, 10);

	if (*end != '\0' && strcmp(end, ".zst") != 0 && strcmp(end, ".gz") != 0)
		return 0;
	return pid > 0 && pid <= (1 << 22) ? (int)pid : 0;
}

/* trace.strace.zst has maps.zst beside it; NAME has NAME.maps or NAME.maps.zst. */
static char *find_maps(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	static const char *const beside[] = { "maps.zst", "maps.gz", "maps" };
	static const char *const behind[] = { ".maps", ".maps.zst", ".maps.gz" };
	char *name = NULL;

	for (size_t i = 0; i < 3; i++) {
		int n = -1;

		if (strncmp(base, "trace.strace", 12) == 0)
			n = asprintf(&name, "%.*s%s", (int)(base - path), path, beside[i]);
		if (n >= 0 && access(name, F_OK) == 0)
			return name;
		if (n >= 0)
			free(name);
		n = asprintf(&name, "%s%s", path, behind[i]);
		if (n >= 0 && access(name, F_OK) == 0)
			return name;
		if (n >= 0)
			free(name);
	}
	return NULL;
}

static int read_ahead(struct source *src, char why[160])
{
	struct trace_event ev;
	int got;

	if (src->line || src->ended)
		return 0;
	got = input_line(src->in, &src->line, why);
	if (got == -EFBIG) { /* told by sources_next(), which has the replay */
		src->cut = input_number(src->in);
		snprintf(src->cut_why, sizeof(src->cut_why), "%.79s", why);
		return 0;
	}
	if (got < 0)
		return got;
	if (got == 0) {
		src->ended = true;
		return 0;
	}
	ev.tid = 0;
	line_prefix(src->line, &ev);
	src->time = ev.stamp.relative ? -1 : ev.stamp.time;
	return 0;
}

static int add_source(struct sources *s, const char *path, int tid, char **name, char why[160])
{
	struct source *src = &s->all[s->nr];
	int err = input_open(path, &src->in, why);

	if (err) {
		*name = strdup(path);
		return err;
	}
	s->nr++;
	src->tid = tid;
	if (!tid)
		return 0;
	err = read_ahead(src, why);
	if (err)
		*name = strdup(path);
	else if (src->ended || src->time < 0)
		s->timed = false;
	return err;
}

/* NAME.PID, NAME.PID.zst ...: the files of strace -ff */
static int open_set(struct sources *s, const char *prefix, char **name, char why[160])
{
	char *pattern = NULL;
	glob_t found = { 0 };
	int err = 0;

	if (asprintf(&pattern, "%s.[0-9]*", prefix) < 0)
		return -ENOMEM;
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0) {
		err = -ENOENT;
		snprintf(why, 160, "%s", strerror(ENOENT));
		*name = strdup(prefix);
		goto out;
	}
	s->all = calloc(found.gl_pathc, sizeof(*s->all));
	if (!s->all) {
		err = -ENOMEM;
		goto out;
	}
	s->timed = true;
	for (size_t i = 0; !err && i < found.gl_pathc; i++) {
		int tid = suffix_pid(found.gl_pathv[i], strlen(prefix));

		if (tid)
			err = add_source(s, found.gl_pathv[i], tid, name, why);
	}
	if (!err && !s->nr) {
		err = -ENOENT;
		snprintf(why, 160, "%s", strerror(ENOENT));
		*name = strdup(prefix);
	}
out:
	globfree(&found);
	free(pattern);
	return err;
}

/* The trace in a folder that tools/capture has made. */
static char *trace_in(const char *folder)
{
	static const char *const names[] = { "trace.strace.zst", "trace.strace.gz",
					     "trace.strace" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *name;

		if (asprintf(&name, "%s/%s", folder, names[i]) < 0)
			return NULL;
		if (access(name, F_OK) == 0)
			return name;
		free(name);
	}
	return NULL;
}

int sources_open(const char *path, struct sources **out, char **name, char why[160])
{
	struct sources *s = calloc(1, sizeof(*s));
	char *inside = NULL;
	struct stat st;
	int err;

	*name = NULL;
	if (!s)
		return -ENOMEM;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			size_t len = strlen(path);

			inside = strndup(path, len > 1 && path[len - 1] == '/' ? len - 1 : len);
			char *trace = inside ? trace_in(inside) : NULL;

			free(inside);
			inside = trace;
		}
		s->all = calloc(1, sizeof(*s->all));
		err = s->all ? add_source(s, inside ? inside : path, 0, name, why) : -ENOMEM;
		if (!err)
			s->maps = find_maps(inside ? inside : path);
	} else {
		err = open_set(s, path, name, why);
	}
	free(inside);
	if (err) {
		sources_close(s);
		return err;
	}
	*out = s;
	return 0;
}

/* A set: the earliest line, or the next in turn that the replay can take. */
static struct source *choose(struct sources *s, struct replay *r)
{
	struct source *best = NULL;

	for (size_t n = 0; n < s->nr; n++) {
		struct source *src = &s->all[(s->turn + n) % s->nr];

		if (!src->line)
			continue;
		if (s->timed) {
			if (!best || src->time < best->time)
				best = src;
		} else if (replay_ready(r, src->tid)) {
			s->turn = (s->turn + n + 1) % s->nr;
			return src;
		}
	}
	return best;
}

/* The next line of a file of a set; lines that are too long are told on the way. */
static int read_ahead_telling(struct source *src, struct replay *r, char why[160])
{
	int err;

	do {
		if (src->cut)
			replay_bad_line(r, input_path(src->in), src->cut, src->cut_why);
		src->cut = 0;
		err = read_ahead(src, why);
	} while (!err && src->cut);
	return err;
}

static int give(struct source *src, struct source_line *out)
{
	out->text = src->line;
	out->path = input_path(src->in);
	out->number = input_number(src->in);
	out->tid = src->tid;
	src->line = NULL;
	return 1;
}

int sources_next(struct sources *s, struct replay *r, struct source_line *out, const char **name,
		 char why[160])
{
	struct source *src = s->all;
	bool any = false;
	int got;

	*name = input_path(src->in);
	if (s->nr == 1 && src->tid == 0) {
		while ((got = input_line(src->in, &src->line, why)) == -EFBIG)
			replay_bad_line(r, *name, input_number(src->in), why);
		return got <= 0 ? got : give(src, out);
	}
	for (size_t i = 0; i < s->nr; i++) {
		got = read_ahead_telling(&s->all[i], r, why);
		if (got < 0) {
			*name = input_path(s->all[i].in);
			return got;
		}
		any |= s->all[i].line != NULL;
	}
	if (!any)
		return 0;
	src = choose(s, r);
	if (!src && !replay_force(r))
		src = choose(s, r);
	/* strace was attached to those that are left: the trace does not say who made them. */
	for (size_t i = 0; !src && i < s->nr; i++)
		if (s->all[i].line)
			src = &s->all[i];
	return give(src, out);
}

enum arch sources_arch(const struct sources *s, int wanted)
{
	const struct source *src = &s->all[0];
	size_t len;
	const char *text = input_ahead(src->in, &len);

	return arch_of_text(text, len, wanted);
}

double sources_progress(const struct sources *s)
{
	double sum = 0;

	for (size_t i = 0; i < s->nr; i++) {
		double one = input_progress(s->all[i].in);

		if (one < 0)
			return -1;
		sum += one / (double)s->nr;
	}
	return sum;
}
