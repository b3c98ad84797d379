/* SPDX-License-Identifier: MIT */
/*
 * Bytes that a mapping stored behind the end of its file, on the file's last page: when they are
 * seen no more, and when they become a part of the file. The host's kernel is the referee, for a
 * memfd and for a file on disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/mm.h>

#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"

#define RW (PROT_READ | PROT_WRITE)
#define TRIES 5

MEM_FIXTURE(m, 1 << 20);

enum kind { MEMFD, DISK };

enum op { SET_LENGTH, WRITE, PUNCH, SYNC };
static const struct step {
	enum op op;
	unsigned long offset, length;
} steps[] = {
	{ SET_LENGTH, 0, 2 },    { SET_LENGTH, 0, 3 },    { SET_LENGTH, 0, 100 },
	{ SET_LENGTH, 0, 4096 }, { SET_LENGTH, 0, 5000 }, { WRITE, 2, 1 },
	{ WRITE, 3, 2 },         { WRITE, 10, 1 },        { WRITE, 50, 1 },
	{ WRITE, 4095, 1 },      { WRITE, 4200, 1 },      { PUNCH, 0, 2 },
	{ PUNCH, 0, 3 },         { PUNCH, 2, 100 },       { PUNCH, 0, 4096 },
	{ PUNCH, 5, 100 },       { PUNCH, 1, 8000 },      { SYNC, 0, 4096 },
};

/* What the mapping and the file show after the step, after the file grew, and at the end. */
struct shown {
	unsigned char page[3][MEM_PAGE];
};

static int open_file(enum kind kind)
{
	FILE *f;
	int fd;

	if (kind == MEMFD)
		return memfd_create("tail", 0);
	f = tmpfile();
	assert_non_null(f);
	fd = dup(fileno(f));
	fclose(f);
	return fd;
}

static const struct {
	unsigned long at;
	char byte;
} stores[] = { { 3, 'U' }, { 10, 'V' }, { 60, 'W' }, { 4000, 'X' }, { 4095, 'Y' } };
#define STORES (sizeof(stores) / sizeof(stores[0]))

static void on_the_host(enum kind kind, const struct step *s, struct shown *out)
{
	const int fd = open_file(kind);
	char *map = mmap(NULL, 2 * MEM_PAGE, RW, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
	for (size_t i = 0; i < STORES; i++)
		map[stores[i].at] = stores[i].byte;
	switch (s->op) {
	case SET_LENGTH:
		assert_int_equal(ftruncate(fd, (off_t)s->length), 0);
		break;
	case WRITE:
		assert_int_equal(pwrite(fd, "qq", s->length, (off_t)s->offset), s->length);
		break;
	case PUNCH:
		assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   (off_t)s->offset, (off_t)s->length),
				 0);
		break;
	case SYNC:
		assert_int_equal(msync(map, MEM_PAGE, MS_SYNC), 0);
		break;
	}
	memcpy(out->page[0], map, MEM_PAGE);
	assert_int_equal(ftruncate(fd, 2 * MEM_PAGE), 0);
	assert_int_equal(pread(fd, out->page[1], MEM_PAGE, 0), MEM_PAGE);
	munmap(map, 2 * MEM_PAGE);
	assert_int_equal(pread(fd, out->page[2], MEM_PAGE, 0), MEM_PAGE);
	close(fd);
}

static void here(enum kind kind, const struct step *s, struct shown *out)
{
	const int fd = open_file(kind);
	struct samara_file *file;
	unsigned long map;

	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	map = mem_map(&m, 2, RW, MAP_SHARED, file);
	assert_int_equal(samara_file_pwrite(file, "abc", 3, 0), 3);
	for (size_t i = 0; i < STORES; i++)
		assert_int_equal(samara_write(m.mm, map + stores[i].at, &stores[i].byte, 1, NULL),
				 1);
	switch (s->op) {
	case SET_LENGTH:
		assert_int_equal(samara_file_set_length(file, s->length), 0);
		break;
	case WRITE:
		assert_int_equal(samara_file_pwrite(file, "qq", s->length, s->offset), s->length);
		break;
	case PUNCH:
		assert_int_equal(samara_file_punch_hole(file, s->offset, s->length), 0);
		break;
	case SYNC:
		assert_int_equal(samara_msync(m.mm, map, MEM_PAGE, MS_SYNC), 0);
		break;
	}
	assert_int_equal(samara_read(m.mm, map, out->page[0], MEM_PAGE, NULL), MEM_PAGE);
	assert_int_equal(samara_file_set_length(file, 2 * MEM_PAGE), 0);
	assert_int_equal(samara_file_pread(file, out->page[1], MEM_PAGE, 0), MEM_PAGE);
	assert_int_equal(samara_munmap(m.mm, map, 2 * MEM_PAGE), 0);
	samara_file_put(file);
	/* Nobody has it here any more: what became the file's is on the host. */
	assert_int_equal(pread(fd, out->page[2], MEM_PAGE, 0), MEM_PAGE);
	close(fd);
}

static void compare(enum kind kind)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct shown want, got;
		int tries = TRIES;

		/* The host may have written the page back meanwhile, which zeros it. */
		do {
			on_the_host(kind, &steps[i], &want);
			here(kind, &steps[i], &got);
		} while (memcmp(&want, &got, sizeof(want)) && kind == DISK && --tries);
		for (int k = 0; k < 3; k++)
			for (unsigned long at = 0; at < MEM_PAGE; at++)
				if (want.page[k][at] != got.page[k][at])
					fail_msg("step %zu (%d, %lu, %lu), look %d, byte %lu: "
						 "%#x, here %#x",
						 i, steps[i].op, steps[i].offset, steps[i].length,
						 k, at, want.page[k][at], got.page[k][at]);
	}
}

static void in_memory_they_become_the_files(void **state)
{
	(void)state;
	compare(MEMFD);
}

static void on_disk_they_are_zeros_when_the_file_grows(void **state)
{
	const int fd = open_file(DISK);
	struct statfs fs;

	(void)state;
	assert_int_equal(fstatfs(fd, &fs), 0);
	close(fd);
	if (fs.f_type != EXT4_SUPER_MAGIC) {
		print_message("temporary files are not on ext4, the only one compared with\n");
		skip();
	}
	compare(DISK);
}

/* Another program makes the file longer, and has stored behind the end too. */
static void what_both_stored_in_memory_is_kept(void **state)
{
	const int fd = memfd_create("both", 0);
	struct samara_file *file;
	unsigned long map;
	char *hosts, now[8];

	(void)state;
	assert_int_equal(ftruncate(fd, 3), 0);
	hosts = mmap(NULL, MEM_PAGE, RW, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(hosts, MAP_FAILED);
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	map = mem_map(&m, 1, RW, MAP_SHARED, file);
	assert_int_equal(samara_write(m.mm, map + 4, "o", 1, NULL), 1);
	assert_int_equal(samara_write(m.mm, map + 7, "p", 1, NULL), 1);
	hosts[6] = 't';
	assert_int_equal(ftruncate(fd, 8), 0);
	assert_int_equal(samara_file_pread(file, now, 8, 0), 8);
	assert_memory_equal(now, "\0\0\0\0o\0tp", 8);
	assert_int_equal(samara_file_sync(file), 0);
	assert_memory_equal(hosts, now, 8);
	munmap(hosts, MEM_PAGE);
	samara_file_put(file);
	close(fd);
}

/* What was read of it is the host's. Only where both store may memory hold what the host lacks. */
static void a_tail_is_to_be_written_only_where_both_store(void **state)
{
	static const struct {
		enum kind kind;
		int how;
	} rows[] = { { MEMFD, O_RDONLY }, { MEMFD, O_RDWR }, { DISK, O_RDONLY }, { DISK, O_RDWR } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const int fd = open_file(rows[i].kind), other = box_reopen(fd, rows[i].how);
		struct samara_file *file;
		struct folio *folio;
		char now[8];

		assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
		assert_int_equal(samara_file_from_fd(m.machine, other, &file), 0);
		close(other);
		assert_int_equal(samara_file_pread(file, now, 8, 0), 3);
		assert_int_equal(pwrite(fd, "defgh", 5, 3), 5);
		assert_int_equal(samara_file_pread(file, now, 8, 0), 8);
		assert_memory_equal(now, "abcdefgh", 8);
		folio = box_page(file, 0);
		assert_int_equal(folio_test(folio, FOLIO_DIRTY),
				 file->inode->in_memory && rows[i].how == O_RDWR);
		folio_put(m.machine->ram, folio);
		samara_file_put(file);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(in_memory_they_become_the_files),
		TEST(on_disk_they_are_zeros_when_the_file_grows),
		TEST(what_both_stored_in_memory_is_kept),
		TEST(a_tail_is_to_be_written_only_where_both_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
