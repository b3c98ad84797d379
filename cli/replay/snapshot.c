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

#include "replay/input.h"
#include "replay/snapshot_block.h"

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
	/* Sorted by path once the header has been read. */
	struct {
		struct known_file *at;
		size_t nr, room;
	} files;
	/* By line, ascending. */
	struct {
		struct mapped_file *at;
		size_t nr, room;
	} mapped;
	/* What else the header says. */
	struct {
		int overcommit;              /* -1: nothing of it */
		unsigned long max_map_count; /* 0: nothing of it */
		bool all_touches;
	} header;
	char *head; /* the `@` line that has been read and not used yet */
	/* The blocks read ahead, at least one until the end, in the order of the file. */
	struct {
		struct snapshot *first, **last;
		size_t nr;
		int err; /* of reading ahead: it is told when the replay comes to that block */
		char why[160];
	} ahead;
};

#define AHEAD 1024 /* blocks: how far a process's next map is looked for */

void snapshots_close(struct snapshots *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->files.nr; i++)
		free(all->files.at[i].path);
	free(all->files.at);
	free(all->mapped.at);
	free(all->head);
	while (all->ahead.first) {
		struct snapshot *next = all->ahead.first->next;

		snapshot_free(all->ahead.first);
		all->ahead.first = next;
	}
	input_close(all->in);
	free(all);
}

static int header_line(struct snapshots *all, const char *line)
{
	struct known_file file = { 0 };
	struct mapped_file mapped;
	int at = 0, err;

	if (sscanf(line, "file %x:%x %lu %n", &file.id.dev_major, &file.id.dev_minor, &file.id.ino,
		   &at) == 3 &&
	    at) {
		err = snapshot_grow((void **)&all->files.at, all->files.nr, &all->files.room,
				    sizeof(file));
		if (err)
			return err;
		file.path = strdup(line + at);
		if (!file.path)
			return -ENOMEM;
		all->files.at[all->files.nr++] = file;
	} else if (sscanf(line, "mapped %lu %x:%x %lu", &mapped.line, &mapped.id.dev_major,
			  &mapped.id.dev_minor, &mapped.id.ino) == 4) {
		err = snapshot_grow((void **)&all->mapped.at, all->mapped.nr, &all->mapped.room,
				    sizeof(mapped));
		if (err)
			return err;
		all->mapped.at[all->mapped.nr++] = mapped;
	} else if (strcmp(line, "touched calls") == 0) {
		all->header.all_touches = true;
	} else if (sscanf(line, "sysctl overcommit_memory %d", &all->header.overcommit) == 1 ||
		   sscanf(line, "sysctl max_map_count %lu", &all->header.max_map_count) == 1) {
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

	if (!all || !all->files.nr)
		return -ENOENT;
	mapped = all->mapped.nr ? bsearch(&mapped_key, all->mapped.at, all->mapped.nr,
					  sizeof(mapped_key), by_line) :
				  NULL;
	if (mapped) {
		*out = mapped->id;
		return 0;
	}
	found = bsearch(&key, all->files.at, all->files.nr, sizeof(key), by_path);
	if (!found)
		return -ENOENT;
	*out = found->id;
	return 0;
}

int snapshots_overcommit(const struct snapshots *all)
{
	return all ? all->header.overcommit : -1;
}

unsigned long snapshots_max_map_count(const struct snapshots *all)
{
	return all ? all->header.max_map_count : 0;
}

const struct snapshot *snapshots_first(const struct snapshots *all)
{
	return all ? all->ahead.first : NULL;
}

bool snapshots_all_touches(const struct snapshots *all)
{
	return all && all->header.all_touches;
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

/* Read the block whose head has been read, and put it behind the others; none at the end. */
static int read_block(struct snapshots *all, char why[160])
{
	size_t room_lines = 0, room_touched = 0;
	struct snapshot *s;
	const char *line;
	int got = 0, err = 0;

	if (!all->head)
		return 0;
	s = snapshot_block_head(all->head);
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
		err = snapshot_block_line(s, line, &room_lines, &room_touched);
	}
	if (err || got < 0) {
		snapshot_free(s);
		return err ? bad_line(all, err, why) : got;
	}
	*all->ahead.last = s;
	all->ahead.last = &s->next;
	all->ahead.nr++;
	return 0;
}

int snapshots_open(const char *path, struct snapshots **out, char why[160])
{
	struct snapshots *all = calloc(1, sizeof(*all));
	const char *line;
	int err, got;

	if (!all)
		return -ENOMEM;
	all->header.overcommit = -1;
	all->ahead.last = &all->ahead.first;
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
	if (all->files.nr)
		qsort(all->files.at, all->files.nr, sizeof(*all->files.at), by_path);
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

	*out = NULL;
	while (all && all->ahead.first && all->ahead.first->line <= line) {
		struct snapshot *s = all->ahead.first;

		all->ahead.first = s->next;
		if (!all->ahead.first)
			all->ahead.last = &all->ahead.first;
		all->ahead.nr--;
		s->next = NULL;
		if (s->line == line) {
			*tail = s;
			tail = &s->next;
		} else {
			snapshot_free(s);
		}
		if (!all->ahead.first && !all->ahead.err)
			all->ahead.err = read_block(all, all->ahead.why);
		if (!all->ahead.first && all->ahead.err) {
			memcpy(why, all->ahead.why, sizeof(all->ahead.why));
			return all->ahead.err;
		}
	}
	return 0;
}

const struct snapshot *snapshots_next(struct snapshots *all, int pid)
{
	struct snapshot **at = &all->ahead.first;

	for (;;) {
		for (; *at; at = &(*at)->next)
			if ((*at)->pid == pid && (*at)->kind != SNAPSHOT_TOUCH)
				return (*at)->kind == SNAPSHOT_EXEC ? NULL : *at;
		if (all->ahead.nr >= AHEAD || !all->head || all->ahead.err)
			return NULL;
		all->ahead.err = read_block(all, all->ahead.why);
	}
}
