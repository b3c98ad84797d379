/* SPDX-License-Identifier: MIT */
/*
 * A call that changes what a mapping may do waits for the page fault that is in the mapping, and
 * changes nothing before: a fault sees the same flags from its beginning to its end.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "core/vma_lock.h"
#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mm_shape.h"
#include "support/waits.h"

#define PAGES 4UL

static struct fixture *fx;

static void call_mprotect(void *arg)
{
	assert_int_equal(samara_mprotect(fx->mm, AT(0), PAGES * PAGE, PROT_READ), 0);
}

static void call_mlock(void *arg)
{
	assert_int_equal(samara_mlock(fx->mm, AT(0), PAGES * PAGE), 0);
}

static void call_mlockall(void *arg)
{
	assert_int_equal(samara_mlockall(fx->mm, MCL_CURRENT), 0);
}

static void call_dontfork(void *arg)
{
	assert_int_equal(samara_madvise(fx->mm, AT(0), PAGES * PAGE, MADV_DONTFORK), 0);
}

static void call_guard(void *arg)
{
	assert_int_equal(samara_madvise(fx->mm, AT(1), PAGE, MADV_GUARD_INSTALL), 0);
}

static void call_mseal(void *arg)
{
	assert_int_equal(samara_mseal(fx->mm, AT(0), PAGES * PAGE, 0), 0);
}

static void call_move_and_keep(void *arg)
{
	const unsigned long len = PAGES * PAGE;

	assert_int_equal(samara_mremap(fx->mm, AT(0), len, len,
				       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, AT(100)),
			 AT(100));
}

static const struct {
	const char *name;
	void (*call)(void *arg);
	unsigned long gains, loses;
	int flags; /* of mmap */
} calls[] = {
	{ "mprotect", call_mprotect, 0, SAMARA_VM_WRITE | SAMARA_VM_ACCOUNT, 0 },
	{ "mlock", call_mlock, SAMARA_VM_LOCKED, 0, 0 },
	{ "mlockall", call_mlockall, SAMARA_VM_LOCKED, 0, 0 },
	{ "MADV_DONTFORK", call_dontfork, SAMARA_VM_DONTCOPY, 0, 0 },
	{ "MADV_GUARD_INSTALL", call_guard, SAMARA_VM_MAYBE_GUARD, 0, 0 },
	{ "mseal", call_mseal, SAMARA_VM_SEALED, 0, 0 },
	{ "MREMAP_DONTUNMAP", call_move_and_keep, 0, SAMARA_VM_LOCKED, MAP_LOCKED },
};

static bool vma_waited(const void *vma)
{
	return READ_ONCE(((const struct vma *)vma)->vm_lock.refcnt) & VMA_WRITER;
}

static void hold_up(size_t i)
{
	struct waiting_call c = { .call = calls[i].call };
	unsigned long before;
	struct vma *vma;

	map_pages(fx->mm, 0, PAGES, RW, calls[i].flags);
	vma = lock_vma_under_rcu(fx->mm, AT(0));
	assert_non_null(vma);
	before = READ_ONCE(vma->vm_flags);
	if (!waits_until(&c, vma_waited, vma))
		fail_msg("%s does not wait", calls[i].name);
	if (READ_ONCE(vma->vm_flags) != before)
		fail_msg("%s has changed the flags", calls[i].name);
	vma_end_read(vma);
	call_returns(&c);
	assert_int_equal(flags_at(fx->mm, 0), (before | calls[i].gains) & ~calls[i].loses);
}

static void each_call_waits_for_the_fault(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		fixture_up(state);
		fx = *state;
		hold_up(i);
		fixture_down(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_waits_for_the_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
