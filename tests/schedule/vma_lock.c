/* SPDX-License-Identifier: MIT */
/*
 * The lock of a VMA (core/vma_lock.h), against the thread that changes it, removes it, and uses its
 * memory again.
 *
 *   hold      Who holds a VMA that was found under RCU sees its bounds and flags hold still, and
 *             they are those from before or after one mprotect.
 *   detach    A writer that has locked a VMA has it alone, and so has munmap; what a reader did has
 *             happened before.
 *   reuse     The VMA that is held is the mm's that was asked, at the address that was asked,
 *             although its memory may be another mm's VMA by now.
 *   elsewhere The same of memory that is another VMA of the same mm.
 *   wait      The last reader to leave wakes the writer, whatever the two do in between.
 */
#include "schedule/world.h"

#include "core/vma_lock.h"
#include "vma/find.h"

struct vma_world {
	struct world w;
	struct samara_mm *other;
	unsigned long readers, wrote; /* of the VMA's page; changed while it is held */
};

static void open_one(void *arg)
{
	struct vma_world *v = arg;

	world_open(&v->w);
	world_map(v->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
}

static void open_two(void *arg)
{
	struct vma_world *v = arg;

	open_one(arg);
	v->other = world_mm(&v->w);
}

static void close_all(void *arg)
{
	struct vma_world *v = arg;

	world_check(&v->w);
	samara_mm_exit(v->other);
	world_close(&v->w);
}

/* What a page fault reads of a VMA. Plain, so that a race with a writer is reported too. */
static void look(struct samara_mm *mm, const struct vma *vma, unsigned long addr)
{
	const unsigned long start = vma->vm_start, end = vma->vm_end, flags = vma->vm_flags;

	schedule_require(vma->vm_mm == mm);
	schedule_require(start <= addr && addr < end);
	cpu_relax();
	schedule_require(vma->vm_start == start && vma->vm_end == end);
	schedule_require(vma->vm_flags == flags && vma->vm_mm == mm);
}

static void read_twice(void *arg)
{
	struct vma_world *v = arg;

	for (int i = 0; i < 2; i++) {
		struct vma *vma = lock_vma_under_rcu(v->w.mm, PG(1));

		if (!vma)
			continue;
		look(v->w.mm, vma, PG(1));
		vma_end_read(vma);
	}
}

/* hold ---------------------------------------------------------------------------- */

static void protect_half(void *arg)
{
	struct vma_world *v = arg;

	schedule_require(!samara_mprotect(v->w.mm, PG(2), WORLD_PAGE, PROT_READ));
	schedule_require(!samara_mprotect(v->w.mm, PG(1), WORLD_PAGE, PROT_READ));
}

static const struct scenario hold = {
	.name = "hold",
	.what = "a VMA that is held does not change",
	.world_size = sizeof(struct vma_world),
	.setup = open_one,
	.threads = { { "reader", read_twice }, { "mprotect", protect_half } },
	.check = close_all,
};

/* detach -------------------------------------------------------------------------- */

/* As a fault does, writes what the VMA covers. */
static void read_and_count(void *arg)
{
	struct vma_world *v = arg;
	struct vma *vma = lock_vma_under_rcu(v->w.mm, PG(1));

	if (!vma)
		return;
	v->readers = 1;
	look(v->w.mm, vma, PG(1));
	v->readers = 0;
	vma_end_read(vma);
}

/* As mprotect does, then munmap. A reader that has found the VMA is gone behind each. */
static void lock_and_remove(void *arg)
{
	struct vma_world *v = arg;
	struct samara_mm *mm = v->w.mm;

	mmap_write_lock(mm);
	vma_start_write(vma_lookup(mm, PG(1)));
	schedule_require(!v->readers);
	v->wrote++;
	mmap_write_unlock(mm);
	world_unmap(mm, 1, 2);
	schedule_require(!v->readers);
	v->wrote++;
}

static void detached(void *arg)
{
	struct vma_world *v = arg;

	schedule_require(v->wrote == 2 && !v->readers);
	close_all(arg);
}

static const struct scenario detach_scenario = {
	.name = "detach",
	.what = "a writer that has locked a VMA, or removed it, has it alone",
	.world_size = sizeof(struct vma_world),
	.setup = open_one,
	.threads = { { "reader", read_and_count }, { "writer", lock_and_remove } },
	.check = detached,
};

/* reuse --------------------------------------------------------------------------- */

/* The memory of the VMA becomes that of the other mm, in the thread's own magazine. */
static void unmap_and_use_again(void *arg)
{
	struct vma_world *v = arg;

	world_unmap(v->w.mm, 1, 2);
	world_map(v->other, 1, 1, PROT_READ, MAP_PRIVATE, NULL);
}

static const struct scenario reuse = {
	.name = "reuse",
	.what = "the VMA that is held is the one that was asked for",
	.world_size = sizeof(struct vma_world),
	.setup = open_two,
	.threads = { { "reader", read_twice }, { "munmap", unmap_and_use_again } },
	.check = close_all,
};

/* Two VMAs of one mm: the memory of the first comes back at another address. */
static void unmap_and_move(void *arg)
{
	struct vma_world *v = arg;

	world_unmap(v->w.mm, 1, 2);
	world_map(v->w.mm, 8, 1, PROT_READ, MAP_PRIVATE, NULL);
}

static const struct scenario elsewhere = {
	.name = "elsewhere",
	.what = "the VMA that is held covers the address that was asked for",
	.world_size = sizeof(struct vma_world),
	.setup = open_one,
	.threads = { { "reader", read_twice }, { "munmap", unmap_and_move } },
	.check = close_all,
};

/* wait ---------------------------------------------------------------------------- */

static const struct scenario wait_scenario = {
	.name = "wait",
	.what = "a writer that waits for two readers is woken",
	.world_size = sizeof(struct vma_world),
	.setup = open_one,
	.threads = { { "reader", read_twice },
		     { "reader2", read_twice },
		     { "writer", lock_and_remove } },
	.check = close_all,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&hold, &detach_scenario, &reuse, &elsewhere, &wait_scenario, NULL,
	};

	return schedule_main(argc, argv, all);
}
