/* SPDX-License-Identifier: MIT */
/*
 * The one place where an access waits. Deep code returns a code and waits for nothing but locks;
 * the door drops what it holds, waits here, and looks everything up again: the mapping may be
 * another one by then.
 *
 *   access, pin, populate ----> lock ---> handle_mm_fault() ---> VM_FAULT_WAIT, VM_FAULT_OOM
 *        ^                                                            | unlock
 *        '------------------------ again ------------------ access_wait()
 *
 * A page in a swap area is read here, into the swap cache (store/swap.h).
 *
 * Reads and writes of files and fork wait for memory only: store_make_room().
 */
#ifndef ACCESS_WAIT_H
#define ACCESS_WAIT_H

#include "core/mm.h"
#include "fault/fault.h"

/* The codes of a fault that may be tried again after a wait. */
#define VM_FAULT_WAITS ((unsigned int)VM_FAULT_WAIT | (unsigned int)VM_FAULT_OOM)

/* What a door remembers from one try of an access to the next. */
struct waited {
	unsigned long refused; /* see store_make_room() */
	bool lacked;           /* frames: a try failed for want of them */
	struct folio *page;    /* read in since then, with a reference; NULL: none */
};

static inline struct waited waited_begin(void)
{
	return (struct waited){ .refused = frames_refused };
}
/* The access is over. */
void waited_end(struct samara_mm *mm, struct waited *waited);

/*
 * A fault at addr said codes, some of VM_FAULT_WAITS among them. What is in a swap area is read
 * into the swap cache, and the fault finds it there: where frames are short the page is kept there
 * until the access is over, or it would be what leaves when the access wants a second frame, to be
 * read again, for ever. 0: try it again. -ENOMEM: memory has run out. -EIO: the page cannot be
 * read. Sleeps. No lock is held.
 */
int access_wait(struct samara_mm *mm, unsigned long addr, unsigned int codes,
		struct waited *waited) __must_check;

#endif
