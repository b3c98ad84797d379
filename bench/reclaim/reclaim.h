/* SPDX-License-Identifier: MIT */
/*
 * bench/reclaim: a working set that is larger than memory, in the library and on the host.
 *
 *   string    page numbers, one access each, made before the clock starts
 *   ours      a machine with that much RAM and a swap area on a file
 *   host      a memory cgroup with that limit and a swap file of the same size
 *
 * Both write all pages first, then make the same accesses, and check each page at the end. The same
 * string with memory enough says what the accesses cost without reclaim.
 */
#ifndef BENCH_RECLAIM_H
#define BENCH_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL
#define STRING_WRITES 0x80000000u /* this access writes */

struct string {
	const char *name;
	unsigned long ram, pages; /* in pages */
	uint32_t *at;             /* a page each, with STRING_WRITES or not */
	size_t n;
	uint32_t *last; /* for each page: the value that was written last */
};

/* Each page is used as often as any other, one after the other; or by rank to the power of -s. */
void string_sequential(struct string *s, unsigned long ram, unsigned long pages, size_t n);
void string_zipf(struct string *s, unsigned long ram, unsigned long pages, size_t n);
void string_free(struct string *s);

enum memory { MEMORY_ENOUGH, MEMORY_SHORT };

/* What the accesses of one string took, without the first writes. */
struct result {
	char error[128];                   /* empty: it was measured */
	double cpu, wall;                  /* seconds; cpu of all threads */
	unsigned long long major, in, out; /* page faults that read; pages from and to swap */
};

/* Where the word of page lies in it, and what it is after its nth write. */
static inline unsigned long word_in(uint32_t page)
{
	return page % (PAGE / 8) * 8;
}
static inline uint64_t word_of(uint32_t page, uint32_t value)
{
	return (uint64_t)page << 32 | (value + 1);
}

/* In a child process, so that all memory is fresh and a death is no more than an error. */
void measured(void (*run)(const struct string *s, enum memory memory, struct result *r),
	      const struct string *s, enum memory memory, struct result *r);

/* ours.c; the file for swap is made in dir and has no name. */
void ours_run(const struct string *s, enum memory memory, struct result *r);
extern const char *swap_dir;

/* Compressed swap of the pages of one buffer: out, and in again. */
struct compressed {
	double out, in; /* pages a second of CPU time */
	double ratio;   /* bytes before by bytes after */
};
int ours_compressed(const char *algorithm, const unsigned char *pages, unsigned long n,
		    struct compressed *out);

/* real.c: up to most pages of what a program has in memory; malloc'd. How many. */
unsigned long real_pages(unsigned char **out, unsigned long most);

/* host.c */

/*
 * A swap file in dir, and a cgroup in which host_run() lives. A keeper process undoes both when the
 * program has ended, however it did. NULL, or why the host cannot be measured.
 */
const char *host_open(const char *dir, unsigned long ram_pages, unsigned long swap_pages);
void host_close(void);
void host_run(const struct string *s, enum memory memory, struct result *r);

#endif
