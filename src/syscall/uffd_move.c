/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_MOVE's door: checks in Linux's order, locks, and waiting for a page that another thread
 * has locked, which is done with no lock held.
 */
#include "core/vma_lock.h"
#include "range/range.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "syscall/uffd_calls.h"
#include "vma/find.h"

#define MODES (UFFDIO_MOVE_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES)

static int check(const struct samara_mm *mm, const struct uffdio_move *asked)
{
	const struct uffdio_range to = { asked->dst, asked->len },
				  from = { asked->src, asked->len };

	if (uffd_check_range(mm, &to) || uffd_check_range(mm, &from) || (asked->mode & ~MODES))
		return -EINVAL;
	return 0;
}

/* Both mappings, which are looked up anew at each try. 0, -ENOENT, -ENOMEM. */
static int find_both(struct samara_mm *mm, struct uffd_move *m)
{
	m->dst = vma_lookup(mm, m->to);
	if (!m->dst)
		return -ENOENT;
	/* Before it is known whether anything moves, as in Linux: it decides about later merges. */
	if (!(m->dst->vm_flags & VM_SHARED) && anon_vma_prepare(m->dst))
		return -ENOMEM;
	m->src = vma_lookup(mm, m->from);
	return m->src ? 0 : -ENOENT;
}

static bool may_move(const struct samara_uffd *uffd, const struct uffd_move *m)
{
	const unsigned long same = VM_ACCESS_FLAGS | VM_LOCKED;

	if (m->len > m->src->vm_end - m->from || m->len > m->dst->vm_end - m->to)
		return false;
	if (((m->src->vm_flags ^ m->dst->vm_flags) & same) || !(m->src->vm_flags & VM_WRITE))
		return false;
	return m->dst->rare.uffd == uffd && m->src->is_anon && m->dst->is_anon;
}

/* mmap_lock and fills for reading. */
static int move_held(struct samara_uffd *uffd, struct uffd_move *m)
{
	const unsigned long before = m->done;
	int err = find_both(uffd->mm, m);

	if (err)
		return err;
	if (!may_move(uffd, m))
		return -EINVAL;
	err = uffd_move_pages(m);
	if (m->done > before)
		uffd_posts_drop(uffd, m->to + before, m->to + m->done);
	return err;
}

/*
 * One try. -EAGAIN: the map is changing, or m->busy has to be waited for; else what
 * uffd_move_pages() says.
 */
static int move_some(struct samara_uffd *uffd, struct uffd_move *m)
{
	int err = -ESRCH;

	m->busy = NULL;
	mmap_read_lock(uffd->mm);
	if (!uffd_mm_ended(uffd->mm)) {
		down_read(&uffd->fills);
		err = uffd_changing(uffd) ? -EAGAIN : move_held(uffd, m);
		up_read(&uffd->fills);
	}
	mmap_read_unlock(uffd->mm);
	return err;
}

/* The thread that has it locked is done with it when this returns. */
static void wait_for(struct file_store *store, struct folio *folio)
{
	folio_lock(folio);
	folio_unlock_cached(store, folio);
	folio_put(store->ram, folio);
}

static int move_all(struct samara_uffd *uffd, struct uffd_move *m)
{
	struct file_store *store = uffd->mm->machine->store;
	unsigned long refused = frames_refused;
	int err;

	for (;;) {
		err = move_some(uffd, m);
		if (err == -EAGAIN && m->busy)
			wait_for(store, m->busy);
		else if (err != -ENOMEM || store_make_room(store, &refused))
			return err;
	}
}

int uffd_move(struct samara_uffd *uffd, void *arg)
{
	const struct uffdio_move asked = *(struct uffdio_move *)arg;
	const bool holes = asked.mode & UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES;
	struct uffd_move m = {
		.to = asked.dst,
		.from = asked.src,
		.len = asked.len,
		.holes = holes ? UFFD_MOVE_HOLES : UFFD_MOVE_NO_HOLES,
	};
	int err;

	if (uffd_say_changing(uffd, &((struct uffdio_move *)arg)->move))
		return -EAGAIN;
	err = check(uffd->mm, &asked);
	if (err)
		return err;
	err = move_all(uffd, &m);
	if (err == -ESRCH && !m.done)
		return err;
	((struct uffdio_move *)arg)->move = m.done ? (long)m.done : err;
	if (m.done && !(asked.mode & UFFDIO_MOVE_MODE_DONTWAKE))
		uffd_wake(uffd, m.to, m.to + m.done);
	return m.done && err ? -EAGAIN : err;
}
