/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the check: its swap area, and what may have left memory.
 *
 * What has left is not the same on both sides, nor each time. So where a call may have made pages
 * leave (MADV_PAGEOUT, a swap area that is on), residency is compared only once the area is off;
 * and where pages may have been dropped, the bytes and the count of those are not (doubt.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <samara/reclaim.h>

#include "check/gen.h"
#include "check/swap.h"

/* the area ------------------------------------------------------------------------ */

static bool may_swap(const struct ours *o)
{
	return (o->begin.caps & SAMARA_CAP_SYS_ADMIN) && !o->procs.at[o->procs.now].dropped;
}

/* An area in memory, by the embedder's calls. */
static int memory_read(void *priv, unsigned long slot, void *page)
{
	memcpy(page, (const char *)priv + slot * PAGE, PAGE);
	return 0;
}

static int memory_write(void *priv, unsigned long slot, const void *page)
{
	memcpy((char *)priv + slot * PAGE, page, PAGE);
	return 0;
}

static int on_memory(struct ours *o)
{
	const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = memory_read,
		.write = memory_write,
		.release = free,
	};
	void *const pages = calloc(SWAP_PAGES, PAGE);
	int err = pages ? 0 : -ENOMEM;

	if (!err)
		err = samara_swapon_ops(o->machine, &ops, pages, SWAP_PAGES, 0, &o->swap.area);
	if (err)
		free(pages);
	return err;
}

/* An area in a file, with the header that the host's has. The file stays. */
static int on_file(struct ours *o)
{
	char header[PAGE];

	if (o->swap.fd < 0) {
		o->swap.fd = memfd_create("swap", MFD_CLOEXEC);
		swap_header(header);
		if (o->swap.fd < 0 || ftruncate(o->swap.fd, SWAP_PAGES * PAGE) ||
		    pwrite(o->swap.fd, header, PAGE, 0) != (ssize_t)PAGE)
			return -errno;
	}
	return samara_swapon(o->machine, o->swap.fd, SWAP_FLAGS, &o->swap.area);
}

long ours_swapon(struct ours *o, unsigned int backend)
{
	if (!may_swap(o))
		return -EPERM;
	if (o->swap.area)
		return -EBUSY;
	switch (backend) {
	case 0:
		return on_file(o);
	case 1:
		return on_memory(o);
	default:
		return samara_swapon_compressed(o->machine, SWAP_PAGES * PAGE,
						o->procs.n % 2 ? "lz4" : "zstd", &o->swap.area);
	}
}

static int turn_off(struct ours *o)
{
	const int err = o->swap.area ? samara_swapoff(o->swap.area) : -EINVAL;

	if (!err)
		o->swap.area = NULL;
	return err;
}

long ours_swapoff(struct ours *o)
{
	return may_swap(o) ? turn_off(o) : -EPERM;
}

void ours_swap_off(struct ours *o)
{
	if (o->swap.area)
		(void)!turn_off(o);
}

void ours_swap_close(struct ours *o)
{
	ours_swap_off(o);
	if (o->swap.fd >= 0)
		close(o->swap.fd);
}

/* doubts -------------------------------------------------------------------------- */

static unsigned long range_end(const uint64_t *arg)
{
	const unsigned long end = (arg[0] + arg[1] + PAGE - 1) & -PAGE;

	return end < arg[0] ? ~0UL : end;
}

/* Whether advice lets pages of such a mapping go for good. /dev/zero is anonymous memory. */
static bool drops(const struct samara_vma_info *vma, uint64_t advice)
{
	if (vma->flags & SAMARA_VM_DROPPABLE)
		return true;
	return advice == MADV_FREE && !(vma->flags & SAMARA_VM_SHARED) &&
	       (!vma->ino || !strcmp(vma->name, "/dev/zero"));
}

/* op is MADV_FREE or MADV_PAGEOUT. */
static void doubt_advised(struct ours *o, const struct wire_op *op)
{
	struct doubt *const d = &o->procs.at[o->procs.now].doubt;
	const unsigned long start = op->arg[0], end = range_end(op->arg);
	struct samara_vma_info vma = { .end = start };

	while (!samara_vma_next(o->mm, vma.end, &vma) && vma.start < end) {
		if (!drops(&vma, op->arg[2]))
			continue;
		doubt_add(d, vma.start > start ? vma.start : start, vma.end < end ? vma.end : end);
		o->swap.dropped = true;
	}
}

/* Before it is carried out: the mappings it is aimed at are there yet. */
void ours_leave(struct ours *o, const struct wire_op *op)
{
	const bool out = op->nr == SYS_madvise && op->arg[2] == 21 /* PAGEOUT */;

	if (out || (op->nr == SYS_madvise && op->arg[2] == MADV_FREE))
		doubt_advised(o, op);
	if (out || op->nr == SYS_swapon)
		o->swap.may = true;
}

/* Pages move, one mapping after the other: after an error some have. */
static void doubt_moved(struct doubt *d, const uint64_t *arg, long ret)
{
	const bool moved = !SAMARA_IS_ERR_VALUE(ret);
	const unsigned long to = moved ? (unsigned long)ret : arg[4];

	if (to == arg[0] && moved)
		return;
	if (moved)
		doubt_remove(d, to, to + ((arg[2] + PAGE - 1) & -PAGE));
	doubt_copy(d, arg[0], arg[1] < arg[2] ? arg[1] : arg[2], to);
}

/* What is known again after op, or lies elsewhere. */
static void settle(struct doubt *d, const struct wire_op *op, long ret)
{
	const uint64_t *a = op->arg;
	const bool done = !SAMARA_IS_ERR_VALUE(ret);

	switch (op->nr) {
	case SYS_mremap:
		doubt_moved(d, a, ret);
		break;
	case SYS_mmap:
		if (done)
			doubt_remove(d, (unsigned long)ret,
				     (unsigned long)ret + ((a[1] + PAGE - 1) & -PAGE));
		break;
	case SYS_munmap:
		if (done)
			doubt_remove(d, a[0], range_end(a));
		break;
	case SYS_madvise:
		if (done && a[2] == MADV_DONTNEED)
			doubt_remove(d, a[0], range_end(a));
		break;
	case OP_STORE:
		if (done)
			doubt_remove(d, a[0], a[0] + (unsigned long)ret);
		break;
	default:
		break;
	}
}

/* Is the answer about bytes of pages that may have been dropped? */
static bool is_unsure(const struct doubt *d, const struct wire_op *op)
{
	return (op->nr == OP_LOAD || op->nr == OP_SURVEY) && op->arg[1] &&
	       doubt_of(d, op->arg[0] & -PAGE, op->arg[0] + op->arg[1]);
}

int ours_keep_left(struct ours *o, const struct wire_op *op, struct seen *seen)
{
	struct doubt *const d = &o->procs.at[o->procs.now].doubt;
	struct samara_mm_memory memory = { .size = sizeof(memory) };
	int err = 0;

	settle(d, op, seen->ret);
	seen->left.may = o->swap.may;
	seen->left.area = o->swap.area != NULL;
	seen->left.dropped = o->swap.dropped;
	seen->left.unsure_rss = d->n || d->all;
	seen->left.unsure_ret = o->swap.may && is_unsure(d, op);
	if (op->look & LOOK_RSS) {
		err = samara_mm_memory(o->mm, &memory);
		seen->left.rss = (long)(memory.rss_anon + memory.swap_ents) * 4;
	}
	return err;
}
