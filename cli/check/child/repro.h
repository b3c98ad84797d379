/* SPDX-License-Identifier: MIT */
/*
 * What a program that samara check --repro writes is made of, besides pattern.h
 * and the calls themselves: `samara' puts this text at its beginning.
 *
 * The program is one process or, after forks, several that share a struct turn:
 * one at a time has its turn, makes the next call and says what came of it. All
 * show their maps and pages at the end.
 */
#ifndef CLI_CHECK_CHILD_REPRO_H
#define CLI_CHECK_CHILD_REPRO_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAYBE static __attribute__((unused))
#define GIVEN_AWAY (1L << 62)
#define NOBODY (-1)

struct said {
	const char *call, *samara;
};

struct turn {
	volatile int now, done, carried, over, forks;
	char swap[40]; /* the swap area's file, once there is one */
};

static int memfd, disk, readonly, zero, sink, me;
static struct turn *turn;
static unsigned char vec[65536];
static sigjmp_buf back;
static siginfo_t fault;
static uint64_t words[513];

static void pattern_fill(void *buf, uint64_t at, uint64_t len, uint64_t pattern);
static uint64_t sum_add(uint64_t sum, const void *buf, uint64_t at, uint64_t len);
static int64_t sum_answer(uint64_t sum);
static uint64_t survey_add(uint64_t sum, uint64_t page, int signo, int code);

static void on_fault(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	fault = *info;
	siglongjmp(back, 1);
}

/* Writes a byte through the kernel: EFAULT in place of a signal. */
MAYBE long touch(unsigned long addr)
{
	return syscall(SYS_pread64, zero, addr, 1, 0);
}

MAYBE long read_byte(unsigned long addr)
{
	return syscall(SYS_pwrite64, sink, addr, 1, 0);
}

/* Bytes moved, one by one, until one cannot be. */
static uint64_t copy(volatile unsigned char *to, const volatile unsigned char *from, uint64_t len)
{
	volatile uint64_t done = 0;

	if (!sigsetjmp(back, 1))
		for (; done < len; done++)
			to[done] = from[done];
	return done;
}

static uint64_t part_of_page(uint64_t at, uint64_t len)
{
	return 4096 - at % 4096 < len ? 4096 - at % 4096 : len;
}

MAYBE long store(uint64_t at, uint64_t len, uint64_t pattern)
{
	uint64_t done = 0, n, moved;

	do {
		unsigned char *const buf = (unsigned char *)words + (at + done) % 8;

		n = part_of_page(at + done, len - done);
		pattern_fill(buf, at + done, n, pattern);
		moved = copy((unsigned char *)(at + done), buf, n);
		done += moved;
	} while (n && moved == n);
	return (long)done;
}

static uint64_t load_sum(uint64_t at, uint64_t len)
{
	uint64_t sum = 0, n, moved;

	do {
		unsigned char *const buf = (unsigned char *)words + at % 8;

		n = part_of_page(at, len);
		moved = copy(buf, (const unsigned char *)at, n);
		sum = sum_add(sum, buf, at, moved);
		at += n;
		len -= n;
	} while (n && moved == n);
	return sum;
}

MAYBE long load(uint64_t at, uint64_t len)
{
	return sum_answer(load_sum(at, len));
}

MAYBE long survey(uint64_t at, uint64_t len)
{
	uint64_t sum = 0;

	for (uint64_t n; len; at += n, len -= n) {
		uint64_t page;

		n = part_of_page(at, len);
		memset(&fault, 0, sizeof(fault));
		page = load_sum(at, n);
		sum = survey_add(sum, page, fault.si_signo, fault.si_code);
	}
	memset(&fault, 0, sizeof(fault));
	return sum_answer(sum);
}

/* Only where nothing can be executed. */
MAYBE long fetch(uint64_t at)
{
	if (!sigsetjmp(back, 1))
		((void (*)(void))at)();
	return 0;
}

MAYBE long file_write(int fd, uint64_t at, uint64_t len, uint64_t pattern)
{
	uint64_t done = 0;
	long ret = 0;

	for (uint64_t n; done < len; done += (uint64_t)ret) {
		unsigned char *const buf = (unsigned char *)words + (at + done) % 8;

		n = part_of_page(at + done, len - done);
		pattern_fill(buf, at + done, n, pattern);
		ret = pwrite(fd, buf, n, (off_t)(at + done));
		if (ret <= 0)
			break;
	}
	return done ? (long)done : ret;
}

MAYBE long file_read(int fd, uint64_t at, uint64_t len)
{
	uint64_t done = 0, sum = 0;
	long ret = 0;

	for (uint64_t n; done < len; done += (uint64_t)ret) {
		unsigned char *const buf = (unsigned char *)words + (at + done) % 8;

		n = part_of_page(at + done, len - done);
		ret = pread(fd, buf, n, (off_t)(at + done));
		if (ret <= 0)
			break;
		sum = sum_add(sum, buf, at + done, (uint64_t)ret);
	}
	return done || !ret ? sum_answer(survey_add(sum, done, 0, 0)) : ret;
}

MAYBE long map_crowd(unsigned long at, unsigned long n)
{
	long ret = 0;

	for (; n && ret != -1; n--, at += 4096)
		ret = syscall(SYS_mmap, at, 4096, n & 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			      -1, 0);
	return ret == -1 ? -1 : 0;
}

MAYBE long soft_limit(int resource, unsigned long soft)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = soft;
	return setrlimit(resource, &limit);
}

MAYBE long drop_caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return syscall(SYS_capset, &h, none);
}

/* A swap area of 32 MiB that is used before all others; its backend is the library's matter. */
MAYBE long swapon(unsigned long backend)
{
	static const char swap_name[] = "/var/tmp/repro-swap-XXXXXX";
	static char page[4096];
	const uint32_t version = 1, last = 8191;
	int fd;

	(void)backend;
	if (turn->swap[0])
		return syscall(SYS_swapon, turn->swap, 0xffff);
	memcpy(turn->swap, swap_name, sizeof(swap_name));
	fd = mkstemp(turn->swap);
	memcpy(page + 1024, &version, 4);
	memcpy(page + 1028, &last, 4);
	memcpy(page + 4086, "SWAPSPACE2", 10);
	for (uint32_t i = 0; i <= last; i++) {
		if (write(fd, page, sizeof(page)) != sizeof(page))
			break;
		memset(page, 0, sizeof(page));
	}
	fsync(fd);
	close(fd);
	return syscall(SYS_swapon, turn->swap, 0xffff);
}

MAYBE long swapoff(void)
{
	return syscall(SYS_swapoff, turn->swap);
}

/* processes ------------------------------------------------------------------ */

static void give_turn(int to)
{
	turn->carried = 1;
	turn->now = to;
}

MAYBE long fork_and_go_on(int as_child)
{
	const int nr = turn->forks + 1;
	const int pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0) {
		me = nr;
		return GIVEN_AWAY;
	}
	turn->forks = nr;
	if (as_child)
		give_turn(nr);
	return as_child ? GIVEN_AWAY : 0;
}

MAYBE long switch_to(int nr)
{
	if (nr > turn->forks) {
		errno = ESRCH;
		return -1;
	}
	if (nr == me)
		return 0;
	give_turn(nr);
	return GIVEN_AWAY;
}

/* Frames can be seen by root only. */
static void show_pages(unsigned long from, unsigned long to)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY);

	for (; fd >= 0 && from < to; from += 4096) {
		uint64_t entry = 0;

		if (pread(fd, &entry, 8, (off_t)(from / 4096 * 8)) != 8 || !entry)
			continue;
		printf("    %lx%s%s%s%s%s frame %#lx\n", from, entry >> 63 ? " present" : "",
		       entry >> 62 & 1 ? " swap" : "", entry >> 61 & 1 ? " file" : "",
		       entry >> 56 & 1 ? " exclusive" : "", entry >> 58 & 1 ? " guard" : "",
		       (unsigned long)(entry & ((1UL << 55) - 1)));
	}
	if (fd >= 0)
		close(fd);
}

static __attribute__((noreturn)) void finish(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];

	turn->over = 1;
	give_turn(NOBODY);
	while (wait(NULL) > 0)
		;
	if (me)
		printf("process %d:\n", me);
	while (f && fgets(line, sizeof(line), f)) {
		printf("  %s", line);
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && to - from <= 64UL << 12 &&
		    from - 0x400000000000 < 1UL << 30)
			show_pages(from, to);
	}
	if (!me && turn->swap[0]) {
		swapoff();
		unlink(turn->swap);
	}
	fflush(stdout);
	_exit(0);
}

static void say(const struct said *s, long ret)
{
	if (ret == -1)
		printf("%s = -1 (%m)", s->call);
	else
		printf("%s = %#lx", s->call, ret);
	if (fault.si_signo)
		printf(" SIG%s %d %p", sigabbrev_np(fault.si_signo), fault.si_code, fault.si_addr);
	printf("; samara: %s\n", s->samara);
	fflush(stdout);
}

static int open_files(void)
{
	char name[] = "/var/tmp/repro-XXXXXX", path[64];

	sink = memfd_create("sink", 0);
	memfd = memfd_create("window", 0);
	disk = mkstemp(name);
	unlink(name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	readonly = open(path, O_RDONLY);
	zero = open("/dev/zero", O_RDWR);
	return ftruncate(memfd, 256 * 4096) || ftruncate(disk, 256 * 4096) || readonly < 0;
}

static int make_calls(char **argv, long (*step)(int nr), const struct said *said, int n)
{
	const struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) &&
	    personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	turn = mmap(NULL, sizeof(*turn), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turn == MAP_FAILED || open_files() || vec[0] || sigaction(SIGSEGV, &action, NULL) ||
	    sigaction(SIGBUS, &action, NULL))
		return 2;
	for (;;) {
		long ret;

		while (turn->now != me && !turn->over)
			usleep(1000);
		if (turn->over || turn->done == n)
			finish();
		memset(&fault, 0, sizeof(fault));
		ret = turn->carried ? 0 : step(turn->done);
		if (ret == GIVEN_AWAY)
			continue;
		turn->carried = 0;
		say(&said[turn->done], ret);
		turn->done++;
	}
}

#endif
