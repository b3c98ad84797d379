/* SPDX-License-Identifier: MIT */
/*
 * The host's swap area of a run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check/keeper.h"
#include "check/swap.h"

#define NAME "/var/tmp/samara-check-swap-XXXXXX"
#define TRIAL_PAGES 16UL
#define TRIALS 20
#define NAP 10000      /* microseconds */
#define NAPS_MOST 3000 /* the keeper's */

static struct {
	char path[sizeof(NAME)]; /* empty: there is no file */
	struct keeper keeper;
} area = { .keeper = KEEPER_INIT };

void swap_header(char page[PAGE])
{
	const uint32_t version = 1, last_page = SWAP_PAGES - 1;

	memset(page, 0, PAGE);
	memcpy(page + 1024, &version, sizeof(version));
	memcpy(page + 1028, &last_page, sizeof(last_page));
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
}

bool seq_swaps(const struct seq *seq)
{
	for (unsigned int i = 0; i < seq->n; i++)
		if (seq->op[i].nr == SYS_swapon || seq->op[i].nr == SYS_swapoff)
			return true;
	return false;
}

static const char *because(const char *what, int err)
{
	static char text[160];

	snprintf(text, sizeof(text), "the host cannot swap: %s: %s", what, strerror(err));
	return text;
}

static const char *others_swap(int seconds)
{
	static char text[160];

	snprintf(text, sizeof(text),
		 "the host cannot swap: other checks have had their areas on for %d s (--patience)",
		 seconds);
	return text;
}

/* the file ------------------------------------------------------------------------ */

/* No holes, and no copying on write where a file system does that. 0 or -1 and errno. */
static int write_file(int fd)
{
	static char page[PAGE];
	int flags = 0;

	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	swap_header(page);
	for (unsigned long i = 0; i < SWAP_PAGES; i++) {
		errno = ENOSPC;
		if (write(fd, page, PAGE) != (ssize_t)PAGE)
			return -1;
		memset(page, 0, PAGE);
	}
	return fsync(fd);
}

static bool may_end(int err)
{
	return err == EINTR || err == ENOMEM || err == EBUSY;
}

/* Called by the keeper. */
static void put_back(void)
{
	for (int i = 0; swapoff(area.path) && may_end(errno) && i < NAPS_MOST; i++)
		usleep(NAP);
	unlink(area.path);
}

/* NULL, or why not; then there is no file. */
static const char *make_file(void)
{
	char name[] = NAME;
	const int fd = mkostemp(name, O_CLOEXEC);
	const char *why = NULL;

	if (fd < 0)
		return because("a file in /var/tmp", errno);
	memcpy(area.path, name, sizeof(name));
	/* From here on the keeper removes it. */
	why = keeper_start(&area.keeper, put_back);
	if (why) {
		unlink(area.path);
		area.path[0] = '\0';
	} else if (write_file(fd)) {
		why = because("a file of 32 MiB in /var/tmp", errno);
	}
	close(fd);
	return why;
}

/* does it swap? --------------------------------------------------------------------- */

static unsigned long paged_out(void)
{
	return host_counter("/proc/self/status", "VmSwap:");
}

/* Pages are written to until some of them have left. */
static bool some_leave(void)
{
	const size_t len = TRIAL_PAGES * PAGE;
	char *const at =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool left = false;

	if (at == MAP_FAILED)
		return false;
	for (int i = 0; i < TRIALS && !left; i++) {
		memset(at, 1 + i, len);
		if (madvise(at, len, 21 /* MADV_PAGEOUT */))
			break;
		left = paged_out();
	}
	munmap(at, len);
	return left;
}

static const char *try_it(void)
{
	const char *why = NULL;

	if (swapon(area.path, SWAP_FLAGS))
		return because("swapon(2) of a file in /var/tmp", errno);
	if (!some_leave())
		why = "the host cannot swap: no page leaves memory (a memory cgroup?)";
	if (swapoff(area.path) && !why)
		why = because("swapoff(2)", errno);
	return why;
}

const char *host_swap_open(int patience)
{
	const char *why;
	bool others;
	int lock;

	if (area.path[0])
		return NULL;
	/* Asked before anything is made. */
	if (swapoff("/var/tmp") && (errno == EPERM || errno == ENOSYS))
		return because("swapoff(2)", errno);
	why = make_file();
	lock = host_swap_lock_file();
	if (!why)
		why = host_swap_lock(lock, patience, &others);
	if (!why) {
		why = try_it();
		host_swap_unlock(lock);
	}
	if (lock >= 0)
		close(lock);
	if (why)
		host_swap_close();
	return why;
}

void host_swap_close(void)
{
	if (!area.path[0])
		return;
	keeper_end(&area.keeper);
	put_back(); /* if the keeper was killed */
	area.path[0] = '\0';
}

const char *host_swap_path(void)
{
	return area.path;
}

/* one check at a time ------------------------------------------------------------------ */

/* Areas that are on. */
static unsigned int areas_on(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	unsigned int lines = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		lines += strchr(line, '\n') != NULL;
	if (f)
		fclose(f);
	return lines ? lines - 1 : 0;
}

/* The file that is about all areas is what their users agree on without making another. */
int host_swap_lock_file(void)
{
	return open("/proc/swaps", O_RDONLY | O_CLOEXEC);
}

static void interrupt(int signo)
{
	(void)signo;
}

/*
 * This thread's system calls end with EINTR from then on, each second again: a first time that
 * comes before the call is not the last.
 */
static int interrupt_after(int seconds, timer_t *timer)
{
	const struct sigaction act = { .sa_handler = interrupt };
	const struct itimerspec when = { .it_value.tv_sec = seconds, .it_interval.tv_sec = 1 };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };

	event._sigev_un._tid = gettid();
	if (sigaction(SIGALRM, &act, NULL) || timer_create(CLOCK_MONOTONIC, &event, timer))
		return -1;
	return timer_settime(*timer, 0, &when, NULL);
}

/* In the order of asking, which trying now and then would not keep. 0 or errno. */
static int wait_for_lock(int lock, int seconds)
{
	timer_t timer;
	int err = 0;

	if (!flock(lock, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK || interrupt_after(seconds, &timer))
		return errno;
	if (flock(lock, LOCK_EX))
		err = errno;
	timer_delete(timer);
	return err;
}

const char *host_swap_lock(int lock, int patience, bool *others)
{
	const char *why = host_swap_open(patience);
	int err;

	if (why)
		return why;
	err = wait_for_lock(lock, patience);
	if (err == EINTR)
		return others_swap(patience);
	if (err)
		return because("flock(2) of /proc/swaps", err);
	(void)swapoff(area.path); /* what a process of this run that was killed has left on */
	*others = areas_on() > 0;
	return NULL;
}

void host_swap_unlock(int lock)
{
	while (swapoff(area.path) && errno == EINTR)
		;
	flock(lock, LOCK_UN);
}
