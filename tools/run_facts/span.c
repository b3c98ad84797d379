/* SPDX-License-Identifier: MIT */
/* Frames numbered far beyond what the machine has: a file with holes. */
#include "facts.h"

#include <linux/falloc.h>

static struct frames f;

static void store_near(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * PAGE] = 1;
}

static void store_block(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * BLOCK] = 1;
}

static void store_far(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * 64 * BLOCK] = 1;
}

static void punch(unsigned long from, unsigned long bytes)
{
	fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes);
}

static unsigned long punched;

static void punch_next(void *arg, int i)
{
	punch((unsigned long)i * punched * PAGE, punched * PAGE);
	(void)arg;
}

static double punch_cost(unsigned long pages, int times)
{
	punched = pages;
	for (unsigned long i = 0; i < pages * (unsigned long)times; i++)
		f.base[i * PAGE] = 1;
	return best(times, 1, punch_next, NULL) / (double)pages;
}

static long host_kib(void)
{
	char line[200];
	long kib = 0;
	FILE *in = fopen("/proc/meminfo", "r");

	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "Slab: %ld", &kib) == 1)
			break;
	fclose(in);
	return kib;
}

static void registering(unsigned long bytes)
{
	int fd = uffd_make(0);
	double took[40];
	char *at;

	for (int b = 0; b < 40; b++) {
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f.fd, 0);
		took[b] = now();
		must(!reg(fd, at, bytes / PAGE, ALL_MODES), "register");
		took[b] = now() - took[b];
		munmap(at, bytes);
	}
	P("%.1f ", twentieth(took, 40));
	close(fd);
}

void group_span(void)
{
	long before;
	double near, far;

	f = frames_make(512UL << 30);
	near = best(2000, 1, store_near, NULL);
	punch(0, 512UL << 30);
	before = host_kib();
	far = best(4000, 1, store_far, NULL);
	FACT("slab memory of 4000 frames 128 MiB apart, KiB a frame (others run beside)",
	     P("%.1f", (double)(host_kib() - before) / 4000));
	punch(0, 512UL << 30);
	FACT("first store to a frame by the supervisor: consecutive, 2 MiB apart, 128 MiB apart",
	     P("%.2f, ", near), P("%.2f, ", best(4000, 1, store_block, NULL)), P("%.2f", far));
	punch(0, 512UL << 30);
	FACT("punching holes, per page: 1, 16, 512 pages at once", P("%.2f, ", punch_cost(1, 1000)),
	     P("%.2f, ", punch_cost(16, 200)), P("%.2f", punch_cost(512, 20)));
	FACT("REGISTER of an empty window of 2 MiB, 64 MiB, 64 GiB", registering(BLOCK),
	     registering(32 * BLOCK), registering(64UL << 30));
}
