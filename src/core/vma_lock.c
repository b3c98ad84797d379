/* SPDX-License-Identifier: MIT */
/*
 * The per-VMA lock: finding and holding a VMA without the mmap_lock, and waiting for its readers.
 * vma_lock.h has the picture and the ordering.
 *
 * Sleeping: a writer sets VMA_WRITER and sleeps on vm_lock.refcnt. There is one writer, which holds
 * the mmap_lock. With VMA_WRITER set the word only falls, by one for each reader that leaves, so no
 * value comes twice: when futex(2) finds the value that the writer has read, no reader has left
 * since. The last reader takes the word down to VMA_WRITER + 1 and wakes the writer, which slept on
 * a higher value or finds this one. All this is in the order of one atomic object.
 * tests/model/vma_lock.c tries all orders.
 *
 * The last reader touches nothing but the word's address afterwards. The VMA may be in use
 * elsewhere by then; a sleeper that is woken there for no reason looks again.
 */
#include "core/vma_lock.h"

#include "base/futex.h"
#include "base/rcu.h"

#ifndef VMA_LOCK_SPINS
#define VMA_LOCK_SPINS 100
#endif

/* One reader less. */
static void put_reader(struct vma *vma)
{
	unsigned int *word = &vma->vm_lock.refcnt;

	if (atomic_sub_return_release(word, 1) == (VMA_WRITER | 1))
		futex_wake(word, 1, FUTEX_ANYONE);
}

enum vma_read vma_try_read(struct samara_mm *mm, struct vma *vma)
{
	/* Mostly there is no other reader. To look first would cost the cache line twice. */
	unsigned int refs = 1;

	do {
		if (!refs)
			return VMA_READ_MISSED;
		if (unlikely(refs > VMA_READERS_MAX)) /* VMA_WRITER included */
			return VMA_READ_BUSY;
	} while (!try_cmpxchg_weak_seq_cst(&vma->vm_lock.refcnt, &refs, refs + 1));
	/* From here on it is in some tree, and will not be freed. */
	if (vma->vm_mm != mm) {
		put_reader(vma);
		return VMA_READ_MISSED;
	}
	if (load_seq_cst(&vma->vm_lock.seq) == load_seq_cst(&mm->mmap_lock.seq)) {
		put_reader(vma);
		return VMA_READ_BUSY;
	}
	return VMA_READ_HELD;
}

struct vma *lock_vma_under_rcu(struct samara_mm *mm, unsigned long addr)
{
	enum vma_read how;
	struct vma *vma;

	rcu_read_lock();
	for (;;) {
		vma = mtree_load(&mm->mt, addr);
		if (!vma) {
			how = VMA_READ_BUSY;
			break;
		}
		how = vma_try_read(mm, vma);
		if (how != VMA_READ_MISSED)
			break;
		mm_lock_count(mm, VMA_LOCK_MISS);
	}
	rcu_read_unlock();
	/* The same mm, but perhaps used again elsewhere in it; its bounds hold still now. */
	if (how == VMA_READ_HELD && (addr < vma->vm_start || addr >= vma->vm_end)) {
		put_reader(vma);
		how = VMA_READ_BUSY;
	}
	if (how != VMA_READ_HELD) {
		mm_lock_count(mm, VMA_LOCK_ABORT);
		return NULL;
	}
	lock_rank_try(&vma->vm_lock.refcnt, RANK_VMA);
	return vma;
}

void vma_end_read(struct vma *vma)
{
	lock_rank_release(&vma->vm_lock.refcnt);
	put_reader(vma);
}

/*
 * Wait until the tree's reference is the only one. No new one is given until the word is changed
 * again.
 */
static void wait_alone(struct vma *vma)
{
	unsigned int refs, spins = VMA_LOCK_SPINS;

	lock_rank_acquire(&vma->vm_lock.refcnt, RANK_VMA, true);
	refs = atomic_or_return_acquire(&vma->vm_lock.refcnt, VMA_WRITER);
	while (refs != (VMA_WRITER | 1)) {
		if (!spins) {
			futex_wait(&vma->vm_lock.refcnt, refs, FUTEX_ANYONE, NULL);
		} else {
			cpu_relax();
			spins--;
		}
		refs = smp_load_acquire(&vma->vm_lock.refcnt);
	}
	lock_rank_release(&vma->vm_lock.refcnt);
}

void vma_wait_readers(struct vma *vma)
{
	mmap_assert_write_locked(vma->vm_mm);
	wait_alone(vma);
	/* A reader that comes now finds vm_lock.seq equal to the mm's. */
	smp_store_release(&vma->vm_lock.refcnt, 1);
}

void vma_wait_detached(struct vma *vma)
{
	BUG_ON(!vma_is_attached(vma));
	wait_alone(vma);
	smp_store_release(&vma->vm_lock.refcnt, 0);
}
