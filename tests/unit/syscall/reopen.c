/* SPDX-License-Identifier: MIT */
/*
 * Open files of one inode with other rights or ways of writing, each compared with the host's: a
 * segment attached with SHM_RDONLY, and O_APPEND.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include <samara/access.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"

static void a_segment_attached_to_read_stays_so(void **state)
{
	const int id = shmget(IPC_PRIVATE, PAGE, 0600);
	char *host = shmat(id, NULL, SHM_RDONLY), *writer = shmat(id, NULL, 0), byte;
	struct fixture *f = *state;
	struct samara_file *shm, *reads;

	shmctl(id, IPC_RMID, NULL);
	if (id < 0 || host == (char *)-1 || writer == (char *)-1) {
		print_message("this host has no SysV shared memory\n");
		skip();
	}
	assert_int_equal(samara_file_sysv(f->machine, IPC_PRIVATE, 1, PAGE, &shm), 0);
	assert_int_equal(samara_file_reopen(shm, SAMARA_FILE_READ, &reads), 0);
	assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, shm, 0),
			 AT(0));
	assert_int_equal(samara_mmap(f->mm, AT(2), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, reads,
				     0),
			 AT(2));
	for (int prot = 0; prot < 8; prot++) {
		const int err = mprotect(host, PAGE, prot) ? -errno : 0;

		assert_int_equal(samara_mprotect(f->mm, AT(2), PAGE, prot), err);
		assert_int_equal(err, prot & PROT_WRITE ? -EACCES : 0);
	}
	assert_int_equal(mprotect(host, PAGE, PROT_READ), 0);
	assert_int_equal(samara_mprotect(f->mm, AT(2), PAGE, PROT_READ), 0);
	writer[5] = 'w';
	assert_int_equal(samara_write(f->mm, AT(0) + 5, "w", 1, NULL), 1);
	assert_int_equal(samara_read(f->mm, AT(2) + 5, &byte, 1, NULL), 1);
	assert_int_equal(byte, host[5]);
	assert_int_equal(samara_file_pwrite(reads, "x", 1, 0), -EBADF);
	assert_map(f->mm, "0-1 rw-s @0, 2-3 r--s @0");
	shmdt(host);
	shmdt(writer);
	samara_file_put(shm);
	samara_file_put(reads);
}

static void a_file_is_opened_again_as_far_as_the_host_allows(void **state)
{
	struct fixture *f = *state;
	FILE *tmp = tmpfile();
	char path[64];
	struct samara_file *file, *again = NULL;
	int fd;

	assert_non_null(tmp);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(tmp));
	fd = open(path, O_RDONLY);
	assert_int_equal(samara_file_from_fd(f->machine, fd, &file), 0);
	assert_int_equal(samara_file_reopen(file, SAMARA_FILE_WRITE, &again), -EACCES);
	assert_int_equal(samara_file_reopen(file, 0, &again), -EINVAL);
	assert_int_equal(samara_file_reopen(file, SAMARA_FILE_READ | SAMARA_FILE_ZERO, &again),
			 -EINVAL);
	assert_int_equal(samara_file_reopen(file, SAMARA_FILE_READ, &again), 0);
	samara_file_put(file);
	assert_int_equal(samara_mmap(f->mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, again, 0),
			 -EACCES);
	samara_file_put(again);
	close(fd);
	fclose(tmp);
}

/* The same writes to a file of the host's and to one of ours. */
static void what_is_appended_goes_to_the_end(void **state)
{
	static const struct {
		long offset;
		const char *text;
	} writes[] = { { 0, "one" }, { 1, "two" }, { 5000, "three" }, { 0, "" }, { -1, "four" } };
	struct fixture *f = *state;
	int fd[2];
	struct samara_file *file;
	char want[64], got[64];
	long n;

	for (int i = 0; i < 2; i++) {
		char path[64];
		FILE *tmp = tmpfile();

		assert_non_null(tmp);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(tmp));
		fd[i] = open(path, O_RDWR | O_APPEND);
		assert_true(fd[i] >= 0);
		fclose(tmp);
	}
	assert_int_equal(samara_file_from_fd(f->machine, fd[1], &file), 0);
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		const size_t len = strlen(writes[i].text);
		const long done = pwrite(fd[0], writes[i].text, len, writes[i].offset);

		assert_int_equal(samara_file_pwrite(file, writes[i].text, len,
						    (unsigned long long)writes[i].offset),
				 done < 0 ? -errno : done);
	}
	n = pread(fd[0], want, sizeof(want), 0);
	assert_int_equal(n, strlen("onetwothree"));
	assert_int_equal(samara_file_pread(file, got, sizeof(got), 0), n);
	assert_memory_equal(got, want, n);
	samara_file_put(file);
	assert_int_equal(pread(fd[1], got, sizeof(got), 0), n);
	assert_memory_equal(got, want, n);
	close(fd[0]);
	close(fd[1]);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_segment_attached_to_read_stays_so),
		test(a_file_is_opened_again_as_far_as_the_host_allows),
		test(what_is_appended_goes_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
