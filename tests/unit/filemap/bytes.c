/* SPDX-License-Identifier: MIT */
/*
 * A file's bytes against an array: random holes, lengths, writes by call and through a shared
 * mapping, on a memfd and on a file of the host. After each step every byte is compared, read
 * by call and through the mapping; beyond the end there is SIGBUS.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/random.h"
#include "support/store_box.h"

#define PAGES 6UL
#define SIZE (PAGES * PAGE)

struct model {
	struct fixture *f;
	struct samara_file *file;
	int fd; /* of the host's file, or -1 */
	struct rng rng;
	unsigned char bytes[SIZE];
	unsigned long length;
};

static unsigned long pages_of(const struct model *m)
{
	return (m->length + PAGE - 1) / PAGE;
}

/* Offsets on pages, beside them, and anywhere. */
static unsigned long offset(struct model *m)
{
	const unsigned long page = rng_below(&m->rng, PAGES) * PAGE;

	switch (rng_below(&m->rng, 4)) {
	case 0:
		return page;
	case 1:
		return page + 1;
	case 2:
		return page + PAGE - 1;
	default:
		return rng_below(&m->rng, SIZE);
	}
}

static void punch(struct model *m)
{
	unsigned long from = offset(m), to = offset(m);

	if (from == to)
		to++;
	if (from > to) {
		const unsigned long other = from;

		from = to;
		to = other;
	}
	assert_int_equal(samara_file_punch_hole(m->file, from, to - from), 0);
	memset(m->bytes + from, 0, to - from);
}

static void remove_through_the_mapping(struct model *m)
{
	const unsigned long page = rng_below(&m->rng, PAGES),
			    n = 1 + rng_below(&m->rng, PAGES - page);

	assert_int_equal(samara_madvise(m->f->mm, AT(page), n * PAGE, MADV_REMOVE), 0);
	memset(m->bytes + page * PAGE, 0, n * PAGE);
}

static void set_length(struct model *m)
{
	const unsigned long length = offset(m);

	assert_int_equal(samara_file_set_length(m->file, length), 0);
	if (length < m->length)
		memset(m->bytes + length, 0, SIZE - length);
	m->length = length;
}

static void write_by_call(struct model *m)
{
	const unsigned long at = offset(m), n = min(1 + rng_below(&m->rng, 2 * PAGE), SIZE - at);
	unsigned char text[2 * PAGE];

	memset(text, (int)rng_between(&m->rng, 1, 255), n);
	assert_int_equal(samara_file_pwrite(m->file, text, n, at), n);
	memcpy(m->bytes + at, text, n);
	m->length = max(m->length, at + n);
}

static void write_through_the_mapping(struct model *m)
{
	const unsigned long at = offset(m);
	const unsigned char byte = (unsigned char)rng_between(&m->rng, 1, 255);

	if (at >= m->length)
		return;
	assert_int_equal(samara_write(m->f->mm, AT(0) + at, &byte, 1, NULL), 1);
	m->bytes[at] = byte;
}

static void sync_to_the_host(struct model *m)
{
	unsigned char text[SIZE] = { 0 };

	assert_int_equal(samara_msync(m->f->mm, AT(0), SIZE, MS_SYNC), 0);
	if (m->fd < 0)
		return;
	assert_int_equal(pread(m->fd, text, SIZE, 0), m->length);
	assert_memory_equal(text, m->bytes, SIZE);
}

static void compare(struct model *m)
{
	unsigned char text[SIZE] = { 0 };
	struct samara_fault fault;

	assert_int_equal(samara_file_pread(m->file, text, SIZE, 0), m->length);
	assert_memory_equal(text, m->bytes, SIZE);
	for (unsigned long page = 0; page < PAGES; page++) {
		const unsigned long n = samara_read(m->f->mm, AT(page), text, PAGE, &fault);

		assert_int_equal(n, page < pages_of(m) ? PAGE : 0);
		if (n)
			assert_memory_equal(text, m->bytes + page * PAGE, PAGE);
		else
			assert_int_equal(fault.signo, SIGBUS);
	}
	box_check(m->file);
}

static void run(struct model *m, unsigned int rounds)
{
	static void (*const ops[])(struct model * m) = {
		punch,         remove_through_the_mapping, set_length,
		write_by_call, write_through_the_mapping,  sync_to_the_host,
	};

	assert_int_equal(samara_mmap(m->f->mm, AT(0), SIZE, RW, MAP_SHARED | MAP_FIXED, m->file, 0),
			 AT(0));
	for (unsigned int i = 0; i < rounds / test_slowdown(); i++) {
		ops[rng_below(&m->rng, ARRAY_SIZE(ops))](m);
		compare(m);
	}
	/* What a hole takes costs nothing any more. */
	if (m->fd < 0) {
		assert_int_equal(samara_file_punch_hole(m->file, 0, SIZE), 0);
		assert_int_equal(samara_committed_pages(m->f->machine), 0);
	}
	samara_file_put(m->file);
}

static void of_a_memfd(void **state)
{
	static struct model m;

	m = (struct model){ .f = *state, .fd = -1 };
	rng_init(&m.rng, test_seed());
	assert_int_equal(samara_file_memfd(m.f->machine, "bytes", 0, &m.file), 0);
	run(&m, 600);
}

static void of_a_file_of_the_host(void **state)
{
	static struct model m;

	m = (struct model){ .f = *state, .fd = box_host_file(0) };
	rng_init(&m.rng, test_seed());
	assert_int_equal(samara_file_from_fd(m.f->machine, m.fd, &m.file), 0);
	run(&m, 600);
	close(m.fd);
}

/* Pages beyond the end that the host has moved stay until we set one: then they are old. */
static void behind_an_end_that_the_host_moved_are_zeros(void **state)
{
	struct fixture *f = *state;
	const int fd = box_host_file(4 * PAGE);
	struct samara_file *file;
	unsigned char byte;

	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	for (unsigned long page = 0; page < 4; page++)
		assert_int_equal(samara_file_pread(file, &byte, 1, page * PAGE), 1);
	assert_int_equal(ftruncate(fd, PAGE + 9), 0);
	assert_int_equal(samara_file_pread(file, &byte, 1, 3 * PAGE), 0);
	assert_int_equal(samara_file_punch_hole(file, 0, PAGE), 0);
	box_check(file);
	assert_int_equal(samara_file_set_length(file, 3 * PAGE), 0);
	assert_false(file->inode->host.moved_end);
	box_check(file);
	for (unsigned long at = PAGE + 8; at < 3 * PAGE; at++) {
		assert_int_equal(samara_file_pread(file, &byte, 1, at), 1);
		assert_int_equal(byte, at < PAGE + 9 ? box_byte(at) : 0);
	}
	samara_file_put(file);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(of_a_memfd),
		test(of_a_file_of_the_host),
		test(behind_an_end_that_the_host_moved_are_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
