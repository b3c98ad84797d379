/* SPDX-License-Identifier: MIT */
/*
 * The lock of one VMA: a reference count (Linux: Documentation/mm/process_addrs.rst).
 *
 *   vm_lock.refcnt  0             detached: the VMA is in no tree and cannot be locked
 *                   1             attached
 *                   1 + n         n page faults hold it for reading, at most VMA_READERS_MAX
 *                   VMA_WRITER +  a writer waits for the readers to leave. No new reader enters
 *
 *   vm_lock.seq == mm->mmap_lock.seq
 *               write-locked. A writer that holds the mmap_lock for writing sets vm_lock.seq.
 *               mmap_write_unlock() adds 1 to mmap_lock.seq. That unlocks all VMAs of the mm at
 *               once. A new VMA is write-locked when vma_alloc() returns it.
 *               Both words have 64 bits. If a number came twice, a VMA would look locked although
 *               no writer has waited for its readers, and a guest makes 2^32 calls in minutes.
 *
 * A reader never waits. lock_vma_under_rcu() returns NULL when a writer holds the VMA or waits for
 * it, and the caller takes the mmap_lock. A reader may reach a VMA that was freed and allocated
 * again, even for another mm: the VMA cache's memory holds nothing but VMAs. So a reader takes its
 * reference first, and then checks that this is the VMA it looked for. Before it has the reference
 * it reads vm_lock.refcnt only. That word has no other use, and it is 0 in a free VMA.
 *
 *   reader                                 writer (mmap_lock for writing)
 *   vm_lock.refcnt += 1, not from 0   (a)  vm_lock.seq = mmap_lock.seq        (c)
 *   vm_lock.seq == mmap_lock.seq?     (b)  vm_lock.refcnt == 1?               (d)
 *     yes: vm_lock.refcnt -= 1, NULL         no: VMA_WRITER, wait for the readers
 *
 * Ordering
 *  1. (a) to (d) are in the one order of sequentially consistent operations. If (a) comes before
 *     (d), the writer sees the reader and waits. Otherwise (c) comes before (b), and the reader
 *     leaves. So locking a VMA that has no reader is one atomic exchange.
 *  2. A reader that finds mmap_lock.seq changed sees all that was done until then:
 *     vma_end_write_all() releases, the reader acquires.
 *  3. What a reader did is seen by the writer that waited for it, and by a writer that came after
 *     the reader had left: vma_end_read() releases, (d) acquires.
 *
 * A VMA that leaves its tree is detached after that. The thread that detaches it waits for its
 * readers and frees it at once. A lookup that has found the VMA meanwhile cannot take a reference
 * any more.
 */
#ifndef CORE_VMA_LOCK_H
#define CORE_VMA_LOCK_H

#include "base/assert.h"
#include "core/mm.h"

#define VMA_WRITER 0x40000000u
#define VMA_READERS_MAX (VMA_WRITER / 2)

/*
 * The VMA at addr, held for reading. NULL: the caller takes the mmap_lock and looks in the tree.
 * Counts why it returns NULL; the caller counts VMA_LOCK_SUCCESS, _NO_FAULT or _RETRY. No lock
 * is held.
 */
struct vma *lock_vma_under_rcu(struct samara_mm *mm, unsigned long addr) __must_check;
void vma_end_read(struct vma *vma);

/*
 * Its second half: hold vma, which was found in mm's tree a moment ago, for reading. BUSY: a
 * writer is about. MISSED: it has left the tree, or is another mm's by now. Under RCU.
 */
enum vma_read { VMA_READ_HELD, VMA_READ_BUSY, VMA_READ_MISSED };
enum vma_read vma_try_read(struct samara_mm *mm, struct vma *vma) __must_check;

/* Slow halves: a reader holds it, or is about to leave. */
void vma_wait_readers(struct vma *vma);
void vma_wait_detached(struct vma *vma);

/* Whether vma is write-locked. mmap_lock for writing. */
static inline bool vma_write_locked(const struct vma *vma)
{
	return READ_ONCE(vma->vm_lock.seq) == vma->vm_mm->mmap_lock.seq;
}

/*
 * Keep page faults out of vma until mmap_write_unlock(). Waits for those inside. mmap_lock for
 * writing.
 */
static inline void vma_start_write(struct vma *vma)
{
	if (vma_write_locked(vma))
		return;
	xchg(&vma->vm_lock.seq, vma->vm_mm->mmap_lock.seq);
	if (unlikely(load_seq_cst(&vma->vm_lock.refcnt) > 1))
		vma_wait_readers(vma);
}

static inline bool vma_is_attached(const struct vma *vma)
{
	return READ_ONCE(vma->vm_lock.refcnt);
}

/* vma does not change: the mmap_lock is held in some mode, or vma's own lock is. */
static inline void vma_assert_stays(const struct vma *vma)
{
	if (READ_ONCE(vma->vm_lock.refcnt) < 2)
		rwsem_assert_held(&vma->vm_mm->mmap_lock.sem);
}

static inline void vma_assert_write_locked(const struct vma *vma)
{
	VM_WARN_ON(vma_is_attached(vma) && !vma_write_locked(vma));
}

/* Before it goes into a tree; all of it is set. */
static inline void vma_mark_attached(struct vma *vma)
{
	VM_WARN_ON(vma_is_attached(vma));
	smp_store_release(&vma->vm_lock.refcnt, 1);
}

/* vma has left the tree. Waits until it has no reader. mmap_lock for writing. */
static inline void vma_mark_detached(struct vma *vma)
{
	unsigned int one = 1;

	if (unlikely(!try_cmpxchg_acq_rel(&vma->vm_lock.refcnt, &one, 0)))
		vma_wait_detached(vma);
}

#endif
