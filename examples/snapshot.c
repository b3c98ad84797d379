/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory, saved once; the guest runs on, and is put back again and again by the pages
 * that it wrote to since. What a fuzzer does between two inputs. The cost goes with the pages that
 * were written, not with those that are there; it is printed on stderr.
 *
 *   save         copy all; register for asynchronous write protection; protect all
 *   run          the first write to a page takes its protection off, and stops no thread
 *   put back     PAGEMAP_SCAN gives the pages without it; their bytes are written back, and they
 *                are protected again
 *
 * No mapping comes or goes in between: that would be the embedder's to notice.
 */
#include <samara/access.h>
#include <samara/mm.h>
#include <samara/uffd.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096ul
#define MIB (1ul << 20)
#define HEAP 0x10000000ul
#define SIZE (32 * MIB)
#define REGIONS 256

struct snapshot {
	struct samara_mm *mm;
	struct samara_uffd *uffd;
	unsigned char *bytes; /* SIZE, from HEAP on */
};

static void must(const char *what, long err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "snapshot: %s: %s\n", what, strerror((int)-err));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* [start, end) is protected; and what was not goes to regions, if there are any. How many. */
static long protect(struct samara_mm *mm, struct page_region *regions, unsigned long start,
		    unsigned long *end)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = start,
		.end = *end,
		.vec = (uintptr_t)regions,
		.vec_len = regions ? REGIONS : 0,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	const long n = samara_pagemap_scan(mm, &arg);

	must("PAGEMAP_SCAN", n);
	*end = arg.walk_end;
	return n;
}

static void save(struct snapshot *s, struct samara_mm *mm)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register all = { .range = { HEAP, SIZE }, .mode = UFFDIO_REGISTER_MODE_WP };
	unsigned long end = HEAP + SIZE;

	s->mm = mm;
	s->bytes = malloc(SIZE);
	must("memory", s->bytes ? 0 : -ENOMEM);
	must("userfaultfd", samara_uffd_create(mm, 0, &s->uffd));
	must("UFFDIO_API", samara_uffd_ioctl(s->uffd, UFFDIO_API, &api));
	must("UFFDIO_REGISTER", samara_uffd_ioctl(s->uffd, UFFDIO_REGISTER, &all));
	protect(mm, NULL, HEAP, &end);
	if (samara_read(mm, HEAP, s->bytes, SIZE, NULL) != (long)SIZE)
		must("reading", -EFAULT);
}

/* How many pages had been written to. */
static unsigned long put_back(const struct snapshot *s)
{
	struct page_region region[REGIONS];
	unsigned long pages = 0;

	for (unsigned long at = HEAP, end; at < HEAP + SIZE; at = end) {
		end = HEAP + SIZE;
		for (long i = 0, n = protect(s->mm, region, at, &end); i < n; i++) {
			const unsigned long start = region[i].start;
			unsigned long stop = region[i].end;
			const unsigned long size = stop - start;

			if (samara_write(s->mm, start, s->bytes + (start - HEAP), size, NULL) !=
			    (long)size)
				must("writing", -EFAULT);
			protect(s->mm, NULL, start, &stop);
			pages += size / PAGE;
		}
	}
	return pages;
}

/* Writes to that many different pages, here and there. */
static void run(struct samara_mm *mm, unsigned long pages, unsigned long round)
{
	for (unsigned long i = 0; i < pages; i++) {
		const unsigned long page = (i * 2654435761ul + round * 97) % (SIZE / PAGE);
		const unsigned long word = round * pages + i;

		if (samara_write(mm, HEAP + page * PAGE + i % 500 * 8, &word, sizeof(word), NULL) !=
		    sizeof(word))
			must("the guest's write", -EFAULT);
	}
}

static const char *is_whole(const struct snapshot *s)
{
	static unsigned char page[PAGE];

	for (unsigned long at = 0; at < SIZE; at += PAGE)
		if (samara_read(s->mm, HEAP + at, page, PAGE, NULL) != (long)PAGE ||
		    memcmp(page, s->bytes + at, PAGE) != 0)
			return "not as saved";
	return "as saved";
}

static struct samara_mm *start(struct samara_machine *machine)
{
	struct samara_mm *mm;
	unsigned long at;

	must("mm", samara_mm_create(machine, &mm));
	at = samara_mmap(mm, HEAP, SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	must("mmap", SAMARA_IS_ERR_VALUE(at) ? (long)at : 0);
	/* Three quarters have pages. */
	for (at = HEAP; at < HEAP + SIZE / 4 * 3; at += PAGE)
		if (samara_write(mm, at, &at, sizeof(at), NULL) != sizeof(at))
			must("filling", -EFAULT);
	return mm;
}

int main(void)
{
	static const unsigned long amounts[] = { 1, 100, 2000, SIZE / PAGE };
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct snapshot s;

	config.ram_bytes = 2 * SIZE;
	must("machine", samara_machine_create(&config, &machine));
	save(&s, start(machine));
	for (unsigned long k = 0; k < sizeof(amounts) / sizeof(amounts[0]); k++) {
		const unsigned long rounds = amounts[k] < 1000 ? 20 : 2;
		unsigned long pages = 0;
		double ns = 0;

		for (unsigned long round = 0; round < rounds; round++) {
			run(s.mm, amounts[k], round);
			ns -= now();
			pages += put_back(&s);
			ns += now();
		}
		printf("%lu pages written, %lu put back: %s\n", amounts[k], pages / rounds,
		       is_whole(&s));
		fprintf(stderr, "%lu pages of %lu: %.0f ns for each page written\n", amounts[k],
			SIZE / PAGE, ns / (double)pages);
	}
	samara_uffd_put(s.uffd);
	samara_mm_exit(s.mm);
	samara_machine_destroy(machine);
	free(s.bytes);
	return 0;
}
