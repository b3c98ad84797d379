/* SPDX-License-Identifier: MIT */
/*
 * A threaded program for tools/capture-shipped: four threads map, grow, move,
 * protect and unmap small areas beside each other, malloc from arenas of their
 * own, and end one after the other; the last one leaves two areas behind.
 *
 * The threads only meet in the kernel. What one of them unmaps, another is
 * given a moment later, so that the trace has calls which overlap in time and
 * in address.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS 4
#define ROUNDS 100
#define PAGE 4096UL

static pthread_barrier_t all_here;

static void *churn(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;
	char *area[8] = { NULL };
	size_t pages[8] = { 0 };

	pthread_barrier_wait(&all_here);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned int slot = (unsigned int)rand_r(&seed) % 8;

		if (!area[slot]) {
			pages[slot] = 1 + (unsigned int)rand_r(&seed) % 16;
			area[slot] = mmap(NULL, pages[slot] * PAGE, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (area[slot] == MAP_FAILED)
				abort();
			memset(area[slot], round, PAGE);
			continue;
		}
		switch (rand_r(&seed) % 4) {
		case 0:
			munmap(area[slot], pages[slot] * PAGE);
			area[slot] = NULL;
			break;
		case 1:
			mprotect(area[slot], PAGE, round & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
			break;
		case 2: {
			char *moved = mremap(area[slot], pages[slot] * PAGE,
					     (pages[slot] + 4) * PAGE, MREMAP_MAYMOVE);

			/* Two protections in one area: the kernel may refuse. */
			if (moved != MAP_FAILED) {
				area[slot] = moved;
				pages[slot] += 4;
			}
			break;
		}
		default:
			free(memset(malloc(200000 + 1000 * slot), 1, 200000));
		}
	}
	return NULL;
}

int main(void)
{
	static unsigned int seeds[THREADS] = { 1, 2, 3, 4 };
	pthread_t threads[THREADS];

	if (pthread_barrier_init(&all_here, NULL, THREADS))
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, churn, &seeds[i]))
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}
