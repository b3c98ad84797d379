/* SPDX-License-Identifier: MIT */
/*
 * The lock of one VMA: a reference count (Linux: Documentation/mm/process_addrs.rst).
 *
 *   vm_refcnt   0               detached: in no tree, nobody may lock it
 *               1               attached
 *               1 + n           n page faults hold it for reading
 *               VMA_WRITER + .. somebody waits for the readers to leave; no new ones.
 *               Nor beyond VMA_READERS_MAX, though a thread holds one reference at most
 *
 *   vm_lock_seq == mm->mmap_lock.seq     write-locked. It was locked under the mmap_lock held
 *               for writing, and stays so until that is dropped: mmap_write_unlock() adds 1 to
 *               mmap_lock.seq, which unlocks all of the mm's VMAs at once. A new VMA is born so.
 *               Both have 64 bits: a number that came twice would make a VMA look locked whose
 *               readers nobody has waited for, and a guest makes 2^32 calls in minutes.
 *
 * A reader never waits: lock_vma_under_rcu() gives up when a writer is about, and the caller
 * takes the mmap_lock. It may hold a VMA that has been freed and used again, for another mm
 * even, since VMAs come from a cache whose memory always holds VMAs: so it takes its reference
 * first, and then looks again whether this is the VMA it wanted. vm_refcnt is the one word that
 * it reads before that, so this word is never anything else, in a free VMA neither (0).
 *
 *   reader                               writer (mmap_lock for writing)
 *   vm_refcnt += 1, not from 0    (a)    vm_lock_seq = mmap_lock.seq        (c)
 *   vm_lock_seq == mmap_lock.seq?   (b)    vm_refcnt == 1?                  (d)
 *     yes: vm_refcnt -= 1, give up         no: VMA_WRITER, wait for the readers
 *
 * Ordering
 *  1. (a) to (d) are in the one order of sequentially consistent operations. If (a) comes before
 *     (d), the writer sees the reader and waits. Otherwise (c) comes before (b), and the reader
 *     gives up. So locking a VMA that nobody reads is one atomic exchange.
 *  2. A reader that finds mmap_lock.seq changed sees all that was done until then:
 *     vma_end_write_all() releases, the reader acquires.
 *  3. What a reader did is seen by the writer that waited for it, and by one that came after it
 *     had gone: vma_end_read() releases, (d) acquires.
 *
 * A VMA that leaves its tree is detached after that: its readers are waited for, and whoever
 * detached it frees it, at once. Lookups that have found it meanwhile cannot take a reference any
 * more.
 */
#ifndef CORE_VMA_LOCK_H
#define CORE_VMA_LOCK_H

#include "base/assert.h"
#include "core/mm.h"

#define VMA_WRITER 0x40000000u
#define VMA_READERS_MAX (VMA_WRITER / 2)

/*
 * The VMA at addr, held for reading, or NULL: take the mmap_lock, which tells what is there. Counts
 * why not; the caller counts VMA_LOCK_SUCCESS or _RETRY, as the fault went. No lock is needed.
 */
struct vma *lock_vma_under_rcu(struct samara_mm *mm, unsigned long addr) __must_check;
void vma_end_read(struct vma *vma);

/*
 * Its second half: hold vma, which was found in mm's tree a moment ago, for reading. BUSY: a
 * writer is about. MISSED: it has left the tree, or is another mm's by now. Under RCU.
 */
enum vma_read { VMA_READ_HELD, VMA_READ_BUSY, VMA_READ_MISSED };
enum vma_read vma_try_read(struct samara_mm *mm, struct vma *vma) __must_check;

/* Slow halves: somebody holds it, or is just giving up. */
void vma_wait_readers(struct vma *vma);
void vma_wait_detached(struct vma *vma);

/* Is held for writing by this mmap_lock section. mmap_lock for writing. */
static inline bool vma_write_locked(const struct vma *vma)
{
	return READ_ONCE(vma->vm_lock_seq) == vma->vm_mm->mmap_lock.seq;
}

/*
 * Keep page faults out of vma until mmap_write_unlock(). mmap_lock for writing. Waits for those
 * inside.
 */
static inline void vma_start_write(struct vma *vma)
{
	if (vma_write_locked(vma))
		return;
	xchg(&vma->vm_lock_seq, vma->vm_mm->mmap_lock.seq);
	if (unlikely(load_seq_cst(&vma->vm_refcnt) > 1))
		vma_wait_readers(vma);
}

static inline bool vma_is_attached(const struct vma *vma)
{
	return READ_ONCE(vma->vm_refcnt);
}

/* Nobody changes vma meanwhile: the mmap_lock is held in some mode, or its own lock is. */
static inline void vma_assert_stays(const struct vma *vma)
{
	if (READ_ONCE(vma->vm_refcnt) < 2)
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
	smp_store_release(&vma->vm_refcnt, 1);
}

/* It has left the tree; waits until nobody has it. mmap_lock for writing. */
static inline void vma_mark_detached(struct vma *vma)
{
	unsigned int one = 1;

	if (unlikely(!try_cmpxchg_acq_rel(&vma->vm_refcnt, &one, 0)))
		vma_wait_detached(vma);
}

#endif
