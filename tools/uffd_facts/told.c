/* SPDX-License-Identifier: MIT */
/* Events of calls that fail half-way, or whose mapping changes while they wait; of odd mremaps. */
#include "facts.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define RW (PROT_READ | PROT_WRITE)

static int fd, mfd;
static char *m, *there;

/* A call in a thread of its own, and what its monitor reads. */
static long made(struct doer *d)
{
	long (*make)(void) = (long (*)(void))(uintptr_t)d->arg;

	return make();
}

void doer_calls(struct doer *d, long (*make)(void))
{
	d->arg = (long)(uintptr_t)make;
	doer_start(d, made, NULL);
}

void told(const char *what, int fd, const void *base, long (*make)(void))
{
	static struct doer d;
	const char *before;
	char *text;

	doer_calls(&d, make);
	nap(40);
	before = doer_state(&d, 0);
	text = messages(fd, base);
	FACT(what, P("%s", text), P("; call %s", before),
	     P(" before they were read, then %s", doer_state(&d, 300)),
	     P(", answer %s", err(d.ret)));
}

static long ret_of(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long at_of(const void *at)
{
	return at == MAP_FAILED ? -errno : 0;
}

static long unmap_all(void)
{
	return ret_of(munmap(m, 8 * PAGE));
}

static long map_over(void)
{
	return at_of(mmap(m, 4 * PAGE, RW, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static long remap_over(void)
{
	return at_of(
		mremap(m, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, m + 4 * PAGE));
}

static long again(void)
{
	return at_of(mremap(m, 0, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there));
}

static long nonlinear(void)
{
	return ret_of(remap_file_pages(m + 2 * PAGE, 2 * PAGE, 0, 0, 0));
}

static long move_four(void)
{
	return at_of(mremap(m, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there));
}

static long shrink_move(void)
{
	return at_of(mremap(m, 8 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there));
}

static long lazyfree(void)
{
	return ret_of(madvise(m, 2 * PAGE, MADV_FREE));
}

static long dontneed(void)
{
	return ret_of(madvise(m, 6 * PAGE, MADV_DONTNEED));
}

static long hole(void)
{
	return ret_of(madvise(m, 2 * PAGE, MADV_REMOVE));
}

static void fresh(enum mem kind, uint64_t features)
{
	fd = uffd(features);
	m = mem(kind, 8);
}

/* Calls that fail behind the point at which Linux has prepared their events. */
static void failing(void)
{
	struct rlimit old, small;

	fresh(ANON, ALL_EVENTS);
	reg(fd, m, 4, MISSING);
	if (!syscall(462, m + 6 * PAGE, PAGE, 0))
		told("munmap of registered and then sealed memory", fd, m, unmap_all);
	fresh(ANON, ALL_EVENTS);
	reg(fd, m, 8, MISSING);
	getrlimit(RLIMIT_AS, &old);
	small = old;
	small.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_AS, &small);
	told("mmap over registered memory, beyond RLIMIT_AS", fd, m, map_over);
	told("mremap over registered memory, DONTUNMAP beyond RLIMIT_AS", fd, m, remap_over);
	setrlimit(RLIMIT_AS, &old);
	FACT("... the target", P("%s", vmflags(m + 4 * PAGE)));
	fresh(MEMFD, ALL_EVENTS);
	reg(fd, m, 8, MISSING);
	told("MADV_FREE of a memfd's page", fd, m, lazyfree);
}

static void while_it_waits(void)
{
	static struct doer d;

	fresh(ANON, ALL_EVENTS);
	memset(m, 'm', 8 * PAGE);
	reg(fd, m, 8, MISSING);
	doer_calls(&d, dontneed);
	nap(40);
	if (mlock(m, PAGE))
		abort();
	FACT("MADV_DONTNEED of 6, the first is locked meanwhile", P("%s", messages(fd, m)),
	     P(", %s", doer_state(&d, 100)), P(", answer %s", err(d.ret)));
	munlock(m, PAGE);
	doer_calls(&d, dontneed);
	nap(40);
	mprotect(m + 2 * PAGE, PAGE, PROT_READ);
	FACT("MADV_DONTNEED of 6, the third is cut out meanwhile", P("%s", messages(fd, m)),
	     P(", %s", doer_state(&d, 100)), P(", answer %s", err(d.ret)));

	mfd = memfd_create("told", 0);
	if (ftruncate(mfd, 8 * PAGE))
		abort();
	fd = uffd(UFFD_FEATURE_EVENT_REMOVE);
	m = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, mfd, 0);
	memset(m, 's', 8 * PAGE);
	reg(fd, m, 8, MISSING);
	doer_calls(&d, hole);
	nap(40);
	munmap(m, 8 * PAGE);
	FACT("MADV_REMOVE, the mapping goes meanwhile", P("%s", messages(fd, m)),
	     P(", %s", doer_state(&d, 100)), P(", answer %s", err(d.ret)),
	     P(", pages from %ld on", lseek(mfd, 0, SEEK_DATA) / (long)PAGE));
}

static void remaps(void)
{
	fresh(ANON_SHARED, ALL_EVENTS);
	there = free_place(8);
	reg(fd, m, 8, MISSING);
	told("mremap of length 0, a second mapping", fd, m, again);
	FACT("... there", P("%s", vmflags(there)));
	told("remap_file_pages of two registered pages", fd, m, nonlinear);
	FACT("... they", P("%s", vmflags(m + 2 * PAGE)));

	fresh(ANON, UFFD_FEATURE_EVENT_UNMAP);
	there = free_place(8);
	memset(m, 1, 8 * PAGE);
	reg(fd, m, 8, MISSING);
	told("mremap, EVENT_UNMAP without EVENT_REMAP", fd, m, move_four);
	for (int all = 0; all < 2; all++) {
		fd = uffd(all ? ALL_EVENTS : UFFD_FEATURE_EVENT_UNMAP);
		m = mem(ANON, 24);
		there = m + 16 * PAGE;
		munmap(there, 8 * PAGE);
		reg(fd, m, 16, MISSING);
		told(all ? "untouched memory moves to its own end, all events" :
			   "untouched memory moves to its own end, EVENT_UNMAP alone",
		     fd, m, move_four);
		FACT("... what stayed", P("%s", vmflags(m + 4 * PAGE)));
	}
}

static void several(void)
{
	static struct doer d;
	int second;

	fresh(ANON, ALL_EVENTS);
	second = uffd(ALL_EVENTS);
	there = free_place(8);
	reg(second, m + 2 * PAGE, 2, MISSING);
	reg(fd, m, 2, MISSING);
	reg(fd, m + 4 * PAGE, 2, MISSING);
	doer_calls(&d, shrink_move);
	nap(40);
	FACT("mremap shrinks and moves, the tail is another descriptor's too",
	     P("%s", messages(second, m)), P(" (second), "), P("%s", messages(fd, m)),
	     P(", then %s", messages(second, m)), P(" (second), "), P("%s", messages(fd, m)),
	     P(", %s", doer_state(&d, 200)), P(", answer %s", err(d.ret)));
}

void group_told(void)
{
	failing();
	while_it_waits();
	remaps();
	several();
}
