/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd(2): page faults, write protection and changes of an address space, told to a handler
 * that answers them. And who wrote what: PAGEMAP_SCAN, soft-dirty.
 *
 *   a thread of the guest                        a handler
 *   samara_write(), samara_cpu_miss(), ...       poll(samara_uffd_fd()); samara_uffd_read()
 *      the page is missing: sleeps  -- message -->  UFFD_EVENT_PAGEFAULT
 *      tries again                  <-- wakes ----  samara_uffd_ioctl(UFFDIO_COPY)
 *   samara_munmap(), ...
 *      returns once it is read      -- message -->  UFFD_EVENT_UNMAP
 *
 * Requests, structures, checks and answers are those of Linux 6.18, x86-64 (<samara/uffd_abi.h> has
 * what older headers of the host lack). What differs is in docs/fidelity.md, and said here.
 *
 * Units: addresses and lengths are bytes, multiples of the page size.
 * Errors: 0 or -errno as from ioctl(2); output fields are written where Linux writes them.
 * Locks: every call may be made by any thread at any time, beside all others, and holds no lock
 * when it returns. None may be made in a callback of the library. -EDEADLK inside a CPU's section,
 * -ESRCH in a fork(2) of the machine's process: <samara/mm.h>. -ESRCH has a second cause here: the
 * address space has ended.
 */
#ifndef SAMARA_UFFD_H
#define SAMARA_UFFD_H

#include <samara/mm.h>
#include <samara/types.h>
#include <samara/uffd_abi.h>

SAMARA_BEGIN_DECLS

struct samara_uffd;

/* life ---------------------------------------------------------------------- */

/*
 * A userfaultfd of mm. flags: O_NONBLOCK (samara_uffd_read() does not wait), O_CLOEXEC (nothing),
 * UFFD_USER_MODE_ONLY (a fault that is not made by a CPU of the guest, as by samara_pin_pages(),
 * mlock or MAP_POPULATE, fails instead of waiting). Nothing but UFFDIO_API works before that has.
 * It keeps the memory of mm, not the address space. Who may ask is the caller's to decide: there is
 * no check for CAP_SYS_PTRACE. 0; -EINVAL: flags; -ESRCH: mm has ended; -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_uffd_create(struct samara_mm *mm, int flags,
						    struct samara_uffd **out);

/*
 * Close, which cannot fail. Its ranges are not registered any more, write protection by it is gone,
 * and whatever waits for it goes on: accesses are tried again, calls whose event was not read
 * return, a blocked samara_uffd_read() gives -EBADF. Children in FORK events that were not taken
 * (samara_uffd_forked()) are closed too. No other call with this handle begins afterwards; one that
 * is under way ends as if the close came first or last. NULL is allowed. Takes the mmap_lock of mm,
 * whose holder may wait for a CPU's section: not to be called inside one.
 */
SAMARA_API void samara_uffd_put(struct samara_uffd *uffd);

/* requests ------------------------------------------------------------------ */

/*
 * ioctl(2) with request, one of UFFDIO_*; arg points to its structure, in the caller's memory.
 *
 *   UFFDIO_API            -EINVAL: api, an unknown feature, a second time
 *   UFFDIO_REGISTER       -EINVAL: range, mode, a kind of memory that cannot; -EBUSY: another one's;
 *                         -EPERM: shared, and its file was not opened for writing; -ENOMEM: also
 *                         where mm has ended; -EBADF: another thread has closed it meanwhile
 *   UFFDIO_UNREGISTER     -EINVAL: range, nothing mapped, another one's; -ENOMEM, -EBADF: the same
 *   UFFDIO_COPY, _ZEROPAGE, _CONTINUE, _POISON, _MOVE
 *                         -EINVAL; -ENOENT: not within one registered mapping (MOVE: a hole in the
 *                         source); -EEXIST: there is a page, or for _ZEROPAGE of private memory,
 *                         _POISON and _MOVE a marker; -EFAULT: the source cannot be read, beyond
 *                         the file's end, no page to continue with, a marker in the source; -EBUSY
 *                         (MOVE): shared or pinned; -EIO: the page to continue with was lost;
 *                         -ENOMEM; -ESRCH: mm has ended. -EAGAIN: an event of a change to the map
 *                         has not been read; or some pages were done, and the output field says
 *                         how many bytes. _POISON: an access gives SIGBUS until the place is filled
 *                         by _COPY or _CONTINUE, or emptied, as by MADV_DONTNEED. _MOVE: within mm;
 *                         both mappings are private, anonymous, writable and have the same rights
 *   UFFDIO_WRITEPROTECT   -EINVAL, -ENOENT, -EAGAIN, -ENOMEM, -ESRCH; mappings before one that is
 *                         not registered stay done
 *   UFFDIO_WAKE           -EINVAL
 *
 * -EINVAL for any other request; -EFAULT: arg is NULL.
 *
 * uffdio_copy.src is an address in the caller's process, as arg is, unless samara_uffd_source() has
 * said otherwise. An address that cannot be read gives -EFAULT. Of a source that samara_uffd_source()
 * has named, a range that is not within its addresses gives -EINVAL, and -EAGAIN a page that sleeps
 * for a handler of its own until samara_uffd_interrupt() ends that.
 */
SAMARA_API int samara_uffd_ioctl(struct samara_uffd *uffd, unsigned long request, void *arg);

/*
 * From now on uffdio_copy.src is an address of mm: a guest's own request can be handed through
 * unchanged. mm is the address space of the process that makes the request, which need not be the
 * one that the userfaultfd is about. NULL: the caller's process again. Keeps a reference to mm: once
 * that has ended its addresses give -EFAULT. It must not end while a request reads it: the thread
 * that makes the request is one of its own.
 * The userfaultfds that samara_uffd_forked() gives begin with NULL.
 */
SAMARA_API void samara_uffd_source(struct samara_uffd *uffd, struct samara_mm *mm);

/* messages ------------------------------------------------------------------ */

/*
 * Up to nr messages: page faults in the order in which they were made, and then events. Bytes, a
 * multiple of sizeof(struct uffd_msg). -EAGAIN: none, and O_NONBLOCK; without it the call waits.
 * -EINVAL: nr is 0, or UFFDIO_API was not called. -EBADF: it was closed meanwhile. Messages come from
 * an mm that has ended, too.
 * A page fault's feat.ptid (UFFD_FEATURE_THREAD_ID) is gettid(2) of the thread that made the access.
 */
SAMARA_API long samara_uffd_read(struct samara_uffd *uffd, struct uffd_msg *msg, unsigned long nr);

/*
 * A descriptor that poll(2) and epoll find readable while a message waits. The library's: to be
 * neither read, written nor closed; it ends with samara_uffd_put(). The first call makes it: -EMFILE,
 * -ENFILE, -ENOMEM. (Linux says POLLERR for one without O_NONBLOCK, or before UFFDIO_API.)
 */
SAMARA_API int samara_uffd_fd(const struct samara_uffd *uffd);

/*
 * The child's userfaultfd of a UFFD_EVENT_FORK that samara_uffd_read() gave: with the features and
 * flags of uffd, and the ranges of the child. msg->arg.fork.ufd is a number that uffd knows it by,
 * no descriptor. *out is the caller's, to be closed by samara_uffd_put(). 0; -EINVAL: msg is another
 * event; -ENOENT: taken already, or not of uffd.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_uffd_forked(struct samara_uffd *uffd, const struct uffd_msg *msg,
						    struct samara_uffd **out);

/* waiting ------------------------------------------------------------------- */

/*
 * With SAMARA_NOWAIT an access does not sleep: samara_access() gives -EAGAIN
 * and samara_cpu_miss(), whose access is then one of SAMARA_ACCESS_* | SAMARA_NOWAIT, NULL with *fault
 * { signo 0, code -EAGAIN }. The handler is told once, and the access succeeds later. Of up to 256
 * different faults at a time: further ones are told when they are tried again.
 */

/*
 * Threads that sleep in a page fault of mm return, as if with SAMARA_NOWAIT: the one whose gettid(2)
 * is tid, or all for 0. For a guest's thread that gets a signal or ends. How many: each of them gives
 * -EAGAIN, also one that was about to find its page. May be called inside a CPU's section.
 */
SAMARA_API unsigned long samara_uffd_interrupt(struct samara_mm *mm, unsigned int tid);

/*
 * Whether a call on mm that raises an event waits until it is read, as in Linux (on, the default).
 * Off is for embedders in which one thread runs both: the event is queued, and the call returns.
 * Until it is read the requests that fill pages say -EAGAIN in either case. Off: UFFD_EVENT_REMOVE
 * comes when the pages have gone, and a call that would queue more than 4096 events unread says
 * -ENOMEM. A fork's child has its parent's setting. Each event goes by what was set when its call
 * began to change the map. May be called inside a CPU's section.
 */
SAMARA_API void samara_uffd_events_wait(struct samara_mm *mm, int on);

/* who wrote what ------------------------------------------------------------ */

/*
 * ioctl(2) PAGEMAP_SCAN of /proc/PID/pagemap: arg's regions, and write protection of what matched, as
 * Linux 6.18 answers. The first write to a page that was protected so takes the protection off, and is
 * not stopped. arg->vec points to struct page_region in the caller's memory. Regions written; -EINVAL;
 * -EFAULT (start above end, beyond all addresses, arg, vec); -EPERM (PM_SCAN_CHECK_WPASYNC: a mapping is
 * not registered for asynchronous write protection); -ENOMEM. arg->walk_end is where it stopped, and
 * untouched after arguments that cannot be. Takes the mmap_lock for reading.
 */
SAMARA_API long samara_pagemap_scan(struct samara_mm *mm, struct pm_scan_arg *arg);

/*
 * What writing it to /proc/PID/clear_refs does: 1 all pages, 2 anonymous ones, 3 those of files are
 * not referenced any more; 4 nothing is soft-dirty any more, on machines with
 * SAMARA_MACHINE_SOFT_DIRTY, else nothing is done; 5 nothing (the peak of rss is not kept). 0;
 * -EINVAL: another number. Takes the mmap_lock, for writing with 4.
 */
SAMARA_API int samara_clear_refs(struct samara_mm *mm, int what);

SAMARA_END_DECLS

#endif
