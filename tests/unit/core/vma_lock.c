/* SPDX-License-Identifier: MIT */
/*
 * The per-VMA lock: who gets in, who is kept out, who waits for whom, and what becomes
 * of a lookup whose VMA is gone by the time it takes its reference.
 */
#include <pthread.h>
#include <sched.h>

#include "support/cmocka_all.h"

#include "base/rcu.h"
#include "core/vma_lock.h"
#include "support/mm_shape.h"
#include "vma/find.h"
#include "vma/reserve.h"

static unsigned long stat_of(struct samara_mm *mm, enum vma_lock_stat which)
{
	return mm_lock_stat_sum(mm, which);
}

static struct vma *must_lock(struct samara_mm *mm, unsigned long page)
{
	struct vma *vma = lock_vma_under_rcu(mm, AT(page));

	assert_non_null(vma);
	assert_true(vma->vm_start <= AT(page) && AT(page) < vma->vm_end);
	return vma;
}

static enum vma_read try_read(struct samara_mm *mm, struct vma *vma)
{
	enum vma_read how;

	rcu_read_lock();
	how = vma_try_read(mm, vma);
	rcu_read_unlock();
	return how;
}

static void readers_share_it_and_are_counted(void **state)
{
	struct fixture *f = *state;
	struct vma *one, *two;

	map_pages(f->mm, 0, 4, RW, 0);
	one = must_lock(f->mm, 0);
	two = lock_vma_under_rcu(f->mm, AT(3));
	assert_ptr_equal(one, two);
	assert_int_equal(one->vm_lock.refcnt, 3);
	vma_end_read(one);
	vma_end_read(two);
	assert_int_equal(one->vm_lock.refcnt, 1);
	assert_int_equal(stat_of(f->mm, VMA_LOCK_ABORT), 0);
}

static void where_nothing_is_there_is_nothing_to_lock(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	assert_null(lock_vma_under_rcu(f->mm, AT(4)));
	assert_null(lock_vma_under_rcu(f->mm, AT(0) - 1));
	assert_int_equal(stat_of(f->mm, VMA_LOCK_ABORT), 2);
}

/* Called as page faults would meet it: in the middle of a call that holds the mmap_lock. */
static void a_write_lock_lasts_until_the_mmap_lock_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct vma *vma;

	map_pages(f->mm, 0, 2, RW, 0);
	map_pages(f->mm, 4, 6, RW, 0);
	mmap_write_lock(f->mm);
	vma = vma_lookup(f->mm, AT(0));
	vma_start_write(vma);
	assert_true(vma_write_locked(vma));
	vma_start_write(vma); /* again is nothing */
	assert_null(lock_vma_under_rcu(f->mm, AT(0)));
	/* Another VMA of the mm can be read meanwhile. */
	vma_end_read(must_lock(f->mm, 4));
	mmap_write_downgrade(f->mm);
	assert_false(vma_write_locked(vma));
	vma_end_read(must_lock(f->mm, 0));
	mmap_read_unlock(f->mm);
	assert_int_equal(stat_of(f->mm, VMA_LOCK_ABORT), 1);
}

static void a_new_vma_is_born_locked(void **state)
{
	struct fixture *f = *state;
	struct vma *vma;

	mmap_write_lock(f->mm);
	vma = vma_alloc(f->mm);
	assert_non_null(vma);
	assert_false(vma_is_attached(vma));
	assert_true(vma_write_locked(vma));
	vma_mark_attached(vma);
	assert_int_equal(try_read(f->mm, vma), VMA_READ_BUSY);
	assert_int_equal(vma->vm_lock.refcnt, 1);
	vma_mark_detached(vma);
	vma_free(vma);
	mmap_write_unlock(f->mm);
}

/* A call in another thread, while this one holds the VMA at page 0 for reading. */
struct call {
	struct fixture *f;
	int (*fn)(struct fixture *f);
	int ret;
	bool over;
};

static void *make_call(void *arg)
{
	struct call *c = arg;

	c->ret = c->fn(c->f);
	__atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* fn, begun while a reader is in the VMA at page 0, waits until that has left. */
static void waits_for_a_reader(struct fixture *f, int (*fn)(struct fixture *f))
{
	struct call c = { .f = f, .fn = fn };
	struct vma *vma = must_lock(f->mm, 0);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, make_call, &c), 0);
	while (!(READ_ONCE(vma->vm_lock.refcnt) & VMA_WRITER))
		sched_yield();
	/* It has asked for it, so nobody else gets in, and it is not over. */
	assert_null(lock_vma_under_rcu(f->mm, AT(0)));
	assert_false(__atomic_load_n(&c.over, __ATOMIC_ACQUIRE));
	assert_int_equal(vma->vm_start, AT(0));
	assert_int_equal(vma->vm_end, AT(4));
	vma_end_read(vma);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(c.ret, 0);
}

static int protect_part(struct fixture *f)
{
	return samara_mprotect(f->mm, AT(1), PAGE, PROT_READ);
}

static void mprotect_waits_for_a_fault(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	waits_for_a_reader(f, protect_part);
	assert_map(f->mm, "0-1 rw-p, 1-2 r--p, 2-4 rw-p");
	vma_end_read(must_lock(f->mm, 1));
}

static int unmap_all(struct fixture *f)
{
	return samara_munmap(f->mm, AT(0), 4 * PAGE);
}

static void munmap_waits_for_a_fault(void **state)
{
	struct fixture *f = *state;
	struct vma *vma;

	map_pages(f->mm, 0, 4, RW, 0);
	vma = vma_lookup(f->mm, AT(0));
	waits_for_a_reader(f, unmap_all);
	assert_map(f->mm, "");
	assert_false(vma_is_attached(vma)); /* also when it is free: that word stays */
}

static int grow_over_next(struct fixture *f)
{
	return samara_mprotect(f->mm, AT(4), 4 * PAGE, RW);
}

static void a_merge_waits_for_a_fault_in_what_grows(void **state)
{
	struct fixture *f = *state;

	map_pages(f->mm, 0, 4, RW, 0);
	map_pages(f->mm, 4, 8, PROT_READ, 0);
	waits_for_a_reader(f, grow_over_next);
	assert_map(f->mm, "0-8 rw-p");
}

/*
 * The race that type-safe memory is for: a lookup finds the VMA in the tree, and before it takes
 * its reference the VMA is freed, or freed and in use again. The two halves of the lookup are
 * called one after the other here, with that between them.
 */
static void a_lookup_notices_that_its_vma_is_free(void **state)
{
	struct fixture *f = *state;
	struct vma *found;

	map_pages(f->mm, 0, 4, RW, 0);
	rcu_read_lock();
	found = mtree_load(&f->mm->mt, AT(0));
	rcu_read_unlock();
	assert_int_equal(samara_munmap(f->mm, AT(0), 4 * PAGE), 0);
	assert_int_equal(try_read(f->mm, found), VMA_READ_MISSED);
}

static void a_lookup_notices_that_its_vma_is_another_mms(void **state)
{
	struct fixture *f = *state;
	struct vma *found, *again;
	struct samara_mm *other;

	assert_int_equal(samara_mm_create(f->machine, &other), 0);
	map_pages(f->mm, 0, 4, RW, 0);
	found = vma_lookup(f->mm, AT(0));
	assert_int_equal(samara_munmap(f->mm, AT(0), 4 * PAGE), 0);
	/* The same address even: only the mm tells them apart. */
	map_pages(other, 0, 4, RW, 0);
	again = vma_lookup(other, AT(0));
	assert_ptr_equal(found, again); /* what was freed last comes first */
	assert_int_equal(try_read(f->mm, found), VMA_READ_MISSED);
	assert_int_equal(again->vm_lock.refcnt, 1);
	/* And its owner can go on as if nothing had been. */
	vma_end_read(must_lock(other, 0));
	assert_int_equal(samara_munmap(other, AT(0), 4 * PAGE), 0);
	samara_mm_exit(other);
}

static void a_lookup_notices_that_its_vma_lies_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct vma *found;

	map_pages(f->mm, 0, 4, RW, 0);
	found = vma_lookup(f->mm, AT(0));
	assert_int_equal(samara_munmap(f->mm, AT(0), 4 * PAGE), 0);
	map_pages(f->mm, 100, 104, RW, 0);
	assert_ptr_equal(vma_lookup(f->mm, AT(100)), found);
	/* This half cannot tell; lock_vma_under_rcu() compares the bounds, which hold still now. */
	assert_int_equal(try_read(f->mm, found), VMA_READ_HELD);
	assert_int_equal(found->vm_start, AT(100));
	lock_rank_try(&found->vm_lock.refcnt, RANK_VMA);
	vma_end_read(found);
	assert_null(lock_vma_under_rcu(f->mm, AT(0)));
}

/* As a lookup finds it that was overtaken: there, unlocked, and it used to reach that far. */
static void a_lookup_compares_the_bounds(void **state)
{
	struct fixture *f = *state;
	struct vma_store store = { .mm = f->mm, .start = AT(50), .end = AT(54) };

	map_pages(f->mm, 0, 4, RW, 0);
	mmap_write_lock(f->mm);
	store.entry = vma_lookup(f->mm, AT(0));
	assert_int_equal(vma_store(&store), 0);
	mmap_write_unlock(f->mm);
	assert_null(lock_vma_under_rcu(f->mm, AT(50)));
	assert_int_equal(store.entry->vm_lock.refcnt, 1);
	mmap_write_lock(f->mm);
	vma_erase(f->mm, AT(50));
	mmap_write_unlock(f->mm);
}

/* A number that came twice would spare vma_start_write() the wait for readers. */
static void a_lock_that_was_dropped_does_not_come_back_after_2_to_the_32_others(void **state)
{
	struct fixture *f = *state;
	struct vma *vma;

	map_pages(f->mm, 0, 4, RW, 0);
	mmap_write_lock(f->mm);
	vma = vma_lookup(f->mm, AT(0));
	vma_start_write(vma);
	f->mm->mmap_lock.seq += 0xffffffffU; /* as so many sections would */
	mmap_write_unlock(f->mm);
	mmap_write_lock(f->mm);
	assert_false(vma_write_locked(vma));
	mmap_write_unlock(f->mm);
	vma_end_read(must_lock(f->mm, 0));
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(readers_share_it_and_are_counted),
		test(where_nothing_is_there_is_nothing_to_lock),
		test(a_write_lock_lasts_until_the_mmap_lock_is_dropped),
		test(a_new_vma_is_born_locked),
		test(mprotect_waits_for_a_fault),
		test(munmap_waits_for_a_fault),
		test(a_merge_waits_for_a_fault_in_what_grows),
		test(a_lookup_notices_that_its_vma_is_free),
		test(a_lookup_notices_that_its_vma_is_another_mms),
		test(a_lookup_notices_that_its_vma_lies_elsewhere),
		test(a_lookup_compares_the_bounds),
		test(a_lock_that_was_dropped_does_not_come_back_after_2_to_the_32_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
