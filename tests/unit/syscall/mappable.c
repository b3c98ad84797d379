/* SPDX-License-Identifier: MIT */
/*
 * What can be mapped, and with which error the rest is refused: one of everything that the host
 * has, mapped by its kernel and by the library. Nothing is read or written through the mappings.
 *
 * Left out are files whose opening does something: watchdogs, terminals, printers, tapes, sound,
 * graphics, and the kernel's tracing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <samara/access.h>

#include "base/compiler.h"

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/random.h"

#define MOST_FILES 20000

static const struct way {
	int prot, flags;
	unsigned long len, offset;
} ways[] = {
	{ PROT_READ, MAP_PRIVATE, PAGE, 0 },
	{ PROT_NONE, MAP_SHARED, PAGE, 0 },
	{ PROT_READ | PROT_EXEC, MAP_PRIVATE, PAGE, 0 },
	{ PROT_READ, MAP_SHARED, PAGE, 0 },
	{ PROT_NONE, MAP_PRIVATE | MAP_GROWSDOWN, PAGE, 0 },
	{ RW, MAP_PRIVATE, PAGE, 0 },
	{ RW, MAP_SHARED, PAGE, 0 },
	{ PROT_EXEC, MAP_SHARED, PAGE, 0 },
	{ RW | PROT_EXEC, MAP_SHARED_VALIDATE, PAGE, 0 },
	{ PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_GROWSDOWN, PAGE, 0 },
	{ PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, PAGE, 0 },
	{ PROT_READ, MAP_PRIVATE, 5 * PAGE, 3 * PAGE },
	{ PROT_READ, MAP_SHARED, 0, 0 },
	{ PROT_READ, MAP_PRIVATE, PAGE, 7 },
	{ PROT_READ, 0, PAGE, 0 },
	{ PROT_READ, MAP_TYPE, PAGE, 0 },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static struct samara_mm *mm;
static struct samara_machine *machine;
static unsigned int files, mapped, refused;

static int on_the_host(int fd, const struct way *way)
{
	void *p = mmap(NULL, way->len, way->prot, way->flags, fd, (off_t)way->offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, way->len);
	return 0;
}

static int here(struct samara_file *file, const struct way *way)
{
	unsigned long p;

	if (!file) /* O_PATH: the descriptor is none */
		return way->offset % PAGE ? EINVAL : EBADF;
	p = samara_mmap(mm, 0, way->len, way->prot, way->flags, file, way->offset);
	if (SAMARA_IS_ERR_VALUE(p))
		return (int)-p;
	assert_int_equal(samara_munmap(mm, p, way->len), 0);
	return 0;
}

/* Ways first, first + step, ... */
static void compare(const char *name, int fd, unsigned int first, unsigned int step)
{
	struct samara_file *file = NULL;
	const int err = samara_file_from_fd(machine, fd, &file);

	if (err)
		assert_int_equal(err, -EBADF);
	for (unsigned int i = first; i < WAYS; i += step) {
		const struct way *way = &ways[i];
		const int want = on_the_host(fd, way), got = here(file, way);

		mapped += !want;
		refused += !!want;
		if (want != got)
			fail_msg("%s, open %#x: mmap(len %#lx, prot %d, flags %#x, offset %#lx): "
				 "%s, here %s",
				 name, (unsigned int)fcntl(fd, F_GETFL), way->len, way->prot,
				 (unsigned int)way->flags, way->offset, strerrorname_np(want),
				 strerrorname_np(got));
	}
	samara_file_put(file);
	close(fd);
	files++;
}

static void compare_path(const char *path, int flags, unsigned int first, unsigned int step)
{
	const int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		compare(path, fd, first, step);
}

static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_PATH };

static void files_and_directories(void **state)
{
	char dir[] = "/tmp/mappable.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	close(open(path, O_CREAT | O_RDWR, 0600));
	for (int i = 0; i < 4; i++) {
		compare_path(path, modes[i], 0, 1);
		compare_path(path, modes[i] | O_APPEND, 0, 1);
		compare_path(dir, modes[i], 0, 1);
	}
	unlink(path);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (int i = 0; i < 4; i++)
		compare_path(path, modes[i], 0, 1);
	unlink(path);
	rmdir(dir);
}

static void descriptors_of_all_kinds(void **state)
{
	sigset_t none;
	int pair[2];

	(void)state;
	sigemptyset(&none);
	assert_int_equal(pipe(pair), 0);
	compare("pipe, to read", pair[0], 0, 1);
	compare("pipe, to write", pair[1], 0, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	compare("socket", pair[0], 0, 1);
	close(pair[1]);
	compare("TCP socket", socket(AF_INET, SOCK_STREAM, 0), 0, 1);
	compare("epoll", epoll_create1(0), 0, 1);
	compare("eventfd", eventfd(0, 0), 0, 1);
	compare("timerfd", timerfd_create(CLOCK_MONOTONIC, 0), 0, 1);
	compare("signalfd", signalfd(-1, &none, 0), 0, 1);
	compare("inotify", inotify_init(), 0, 1);
	compare("memfd", memfd_create("mappable", 0), 0, 1);
}

static bool has_effects(const char *path)
{
	static const char *const names[] = {
		"/dev/watchdog", "/dev/tty",  "/dev/vcs",          "/dev/console",
		"/dev/hvc",      "/dev/lp",   "/dev/st",           "/dev/nst",
		"/dev/snd",      "/dev/dri",  "/dev/video",        "/dev/sr",
		"/dev/mei",      "/dev/ipmi", "/sys/kernel/debug", "/sys/kernel/tracing",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(path, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Other processes come and go, and are many. */
static bool is_a_process(const char *path)
{
	return path[6] >= '0' && path[6] <= '9' && !strncmp(path, "/proc/", 6);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)type;
	(void)at;
	if (has_effects(path) || is_a_process(path))
		return FTW_SKIP_SUBTREE;
	if (files >= MOST_FILES / test_slowdown())
		return FTW_STOP;
	if (S_ISLNK(st->st_mode))
		return FTW_CONTINUE;
	if (strncmp(path, "/dev/", 5)) {
		/* So many that each is asked in some ways only. */
		compare_path(path, O_RDONLY, files % 4, 4);
		return FTW_CONTINUE;
	}
	compare_path(path, O_RDONLY, 0, 1);
	compare_path(path, O_PATH, 0, 1);
	if (S_ISCHR(st->st_mode))
		compare_path(path, O_RDWR, 0, 1);
	return FTW_CONTINUE;
}

static void everything_in(const char *tree)
{
	files = mapped = refused = 0;
	nftw(tree, visit, 32, FTW_PHYS | FTW_MOUNT | FTW_ACTIONRETVAL);
	print_message("%s: %u files, %u mappings, %u refusals\n", tree, files, mapped, refused);
	assert_true(files);
}

static void everything_in_dev(void **state)
{
	(void)state;
	everything_in("/dev");
	assert_true(mapped); /* /dev/zero at least */
}

static void everything_in_proc(void **state)
{
	(void)state;
	everything_in("/proc");
}

static void everything_in_sys(void **state)
{
	(void)state;
	everything_in("/sys");
}

static int one_machine(void **state)
{
	const int err = fixture_up(state);
	const struct fixture *f = *state;

	mm = f->mm;
	machine = f->machine;
	return err;
}

#define test(name) cmocka_unit_test_setup_teardown(name, one_machine, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(files_and_directories), test(descriptors_of_all_kinds),
		test(everything_in_dev),     test(everything_in_proc),
		test(everything_in_sys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
