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

/*
 * A fault at addr said codes, some of VM_FAULT_WAITS among them. *refused: see store_make_room().
 * What is in a swap area is read into the swap cache, and the fault finds it there.
 * 0: try it again. -ENOMEM: memory has run out. -EIO: the page cannot be read. Sleeps. No lock is
 * held.
 */
int access_wait(struct samara_mm *mm, unsigned long addr, unsigned int codes,
		unsigned long *refused) __must_check;

#endif
