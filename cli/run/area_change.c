/* SPDX-License-Identifier: MIT */
/*
 * Changes of the host's map: what needs memory in the tree, then the agent's batch, then the tree.
 *
 * The lock is held from the first to the last, so that batches reach the host in the order in
 * which the tree is changed. areas_find() goes on meanwhile, and finds what was there before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "run/area_entry.h"

#define PAGE 4096UL

static bool has_frames(enum area_kind kind)
{
	return kind >= AREA_OWN && kind <= AREA_ODD;
}

static uint64_t modes(enum area_kind kind)
{
	const uint64_t all =
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP;

	if (has_frames(kind))
		return all;
	return kind == AREA_ASK || kind == AREA_EMPTY ? UFFDIO_REGISTER_MODE_MISSING : 0;
}

static struct batch_map map_of(const struct area *as)
{
	struct batch_map map = {
		.start = as->start,
		.end = as->end,
		.prot = as->prot,
		.flags = MAP_SHARED,
		.fd = AGENT_FD_RAM,
		.first = as->first,
	};

	if (as->kind == AREA_ASK)
		map.fd = AGENT_FD_ASK;
	else if (as->kind == AREA_EMPTY)
		map.fd = as->file ? AGENT_FD_FILE : AGENT_FD_EMPTY;
	return map;
}

/* The batch that is written, then the tree. */
static int finish(struct area_change *change, struct batch *b)
{
	const int err = batch_end(b);

	if (err)
		area_abandon(change);
	else
		area_commit(change);
	return err;
}

static bool is_range(unsigned long start, unsigned long end)
{
	return !((start | end) % PAGE) && start < end;
}

/* Rights that a VMA has for which `wanted` were asked: more of R and W only ask, X is exact. */
static bool serves(int prot, int wanted)
{
	return (prot & wanted) == wanted && !((prot ^ wanted) & PROT_EXEC);
}

/* All of *as is parked, of the same pages of the same file: the rights, if they are one; or -1. */
static int parked_alike(struct areas *areas, const struct area *as)
{
	unsigned long at = as->start;
	struct area is;
	int prot = -1;

	for (; at < as->end; at = is.end) {
		if (!areas_find(areas, at, &is) || !is.parked || is.kind != as->kind ||
		    is.file != as->file ||
		    is.first - is.start / PAGE != as->first - as->start / PAGE)
			return -1;
		if (prot >= 0 && prot != is.prot)
			return -1;
		prot = is.prot;
	}
	return prot;
}

static int take_parked(struct areas *areas, const struct area *as, int prot)
{
	struct area_change change;
	struct area taken = *as;
	struct batch b;
	int err;

	if (serves(prot, as->prot))
		taken.prot = prot;
	err = area_prepare(&change, areas, &taken);
	if (err)
		return err;
	batch_begin(&b, areas->agent);
	if (taken.prot != prot)
		batch_mprotect(&b, as->start, as->end, taken.prot);
	return finish(&change, &b);
}

/* In steps each of which is safe alone, or what is replaced is exchanged in one. */
enum map_how { MAP_BY_STEPS, MAP_AT_ONCE };

static int map_new(struct areas *areas, const struct area *as, enum map_how how)
{
	struct area_change change;
	struct batch_map map = map_of(as);
	struct batch b;
	const int err = area_prepare(&change, areas, as);

	if (err)
		return err;
	if (how == MAP_BY_STEPS)
		map.prot = PROT_NONE;
	/* A whole block may have pages that no frame was given for, and these stay holes. */
	else if (has_frames(as->kind) && as->end - as->start == PAGE)
		map.flags |= MAP_POPULATE;
	batch_begin(&b, areas->agent);
	batch_mmap(&b, &map);
	batch_register(&b, as->start, as->end, modes(as->kind));
	if (map.prot != as->prot)
		batch_mprotect(&b, as->start, as->end, as->prot);
	return finish(&change, &b);
}

static int unmap(struct areas *areas, unsigned long start, unsigned long end)
{
	const struct area none = { .start = start, .end = end };
	struct area_change change;
	struct batch b;
	const int err = area_prepare(&change, areas, &none);

	if (err)
		return err;
	batch_begin(&b, areas->agent);
	batch_munmap(&b, start, end);
	return finish(&change, &b);
}

int areas_fresh(struct areas *areas, const struct area *as)
{
	int err, prot;

	if (!is_range(as->start, as->end) || !modes(as->kind) || as->parked)
		return -EINVAL;
	pthread_mutex_lock(&areas->lock);
	prot = parked_alike(areas, as);
	err = prot >= 0 ? take_parked(areas, as, prot) : map_new(areas, as, MAP_BY_STEPS);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

int areas_replace(struct areas *areas, const struct area *as)
{
	int err;

	if (!is_range(as->start, as->end) || !modes(as->kind) || as->parked)
		return -EINVAL;
	pthread_mutex_lock(&areas->lock);
	err = map_new(areas, as, MAP_AT_ONCE);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

int areas_unmap(struct areas *areas, unsigned long start, unsigned long end)
{
	int err;

	if (!is_range(start, end))
		return -EINVAL;
	pthread_mutex_lock(&areas->lock);
	err = unmap(areas, start, end);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

/* changes of all that is in a range ------------------------------------------------------ */

/* What becomes of an area; kind 0: none. False: nothing happens to it. */
typedef bool (*area_becomes)(struct area *as, int prot);

/* Accessible without asking, so that it may not outlive the library's mapping. */
static bool gives(enum area_kind kind)
{
	return kind == AREA_HOST || kind == AREA_KERNEL;
}

static bool becomes_protected(struct area *as, int prot)
{
	const bool changes = as->prot != prot && as->kind != AREA_STUB;

	as->prot = prot;
	return changes;
}

static bool becomes_parked(struct area *as, int prot)
{
	(void)prot;
	if (as->parked || as->kind == AREA_STUB)
		return false;
	if (gives(as->kind))
		as->kind = 0;
	as->parked = true;
	return true;
}

/* Calls that the host needs for it: runs of areas that touch are one call. */
static void protect_steps(struct areas *areas, struct batch *b, const struct area *range)
{
	unsigned long at = range->start, from = 0, to = 0;
	struct area as;

	while (areas_next(areas, at, &as) && as.start < range->end) {
		at = as.end;
		if (!becomes_protected(&as, range->prot))
			continue;
		if (as.start != to) {
			if (to)
				batch_mprotect(b, from, to, range->prot);
			from = as.start;
		}
		to = as.end;
	}
	if (to)
		batch_mprotect(b, from, to, range->prot);
}

/* The lock is held, and no area reaches over an edge of the range. None of this can fail. */
static void become(struct areas *areas, const struct area *range, area_becomes becomes)
{
	unsigned long at = range->start;
	struct area as;

	while (areas_next(areas, at, &as) && as.start < range->end) {
		at = as.end;
		if (becomes(&as, range->prot))
			area_set(areas, &as);
		area_join(areas, as.start);
	}
	area_join(areas, range->end);
}

static int cut_range(struct areas *areas, const struct area *range)
{
	int err = area_cut(areas, range->start);

	if (err)
		return err;
	err = area_cut(areas, range->end);
	if (err)
		area_join(areas, range->start);
	return err;
}

static int protect(struct areas *areas, const struct area *range)
{
	struct batch b;
	int err = cut_range(areas, range);

	if (err)
		return err;
	batch_begin(&b, areas->agent);
	protect_steps(areas, &b, range);
	err = batch_end(&b);
	if (!err) {
		become(areas, range, becomes_protected);
		return 0;
	}
	area_join(areas, range->start);
	area_join(areas, range->end);
	return err;
}

int areas_protect(struct areas *areas, unsigned long start, unsigned long end, int prot)
{
	const struct area range = { .start = start, .end = end, .prot = prot };
	int err;

	if (!is_range(start, end))
		return -EINVAL;
	pthread_mutex_lock(&areas->lock);
	err = protect(areas, &range);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

/* The next parked area at or above addr. */
static bool parked_from(struct areas *areas, unsigned long addr, struct area *out)
{
	while (areas_next(areas, addr, out)) {
		if (out->parked)
			return true;
		addr = out->end;
	}
	return false;
}

/* Round and round, so that none stays for ever and none goes at once. */
static int evict(struct areas *areas)
{
	struct area as;
	struct batch b;
	int err = 0;

	while (!err && areas->parked > AREAS_PARKED_MOST) {
		if (!parked_from(areas, areas->evict, &as) && !parked_from(areas, 0, &as))
			break;
		areas->evict = as.end;
		batch_begin(&b, areas->agent);
		batch_munmap(&b, as.start, as.end);
		err = batch_end(&b);
		as.kind = 0;
		if (!err)
			area_set(areas, &as);
	}
	return err;
}

static int park(struct areas *areas, const struct area *range)
{
	unsigned long at = range->start;
	struct area as;
	struct batch b;
	int err = cut_range(areas, range);

	if (err)
		return err;
	batch_begin(&b, areas->agent);
	while (areas_next(areas, at, &as) && as.start < range->end) {
		at = as.end;
		if (gives(as.kind))
			batch_munmap(&b, as.start, as.end);
	}
	err = batch_end(&b);
	if (err)
		return err;
	become(areas, range, becomes_parked);
	return evict(areas);
}

int areas_park(struct areas *areas, unsigned long start, unsigned long end)
{
	const struct area range = { .start = start, .end = end };
	int err;

	if (!is_range(start, end))
		return -EINVAL;
	pthread_mutex_lock(&areas->lock);
	err = park(areas, &range);
	pthread_mutex_unlock(&areas->lock);
	return err;
}

int areas_zap(struct areas *areas, unsigned long start, unsigned long end)
{
	unsigned long at = start, from = 0, to = 0;
	struct area as;
	struct batch b;
	int err;

	pthread_mutex_lock(&areas->lock);
	batch_begin(&b, areas->agent);
	while (areas_next(areas, at, &as) && as.start < end) {
		at = as.end;
		if (!has_frames(as.kind))
			continue;
		if (as.start != to) {
			if (to)
				batch_madvise(&b, from, to, MADV_DONTNEED);
			from = as.start > start ? as.start : start;
		}
		to = as.end < end ? as.end : end;
	}
	if (to)
		batch_madvise(&b, from, to, MADV_DONTNEED);
	err = batch_end(&b);
	pthread_mutex_unlock(&areas->lock);
	return err;
}
