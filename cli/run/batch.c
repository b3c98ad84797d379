/* SPDX-License-Identifier: MIT */
/*
 * A batch's steps, and how a round of them is handed to the agent (ring.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "run/agent.h"

#define PAGE 4096UL
#define LAST_ERRNO 133 /* EHWPOISON */
#define SLOW_SECONDS 10

static unsigned long said_at(const struct agent *a)
{
	return a->at + (2 + 2 * a->slot) * PAGE;
}

static void put_round(struct agent *a, struct batch *b)
{
	struct ring_ask *ask = ring_ask(&a->all->rings, (unsigned int)a->ring);
	struct ring_said *said = ring_said(&a->all->rings, (unsigned int)a->ring);

	memcpy(ask->step, b->step, b->count * sizeof(b->step[0]));
	for (unsigned int i = 0; i < b->count; i++)
		if (b->has_data & 1U << i) {
			memcpy(said->data[i], b->data[i], RING_DATA);
			ask->step[i].arg[2] =
				said_at(a) + offsetof(struct ring_said, data) + i * RING_DATA;
		}
	ask->count = b->count;
	__atomic_store_n(&ask->word, ++a->turn.round, __ATOMIC_RELEASE);
	syscall(SYS_futex, &ask->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 1: the bell rang. 0: it did not for SLOW_SECONDS. -ESRCH: the agent is dead. */
static int hear(const struct agent *a, const struct agent_serve *serve)
{
	struct pollfd fds[3] = { { .fd = a->bell, .events = POLLIN },
				 { .fd = a->pidfd, .events = POLLIN },
				 { .fd = serve ? serve->fd : -1, .events = POLLIN } };
	const struct timespec slow = { SLOW_SECONDS, 0 };
	double until = 0;
	int n;

	for (;;) {
		n = ppoll(fds, serve ? 3 : 2, &slow, NULL);
		if (n > 0 && fds[0].revents)
			return 1;
		if (n > 0 && fds[1].revents)
			return -ESRCH;
		/* Rare: served, or interrupted, and then the time counts. */
		if (!until)
			until = seconds() + SLOW_SECONDS;
		else if (seconds() > until)
			return 0;
		if (!n)
			return 0;
		if (n > 0)
			serve->call(serve->priv);
	}
}

/* The tally is the kernel's word for how many steps succeeded, the result is the program's. */
static int answer(struct agent *a, struct batch *b)
{
	const struct ring_said *said = ring_said(&a->all->rings, (unsigned int)a->ring);
	int64_t result;
	uint64_t tally;

	if (read(a->bell, &tally, sizeof(tally)) != sizeof(tally) || tally > b->count + 1UL)
		return -EUCLEAN;
	b->ran += tally - 1;
	if (tally == b->count + 1UL)
		return 0;
	result = __atomic_load_n(&said->result, __ATOMIC_RELAXED);
	return result < 0 && result >= -LAST_ERRNO ? (int)result : -EUCLEAN;
}

int batch_round(struct batch *b, const struct agent_serve *serve)
{
	struct agent *a = b->agent;
	int heard;

	if (b->err || !b->count)
		goto out;
	pthread_mutex_lock(&a->turn.lock);
	if (a->turn.dead || !a->pid) {
		b->err = -ESRCH;
	} else {
		put_round(a, b);
		heard = hear(a, serve);
		b->err = heard == 1 ? answer(a, b) : -ESRCH;
		/* What has not been done may be done later: nothing can be asked any more. */
		if (heard != 1 || b->err == -EUCLEAN) {
			a->turn.dead = true;
			agent_kill(a);
		}
	}
	pthread_mutex_unlock(&a->turn.lock);
out:
	b->count = 0;
	b->has_data = 0;
	return b->err;
}

void batch_begin(struct batch *b, struct agent *a)
{
	b->agent = a;
	b->ran = 0;
	b->err = 0;
	b->count = 0;
	b->has_data = 0;
}

int batch_end(struct batch *b)
{
	return batch_round(b, NULL);
}

void batch_call(struct batch *b, long nr, const unsigned long arg[6])
{
	struct ring_step *step;

	if (b->count == RING_STEPS)
		batch_end(b);
	step = &b->step[b->count++];
	step->nr = (uint64_t)nr;
	for (int i = 0; i < 6; i++)
		step->arg[i] = arg[i];
}

static void call3(struct batch *b, long nr, unsigned long x, unsigned long y, unsigned long z)
{
	const unsigned long arg[6] = { x, y, z };

	batch_call(b, nr, arg);
}

void batch_uffd(struct batch *b, unsigned long cmd, const void *arg, size_t bytes)
{
	call3(b, SYS_ioctl, AGENT_FD_UFFD, cmd, 0);
	memcpy(b->data[b->count - 1], arg, bytes < RING_DATA ? bytes : RING_DATA);
	b->has_data |= 1U << (b->count - 1);
}

void batch_register(struct batch *b, unsigned long start, unsigned long end, uint64_t modes)
{
	const struct uffdio_register reg = { .range = { start, end - start }, .mode = modes };

	batch_uffd(b, UFFDIO_REGISTER, &reg, sizeof(reg));
}

void batch_mmap(struct batch *b, const struct batch_map *map)
{
	const int fixed = map->flags & MAP_FIXED_NOREPLACE ? 0 : MAP_FIXED;
	const unsigned long arg[6] = { map->start,
				       map->end - map->start,
				       (unsigned long)map->prot,
				       (unsigned long)(map->flags | fixed),
				       map->fd,
				       map->first * PAGE };

	batch_call(b, SYS_mmap, arg);
}

void batch_munmap(struct batch *b, unsigned long start, unsigned long end)
{
	call3(b, SYS_munmap, start, end - start, 0);
}

void batch_mprotect(struct batch *b, unsigned long start, unsigned long end, int prot)
{
	call3(b, SYS_mprotect, start, end - start, (unsigned long)prot);
}

void batch_madvise(struct batch *b, unsigned long start, unsigned long end, int advice)
{
	call3(b, SYS_madvise, start, end - start, (unsigned long)advice);
}
