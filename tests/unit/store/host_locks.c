/* SPDX-License-Identifier: MIT */
/*
 * Locks that the embedder has on a host file, when the library closes its own descriptor of it:
 * POSIX locks go with the first descriptor of the file that a process closes, whichever that is;
 * locks of an open file description stay. samara_file_from_fd() says so.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "support/store_box.h"

#define POSIX_BYTE 0
#define OFD_BYTE 1

static struct flock lock_of(off_t byte)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};
}

/* Asked by another process, through a descriptor of its own. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = lock_of(byte);
	const pid_t pid = fork();
	int status;

	if (!pid)
		_exit(fcntl(fd, F_GETLK, &lock) ? 2 : lock.l_type != F_UNLCK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status);
}

static void lock(int fd, int how, off_t byte)
{
	struct flock lock = lock_of(byte);

	assert_int_equal(fcntl(fd, how, &lock), 0);
}

/* of: a descriptor for the library, of the same file. */
static void locks_after_the_last_put(struct store_box *box, int fd, int of)
{
	struct samara_file *file, *again;

	lock(fd, F_SETLK, POSIX_BYTE);
	lock(fd, F_OFD_SETLK, OFD_BYTE);
	file = box_open(box, of);
	again = file_get(file);
	file_put(file);
	/* As long as there is a file of it, the library closes nothing. */
	assert_true(is_locked(fd, POSIX_BYTE));
	assert_true(is_locked(fd, OFD_BYTE));
	file_put(again);
	assert_false(is_locked(fd, POSIX_BYTE));
	assert_true(is_locked(fd, OFD_BYTE));
	/* And it can be taken anew. */
	lock(fd, F_SETLK, POSIX_BYTE);
	assert_true(is_locked(fd, POSIX_BYTE));
}

static void posix_locks_go_with_the_last_put_and_ofd_locks_stay(void **state)
{
	const int fd = box_host_file(BOX_PAGE);

	locks_after_the_last_put(*state, fd, fd);
	close(fd);
}

/* An open file description of the library's own does not help: the lock is the process's. */
static void so_they_do_where_the_library_opens_the_file_itself(void **state)
{
	const int fd = box_host_file(BOX_PAGE), of = box_reopen(fd, O_WRONLY);

	locks_after_the_last_put(*state, fd, of);
	close(fd);
	close(of);
}

static void a_flock_stays(void **state)
{
	const int fd = box_host_file(BOX_PAGE), other = box_reopen(fd, O_RDWR);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	file_put(box_open(*state, fd));
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	close(fd);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
}

int main(void)
{
#define BOX(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)
	const struct CMUnitTest tests[] = {
		BOX(posix_locks_go_with_the_last_put_and_ofd_locks_stay),
		BOX(so_they_do_where_the_library_opens_the_file_itself),
		BOX(a_flock_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
