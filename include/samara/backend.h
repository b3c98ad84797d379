/* SPDX-License-Identifier: MIT */
/*
 * Running an address space on something that translates addresses itself: native processes into
 * which the machine's frames are mapped, code of a JIT whose guest memory lies at a fixed base, a
 * virtual CPU with tables of its own. It asks for the frame behind an address, maps it in its own
 * way, and is told before that frame may serve anything else.
 *
 *   what runs the mm                  the backend                      the library
 *   an access faults        -->  samara_fault_in(mm, addr)  -->  the page comes, the frame is named
 *                                lock; samara_translation_stale()?
 *                                   yes: unlock, again
 *   goes on                 <--     maps ram.fd at pfn; unlock
 *                                ops->flush(), takes the lock  <--  munmap, fork, reclaim, another
 *   cannot use it any more  <--     unmaps, or write-protects       thread's copy-on-write, ...
 *                                ops->wait()               <--  nothing is freed before it returns
 *                                ops->moved()              <--  or: another frame, in one step
 *
 * The lock is the backend's, one for each address space or for parts of it. Between the question
 * whether a translation is stale and the end of mapping it the lock is held, and ops->flush() takes
 * it. So a flush comes before the question, and the translation is stale, or behind the mapping,
 * and undoes it. The lock's holder makes no other call of the library.
 *
 * A page is written to only where the translation has SAMARA_RIGHT_WRITE. The library then takes
 * the page for written from there on. Where it is missing, a store has to be a fault, for which
 * samara_fault_in() is called again with SAMARA_ACCESS_WRITE: it copies a page that is shared,
 * marks a file's page dirty, or refuses.
 *
 * Without a unit nothing is undone when the library says so: then a program may use frames only
 * while it makes sure by other means that nothing changes, as a test does.
 *
 * Units: addresses are bytes; frames and pages are counted. Errors: 0 or -errno; -ESRCH and
 * -EDEADLK as <samara/mm.h> says. Locks: any thread may make any call at any time, but for those
 * that ops must not make; no lock is held when a call returns.
 */
#ifndef SAMARA_BACKEND_H
#define SAMARA_BACKEND_H

#include <samara/access.h>
#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_machine;
struct samara_mm;

/* frames -------------------------------------------------------------------- */

/*
 * The machine's frames: one file, of which frame n is the page at n << page_shift. fd is a memfd,
 * shared by all who map it; the library's, neither to be closed nor truncated nor read or written
 * at an offset of a frame that no translation named. It ends with the machine, and execve(2)
 * closes it. base is where the library itself has all of it mapped, readable and writable; fork(2)
 * leaves that out of the child, but not fd.
 */
struct samara_ram_info {
	size_t size; /* sizeof(struct samara_ram_info), set by the caller */
	int fd;
	void *base;
	unsigned long bytes; /* of the file and of the mapping at base: every frame lies within */
	unsigned int page_shift;
};

/*
 * What the machine's frames lie in. The first call opens the descriptor, by /proc/self/map_files.
 * Where the host forbids that (it wants CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), a machine keeps
 * one from its creation on, if its number is below a quarter of RLIMIT_NOFILE. So a process that
 * drops its capabilities makes the first call before.
 *
 * 0; -EINVAL: size; -EMFILE: there is no descriptor; -ENFILE, -ENOMEM. Members that this library
 * does not know become 0.
 */
SAMARA_API int samara_ram(struct samara_machine *machine, struct samara_ram_info *out);

/* translations --------------------------------------------------------------- */

enum samara_rights {
	SAMARA_RIGHT_READ = 1 << 0,
	SAMARA_RIGHT_WRITE = 1 << 1,
	SAMARA_RIGHT_EXEC = 1 << 2,
};

enum samara_translation_flags {
	/*
	 * The frame's bytes are zeros that were never written: its page in ram.fd may be a hole.
	 * Mapping a page of zeros there is as good as mapping the frame. Today only frame 0 has it.
	 */
	SAMARA_TRANSLATION_ZEROS = 1 << 0,
	/* A page of a file, of shared memory or of a driver; else the process's own, anonymous. */
	SAMARA_TRANSLATION_FILE = 1 << 2,
};

#define SAMARA_NO_FRAME (~0UL)

/* One page, as it was at one moment. */
struct samara_translation {
	unsigned long addr; /* of the page */
	unsigned long pfn;  /* its frame; 0: the page of zeros; SAMARA_NO_FRAME: none */
	/*
	 * enum samara_rights: what may be done without a further fault. 0: nothing, and the next
	 * access has to fault.
	 */
	unsigned int rights;
	unsigned int flags;                /* enum samara_translation_flags */
	unsigned long vma_start, vma_end;  /* the mapping it is in, [start, end); both 0: in none */
	unsigned long vm_flags;            /* SAMARA_VM_* of that mapping */
	unsigned long seq;                 /* the library's, for samara_translation_stale() */
};

/* Beside SAMARA_NOWAIT and SAMARA_NOGROW (enum samara_access_flags). */
enum samara_fault_in_flags {
	/*
	 * A private page that others share becomes the process's own, as a read-only pin for long
	 * has it (SAMARA_PIN_LONGTERM). For a backend that cannot map the shared frame at addr.
	 */
	SAMARA_FAULT_IN_UNSHARE = 1 << 16,
};

/*
 * What an access of kind access to addr does: the page comes, is copied where it is shared, a stack
 * grows, an accessed and for a write a dirty bit is set; *out says where it is. addr may lie
 * anywhere in the page. flags: SAMARA_NOWAIT; SAMARA_NOGROW, for an access by another process, which
 * does not grow a stack; SAMARA_FAULT_IN_UNSHARE.
 *
 * 0; -EFAULT: *fault (may be NULL) has the signal that Linux would send; -ENOMEM: memory ran out,
 * and what the OOM killer chose is not this mm; -EAGAIN: with SAMARA_NOWAIT only, it would sleep
 * for swap, a page that moves, or a handler of mm's userfaultfd, who has been told (<samara/uffd.h>);
 * -EINVAL: access, flags. *out is written where the answer is 0, else untouched.
 *
 * One access may need several faults, and is tried until it can be made; so *out is what the access
 * would have used. Pages around one of a file may come too, and samara_translate() tells which.
 * Without a fault the call is a lookup.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_fault_in(struct samara_mm *mm, unsigned long addr,
						 enum samara_access access, unsigned int flags,
						 struct samara_translation *out, struct samara_fault *fault);

/*
 * How nr pages from addr (a multiple of the page size) are mapped now. Looks and never faults, sets
 * no bit, and so gives a right to write only where the page counts as written already. Each page of
 * the range has one element, in order. One that is not there has pfn SAMARA_NO_FRAME and no rights;
 * in a hole of the map it has no mapping either. One that no access reaches (PROT_NONE) has its
 * frame, and no rights. Leaf by leaf: pages of two leaves may be of two moments. Pages written to
 * out: nr; -EINVAL: addr, nr is 0, a range beyond the task size.
 */
SAMARA_API long samara_translate(struct samara_mm *mm, unsigned long addr, unsigned long nr,
				 struct samara_translation *out);

/*
 * Whether what t says may have been undone since: 1, or 0. 1 also where something else of the same
 * part of the address space was (a false alarm; never the reverse). A right that was added makes
 * nothing stale; so vma_start, vma_end and vm_flags may be older than the answer 0, where they gave
 * more rights or were merged. With the lock held that ops->flush() takes, 0 means that t can be
 * mapped. 1 once mm has ended, and in a fork(2) of the process. Takes no lock, and may be called in
 * ops; mm is one that has not ended, or has a unit attached.
 */
SAMARA_API int samara_translation_stale(struct samara_mm *mm, const struct samara_translation *t);

/* being told ----------------------------------------------------------------- */

struct samara_unit;

enum samara_lost {
	SAMARA_LOST_WRITE, /* a store has to fault from now on; reading goes on */
	SAMARA_LOST_ALL,   /* every access has to fault: the frame may be freed, or another one is there */
};

struct samara_unit_ops {
	size_t size; /* sizeof(struct samara_unit_ops) */
	/*
	 * Pages of [start, end) have lost rights; end 0 is the top of the address space. Entries have
	 * changed, so samara_translation_stale() says 1 of what was taken before. Begins to undo, and
	 * need not wait: several may come before one wait(). May be called for pages that were never
	 * mapped.
	 */
	void (*flush)(void *priv, unsigned long start, unsigned long end, enum samara_lost lost);
	/*
	 * Copy-on-write: the page at addr gets the frame t->pfn, which has its bytes already, with
	 * t->rights, in the place of another one. A backend that can exchange the two in one step does
	 * so, has done it when it returns, and returns 1: flush() is not called for it, and the page
	 * may be used at once. t is not stale. 0, or NULL: flush() and wait() are called as for
	 * SAMARA_LOST_ALL. Of several units with moved() one is asked, behind the flush of the others:
	 * so no two use two frames for one page.
	 */
	int (*moved)(void *priv, const struct samara_translation *t);
	/*
	 * Returns once nothing that runs the mm can use what was flushed. Frames are given back
	 * behind it, copies made, write-back begun. NULL: flush() has waited.
	 */
	void (*wait)(void *priv);
	/*
	 * Whether the page at addr was used since this was asked last, other than through the
	 * library. NULL: it cannot tell; then a page that was brought in and does not fault again
	 * counts as unused.
	 */
	int (*young)(void *priv, unsigned long addr);
	/* The mm ends; all was flushed, and nothing follows. NULL: it need not know. */
	void (*detached)(void *priv);
};

/*
 * What runs mm is told of changes: of those that begin when the call has returned, and perhaps of
 * earlier ones. So it is attached before the first translation is asked for. The ops are copied.
 * They may be called by any thread that makes a call on the machine (another mm's too: reclaim,
 * truncation), one at a time for the units of one mm, and with locks of the library held. They make
 * no call of this library but samara_translation_stale(), and wait for no thread that may be inside
 * one: the thread that runs mm, for one, if it can be waiting for a call. What is slow here makes
 * calls on the mm wait, and nothing else. Any number of units may be attached. A child of
 * samara_fork() has none.
 * 0, -EINVAL (size, no flush), -E2BIG (a member that this library does not know), -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_unit_attach(struct samara_mm *mm, const struct samara_unit_ops *ops,
						    void *priv, struct samara_unit **out);

/*
 * No op is called any more when it returns. The caller has unmapped what it had mapped. Every unit
 * is detached once, also when its mm has ended, for it keeps a little of that. NULL, and in a
 * fork(2) of the process: nothing is done.
 */
SAMARA_API void samara_unit_detach(struct samara_unit *unit);

SAMARA_END_DECLS

#endif
