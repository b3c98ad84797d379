/* SPDX-License-Identifier: MIT */
/*
 * What waits for what in a file: its length and holes (inode->lock), its page cache
 * (pages.lock), one of its pages (the folio's lock).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"
#include "support/waits.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 16 << 20);

static struct samara_file *file;
static unsigned long addr;

static void call_set_length(void *arg)
{
	assert_int_equal(samara_file_set_length(file, MEM_PAGE), 0);
}

static void call_cut_all(void *arg)
{
	assert_int_equal(samara_file_set_length(file, 0), 0);
}

static void call_cut_page(void *arg)
{
	assert_int_equal(samara_file_set_length(file, 5), 0);
}

static void call_punch(void *arg)
{
	assert_int_equal(samara_file_punch_hole(file, 0, MEM_PAGE), 0);
}

static void call_punch_part(void *arg)
{
	assert_int_equal(samara_file_punch_hole(file, 5, 10), 0);
}

static void call_pwrite(void *arg)
{
	assert_int_equal(samara_file_pwrite(file, "x", 1, 7), 1);
}

static void call_write_new_page(void *arg)
{
	assert_int_equal(samara_file_pwrite(file, "x", 1, 3 * MEM_PAGE), 1);
}

static void call_sync(void *arg)
{
	assert_int_equal(samara_msync(m.mm, addr, 4 * MEM_PAGE, MS_SYNC), 0);
}

static void call_fault(void *arg)
{
	assert_int_equal(samara_write(m.mm, addr + 3 * MEM_PAGE, "x", 1, NULL), 1);
}

/* The page is in the cache, but not in the page table. */
static void call_map_page(void *arg)
{
	char byte;

	assert_int_equal(samara_read(m.mm, addr, &byte, 1, NULL), 1);
}

/* A file of four pages, of which the first is in the cache and dirty. */
static void make(int fd)
{
	if (fd >= 0)
		assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	else
		assert_int_equal(samara_file_memfd(m.machine, "m", 4 * MEM_PAGE, &file), 0);
	addr = mem_map(&m, 4, RW, MAP_SHARED, file);
	assert_int_equal(samara_write(m.mm, addr, "y", 1, NULL), 1);
}

static void drop(void)
{
	assert_int_equal(samara_munmap(m.mm, addr, 4 * MEM_PAGE), 0);
	samara_file_put(file);
}

typedef void call_fn(void *arg);

static void for_each_call(call_fn *const *calls, size_t n, void (*hold_up)(struct waiting_call *c))
{
	for (size_t i = 0; i < n; i++) {
		const int fd = box_host_file(4 * MEM_PAGE);
		struct waiting_call c = { .call = calls[i] };

		make(fd);
		hold_up(&c);
		call_returns(&c);
		assert_false(rwsem_is_locked(&file->inode->lock));
		box_check(file);
		drop();
		close(fd);
	}
}

static void reading(struct waiting_call *c)
{
	const unsigned long long length = file->inode->length;
	const unsigned long pages = file->inode->pages.nr;

	down_read(&file->inode->lock);
	assert_true(waits_for(c, &file->inode->lock));
	assert_int_equal(file->inode->length, length);
	assert_int_equal(file->inode->pages.nr, pages);
	up_read(&file->inode->lock);
}

static void changing(struct waiting_call *c)
{
	down_write(&file->inode->lock);
	assert_true(waits_for(c, &file->inode->lock));
	up_write(&file->inode->lock);
}

static void moving_the_end_waits_for_the_inode(void **state)
{
	static call_fn *const writers[] = {
		call_set_length, call_cut_all, call_punch, call_punch_part, call_pwrite,
	};
	static call_fn *const readers[] = { call_sync };

	for_each_call(writers, ARRAY_SIZE(writers), reading);
	for_each_call(readers, ARRAY_SIZE(readers), changing);
}

static void page_cache_locked(struct waiting_call *c)
{
	const unsigned long pages = file->inode->pages.nr;

	mutex_lock(&file->inode->pages.lock);
	assert_true(waits_for_spinlock(c, &file->inode->pages.lock.lock));
	assert_int_equal(file->inode->pages.nr, pages);
	mutex_unlock(&file->inode->pages.lock);
}

static void putting_a_page_in_or_out_waits_for_the_cache(void **state)
{
	static call_fn *const calls[] = { call_fault, call_write_new_page, call_cut_all,
					  call_punch };

	for_each_call(calls, ARRAY_SIZE(calls), page_cache_locked);
}

static void page_locked(struct waiting_call *c)
{
	struct folio *folio = box_page(file, 0);
	const unsigned char byte = *mem_bytes(&m, addr);

	if (c->call == call_map_page)
		assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED), 0);
	folio_lock(folio);
	assert_true(waits_for_folio(c, folio));
	assert_ptr_equal(folio->mapping, file->inode);
	assert_true(folio_test(folio, FOLIO_UPTODATE));
	assert_int_equal(*(unsigned char *)folio_virt(m.machine->ram, folio), byte);
	folio_unlock(folio);
	folio_put(m.machine->ram, folio);
}

static void using_a_page_waits_for_it(void **state)
{
	static call_fn *const calls[] = {
		call_cut_all, call_cut_page, call_punch,    call_punch_part,
		call_pwrite,  call_sync,     call_map_page,
	};

	for_each_call(calls, ARRAY_SIZE(calls), page_locked);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(moving_the_end_waits_for_the_inode),
		TEST(putting_a_page_in_or_out_waits_for_the_cache),
		TEST(using_a_page_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
