/* SPDX-License-Identifier: MIT */
/*
 * Lengths that wrap, given to every call that takes one: Linux's answer, and a map that is as
 * it was. A mapping of a driver that is told of its end is cut before anything else is done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>

#include "support/cmocka_all.h"

#include <samara/file.h>

#include "support/mm_shape.h"

#define TO (MREMAP_MAYMOVE | MREMAP_FIXED)
/* n pages before the end of all addresses. */
#define LAST(n) (-(unsigned long)(n)*PAGE)

static void closed(void *priv, const struct samara_vma_desc *desc)
{
	(void)desc;
	++*(unsigned int *)priv;
}

static int never(void *priv, struct samara_vmf *vmf)
{
	(void)priv, (void)vmf;
	return -EFAULT;
}

static const struct samara_file_ops ops = {
	.size = sizeof(ops),
	.fault = never,
	.close = closed,
};

static void map_device(struct fixture *f, unsigned int *closes)
{
	struct samara_file *device;

	assert_int_equal(samara_file_device(f->machine, &ops, closes, &device), 0);
	assert_int_equal(samara_mmap(f->mm, AT(4), 4 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
				     device, 0),
			 AT(4));
	samara_file_put(device);
}

static void a_device_is_not_cut_outside_itself(void **state)
{
	struct fixture *f = *state;
	static unsigned int closes; /* outlives the test: told when the map ends */

	map_pages(f->mm, 0, 4, RW, 0);
	map_device(f, &closes);
	assert_map(f->mm, "0-4 rw-p, 4-8 r--s @0");
	for (unsigned long n = 1; n < 12; n++) {
		assert_int_equal(samara_mremap(f->mm, AT(4), LAST(n), PAGE, TO, AT(100)),
				 (unsigned long)-EINVAL);
		assert_int_equal(samara_mremap(f->mm, AT(4), LAST(n), PAGE, 0, 0),
				 (unsigned long)-EINVAL);
		assert_map(f->mm, "0-4 rw-p, 4-8 r--s @0");
	}
	/* The old length may reach beyond the mapping; only what is kept of it has to be there. */
	assert_int_equal(samara_mremap(f->mm, AT(4), 8 * PAGE, 2 * PAGE, TO, AT(100)), AT(100));
	assert_map(f->mm, "0-4 rw-p, 100-102 r--s @0");
	assert_int_equal(closes, 2);
}

/* One call with addr and len; what it answers. */
struct attempt {
	long (*call)(struct samara_mm *mm, unsigned long addr, unsigned long len);
	int rounds; /* a length that rounds up to none */
	int wraps;  /* an end beyond the last address */
};

static long try_munmap(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_munmap(mm, addr, len);
}

static long try_mprotect(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_mprotect(mm, addr, len, PROT_NONE);
}

static long try_madvise(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_madvise(mm, addr, len, MADV_DONTFORK);
}

static long try_mlock(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_mlock(mm, addr, len);
}

static long try_munlock(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_munlock(mm, addr, len);
}

static long try_msync(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_msync(mm, addr, len, MS_SYNC);
}

static long try_mincore(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_mincore(mm, addr, len, NULL);
}

static long try_mseal(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_mseal(mm, addr, len, 0);
}

static long try_remap_file_pages(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return samara_remap_file_pages(mm, addr, len, 0, 0, 0);
}

static long try_mmap(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return (long)samara_mmap(mm, addr, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL,
				 0);
}

static long try_grow(struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return (long)samara_mremap(mm, addr, PAGE, len, MREMAP_MAYMOVE, 0);
}

/* As the running kernel answers: oracle/cases/lengths_that_wrap.case asks it. */
static const struct attempt attempts[] = {
	{ try_munmap, -EINVAL, -EINVAL },  { try_mprotect, -ENOMEM, -ENOMEM },
	{ try_madvise, -EINVAL, -EINVAL }, { try_mlock, 0, -EINVAL },
	{ try_munlock, 0, -EINVAL },       { try_msync, 0, -ENOMEM },
	{ try_mincore, -ENOMEM, -ENOMEM }, { try_mseal, -EINVAL, -EINVAL },
	{ try_mmap, -ENOMEM, -ENOMEM },    { try_remap_file_pages, -EINVAL, -EINVAL },
	{ try_grow, -EINVAL, -EINVAL },
};

static void no_length_wraps_into_a_map(void **state)
{
	struct fixture *f = *state;

	samara_set_caps(f->mm, SAMARA_CAP_IPC_LOCK);
	map_pages(f->mm, 0, 8, RW, 0);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];

		for (unsigned long n = 0; n < PAGE - 1; n += 1023) {
			/* Rounding down takes remap_file_pages to its last page. */
			assert_int_equal(a->call(f->mm, AT(2), ~0UL - n), a->rounds);
			assert_map(f->mm, "0-8 rw-p");
		}
		for (unsigned long n = 0; n < 8; n++) {
			assert_int_equal(a->call(f->mm, AT(2), LAST(n + 1)), a->wraps);
			assert_int_equal(a->call(f->mm, AT(2), n * PAGE - AT(2)), a->wraps);
			assert_map(f->mm, "0-8 rw-p");
		}
		assert_int_equal(samara_munlockall(f->mm), 0);
	}
}

/* Linux counts what is locked above start up to the last address, so it is not asked for twice. */
static void locked_pages_count_once_when_a_range_wraps(void **state)
{
	struct fixture *f = *state;

	samara_set_caps(f->mm, 0);
	assert_int_equal(samara_set_rlimit(f->mm, RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY), 0);
	map_pages(f->mm, 0, 8, RW, 0);
	assert_int_equal(samara_mlock(f->mm, AT(6), PAGE), 0);
	assert_int_equal(samara_mlock(f->mm, AT(2), LAST(1)), -EINVAL);
	assert_int_equal(samara_mlock(f->mm, AT(7), LAST(1)), -ENOMEM);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_device_is_not_cut_outside_itself),
		test(no_length_wraps_into_a_map),
		test(locked_pages_count_once_when_a_range_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
