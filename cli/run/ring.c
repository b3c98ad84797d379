/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define RING_BYTES (2 * PAGE)

_Static_assert(sizeof(struct ring_ask) <= PAGE && sizeof(struct ring_said) <= PAGE, "a page each");

int rings_init(struct rings *rings, unsigned int most)
{
	int err;

	*rings = (struct rings){ .fd = -1, .most = most };
	rings->used = calloc((most + 63) / 64, sizeof(*rings->used));
	if (!rings->used)
		return -ENOMEM;
	rings->fd = memfd_create("samara-rings", MFD_CLOEXEC);
	if (rings->fd < 0 || ftruncate(rings->fd, (off_t)(most * RING_BYTES)))
		goto failed;
	rings->base =
		mmap(NULL, most * RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, rings->fd, 0);
	if (rings->base == MAP_FAILED)
		goto failed;
	pthread_mutex_init(&rings->lock, NULL);
	return 0;
failed:
	err = -errno;
	if (rings->fd >= 0)
		close(rings->fd);
	free(rings->used);
	return err;
}

void rings_destroy(struct rings *rings)
{
	munmap(rings->base, rings->most * RING_BYTES);
	close(rings->fd);
	free(rings->used);
	pthread_mutex_destroy(&rings->lock);
}

static unsigned int first_free(const struct rings *rings)
{
	for (unsigned int i = 0; i < rings->most; i += 64)
		if (~rings->used[i / 64])
			return i + (unsigned int)__builtin_ctzl(~rings->used[i / 64]);
	return rings->most;
}

int ring_take(struct rings *rings)
{
	struct ring_ask *ask;
	unsigned int nr;

	pthread_mutex_lock(&rings->lock);
	nr = first_free(rings);
	if (nr < rings->most)
		rings->used[nr / 64] |= 1UL << nr % 64;
	pthread_mutex_unlock(&rings->lock);
	if (nr >= rings->most)
		return -ENOSPC;
	/* Now, and not when it is touched: no memory would be SIGBUS then. */
	if (fallocate(rings->fd, 0, (off_t)(nr * RING_BYTES), RING_BYTES)) {
		const int err = -errno;

		ring_give(rings, nr);
		return err;
	}
	ask = ring_ask(rings, nr);
	for (unsigned int i = 0; i <= RING_STEPS; i++)
		ask->tally[i] = i + 1;
	ask->root[0] = '/';
	return (int)nr;
}

void ring_give(struct rings *rings, unsigned int nr)
{
	/* The next agent finds zeros. */
	if (fallocate(rings->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(nr * RING_BYTES), RING_BYTES))
		__builtin_memset(rings->base + nr * RING_BYTES, 0, RING_BYTES);
	pthread_mutex_lock(&rings->lock);
	rings->used[nr / 64] &= ~(1UL << nr % 64);
	pthread_mutex_unlock(&rings->lock);
}

struct ring_ask *ring_ask(const struct rings *rings, unsigned int nr)
{
	return (struct ring_ask *)(rings->base + nr * RING_BYTES);
}

struct ring_said *ring_said(const struct rings *rings, unsigned int nr)
{
	return (struct ring_said *)(rings->base + nr * RING_BYTES + PAGE);
}
