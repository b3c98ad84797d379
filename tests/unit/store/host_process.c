/* SPDX-License-Identifier: MIT */
/*
 * What calls of the host's kernel would do to the embedder's process besides their result:
 * SIGXFSZ at RLIMIT_FSIZE, and threads that are cancelled in a call.
 */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/inject.h>
#include <samara/mm.h>

#define AREA 0x20000000UL
#define PAGE 4096UL

static struct samara_machine *machine;
static struct samara_mm *mm;
static struct samara_file *file;
static unsigned int ready;

static void up(void)
{
	int fd = memfd_create("host", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(samara_machine_create(NULL, &machine), 0);
	assert_int_equal(samara_mm_create(machine, &mm), 0);
	assert_int_equal(samara_file_from_fd(machine, fd, &file), 0);
	close(fd);
	assert_int_equal(samara_mmap(mm, AREA, 4 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_FIXED, file, 0),
			 AREA);
}

static void down(void)
{
	samara_mm_exit(mm);
	samara_file_put(file);
	samara_machine_destroy(machine);
	assert_int_equal(samara_live_objects(), 0);
}

/* Exit status: the line that failed, or 0. */
static void under_a_file_limit(void *arg)
{
	const struct rlimit limit = { PAGE, PAGE };
	struct samara_machine *m;
	sigset_t pending;

	up();
	if (setrlimit(RLIMIT_FSIZE, &limit))
		_exit(1);
	if (samara_machine_create(NULL, &m) != -EFBIG)
		_exit(2);
	if (samara_file_set_length(file, 8 * PAGE) != -EFBIG)
		_exit(3);
	if (samara_write(mm, AREA, "low", 3, NULL) != 3 || samara_msync(mm, AREA, PAGE, MS_SYNC))
		_exit(4);
	/* Beyond the limit the host refuses the bytes. */
	if (samara_write(mm, AREA + 2 * PAGE, "high", 4, NULL) != 4 ||
	    !samara_msync(mm, AREA, 4 * PAGE, MS_SYNC))
		_exit(5);
	if (samara_file_punch_hole(file, 2 * PAGE, PAGE))
		_exit(7);
	if (sigpending(&pending) || sigismember(&pending, SIGXFSZ))
		_exit(6);
	_exit(0);
}

/* A signal that the embedder blocks, and that was pending before, is still pending afterwards. */
static void with_a_signal_that_waits(void *arg)
{
	const struct rlimit limit = { PAGE, PAGE };
	sigset_t xfsz, now;

	up();
	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	if (setrlimit(RLIMIT_FSIZE, &limit) || sigprocmask(SIG_BLOCK, &xfsz, NULL))
		_exit(1);
	for (int waits = 0; waits < 2; waits++) {
		if (waits && raise(SIGXFSZ))
			_exit(2);
		if (samara_file_set_length(file, 8 * PAGE) != -EFBIG)
			_exit(3);
		if (sigpending(&now) || sigismember(&now, SIGXFSZ) != waits)
			_exit(4 + waits);
		if (sigprocmask(SIG_BLOCK, NULL, &now) || !sigismember(&now, SIGXFSZ) ||
		    sigismember(&now, SIGTERM))
			_exit(6);
	}
	_exit(0);
}

static void a_signal_of_the_embedders_stays(void **state)
{
	struct forked result;

	run_forked(with_a_signal_that_waits, NULL, &result);
	assert_int_equal(result.signal, 0);
	assert_int_equal(result.status, 0);
}

static void a_file_limit_is_an_error_and_no_signal(void **state)
{
	struct forked result;

	run_forked(under_a_file_limit, NULL, &result);
	assert_int_equal(result.signal, 0);
	assert_int_equal(result.status, 0);
}

static void *call_for_ever(void *arg)
{
	int null = *(int *)arg;

	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		if (samara_write(mm, AREA, "dirty", 5, NULL) != 5 ||
		    samara_msync(mm, AREA, 4 * PAGE, MS_SYNC) || samara_print_maps(mm, null))
			return "a call failed";
		pthread_testcancel();
	}
}

static void a_cancelled_thread_leaves_nothing_behind(void **state)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pthread_t thread;
	void *result;

	up();
	for (int i = 0; i < 300 / (int)test_slowdown(); i++) {
		ready = 0;
		assert_int_equal(pthread_create(&thread, NULL, call_for_ever, &null), 0);
		while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
			sched_yield();
		for (int spin = i * 37 % 1000; spin; spin--)
			__atomic_load_n(&ready, __ATOMIC_ACQUIRE);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		assert_ptr_equal(result, PTHREAD_CANCELED);
	}
	down();
	close(null);
}

/* All is called with a cancellation pending: the first point where it acts ends the thread. */
static void *call_when_cancelled(void *arg)
{
	const int null = *(int *)arg;
	int wrong;

	pthread_cancel(pthread_self());
	wrong = samara_write(mm, AREA, "dirty", 5, NULL) != 5;
	wrong |= samara_msync(mm, AREA, 4 * PAGE, MS_SYNC);
	wrong |= samara_file_punch_hole(file, PAGE, PAGE);
	wrong |= samara_file_set_length(file, 4 * PAGE);
	wrong |= samara_file_sync(file);
	wrong |= samara_print_maps(mm, null);
	__atomic_store_n(&ready, wrong ? 2 : 1, __ATOMIC_RELEASE);
	pthread_testcancel();
	return NULL;
}

static void no_call_is_a_cancellation_point(void **state)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pthread_t thread;
	void *result;

	up();
	ready = 0;
	assert_int_equal(pthread_create(&thread, NULL, call_when_cancelled, &null), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(ready, 1);
	down();
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_limit_is_an_error_and_no_signal),
		cmocka_unit_test(a_signal_of_the_embedders_stays),
		cmocka_unit_test(no_call_is_a_cancellation_point),
		cmocka_unit_test(a_cancelled_thread_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
