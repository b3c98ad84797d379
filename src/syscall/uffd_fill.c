/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_COPY, _ZEROPAGE, _CONTINUE and _POISON: a handler gives pages, or says that they are lost.
 *
 *   arguments, and whether the destination may be filled
 *   for up to 16 pages  | COPY: frames are taken and filled, with no lock held: the source may
 *   at a time           | fault, or wait for a userfaultfd itself
 *                       | mmap_lock and uffd->fills for reading; all is looked at again
 *                       | entries are filled, until one is not empty
 *   wake who waits for what was filled
 *
 * The order of checks is Linux's: a change to the map that was not told yet, arguments, the end of
 * the mm, the destination, the source, the entry. What was filled stays and is woken, also where
 * the next page fails: then the answer is -EAGAIN, and the output field has the bytes.
 */
#include <errno.h>

#include <samara/access.h>

#include "base/host.h"
#include "core/mms.h"
#include "frame/frame.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "syscall/uffd_calls.h"
#include "vma/find.h"

/* Pages that are filled while the lock is held once. */
#define LOCKED_MOST 128UL

_Static_assert(FILL_MOST <= HOST_COPY_MOST, "a batch is one call of the host");

struct fill {
	struct samara_uffd *uffd;
	struct samara_mm *mm;
	unsigned long dst, len; /* of the whole request */
	unsigned long src;      /* FILL_COPY */
	enum fill_kind kind;
	uint64_t bits; /* of struct fill_desc */
	bool wakes;
	unsigned long done; /* bytes */
	unsigned long refused;
	struct samara_mm *source; /* counted; NULL: src is the host's */
	struct folio *folio[FILL_MOST];
};

/* the destination ---------------------------------------------------------------- */

/*
 * The VMA that holds all that is left to be filled, or *err. As in Linux private memory gets its
 * family first, before it is asked whether it is registered.
 */
static struct vma *find_vma(const struct fill *f, int *err)
{
	struct vma *vma = vma_lookup(f->mm, f->dst + f->done);

	*err = -ENOENT;
	if (!vma)
		return NULL;
	if (!(vma->vm_flags & VM_SHARED) && anon_vma_prepare(vma)) {
		*err = -ENOMEM;
		return NULL;
	}
	return vma->rare.uffd && f->dst + f->len <= vma->vm_end ? vma : NULL;
}

/* Whether vma may be filled so. */
static int check_vma(const struct fill *f, const struct vma *vma)
{
	if ((f->bits & PTE_UFFD_WP) && !(vma->vm_flags & VM_UFFD_WP))
		return -EINVAL;
	if (vma_is_shmem(vma))
		return 0;
	return vma->is_anon && f->kind != FILL_CONTINUE ? 0 : -EINVAL;
}

/*
 * The destination, if it may be filled now. mmap_lock and fills for reading: so a change that is
 * told before it happens (REMOVE) either is seen here, or waits for what is filled.
 */
static struct vma *destination(const struct fill *f, int *err)
{
	struct vma *vma = NULL;

	*err = -ESRCH;
	if (!uffd_mm_ended(f->mm))
		vma = find_vma(f, err);
	if (!vma)
		return NULL;
	*err = uffd_changing(f->uffd) ? -EAGAIN : check_vma(f, vma);
	return *err ? NULL : vma;
}

/* the source ----------------------------------------------------------------------- */

/* As in Linux it need not be aligned. Of the host's the host says what can be read. */
static int check_source(const struct fill *f)
{
	unsigned long top;

	if (!f->source)
		return f->src + f->len > f->src ? 0 : -EINVAL;
	top = f->source->geo->task_size;
	return f->src < top && f->len <= top - f->src ? 0 : -EINVAL;
}

/*
 * A page from the guest address src of f->source. What ends it in the middle is no bad address
 * either: memory has run out, or its thread was interrupted.
 */
static int read_guest(const struct fill *f, unsigned long src, void *to)
{
	const unsigned long size = mm_page_size(f->mm);
	struct samara_fault fault;
	const long n = samara_read(f->source, src, to, size, &fault);

	if (n < 0)
		return (int)n;
	if ((unsigned long)n == size)
		return 0;
	return fault.signo ? -EFAULT : fault.code;
}

/* Of n folios how many were filled; fewer: *err. */
static unsigned int read_source(const struct fill *f, unsigned int n, int *err)
{
	const unsigned long size = mm_page_size(f->mm), src = f->src + f->done;
	void *to[FILL_MOST];
	unsigned int got;

	for (unsigned int i = 0; i < n; i++)
		to[i] = folio_virt(f->mm->machine->ram, f->folio[i]);
	if (!f->source) {
		got = host_copy_from(src, size, n, to);
		*err = got < n ? -EFAULT : 0;
		return got;
	}
	*err = 0;
	for (got = 0; got < n; got++) {
		*err = read_guest(f, src + got * size, to[got]);
		if (*err)
			break;
	}
	return got;
}

/* Up to n. */
static unsigned int take_frames(struct fill *f, unsigned int n)
{
	struct ram *ram = f->mm->machine->ram;
	unsigned int got = 0;

	while (got < n && (f->folio[got] = folio_alloc(ram, 0, FOLIO_RAW)))
		got++;
	return got;
}

static void put_frames(struct fill *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (f->folio[i])
			folio_put(f->mm->machine->ram, f->folio[i]);
}

/* the request ---------------------------------------------------------------------- */

static unsigned int fill_locked(struct fill *f, unsigned int n, int *err)
{
	struct samara_mm *mm = f->mm;
	unsigned int done = 0;
	struct vma *vma;

	mmap_read_lock(mm);
	down_read(&f->uffd->fills);
	vma = destination(f, err);
	if (vma && n) {
		done = range_fill(
			&(struct fill_desc){
				.vma = vma,
				.addr = f->dst + f->done,
				.pages = n,
				.kind = f->kind,
				.bits = f->bits,
				.folio = f->folio,
			},
			err);
		if (done)
			uffd_posts_drop(vma->rare.uffd, f->dst + f->done,
					f->dst + f->done + done * mm_page_size(mm));
	}
	up_read(&f->uffd->fills);
	mmap_read_unlock(mm);
	f->done += done * mm_page_size(mm);
	return done;
}

/*
 * Pages of a batch. A guest can see which pages of its source were brought in: as in Linux none is
 * behind the one whose destination is not empty.
 */
static unsigned long most_of(const struct fill *f)
{
	if (f->source)
		return 1;
	return f->kind == FILL_COPY ? FILL_MOST : LOCKED_MOST;
}

/* One batch. 0: go on. */
static int fill_some(struct fill *f)
{
	unsigned int n = (unsigned int)min(most_of(f), mm_pages(f->mm, f->len - f->done));
	unsigned int frames = 0;
	int unread = 0, err = 0;

	if (f->kind == FILL_COPY) {
		frames = take_frames(f, n);
		if (!frames)
			return -ENOMEM;
		n = read_source(f, frames, &unread);
	}
	if (n)
		(void)fill_locked(f, n, &err);
	put_frames(f, frames);
	return err ? err : unread;
}

/* Bytes, or -errno where nothing was filled. No lock is held. */
static long fill(struct fill *f)
{
	int err;

	f->mm = f->uffd->mm;
	f->refused = frames_refused;
	/* That it cannot be filled is said before its source is read. */
	(void)fill_locked(f, 0, &err);
	while (!err && f->done < f->len) {
		err = fill_some(f);
		if (err == -ENOMEM)
			err = store_make_room(f->mm->machine->store, &f->refused);
	}
	return f->done ? (long)f->done : err;
}

/* What the request answers; *field is its output. */
static int answer(const struct fill *f, long filled, __s64 *field)
{
	if (filled == -ESRCH)
		return -ESRCH; /* with *field as it was, as in Linux */
	*field = filled;
	if (filled < 0)
		return (int)filled;
	if (f->wakes)
		uffd_wake(f->uffd, f->dst, f->dst + f->done);
	return f->done == f->len ? 0 : -EAGAIN;
}

/* f->source is known. The field stays as it was where src cannot be. */
static int copy(struct fill *f, __s64 *field)
{
	const int err = check_source(f);

	return err ? err : answer(f, fill(f), field);
}

int uffd_copy(struct samara_uffd *uffd, void *arg)
{
	struct uffdio_copy *out = arg;
	const struct uffdio_copy asked = *out;
	const struct uffdio_range to = { asked.dst, asked.len };
	struct fill f = {
		.uffd = uffd,
		.dst = asked.dst,
		.len = asked.len,
		.src = asked.src,
		.kind = FILL_COPY,
		.bits = asked.mode & UFFDIO_COPY_MODE_WP ? PTE_UFFD_WP : 0,
		.wakes = !(asked.mode & UFFDIO_COPY_MODE_DONTWAKE),
	};
	int err;

	if (uffd_say_changing(uffd, &out->copy))
		return -EAGAIN;
	if (uffd_check_range(uffd->mm, &to) ||
	    (asked.mode & ~(UFFDIO_COPY_MODE_DONTWAKE | UFFDIO_COPY_MODE_WP)))
		return -EINVAL;
	f.source = uffd_get_source(uffd);
	err = copy(&f, &out->copy);
	if (f.source)
		mm_put(f.source);
	return err;
}

int uffd_zeropage(struct samara_uffd *uffd, void *arg)
{
	struct uffdio_zeropage *out = arg;
	const struct uffdio_zeropage asked = *out;
	struct fill f = {
		.uffd = uffd,
		.dst = asked.range.start,
		.len = asked.range.len,
		.kind = FILL_ZERO,
		.wakes = !(asked.mode & UFFDIO_ZEROPAGE_MODE_DONTWAKE),
	};

	if (uffd_say_changing(uffd, &out->zeropage))
		return -EAGAIN;
	if (uffd_check_range(uffd->mm, &asked.range) ||
	    (asked.mode & ~UFFDIO_ZEROPAGE_MODE_DONTWAKE))
		return -EINVAL;
	return answer(&f, fill(&f), &out->zeropage);
}

int uffd_continue(struct samara_uffd *uffd, void *arg)
{
	struct uffdio_continue *out = arg;
	const struct uffdio_continue asked = *out;
	struct fill f = {
		.uffd = uffd,
		.dst = asked.range.start,
		.len = asked.range.len,
		.kind = FILL_CONTINUE,
		.bits = asked.mode & UFFDIO_CONTINUE_MODE_WP ? PTE_UFFD_WP : 0,
		.wakes = !(asked.mode & UFFDIO_CONTINUE_MODE_DONTWAKE),
	};

	if (uffd_say_changing(uffd, &out->mapped))
		return -EAGAIN;
	if (uffd_check_range(uffd->mm, &asked.range) ||
	    (asked.mode & ~(UFFDIO_CONTINUE_MODE_DONTWAKE | UFFDIO_CONTINUE_MODE_WP)))
		return -EINVAL;
	return answer(&f, fill(&f), &out->mapped);
}

int uffd_poison(struct samara_uffd *uffd, void *arg)
{
	struct uffdio_poison *out = arg;
	const struct uffdio_poison asked = *out;
	struct fill f = {
		.uffd = uffd,
		.dst = asked.range.start,
		.len = asked.range.len,
		.kind = FILL_POISON,
		.wakes = !(asked.mode & UFFDIO_POISON_MODE_DONTWAKE),
	};

	if (uffd_say_changing(uffd, &out->updated))
		return -EAGAIN;
	if (uffd_check_range(uffd->mm, &asked.range) || (asked.mode & ~UFFDIO_POISON_MODE_DONTWAKE))
		return -EINVAL;
	return answer(&f, fill(&f), &out->updated);
}
