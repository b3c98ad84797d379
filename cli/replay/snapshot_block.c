/* SPDX-License-Identifier: MIT */
/*
 * One block of a maps file: its lines, read into a struct snapshot. snapshot.c has
 * the format.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "replay/snapshot_block.h"

static const char *const kinds[] = { "exec", "fork", "mid", "exit", "touch" };

const char *snapshot_kind_name(enum snapshot_kind kind)
{
	return kinds[kind];
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->lines.nr; i++)
		free((char *)s->lines.at[i].name);
	free(s->lines.at);
	free(s->touched.at);
	free(s);
}

int snapshot_grow(void **array, size_t have, size_t *room, size_t size)
{
	void *more;
	size_t want = *room ? 2 * *room : 16;

	if (have < *room)
		return 0;
	more = realloc(*array, want * size);
	if (!more)
		return -ENOMEM;
	*array = more;
	*room = want;
	return 0;
}

int map_line_parse(char *text, struct map_line *out)
{
	int at = 0;

	if (sscanf(text, "%lx-%lx %4s %lx %x:%x %lu%n", &out->start, &out->end, out->perms,
		   &out->offset, &out->dev_major, &out->dev_minor, &out->ino, &at) != 7 ||
	    !at)
		return -EINVAL;
	if (out->start >= out->end || strlen(out->perms) != 4)
		return -EINVAL;
	text += at;
	while (*text == ' ')
		text++;
	out->name = text;
	return 0;
}

static void layout_line(struct snapshot *s, const char *line)
{
	const struct {
		const char *name;
		unsigned long *value;
	} fields[] = {
		{ "start_brk", &s->layout.start_brk },
		{ "mmap_base", &s->layout.mmap_base },
		{ "start_stack", &s->layout.start_stack },
		{ "start_code", &s->layout.start_code },
		{ "end_code", &s->layout.end_code },
		{ "start_data", &s->layout.start_data },
		{ "end_data", &s->layout.end_data },
		{ "personality", &s->owner.personality },
		{ "caps", &s->owner.caps },
		{ "legacy", &s->layout.legacy },
	};
	char name[32];
	unsigned long value;
	int used;

	while (sscanf(line, " %31s %lx%n", name, &value, &used) == 2) {
		s->owner.has_caps |= strcmp(name, "caps") == 0;
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (strcmp(fields[i].name, name) == 0)
				*fields[i].value = value;
		line += used;
	}
}

static int limit_line(struct snapshot *s, const char *line)
{
	static const struct {
		const char *name;
		int resource;
	} known[] = { { "stack", RLIMIT_STACK },
		      { "data", RLIMIT_DATA },
		      { "as", RLIMIT_AS },
		      { "memlock", RLIMIT_MEMLOCK } };
	char name[32], cur[32], max[32];

	if (sscanf(line, " %31s %31s %31s", name, cur, max) != 3)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct map_limit *limit = &s->owner.limits[s->owner.nr_limits];

		if (strcmp(known[i].name, name) != 0)
			continue;
		if (s->owner.nr_limits == sizeof(s->owner.limits) / sizeof(s->owner.limits[0]))
			return -EINVAL;
		limit->resource = known[i].resource;
		limit->cur = cur[0] == 'u' ? RLIM_INFINITY : strtoul(cur, NULL, 10);
		limit->max = max[0] == 'u' ? RLIM_INFINITY : strtoul(max, NULL, 10);
		s->owner.nr_limits++;
	}
	return 0;
}

int snapshot_block_line(struct snapshot *s, const char *line, size_t *room_lines,
			size_t *room_touched)
{
	struct map_line map;
	char *copy;
	int err;

	if (strncmp(line, "layout ", 7) == 0) {
		layout_line(s, line + 7);
		return 0;
	}
	if (strncmp(line, "limit ", 6) == 0)
		return limit_line(s, line + 6);
	if (*line == '~') {
		struct map_range range;

		if (sscanf(line, "~ %lx-%lx", &range.start, &range.end) != 2)
			return -EINVAL;
		err = snapshot_grow((void **)&s->touched.at, s->touched.nr, room_touched,
				    sizeof(range));
		if (!err)
			s->touched.at[s->touched.nr++] = range;
		return err;
	}
	copy = strdup(line);
	if (!copy)
		return -ENOMEM;
	err = map_line_parse(copy, &map);
	if (!err)
		err = snapshot_grow((void **)&s->lines.at, s->lines.nr, room_lines, sizeof(map));
	if (!err) {
		map.name = strdup(map.name);
		if (!map.name)
			err = -ENOMEM;
		else
			s->lines.at[s->lines.nr++] = map;
	}
	free(copy);
	return err;
}

struct snapshot *snapshot_block_head(const char *line)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	char kind[16];

	if (s && sscanf(line, "@ line %lu pid %d kind %15s tid %d", &s->line, &s->pid, kind,
			&s->tid) >= 3) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (strcmp(kinds[i], kind) == 0) {
				s->kind = (enum snapshot_kind)i;
				return s;
			}
		}
	}
	free(s);
	return NULL;
}
