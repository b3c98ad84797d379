/* SPDX-License-Identifier: MIT */
/*
 * The text of /proc/swaps, as Linux 6.18 prints it.
 */
#include <errno.h>
#include <stdio.h>

#include "alloc/mem.h"
#include "base/host.h"
#include "store/swap_area.h"

static DEFINE_ALLOC_SITE(line_site, "swap_line");

#define NAME_WIDTH 40
#define LINE_SIZE 20480

/* As in the files of /proc whose columns blanks separate: they and backslashes become octal. */
static int put_name(char *line, const char *name)
{
	int n = 0;

	for (; *name && n < LINE_SIZE - 256; name++) {
		if (*name == ' ' || *name == '\t' || *name == '\n' || *name == '\\')
			n += snprintf(line + n, 5, "\\%03o", (unsigned char)*name);
		else
			line[n++] = *name;
	}
	return n;
}

static int put_line(struct samara_swap *area, char *line)
{
	const unsigned int shift = ram_view(area->store->ram)->page_shift - 10;
	unsigned long size, used;
	int n = put_name(line, area->behind.name), pad = max(NAME_WIDTH - n, 1);

	spin_lock(&area->lock, RANK_SWAP);
	size = area->usage.pages << shift;
	used = area->usage.used << shift;
	spin_unlock(&area->lock);
	/* The columns are a tab's stop apart, and numbers of eight digits fill one. */
	return n + snprintf(line + n, (size_t)(LINE_SIZE - n), "%*s%s\t%lu\t%s%lu\t%s%d\n", pad, "",
			    area->behind.partition ? "partition" : "file\t", size,
			    size < 10000000 ? "\t" : "", used, used < 10000000 ? "\t" : "",
			    READ_ONCE(area->order.prio));
}

/* The listed area with the highest priority of those not shown yet, with a reference. */
static struct samara_swap *next_to_show(struct file_store *store, unsigned int shown)
{
	struct samara_swap *best = NULL;

	rcu_read_lock();
	for (unsigned int i = 0; i < SWAP_AREAS; i++) {
		struct samara_swap *area = swap_area_at(store, i);

		if (area && !(shown & 1U << i) &&
		    (!best || READ_ONCE(area->order.prio) > READ_ONCE(best->order.prio)))
			best = area;
	}
	if (best && !refcount_inc_not_zero(&best->refs))
		best = NULL;
	rcu_read_unlock();
	return best;
}

int swap_print(struct file_store *store, int fd)
{
	char *line = mem_alloc(&line_site, LINE_SIZE);
	struct samara_swap *area;
	unsigned int shown = 0;
	int n, err;

	if (!line)
		return -ENOMEM;
	n = snprintf(line, LINE_SIZE, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	err = host_print(fd, line, (size_t)n);
	while (!err && (area = next_to_show(store, shown))) {
		shown |= 1U << area->number;
		n = put_line(area, line);
		swap_area_put(area);
		err = host_print(fd, line, (size_t)n);
	}
	mem_free(&line_site, line);
	return err;
}
