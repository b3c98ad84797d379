/* SPDX-License-Identifier: MIT */
/*
 * One interface to both address spaces: this process's, through system calls,
 * and one of the library's.
 */
#define _GNU_SOURCE
#include "mm.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <samara/alloc.h>
#include <samara/maple_tree.h>
#include <samara/mm.h>

/* Far from whatever the program itself maps, and not where sanitizers have their shadow. */
#if defined(__SANITIZE_THREAD__)
#define SPARE_PLACE 0x4000000000UL
#else
#define SPARE_PLACE 0x200000000000UL
#endif
#define HUGE_PAGE (2UL << 20)
#define OUR_RAM (4UL << 30)
#define KIND (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static struct samara_machine *machine;
static size_t bytes;

static void fail(const struct side *s, const char *call)
{
	fprintf(stderr, "%s: %s failed on the %s side\n", bench_name, call,
		s->kind == HOST ? "host" : "our");
	exit(1);
}

unsigned long side_map(const struct side *s, unsigned long addr, unsigned long pages, int prot)
{
	const int flags = KIND | (addr ? MAP_FIXED : 0);
	unsigned long at;

	if (s->kind == HOST)
		at = (unsigned long)mmap((void *)addr, pages * PAGE, prot, flags, -1, 0);
	else
		at = samara_mmap(s->mm, addr, pages * PAGE, prot, flags, NULL, 0);
	if (SAMARA_IS_ERR_VALUE(at))
		fail(s, "mmap");
	return at;
}

void side_unmap(const struct side *s, unsigned long addr, unsigned long pages)
{
	if (s->kind == HOST ? munmap((void *)addr, pages * PAGE) :
			      samara_munmap(s->mm, addr, pages * PAGE))
		fail(s, "munmap");
}

void side_protect(const struct side *s, unsigned long addr, unsigned long pages, int prot)
{
	if (s->kind == HOST ? mprotect((void *)addr, pages * PAGE, prot) :
			      samara_mprotect(s->mm, addr, pages * PAGE, prot))
		fail(s, "mprotect");
}

void side_move(const struct side *s, unsigned long from, unsigned long pages, unsigned long to)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	unsigned long at;

	if (s->kind == HOST)
		at = (unsigned long)mremap((void *)from, pages * PAGE, pages * PAGE, flags,
					   (void *)to);
	else
		at = samara_mremap(s->mm, from, pages * PAGE, pages * PAGE, flags, to);
	if (at != to)
		fail(s, "mremap");
}

static size_t slots_size(const struct side *s)
{
	return s->vmas * SLOT_STRIDE * PAGE;
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Then the first write to a page that was read is a fault of its own. */
bool host_has_zero_page(void)
{
	const size_t pages = 64;
	volatile char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, KIND, -1, 0);
	long before;

	if (p == MAP_FAILED)
		return true;
	(void)madvise((void *)p, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++)
		(void)p[i * PAGE];
	before = minor_faults();
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = 1;
	before = minor_faults() - before;
	munmap((void *)p, pages * PAGE);
	return before >= (long)pages;
}

/* The slots lie at the top of the space the side chooses from, as in a process that grew. */
void side_begin(struct side *s, enum side_kind kind, size_t vmas)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;

	*s = (struct side){ .kind = kind, .vmas = vmas, .spare = SPARE_PLACE };
	config.max_map_count = 1UL << 30;
	config.ram_bytes = OUR_RAM;
	config.flags = host_has_zero_page() ? 0 : SAMARA_MACHINE_NO_ZERO_PAGE;
	if (kind == OURS && ((!machine && samara_machine_create(&config, &machine)) ||
			     samara_mm_create(machine, &s->mm)))
		fail(s, "setting up");
	/* Kept until the slots are there: the program's own allocator maps memory too. */
	if (!vmas)
		return;
	s->base = side_map(s, 0, slots_size(s) / PAGE, PROT_NONE);
	for (size_t i = 0; i < vmas; i++) {
		const unsigned long at = s->base + i * SLOT_STRIDE * PAGE;

		side_map(s, at, SLOT_PAGES, PROT_READ | PROT_WRITE);
		side_unmap(s, at + SLOT_PAGES * PAGE, 1);
	}
}

struct samara_machine *ours_machine(void)
{
	return machine;
}

void side_end(struct side *s)
{
	if (s->kind == HOST)
		side_unmap(s, s->base, slots_size(s) / PAGE);
	else
		samara_mm_exit(s->mm);
}

/* As the library's own allocator does, for which it stands in: large chunks ask for huge pages. */
static void *counted_alloc(void *ctx, size_t size, size_t align)
{
	void *p = aligned_alloc(align, (size + align - 1) / align * align);

	(void)ctx;
	if (p && align >= HUGE_PAGE)
		(void)madvise(p, size, MADV_HUGEPAGE);
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

void ours_count_bytes(void)
{
	const struct samara_alloc_hooks hooks = { counted_alloc, counted_free, NULL };

	if (samara_set_alloc_hooks(&hooks)) {
		fprintf(stderr, "%s: the library has allocated already\n", bench_name);
		exit(1);
	}
}

size_t ours_bytes(void)
{
	samara_mt_cache_shrink(); /* what only waits for its grace period does not count */
	return __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}
