/* SPDX-License-Identifier: MIT */
/*
 * An operation that needs several frames at once, and finds some: what it has given back does not
 * count as room, so it ends, by a victim or without one.
 */
#include <unistd.h>

#include "oom.h"
#include "support/store_box.h"
#include "syscall/advise_pages.h"

/* A private mapping of a page of file. */
static unsigned long map_page(struct samara_file *file)
{
	const unsigned long at = samara_mmap(m.mm, 0, MEM_PAGE, RW, MAP_PRIVATE, file, 0);

	assert_false(SAMARA_IS_ERR_VALUE(at));
	return at;
}

/* With one frame free a store to the page at at is done, and the other process was ended for it. */
static void store_ends_the_other(unsigned long at)
{
	fill(mms[1], 10);
	samara_set_oom_score_adj(m.mm, -1000);
	fill_up(m.mm, 1);
	put(m.mm, at, 7);
	assert_told(1, mms[1]);
}

static void a_copy_of_a_file_page_that_is_not_there_yet_needs_two(void **state)
{
	struct samara_file *file;
	unsigned long at;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "f", MEM_PAGE, &file), 0);
	at = map_page(file);
	store_ends_the_other(at);
	assert_int_equal(get(m.mm, at), 7);
	samara_file_put(file);
}

/* The page itself must not leave for the copy, and come back for it, and so on. */
static void so_does_a_pin_of_a_file_page_for_long(void **state)
{
	struct samara_file *file;
	struct samara_pin pin;
	unsigned long at;
	const int fd = box_host_file(MEM_PAGE);

	(void)state;
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	at = map_page(file);
	samara_set_oom(m.machine, NULL, NULL);
	fill_up(m.mm, 1);
	assert_int_equal(samara_pin_pages(m.mm, at, 1, SAMARA_PIN_LONGTERM, &pin), -ENOMEM);
	assert_int_equal(samara_munmap(m.mm, at, MEM_PAGE), 0);
	samara_file_put(file);
	close(fd);
}

/* The driver's page is allocated when it is first asked for. */
static int give_new_block(void *priv, struct samara_vmf *vmf)
{
	const unsigned int order = *(unsigned int *)priv;
	unsigned long frame;
	const int err = samara_device_alloc(vmf->file, order, &frame);

	return err ? err : samara_vmf_insert(vmf, frame);
}

static struct samara_file *device_of(unsigned int *order)
{
	const struct samara_file_ops device = { .size = sizeof(device), .fault = give_new_block };
	struct samara_file *file;

	assert_int_equal(samara_file_device(m.machine, &device, order, &file), 0);
	return file;
}

static void so_does_a_copy_of_a_new_page_of_a_device(void **state)
{
	unsigned int order = 0;
	struct samara_file *file = device_of(&order);

	(void)state;
	store_ends_the_other(map_page(file));
	samara_file_put(file);
}

/* Enough frames are free, but every second one only. */
static void a_block_that_cannot_be_had_is_no_reason_for_a_victim(void **state)
{
	const unsigned long pages = FRAMES - mem_frames(&m);
	struct samara_fault fault = { 0 };
	unsigned int order = 4;
	struct samara_file *file = device_of(&order);
	unsigned long at, block;
	char byte = 1;

	(void)state;
	block = samara_mmap(m.mm, 0, MEM_PAGE, RW, MAP_SHARED, file, 0);
	assert_false(SAMARA_IS_ERR_VALUE(block));
	at = map_in(mms[1], pages, MAP_PRIVATE);
	for (unsigned long i = 0; i < pages; i++)
		put(mms[1], at + i * MEM_PAGE, i);
	for (unsigned long i = 0; i < pages; i += 2)
		assert_int_equal(samara_madvise(mms[1], at + i * MEM_PAGE, MEM_PAGE, MADV_DONTNEED),
				 0);
	assert_int_equal(samara_write(m.mm, block, &byte, 1, &fault), -ENOMEM);
	assert_int_equal(told.n, 0);
	samara_file_put(file);
}

#define PINNED 160UL

static void a_fork_that_copies_pinned_pages_needs_all_of_them(void **state)
{
	static struct samara_pin pins[PINNED];
	const unsigned long at = fill(m.mm, PINNED);
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, at, PINNED, SAMARA_PIN_WRITE, pins), PINNED);
	samara_set_oom_score_adj(m.mm, -1000);
	/* 76 are left, and the victim's 20: still not enough. */
	fill(mms[1], 20);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_int_equal(told.n, MMS - 1);
	assert_ptr_equal(told.victim[0], mms[1]);
	assert_int_equal(mem_frames(&m), PINNED);
	samara_unpin_pages(pins, PINNED - 90, 0);
	child = forked(&m);
	assert_int_equal(get(child, at + (PINNED - 1) * MEM_PAGE), PINNED - 1);
	samara_mm_exit(child);
	samara_unpin_pages(pins + PINNED - 90, 90, 0);
}

/* Two processes that do not fit into memory without the area. */
static void swapoff_ends_no_process(void **state)
{
	struct samara_swap *swap;
	unsigned long at[2];

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &swap), 0);
	for (int i = 0; i < 2; i++)
		at[i] = fill(mms[i], FRAMES - 56);
	assert_int_equal(samara_swapoff(swap), -ENOMEM);
	assert_int_equal(told.n, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(get(mms[i], at[i] + 9 * MEM_PAGE), 9);
	assert_int_equal(samara_munmap(mms[0], at[0], (FRAMES - 56) * MEM_PAGE), 0);
	assert_int_equal(samara_swapoff(swap), 0);
	assert_int_equal(told.n, 0);
}

static void a_move_ends_no_process(void **state)
{
	const unsigned long at = fill(mms[1], 10);

	(void)state;
	fill_up(mms[2], 0);
	assert_int_equal(samara_migrate_pages(mms[1], at, 10), -ENOMEM);
	samara_set_caps(mms[1], SAMARA_CAP_SYS_ADMIN);
	assert_int_equal(samara_madvise(mms[1], at, MEM_PAGE, ADV_SOFT_OFFLINE), -ENOMEM);
	assert_int_equal(told.n, 0);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(a_copy_of_a_file_page_that_is_not_there_yet_needs_two),
		test(so_does_a_pin_of_a_file_page_for_long),
		test(so_does_a_copy_of_a_new_page_of_a_device),
		test(a_block_that_cannot_be_had_is_no_reason_for_a_victim),
		test(swapoff_ends_no_process),
		test(a_move_ends_no_process),
		test(a_fork_that_copies_pinned_pages_needs_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
