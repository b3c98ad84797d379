/* SPDX-License-Identifier: MIT */
/*
 * Which calls wait for which: a call that changes the map waits for one that reads it, and
 * a call that reads it for one that changes it.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "core/mm.h"
#include "support/mm_shape.h"
#include "support/waits.h"

static struct fixture *fx;

/* Pages 0-7 are mapped, private and written; 8-9 are of a file, shared. */

static void call_mmap(void *arg)
{
	map_pages(fx->mm, 20, 24, RW, 0);
}

static void call_munmap(void *arg)
{
	assert_int_equal(samara_munmap(fx->mm, AT(0), PAGE), 0);
}

static void call_mprotect(void *arg)
{
	assert_int_equal(samara_mprotect(fx->mm, AT(1), PAGE, PROT_READ), 0);
}

static void call_mremap(void *arg)
{
	assert_int_equal(samara_mremap(fx->mm, AT(4), 2 * PAGE, PAGE, 0, 0), AT(4));
}

static void call_madvise_flags(void *arg)
{
	assert_int_equal(samara_madvise(fx->mm, AT(1), PAGE, MADV_DONTFORK), 0);
}

static void call_mlock(void *arg)
{
	assert_int_equal(samara_mlock(fx->mm, AT(1), PAGE), 0);
}

static void call_munlock(void *arg)
{
	assert_int_equal(samara_munlock(fx->mm, AT(1), PAGE), 0);
}

static void call_mlockall(void *arg)
{
	assert_int_equal(samara_mlockall(fx->mm, MCL_FUTURE), 0);
}

static void call_munlockall(void *arg)
{
	assert_int_equal(samara_munlockall(fx->mm), 0);
}

static void call_mseal(void *arg)
{
	assert_int_equal(samara_mseal(fx->mm, AT(7), PAGE, 0), 0);
}

static void call_remap_file_pages(void *arg)
{
	assert_int_equal(samara_remap_file_pages(fx->mm, AT(8), PAGE, 0, 1, 0), 0);
}

static void call_brk(void *arg)
{
	assert_int_equal(samara_brk(fx->mm, 0), 0); /* there is no heap */
}

static void call_set_rlimit(void *arg)
{
	assert_int_equal(samara_set_rlimit(fx->mm, RLIMIT_DATA, 1UL << 40, 1UL << 40), 0);
}

static void call_fork(void *arg)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(fx->mm, &child), 0);
	samara_mm_exit(child);
}

static void (*const writers[])(void *arg) = {
	call_mmap,  call_munmap,     call_mprotect, call_mremap,           call_madvise_flags,
	call_mlock, call_munlock,    call_mlockall, call_munlockall,       call_mseal,
	call_brk,   call_set_rlimit, call_fork,     call_remap_file_pages,
};

/* calls that read ---------------------------------------------------------------- */

static void call_msync(void *arg)
{
	assert_int_equal(samara_msync(fx->mm, AT(0), PAGE, MS_SYNC), 0);
}

static void call_mincore(void *arg)
{
	unsigned char vec[2];

	assert_int_equal(samara_mincore(fx->mm, AT(0), 2 * PAGE, vec), 0);
}

static void call_vma_next(void *arg)
{
	struct samara_vma_info info;

	assert_int_equal(samara_vma_next(fx->mm, 0, &info), 0);
}

static void call_stats(void *arg)
{
	assert_true(stats_of(fx->mm).total_vm >= 6);
}

static void call_get_layout(void *arg)
{
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	samara_get_layout(fx->mm, &layout);
	assert_true(layout.task_size > 0);
}

static void call_pagemap(void *arg)
{
	unsigned long long word;

	assert_int_equal(samara_pagemap(fx->mm, AT(0), 1, &word), 0);
}

static void call_print_maps(void *arg)
{
	const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_int_equal(samara_print_maps(fx->mm, fd), 0);
	close(fd);
}

static void call_print_smaps(void *arg)
{
	const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_int_equal(samara_print_smaps(fx->mm, fd), 0);
	close(fd);
}

static void call_validate(void *arg)
{
	assert_int_equal(samara_mm_validate(fx->mm, NULL), 0);
}

static void call_populate(void *arg)
{
	assert_int_equal(samara_madvise(fx->mm, AT(0), PAGE, MADV_POPULATE_READ), 0);
}

static void (*const readers[])(void *arg) = {
	call_msync,   call_mincore,    call_vma_next,    call_stats,    call_get_layout,
	call_pagemap, call_print_maps, call_print_smaps, call_validate, call_populate,
};

static void what_changes_waits_for_what_reads(void **state)
{
	fx = *state;
	map_pages(fx->mm, 0, 8, RW, 0);
	write_pages(fx->mm, 0, 8);
	map_file(fx, 8, 10, RW, MAP_SHARED, 0);
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		struct waiting_call c = { .call = writers[i] };

		mmap_read_lock(fx->mm);
		if (!waits_for(&c, &fx->mm->mmap_lock.sem))
			fail_msg("writer %zu does not wait", i);
		mmap_read_unlock(fx->mm);
		call_returns(&c);
		assert_false(rwsem_is_locked(&fx->mm->mmap_lock.sem));
	}
}

static void what_reads_waits_for_what_changes(void **state)
{
	fx = *state;
	map_pages(fx->mm, 0, 8, RW, 0);
	write_pages(fx->mm, 0, 8);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		struct waiting_call c = { .call = readers[i] };

		mmap_write_lock(fx->mm);
		if (!waits_for(&c, &fx->mm->mmap_lock.sem))
			fail_msg("reader %zu does not wait", i);
		mmap_write_unlock(fx->mm);
		call_returns(&c);
		assert_false(rwsem_is_locked(&fx->mm->mmap_lock.sem));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_changes_waits_for_what_reads, fixture_up,
						fixture_down),
		cmocka_unit_test_setup_teardown(what_reads_waits_for_what_changes, fixture_up,
						fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
