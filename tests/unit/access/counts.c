/* SPDX-License-Identifier: MIT */
/*
 * Counts of a page that a guest can drive up: what would raise one beyond its limit fails for want
 * of memory, changes nothing, and succeeds once there is room again.
 *
 * The limit of a page's mappings is 3/4 of 2^24. Debug builds lower it to MOST here.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/file.h>

#include "core/vma_lock.h"
#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define MOST 1000UL
#define MMS 3UL

static struct mem m;
static struct samara_mm *other[MMS];
static struct samara_fault fault;

/* In other builds the test is skipped: before it makes anything that its end has to take away. */
static void lower(unsigned long most)
{
#ifdef SAMARA_DEBUG
	folio_maps_max = most;
#else
	(void)most;
	skip();
#endif
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 16 << 20);
	for (unsigned long i = 0; i < MMS; i++)
		assert_int_equal(samara_mm_create(m.machine, &other[i]), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct samara_report report = { 0 };

	(void)state;
#ifdef SAMARA_DEBUG
	folio_maps_max = FOLIO_MAPS_LIMIT;
#endif
	mem_check(&m);
	for (unsigned long i = 0; i < MMS; i++) {
		if (samara_mm_validate(other[i], &report))
			fail_msg("%s: %s", report.invariant, report.text);
		samara_mm_exit(other[i]);
	}
	mem_close(&m);
	return 0;
}

static unsigned long map_in(struct samara_mm *mm, int flags, struct samara_file *file)
{
	const unsigned long addr = samara_mmap(mm, 0, MEM_PAGE, RW, flags, file, 0);

	assert_false(SAMARA_IS_ERR_VALUE(addr));
	return addr;
}

/* The file's first page, MOST times, over all mms; each entry is made. */
static void map_as_often_as_it_goes(struct samara_file *file)
{
	unsigned char byte;

	for (unsigned long i = 0; i < MOST; i++) {
		struct samara_mm *mm = other[i % MMS];

		assert_int_equal(samara_read(mm, map_in(mm, MAP_SHARED, file), &byte, 1, NULL), 1);
		assert_int_equal(byte, 1);
	}
}

static void is_out_of_memory(long ret)
{
	assert_int_equal(ret, -ENOMEM);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
}

static void a_page_mapped_too_often_cannot_be_accessed(void **state)
{
	struct samara_file *file;
	unsigned long a;
	unsigned char byte = 9;

	(void)state;
	lower(MOST);
	file = mem_file(&m, 3);
	map_as_often_as_it_goes(file);
	a = mem_map(&m, 3, RW, MAP_SHARED, file);
	is_out_of_memory(samara_read(m.mm, a, &byte, 1, &fault));
	is_out_of_memory(samara_write(m.mm, a, &byte, 1, &fault));
	assert_true(pte_none(mem_pte(&m, a)));
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_POPULATE_READ), -ENOMEM);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_POPULATE_WRITE), -ENOMEM);
	mem_check(&m);
	/* Pages beside it are mapped, alone and around. */
	assert_int_equal(samara_read(m.mm, a + MEM_PAGE, &byte, 1, NULL), 1);
	assert_int_equal(byte, 2);
	assert_true(pte_none(mem_pte(&m, a)));
	assert_false(pte_none(mem_pte(&m, a + 2 * MEM_PAGE)));
	/* A private copy needs no mapping of it. */
	assert_int_equal(samara_write(m.mm, mem_map(&m, 1, RW, MAP_PRIVATE, file), &byte, 1, NULL),
			 1);
	samara_mm_exit(other[0]);
	assert_int_equal(samara_mm_create(m.machine, &other[0]), 0);
	assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
	assert_int_equal(samara_file_pread(file, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	samara_file_put(file);
}

static void a_fork_that_would_map_a_page_too_often_fails_whole(void **state)
{
	const unsigned long a = mem_map(&m, 2 * MOST, RW, MAP_PRIVATE, NULL);
	struct samara_mm *child[8], *more;
	unsigned int forks = 0;
	int err = 0;

	(void)state;
	lower(ARRAY_SIZE(child) - 1);
	assert_int_equal(samara_write(m.mm, a, "ab", 2, NULL), 2);
	assert_int_equal(samara_write(m.mm, a + MOST * MEM_PAGE, "cd", 2, NULL), 2);
	for (; forks < ARRAY_SIZE(child) && !(err = samara_fork(m.mm, &child[forks])); forks++)
		;
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(forks, ARRAY_SIZE(child) - 2);
	/* One page that is nobody else's is shared by the fork before it fails, and taken back. */
	assert_int_equal(samara_write(m.mm, a + 5, "e", 1, NULL), 1);
	assert_int_equal(samara_fork(m.mm, &more), -ENOMEM);
	mem_check(&m);
	assert_true(folio_test(mem_folio(&m, a), FOLIO_EXCLUSIVE));
	assert_int_equal(folio_maps(mem_folio(&m, a)), 1);
	assert_int_equal(folio_maps(mem_folio(&m, a + MOST * MEM_PAGE)), forks + 1);
	samara_mm_exit(child[--forks]);
	assert_int_equal(samara_fork(m.mm, &more), 0);
	samara_mm_exit(more);
	while (forks)
		samara_mm_exit(child[--forks]);
	assert_int_equal(folio_maps(mem_folio(&m, a)), 1);
}

static unsigned long frame;

static int show(void *priv, struct samara_vmf *vmf)
{
	(void)priv;
	return samara_vmf_insert(vmf, frame);
}

static void a_devices_page_is_not_mapped_too_often_either(void **state)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops), .fault = show };
	struct samara_file *file;
	unsigned long a, at = 0;
	unsigned char byte;

	(void)state;
	lower(MOST);
	assert_int_equal(samara_file_device(m.machine, &ops, NULL, &file), 0);
	assert_int_equal(samara_device_alloc(file, 0, &frame), 0);
	for (unsigned long i = 0; i < MOST; i++) {
		at = map_in(m.mm, MAP_SHARED, file);
		assert_int_equal(samara_read(m.mm, at, &byte, 1, NULL), 1);
	}
	a = map_in(m.mm, MAP_SHARED, file);
	is_out_of_memory(samara_read(m.mm, a, &byte, 1, &fault));
	is_out_of_memory(samara_write(m.mm, a, &byte, 1, &fault));
	assert_true(pte_none(mem_pte(&m, a)));
	assert_int_equal(samara_munmap(m.mm, at, MEM_PAGE), 0);
	assert_int_equal(samara_read(m.mm, a, &byte, 1, NULL), 1);
	samara_file_put(file);
}

/* In every build: 8,191 pins of one page. */
static void a_page_pinned_too_often_is_not_pinned_again(void **state)
{
	static struct samara_pin pin[2 * FOLIO_PIN_REFS_MAX / FOLIO_PIN_BIAS];
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	const unsigned long most = FOLIO_PIN_REFS_MAX / FOLIO_PIN_BIAS;
	unsigned long pins = 0;
	unsigned char byte;
	long ret;

	(void)state;
	while ((ret = samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin[pins])) == 1)
		pins++;
	assert_int_equal(ret, -ENOMEM);
	assert_int_equal(pins, most);
	/* What only looks goes on, and so do accesses. */
	assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
	assert_true(folio_try_get(mem_folio(&m, a)));
	folio_put(m.machine->ram, mem_folio(&m, a));
	mem_check(&m);
	samara_unpin_pages(pin, 1, 1);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, pin), 1);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin[pins]), -ENOMEM);
	samara_unpin_pages(pin, pins, 1);
	assert_int_equal(folio_refs(mem_folio(&m, a)), 0);
	assert_int_equal(samara_read(m.mm, a, &byte, 1, NULL), 1);
	assert_int_equal(byte, 'x');
}

static void a_fault_in_a_vma_with_too_many_readers_takes_the_mmap_lock(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	struct vma *vma = mem_vma(&m, a);
	unsigned long aborts;

	(void)state;
	assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
	aborts = mm_lock_stat_sum(m.mm, VMA_LOCK_ABORT);
	WRITE_ONCE(vma->vm_lock.refcnt, VMA_READERS_MAX);
	assert_int_equal(samara_write(m.mm, a + MEM_PAGE, "x", 1, NULL), 1);
	assert_int_equal(mm_lock_stat_sum(m.mm, VMA_LOCK_ABORT), aborts);
	assert_int_equal(vma->vm_lock.refcnt, VMA_READERS_MAX);
	WRITE_ONCE(vma->vm_lock.refcnt, VMA_READERS_MAX + 1);
	assert_int_equal(samara_write(m.mm, a + 2 * MEM_PAGE, "x", 1, NULL), 1);
	assert_int_equal(mm_lock_stat_sum(m.mm, VMA_LOCK_ABORT), aborts + 1);
	assert_int_equal(vma->vm_lock.refcnt, VMA_READERS_MAX + 1);
	WRITE_ONCE(vma->vm_lock.refcnt, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_page_mapped_too_often_cannot_be_accessed),
		TEST(a_fork_that_would_map_a_page_too_often_fails_whole),
		TEST(a_devices_page_is_not_mapped_too_often_either),
		TEST(a_page_pinned_too_often_is_not_pinned_again),
		TEST(a_fault_in_a_vma_with_too_many_readers_takes_the_mmap_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
