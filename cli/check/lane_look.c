/* SPDX-License-Identifier: MIT */
/*
 * Whether a thread of the library's side sleeps for a userfaultfd's handler. The kernel tells which
 * threads sleep, and on which futex: a page fault's is on the thread's own stack, an event's is
 * not, but while its event is unread its userfaultfd can be read, and no other lane runs: else it
 * may be a lock that one of those has. What is neither may be a lock for a moment, and so has to
 * last.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check/lanes.h"

#define SURE 3 /* looks without a change */
#define NOT_SO_SURE 400

void lane_find_stack(struct lane *lane)
{
	pthread_attr_t attr;
	size_t size = 0;
	void *at = NULL;

	if (pthread_getattr_np(pthread_self(), &attr))
		return;
	pthread_attr_getstack(&attr, &at, &size);
	pthread_attr_destroy(&attr);
	lane->look.low = (unsigned long)at;
	lane->look.high = lane->look.low + size;
}

static int open_of(int tid, const char *leaf)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, leaf);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void lane_look_open(struct lane *lane)
{
	lane->look.stat = open_of(lane->tid, "stat");
	lane->look.syscall = open_of(lane->tid, "syscall");
	lane->look.times = open_of(lane->tid, "schedstat");
}

void lane_look_close(struct lane *lane)
{
	close(lane->look.stat);
	close(lane->look.syscall);
	close(lane->look.times);
}

/* What fd shows now. */
static void show(int fd, char *text, size_t size)
{
	const ssize_t n = fd < 0 ? 0 : pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
}

static bool is_stopped(const struct lane *lane)
{
	char text[128];
	const char *at;

	show(lane->look.stat, text, sizeof(text));
	at = strrchr(text, ')');
	return at && at[1] && at[2] == 'S';
}

bool lane_has_run(struct lane *lane)
{
	char before[sizeof(lane->look.ran)];

	memcpy(before, lane->look.ran, sizeof(before));
	show(lane->look.times, lane->look.ran, sizeof(lane->look.ran));
	return !*before || strcmp(before, lane->look.ran) != 0;
}

/* No lane does anything: so none has a lock for which another waits. */
static bool all_rest(const struct lanes *all)
{
	for (unsigned int i = 0; i < WIRE_CELLS; i++)
		if (all->lane[i].runs && !is_stopped(&all->lane[i]))
			return false;
	return true;
}

/* On a futex of its own stack, or maybe of what can be read. */
static bool waits_for_handler(const struct lane *lane, const struct lanes *all)
{
	unsigned long at;
	char text[256];
	int nr;

	show(lane->look.syscall, text, sizeof(text));
	if (sscanf(text, "%d %lx", &nr, &at) != 2 || nr != SYS_futex)
		return false;
	return (at >= lane->look.low && at < lane->look.high) ||
	       (ours_uffd_readable(all) && all_rest(all));
}

bool lane_is_asleep(const struct lane *lane, const struct lanes *all)
{
	char before[128], now[128];
	int same = 0;

	show(lane->look.times, before, sizeof(before));
	while (is_stopped(lane)) {
		const bool known = waits_for_handler(lane, all);

		show(lane->look.times, now, sizeof(now));
		if (strcmp(before, now) != 0)
			return false;
		if (++same >= (known ? SURE : NOT_SO_SURE))
			return true;
		usleep(same < SURE ? 1 : 100);
	}
	return false;
}
