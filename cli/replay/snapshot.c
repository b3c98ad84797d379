/* SPDX-License-Identifier: MIT */
/*
 * Reading the maps file: a header, then one block for each snapshot.
 *
 *	# samara maps 1
 *	host Linux 6.18.44 x86_64
 *	file fe:00 332835 /usr/lib/x86_64-linux-gnu/libc.so.6
 *	@ line 3 pid 7117 kind exec
 *	layout start_brk 0x.. mmap_base 0x.. ...
 *	limit stack 8388608 unlimited
 *	555555554000-555555558000 r--p 00000000 fe:00 247230   /usr/bin/dash
 *	~ 555555571000-555555573000
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "replay/input.h"
#include "replay/snapshot.h"

struct known_file {
	char *path;
	struct file_identity id;
};

/* The file of one mmap, where the path is not enough. */
struct mapped_file {
	unsigned long line;
	struct file_identity id;
};

struct snapshots {
	struct input *in;
	struct known_file *files; /* sorted by path once the header has been read */
	size_t nr_files, room_files;
	struct mapped_file *mapped; /* by line, ascending */
	size_t nr_mapped, room_mapped;
	int overcommit;
	unsigned long max_map_count;
	char *head;            /* the `@` line that has been read and not used yet */
	struct snapshot *next; /* the block read ahead */
};

static const char *const kinds[] = { "exec", "fork", "mid", "exit" };

const char *snapshot_kind_name(enum snapshot_kind kind)
{
	return kinds[kind];
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nr_lines; i++)
		free((char *)s->lines[i].name);
	free(s->lines);
	free(s->touched);
	free(s);
}

void snapshots_close(struct snapshots *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->nr_files; i++)
		free(all->files[i].path);
	free(all->files);
	free(all->mapped);
	free(all->head);
	snapshot_free(all->next);
	input_close(all->in);
	free(all);
}

/* Room for one more element; doubles. */
static int grow(void **array, size_t have, size_t *room, size_t size)
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

static int header_line(struct snapshots *all, const char *line)
{
	struct known_file file = { 0 };
	struct mapped_file mapped;
	int at = 0, err;

	if (sscanf(line, "file %x:%x %lu %n", &file.id.dev_major, &file.id.dev_minor, &file.id.ino,
		   &at) == 3 &&
	    at) {
		err = grow((void **)&all->files, all->nr_files, &all->room_files, sizeof(file));
		if (err)
			return err;
		file.path = strdup(line + at);
		if (!file.path)
			return -ENOMEM;
		all->files[all->nr_files++] = file;
	} else if (sscanf(line, "mapped %lu %x:%x %lu", &mapped.line, &mapped.id.dev_major,
			  &mapped.id.dev_minor, &mapped.id.ino) == 4) {
		err = grow((void **)&all->mapped, all->nr_mapped, &all->room_mapped,
			   sizeof(mapped));
		if (err)
			return err;
		all->mapped[all->nr_mapped++] = mapped;
	} else if (sscanf(line, "sysctl overcommit_memory %d", &all->overcommit) == 1 ||
		   sscanf(line, "sysctl max_map_count %lu", &all->max_map_count) == 1) {
		return 0;
	}
	return 0; /* what is not known belongs to a later version */
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct known_file *)a)->path, ((const struct known_file *)b)->path);
}

static int by_line(const void *a, const void *b)
{
	unsigned long x = ((const struct mapped_file *)a)->line;
	unsigned long y = ((const struct mapped_file *)b)->line;

	return (x > y) - (x < y);
}

int snapshots_file(const struct snapshots *all, const char *path, unsigned long line,
		   struct file_identity *out)
{
	struct mapped_file mapped_key = { .line = line }, *mapped;
	struct known_file key = { .path = (char *)path }, *found;

	if (!all || !all->nr_files)
		return -ENOENT;
	mapped = all->nr_mapped ? bsearch(&mapped_key, all->mapped, all->nr_mapped,
					  sizeof(mapped_key), by_line) :
				  NULL;
	if (mapped) {
		*out = mapped->id;
		return 0;
	}
	found = bsearch(&key, all->files, all->nr_files, sizeof(key), by_path);
	if (!found)
		return -ENOENT;
	*out = found->id;
	return 0;
}

int snapshots_overcommit(const struct snapshots *all)
{
	return all ? all->overcommit : -1;
}

unsigned long snapshots_max_map_count(const struct snapshots *all)
{
	return all ? all->max_map_count : 0;
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
		{ "start_brk", &s->start_brk },
		{ "mmap_base", &s->mmap_base },
		{ "start_stack", &s->start_stack },
		{ "start_code", &s->start_code },
		{ "end_code", &s->end_code },
		{ "start_data", &s->start_data },
		{ "end_data", &s->end_data },
		{ "personality", &s->personality },
		{ "caps", &s->caps },
	};
	char name[32];
	unsigned long value;
	int used;

	while (sscanf(line, " %31s %lx%n", name, &value, &used) == 2) {
		s->has_caps |= strcmp(name, "caps") == 0;
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
		struct map_limit *limit = &s->limits[s->nr_limits];

		if (strcmp(known[i].name, name) != 0)
			continue;
		if (s->nr_limits == sizeof(s->limits) / sizeof(s->limits[0]))
			return -EINVAL;
		limit->resource = known[i].resource;
		limit->cur = cur[0] == 'u' ? RLIM_INFINITY : strtoul(cur, NULL, 10);
		limit->max = max[0] == 'u' ? RLIM_INFINITY : strtoul(max, NULL, 10);
		s->nr_limits++;
	}
	return 0;
}

static int block_line(struct snapshot *s, const char *line, size_t *room_lines,
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
		err = grow((void **)&s->touched, s->nr_touched, room_touched, sizeof(range));
		if (!err)
			s->touched[s->nr_touched++] = range;
		return err;
	}
	copy = strdup(line);
	if (!copy)
		return -ENOMEM;
	err = map_line_parse(copy, &map);
	if (!err)
		err = grow((void **)&s->lines, s->nr_lines, room_lines, sizeof(map));
	if (!err) {
		map.name = strdup(map.name);
		if (!map.name)
			err = -ENOMEM;
		else
			s->lines[s->nr_lines++] = map;
	}
	free(copy);
	return err;
}

/* `@ line N pid P kind K` */
static struct snapshot *block_head(const char *line)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	char kind[16];

	if (s && sscanf(line, "@ line %lu pid %d kind %15s", &s->line, &s->pid, kind) == 3) {
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

static int bad_line(struct snapshots *all, int err, char why[160])
{
	if (err == -EINVAL)
		snprintf(why, 160, "line %lu is not as tools/capture writes it",
			 input_number(all->in));
	else
		snprintf(why, 160, "%s", strerror(-err));
	return err;
}

/* Read the block whose head has been read; all->next NULL at the end. */
static int read_block(struct snapshots *all, char why[160])
{
	size_t room_lines = 0, room_touched = 0;
	struct snapshot *s;
	const char *line;
	int got = 0, err = 0;

	if (!all->head)
		return 0;
	s = block_head(all->head);
	free(all->head);
	all->head = NULL;
	if (!s)
		return bad_line(all, -EINVAL, why);
	while (!err && (got = input_line(all->in, &line, why)) > 0) {
		if (*line == '@') {
			all->head = strdup(line);
			if (!all->head)
				err = -ENOMEM;
			break;
		}
		err = block_line(s, line, &room_lines, &room_touched);
	}
	if (err || got < 0) {
		snapshot_free(s);
		return err ? bad_line(all, err, why) : got;
	}
	all->next = s;
	return 0;
}

int snapshots_open(const char *path, struct snapshots **out, char why[160])
{
	struct snapshots *all = calloc(1, sizeof(*all));
	const char *line;
	int err, got;

	if (!all)
		return -ENOMEM;
	all->overcommit = -1;
	err = input_open(path, &all->in, why);
	if (err)
		goto fail;
	got = input_line(all->in, &line, why);
	if (got <= 0 || strcmp(line, "# samara maps 1") != 0) {
		err = -EBADMSG;
		if (got >= 0)
			snprintf(why, 160, "not a maps file of tools/capture");
		goto fail;
	}
	while ((got = input_line(all->in, &line, why)) > 0) {
		if (*line == '@') {
			all->head = strdup(line);
			err = all->head ? 0 : -ENOMEM;
			break;
		}
		err = header_line(all, line);
		if (err)
			break;
	}
	if (got < 0)
		err = got;
	if (err)
		goto fail;
	if (all->nr_files)
		qsort(all->files, all->nr_files, sizeof(*all->files), by_path);
	err = read_block(all, why);
	if (err)
		goto fail;
	*out = all;
	return 0;
fail:
	snapshots_close(all);
	return err;
}

int snapshots_at(struct snapshots *all, unsigned long line, struct snapshot **out, char why[160])
{
	struct snapshot **tail = out;
	int err;

	*out = NULL;
	while (all && all->next && all->next->line <= line) {
		struct snapshot *s = all->next;

		all->next = NULL;
		if (s->line == line) {
			*tail = s;
			tail = &s->next;
		} else {
			snapshot_free(s);
		}
		err = read_block(all, why);
		if (err)
			return err;
	}
	return 0;
}
