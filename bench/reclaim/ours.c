/* SPDX-License-Identifier: MIT */
/*
 * Our side: a machine with little RAM, and swap on a file or compressed.
 */
#define _GNU_SOURCE
#include "reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/alloc.h>
#include <samara/cpu.h>
#include <samara/mm.h>
#include <samara/reclaim.h>

struct ours {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_cpu *cpu;
	unsigned long at;
};

/* Room for all pages, with frames for that many of them. 0 or -errno. */
static int ours_begin(struct ours *o, unsigned long ram, unsigned long pages)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	int err;

	config.ram_bytes = ram * PAGE;
	config.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	err = samara_machine_create(&config, &o->machine);
	if (!err)
		err = samara_mm_create(o->machine, &o->mm);
	if (!err)
		err = samara_cpu_create(o->machine, &o->cpu);
	if (err)
		return err;
	samara_cpu_run(o->cpu, o->mm);
	o->at = samara_mmap(o->mm, 0, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	return SAMARA_IS_ERR_VALUE(o->at) ? -ENOMEM : 0;
}

static void ours_end(struct ours *o)
{
	samara_cpu_destroy(o->cpu);
	samara_mm_exit(o->mm);
	samara_machine_destroy(o->machine);
}

/* A word of the guest, inside a section. NULL: memory ran out, or a signal. */
static volatile uint64_t *word(const struct ours *o, uint32_t page, enum samara_access access)
{
	const unsigned long addr = o->at + page * PAGE + word_in(page);
	void *p = samara_cpu_lookup(o->cpu, addr, access);
	struct samara_fault fault;

	return p ? p : samara_cpu_miss(o->cpu, addr, access, &fault);
}

static bool fill(const struct ours *o, const struct string *s)
{
	volatile uint64_t *p = NULL;

	for (uint32_t page = 0; page < s->pages; page++) {
		samara_cpu_enter(o->cpu);
		p = word(o, page, SAMARA_ACCESS_WRITE);
		if (p)
			*p = word_of(page, 0);
		samara_cpu_exit(o->cpu);
		if (!p)
			return false;
	}
	return true;
}

static bool access_all(const struct ours *o, const struct string *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		const uint32_t page = s->at[i] & ~STRING_WRITES;
		const bool writes = s->at[i] & STRING_WRITES;
		volatile uint64_t *p;

		samara_cpu_enter(o->cpu);
		p = word(o, page, writes ? SAMARA_ACCESS_WRITE : SAMARA_ACCESS_READ);
		if (p && writes)
			*p = word_of(page, (uint32_t)i + 1);
		else if (p)
			sum += *p;
		samara_cpu_exit(o->cpu);
		if (!p)
			return false;
	}
	return sum;
}

static bool pages_are_right(const struct ours *o, const struct string *s)
{
	for (uint32_t page = 0; page < s->pages; page++) {
		volatile uint64_t *p;
		bool right;

		samara_cpu_enter(o->cpu);
		p = word(o, page, SAMARA_ACCESS_READ);
		right = p && *p == word_of(page, s->last[page]);
		samara_cpu_exit(o->cpu);
		if (!right)
			return false;
	}
	return true;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static void stand(const struct ours *o, struct result *r)
{
	struct samara_machine_memory memory = { .size = sizeof(memory) };
	struct timespec now;

	if (samara_machine_memory(o->machine, &memory))
		abort();
	clock_gettime(CLOCK_MONOTONIC, &now);
	r->cpu = cpu_seconds();
	r->wall = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	r->major = memory.pgmajfault;
	r->in = memory.pswpin;
	r->out = memory.pswpout;
}

/* A swap area on a file of that many pages, which has blocks for all of them. 0 or -errno. */
static int swap_file(const struct ours *o, unsigned long pages)
{
	static const char zeros[PAGE];
	struct samara_swap *swap;
	int fd = open(swap_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return -errno;
	for (unsigned long i = 0; i < pages; i++) {
		if (write(fd, zeros, PAGE) == (ssize_t)PAGE)
			continue;
		close(fd);
		return -ENOSPC;
	}
	fsync(fd);
	err = samara_swapon(o->machine, fd, 0, &swap);
	close(fd);
	return err;
}

void ours_run(const struct string *s, enum memory memory, struct result *r)
{
	struct result before = { .cpu = 0 };
	struct ours o = { 0 };
	int err;

	err = ours_begin(&o, memory == MEMORY_SHORT ? s->ram : 2 * s->pages, s->pages);
	if (!err && memory == MEMORY_SHORT)
		err = swap_file(&o, s->pages + s->ram);
	if (err) {
		snprintf(r->error, sizeof(r->error), "set-up: %s", strerror(-err));
		return;
	}
	if (!fill(&o, s)) {
		snprintf(r->error, sizeof(r->error), "memory ran out");
		return;
	}
	stand(&o, &before);
	if (!access_all(&o, s)) {
		snprintf(r->error, sizeof(r->error), "memory ran out");
		return;
	}
	stand(&o, r);
	r->cpu -= before.cpu;
	r->wall -= before.wall;
	r->major -= before.major;
	r->in -= before.in;
	r->out -= before.out;
	if (!pages_are_right(&o, s))
		snprintf(r->error, sizeof(r->error), "a page is not what was written");
	ours_end(&o);
}

/* compressed ------------------------------------------------------------------------ */

static size_t bytes; /* that the library has from its allocator */

static void *counted_alloc(void *ctx, size_t size, size_t align)
{
	void *p = aligned_alloc(align, (size + align - 1) / align * align);

	(void)ctx;
	if (p)
		__atomic_fetch_add(&bytes, size, __ATOMIC_RELAXED);
	return p;
}

static void counted_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	__atomic_fetch_sub(&bytes, size, __ATOMIC_RELAXED);
	free(p);
}

/* All pages leave: how many have, or -errno. */
static long leave(const struct ours *o, unsigned long n)
{
	long left = 0, more;

	do {
		more = samara_reclaim(o->machine, n - (unsigned long)left);
		if (more < 0)
			return more;
		left += more;
	} while (more && left < (long)n);
	return left;
}

static int out_and_in(const struct ours *o, const unsigned char *pages, unsigned long n,
		      struct compressed *out)
{
	size_t before = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
	unsigned char page[PAGE];
	double start;
	long left;

	start = cpu_seconds();
	left = leave(o, n);
	if (left <= 0)
		return -1;
	out->out = (double)left / (cpu_seconds() - start);
	before = __atomic_load_n(&bytes, __ATOMIC_RELAXED) - before;
	out->ratio = (double)left * (double)PAGE / (double)(before ? before : 1);
	start = cpu_seconds();
	for (unsigned long i = 0; i < n; i++)
		if (samara_read(o->mm, o->at + i * PAGE, page, 8, NULL) != 8)
			return -1;
	out->in = (double)left / (cpu_seconds() - start);
	for (unsigned long i = 0; i < n; i++)
		if (samara_read(o->mm, o->at + i * PAGE, page, PAGE, NULL) != (long)PAGE ||
		    memcmp(page, pages + i * PAGE, PAGE) != 0)
			return -1;
	return 0;
}

int ours_compressed(const char *algorithm, const unsigned char *pages, unsigned long n,
		    struct compressed *out)
{
	static const struct samara_alloc_hooks hooks = { counted_alloc, counted_free, NULL };
	static bool counts;
	struct samara_swap *swap;
	struct ours o = { 0 };
	int err;

	if (!counts && samara_set_alloc_hooks(&hooks))
		return -1;
	counts = true;
	err = ours_begin(&o, 2 * n + 1024, n);
	if (!err)
		err = samara_swapon_compressed(o.machine, 2 * n * PAGE, algorithm, &swap);
	if (err)
		return -1;
	err = samara_write(o.mm, o.at, pages, n * PAGE, NULL) != (long)(n * PAGE);
	if (!err)
		err = out_and_in(&o, pages, n, out);
	ours_end(&o);
	return err;
}
