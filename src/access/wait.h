/* SPDX-License-Identifier: MIT */
/*
 * The one place where an access waits. Deep code returns a code and waits for nothing but locks;
 * the door drops what it holds, waits here, and looks everything up again: the mapping may be
 * another one by then.
 *
 *   access, pin, populate ----> lock ---> fault_or_queue() ---> VM_FAULT_WAIT, _UFFD, _OOM
 *        ^                                                            | unlock
 *        '------------------------ again ------------------ access_wait()
 *
 * A page in a swap area is read here, into the swap cache (store/swap.h). For a userfaultfd's
 * handler the access is queued while the VMA is held, and sleeps here (uffd/uffd.h).
 *
 * With FAULT_NOWAIT nothing sleeps: -EAGAIN, and what the access waits for is on its way. The
 * handler is told, or another thread reads the page.
 *
 * Reads and writes of files and fork wait for memory only: store_make_room().
 */
#ifndef ACCESS_WAIT_H
#define ACCESS_WAIT_H

#include "core/mm.h"
#include "fault/fault.h"
#include "frame/frame.h"
#include "uffd/uffd.h"

/* The codes of a fault that may be tried again after a wait. */
#define VM_FAULT_WAITS \
	((unsigned int)VM_FAULT_WAIT | (unsigned int)VM_FAULT_OOM | (unsigned int)VM_FAULT_UFFD)

/* What a door remembers from one try of an access to the next. */
struct waited {
	unsigned long refused;       /* see store_make_room() */
	bool lacked;                 /* frames: a try failed for want of them */
	bool nowait;                 /* FAULT_NOWAIT */
	int answer;                  /* uffd_post()'s or uffd_leave()'s; 0: it sleeps, or again */
	struct folio *page;          /* read in since then, with a reference; NULL: none */
	struct uffd_sleeper sleeper; /* uffd NULL: in no queue */
};

/* refused: frames_refused as it was before the first try. flags: enum fault_flags. */
static inline void waited_begin(struct waited *waited, unsigned long refused, unsigned int flags)
{
	waited->refused = refused;
	waited->lacked = false;
	waited->nowait = flags & FAULT_NOWAIT;
	waited->answer = 0;
	waited->page = NULL;
	waited->sleeper.uffd = NULL;
}
/* The access is over. */
void waited_end(struct samara_mm *mm, struct waited *waited);

/* What a fault in vma said, VM_FAULT_UFFD among it: queued or, with FAULT_NOWAIT, posted. */
void access_queue(struct vma *vma, unsigned long addr, unsigned int flags, unsigned int codes,
		  struct waited *waited);

/*
 * handle_mm_fault(), whose caller waits by access_wait() if it has to. addr need not be on a page:
 * a handler may want to know it whole. waited NULL: nothing is queued.
 */
static inline unsigned int fault_or_queue(struct vma *vma, unsigned long addr, unsigned int flags,
					  struct waited *waited)
{
	const unsigned int codes = handle_mm_fault(vma, addr, flags);

	if (unlikely(codes & VM_FAULT_UFFD) && waited)
		access_queue(vma, addr, flags, codes, waited);
	return codes;
}

/*
 * A fault at addr said codes, some of VM_FAULT_WAITS among them. What is in a swap area is read
 * into the swap cache, and the fault finds it there: where frames are short the page is kept there
 * until the access is over, or it would be what leaves when the access wants a second frame, to be
 * read again, for ever. It is not kept while the access sleeps for a handler. 0: try it again.
 * -ENOMEM: memory has run out. -EIO: the page cannot be read. -EAGAIN: interrupted
 * (samara_uffd_interrupt()), or it may not sleep. Sleeps. No lock is held.
 */
int access_wait(struct samara_mm *mm, unsigned long addr, unsigned int codes,
		struct waited *waited) __must_check;

#endif
