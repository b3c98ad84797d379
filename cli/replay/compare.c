/* SPDX-License-Identifier: MIT */
/*
 * Comparing our map with a recorded one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clean.h"
#include "replay/compare.h"
#include "replay/perform.h"

#define PAGE 4096UL
#define CONTEXT 2 /* mappings shown before the difference */

void map_line_of(struct map_line *line, const struct samara_vma_info *vma)
{
	line->start = vma->start;
	line->end = vma->end;
	line->offset = vma->offset;
	line->ino = vma->ino;
	line->dev_major = vma->dev_major;
	line->dev_minor = vma->dev_minor;
	memcpy(line->perms, vma->perms, sizeof(line->perms));
	line->name = vma->name ? vma->name : "";
}

/* Our map as lines, the gate last; the names belong to the mm. NULL: no memory. */
static struct map_line *our_lines(struct space *s, size_t *nr)
{
	struct samara_vma_info vma;
	struct map_line *lines = NULL;
	size_t room = 0, n = 0;
	unsigned long at = 0;
	bool more = true;

	while (more) {
		if (n == room) {
			struct map_line *grown;

			room = room ? 2 * room : 64;
			grown = realloc(lines, room * sizeof(*lines));
			if (!grown) {
				free(lines);
				return NULL;
			}
			lines = grown;
		}
		if (samara_vma_next(s->mm, at, &vma)) {
			more = false;
			if (samara_gate_info(s->mm, &vma))
				break;
		}
		at = vma.end;
		map_line_of(&lines[n++], &vma);
	}
	*nr = n;
	return lines;
}

void compare_settle(struct space *s, const struct snapshot *kernel)
{
	struct samara_vma_info vma;
	unsigned long at = 0;
	size_t i = 0;

	for (; samara_vma_next(s->mm, at, &vma) == 0; at = vma.end) {
		if (!(vma.flags & SAMARA_VM_GROWSDOWN))
			continue;
		while (i < kernel->lines.nr && kernel->lines.at[i].end < vma.end)
			i++;
		if (i < kernel->lines.nr && kernel->lines.at[i].end == vma.end &&
		    kernel->lines.at[i].start < vma.start)
			(void)!samara_touch(s->mm, kernel->lines.at[i].start, 1, PROT_WRITE);
	}
	for (i = 0; i < kernel->touched.nr; i++)
		touch_range(s, kernel->touched.at[i]);
}

/* Inodes of nameless memory: ours to theirs, one to one within a map. */
struct pairing {
	unsigned long ours[256], theirs[256];
	size_t nr;
};

static bool paired(struct pairing *p, unsigned long ours, unsigned long theirs)
{
	for (size_t i = 0; i < p->nr; i++)
		if (p->ours[i] == ours || p->theirs[i] == theirs)
			return p->ours[i] == ours && p->theirs[i] == theirs;
	if (p->nr < sizeof(p->ours) / sizeof(p->ours[0])) {
		p->ours[p->nr] = ours;
		p->theirs[p->nr++] = theirs;
	}
	return true;
}

static size_t length_without(const char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);

	return len > cut && strcmp(name + len - cut, suffix) == 0 ? len - cut : len;
}

static bool same_file(const struct map_line *o, const struct map_line *k, struct pairing *p)
{
	size_t olen = length_without(o->name, " (deleted)");
	size_t klen = length_without(k->name, " (deleted)");

	if (strncmp(o->name, "?fd ", 4) == 0)
		return k->ino != 0 && o->offset == k->offset;
	if (o->offset != k->offset)
		return false;
	if (strncmp(k->name, "[anon:", 6) == 0)
		return o->name[0] == '\0';
	if (strcmp(k->name, "/dev/zero (deleted)") == 0)
		return strcmp(o->name, k->name) == 0 && paired(p, o->ino, k->ino);
	if (strncmp(k->name, "/SYSV", 5) == 0)
		return o->ino == k->ino && strncmp(o->name, k->name, 13) == 0;
	if (o->ino == 0 && k->ino != 0) /* mapped, gone and never in a snapshot under this name */
		return olen == klen && strncmp(o->name, k->name, klen) == 0;
	if (o->dev_major != k->dev_major || o->dev_minor != k->dev_minor || o->ino != k->ino)
		return false;
	return k->ino != 0 || strcmp(o->name, k->name) == 0;
}

static bool same_line(const struct map_line *o, const struct map_line *k, struct pairing *p)
{
	return o->start == k->start && o->end == k->end && strcmp(o->perms, k->perms) == 0 &&
	       same_file(o, k, p);
}

/* The areas lie elsewhere: is each page of theirs the same kind of page here? */
static int compare_moved(struct space *s, const struct snapshot *kernel, struct map_diff *out)
{
	struct pairing pairs = { .nr = 0 };
	struct samara_vma_info vma;
	struct map_line line;
	unsigned long total = 0, at;

	out->layout = true;
	for (size_t i = 0; i < kernel->lines.nr; i++) {
		struct map_line k = kernel->lines.at[i];

		out->at = i;
		for (at = k.start; at < k.end && strcmp(k.name, "[vsyscall]") != 0;) {
			unsigned long here = own_address(s, at), len = own_extent(s, at);

			if (samara_vma_next(s->mm, here, &vma) || vma.start > here)
				return 1;
			map_line_of(&line, &vma);
			if (line.ino)
				line.offset += here - vma.start;
			k.offset = kernel->lines.at[i].offset + (k.ino ? at - k.start : 0);
			if (strcmp(line.perms, k.perms) != 0 || !same_file(&line, &k, &pairs))
				return 1;
			if (len > vma.end - here)
				len = vma.end - here;
			if (len > k.end - at)
				len = k.end - at;
			at += len;
			total += len;
		}
	}
	out->at = kernel->lines.nr;
	for (at = 0; samara_vma_next(s->mm, at, &vma) == 0; at = vma.end)
		total -= vma.end - vma.start;
	return total != 0;
}

int compare_maps(struct space *s, const struct snapshot *kernel, struct map_diff *out)
{
	struct pairing pairs = { .nr = 0 };
	struct map_line *lines;
	size_t nr = 0, i;
	int ret;

	*out = (struct map_diff){ 0 };
	if (!own_same(s))
		return compare_moved(s, kernel, out);
	lines = our_lines(s, &nr);
	if (!lines)
		return -ENOMEM;
	for (i = 0; i < nr && i < kernel->lines.nr; i++)
		if (!same_line(&lines[i], &kernel->lines.at[i], &pairs))
			break;
	out->at = i;
	ret = i != nr || i != kernel->lines.nr;
	free(lines);
	return ret;
}

static void text_of(const struct map_line *line, char *out, size_t size)
{
	const char *name = line->name;
	char text[160], perms[20];

	if (strlen(name) > 30 && strrchr(name, '/'))
		name = strrchr(name, '/') + 1;
	snprintf(out, size, "%08lx-%08lx %s %08lx %02x:%02x %lu %s", line->start, line->end,
		 clean(line->perms, perms, sizeof(perms)), line->offset, line->dev_major,
		 line->dev_minor, line->ino, clean(name, text, sizeof(text)));
}

void compare_print(struct space *s, const struct snapshot *kernel, const struct map_diff *diff,
		   FILE *to)
{
	struct pairing pairs = { .nr = 0 };
	size_t nr = 0, from = diff->at > CONTEXT ? diff->at - CONTEXT : 0;
	struct map_line *lines = our_lines(s, &nr);
	char left[200], right[200];

	if (!lines)
		return;
	if (diff->layout)
		fprintf(to,
			"  (areas lie at other addresses here; mapping %zu of the kernel's "
			"differs)\n",
			diff->at + 1);
	fprintf(to, "    %-72s | %s\n", "ours", "kernel's");
	for (size_t i = from; i < diff->at + 4 && (i < nr || i < kernel->lines.nr); i++) {
		bool same = i < nr && i < kernel->lines.nr &&
			    same_line(&lines[i], &kernel->lines.at[i], &pairs);

		left[0] = right[0] = '\0';
		if (i < nr)
			text_of(&lines[i], left, sizeof(left));
		if (i < kernel->lines.nr)
			text_of(&kernel->lines.at[i], right, sizeof(right));
		fprintf(to, "  %c %-72s | %s\n", same ? ' ' : '>', left, right);
	}
	free(lines);
}
