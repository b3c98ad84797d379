/* SPDX-License-Identifier: MIT */
/* What calls of the host leave as it was: the thread's cancellability, its signals, errno. */
#include "support/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host.h"

static int cancel_state(void)
{
	int state, other;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, &other);
	return state;
}

static bool blocks_xfsz(void)
{
	sigset_t mask;

	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	return sigismember(&mask, SIGXFSZ);
}

static void set_xfsz(int how)
{
	sigset_t xfsz;

	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	assert_int_equal(pthread_sigmask(how, &xfsz, NULL), 0);
}

static void a_call_is_no_cancellation_point_and_blocks_one_signal_if_it_grows(void **state)
{
	static const int states[] = { PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_DISABLE };
	struct host_call call;

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (int grows = 0; grows < 2; grows++) {
			for (int blocked = 0; blocked < 2; blocked++) {
				int old;

				pthread_setcancelstate(states[i], &old);
				set_xfsz(blocked ? SIG_BLOCK : SIG_UNBLOCK);
				if (grows)
					host_begin_grow(&call);
				else
					host_begin(&call);
				assert_int_equal(cancel_state(), PTHREAD_CANCEL_DISABLE);
				assert_int_equal(blocks_xfsz(), grows || blocked);
				errno = E2BIG;
				host_end(&call);
				assert_int_equal(errno, E2BIG);
				assert_int_equal(cancel_state(), states[i]);
				assert_int_equal(blocks_xfsz(), blocked);
				pthread_setcancelstate(old, &old);
			}
		}
	}
	set_xfsz(SIG_UNBLOCK);
}

static bool xfsz_is_pending(void)
{
	sigset_t pending;

	assert_int_equal(sigpending(&pending), 0);
	return sigismember(&pending, SIGXFSZ);
}

/* Not one that was there before, nor one that comes without that error. */
static void only_a_call_that_was_too_large_takes_its_signal(void **state)
{
	const struct timespec now = { 0 };
	struct host_call call;
	sigset_t xfsz;

	(void)state;
	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	set_xfsz(SIG_BLOCK);
	for (int err = 0; err <= EFBIG; err += EFBIG) {
		for (int before = 0; before < 2; before++) {
			/* What the struct held does not matter. */
			memset(&call, before ? 0 : 1, sizeof(call));
			if (before)
				pthread_kill(pthread_self(), SIGXFSZ);
			host_begin_grow(&call);
			if (!before)
				pthread_kill(pthread_self(), SIGXFSZ); /* as the kernel does */
			errno = err;
			host_end(&call);
			assert_int_equal(errno, err);
			assert_int_equal(xfsz_is_pending(), before || err != EFBIG);
			if (xfsz_is_pending())
				assert_int_equal(sigtimedwait(&xfsz, NULL, &now), SIGXFSZ);
		}
	}
	set_xfsz(SIG_UNBLOCK);
}

static void pairs_within_a_pair_take_their_signals_and_leave_the_mask(void **state)
{
	struct host_call outer, inner;

	(void)state;
	host_begin_grow(&outer);
	for (int i = 0; i < 2; i++) {
		host_begin_grow(&inner);
		pthread_kill(pthread_self(), SIGXFSZ);
		errno = EFBIG;
		host_end(&inner);
		assert_false(xfsz_is_pending());
		assert_true(blocks_xfsz());
		assert_int_equal(cancel_state(), PTHREAD_CANCEL_DISABLE);
	}
	host_end(&outer);
	assert_false(blocks_xfsz());
	assert_int_equal(cancel_state(), PTHREAD_CANCEL_ENABLE);
}

static void calls_do_what_the_system_calls_do(void **state)
{
	int fd = memfd_create("host", MFD_CLOEXEC), other;
	char link[64], byte = 1;
	struct stat st;

	(void)state;
	assert_int_equal(host_ftruncate(fd, 8192), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 8192);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	other = host_open(link, O_RDONLY | O_CLOEXEC);
	assert_true(other >= 0);
	assert_int_equal(fcntl(other, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 4096), 1);
	assert_int_equal(host_punch_hole(fd, 4096, 4096), 0);
	assert_int_equal(pread(other, &byte, 1, 4096), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 8192);
	assert_int_equal(host_fsync(fd), 0);
	host_close(other);
	assert_int_equal(fcntl(other, F_GETFD), -1);

	close(fd);
	errno = 0;
	assert_true(host_ftruncate(fd, 0) == -1 && errno == EBADF);
	errno = 0;
	assert_true(host_fsync(fd) == -1 && errno == EBADF);
	errno = 0;
	assert_true(host_punch_hole(fd, 0, 1) == -1 && errno == EBADF);
	errno = 0;
	assert_true(host_open("/nowhere", O_RDONLY) == -1 && errno == ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_no_cancellation_point_and_blocks_one_signal_if_it_grows),
		cmocka_unit_test(only_a_call_that_was_too_large_takes_its_signal),
		cmocka_unit_test(pairs_within_a_pair_take_their_signals_and_leave_the_mask),
		cmocka_unit_test(calls_do_what_the_system_calls_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
