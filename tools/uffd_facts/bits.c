/* SPDX-License-Identifier: MIT */
/* The uffd-wp bit where modes change, where it is stale, and what a request says first. */
#include "facts.h"

static void stale(void)
{
	int fd = uffd(UFFD_FEATURE_WP_UNPOPULATED);
	char *m = mem(ANON, 8);

	memset(m, 1, 4 * PAGE);
	reg(fd, m, 8, WP);
	wp(fd, m, 8, 1);
	reg(fd, m, 8, MISSING);
	FACT("REGISTER without WP, write", P("%s", touch(m, true)), P(", %s", pm(m)));
	reg(fd, m, 8, MISSING | WP);
	FACT("REGISTER with WP again", P("%s", pm(m)), P(", %s", pm(m + PAGE)),
	     P(", %s", pm(m + 4 * PAGE)));
	writes("... write to the page that was written to", fd, m, m);
	writes("... write to the other", fd, m, m + PAGE);
	reg(fd, m, 8, MISSING);
	FACT("REGISTER without WP: page, marker", P("%s", pm(m + 2 * PAGE)),
	     P(", %s", pm(m + 4 * PAGE)));
	mprotect(m + 2 * PAGE, PAGE, PROT_READ);
	mprotect(m + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	unreg(fd, m, 8);
	FACT("... UNREGISTER: page, marker", P("%s", pm(m + 2 * PAGE)),
	     P(", %s", pm(m + 4 * PAGE)));
	FACT("... write to the page", P("%s", touch(m + 2 * PAGE, true)),
	     P(", %s", pm(m + 2 * PAGE)));
	FACT("... read, write of the markers", P("%s", touch(m + 4 * PAGE, false)),
	     P(", %s", touch(m + 5 * PAGE, true)), P(", %s", pm(m + 4 * PAGE)),
	     P(", %s", pm(m + 5 * PAGE)));
	reg(fd, m, 8, WP);
	FACT("... REGISTER with WP", P("%s", pm(m + 2 * PAGE)), P(", %s", pm(m + 3 * PAGE)));
	writes("... write to the page that was not written to", fd, m, m + 3 * PAGE);
	writes("... write to the page that was written to", fd, m, m + 2 * PAGE);
	wp(fd, m + 2 * PAGE, 1, 1);
	writes("... protected again, and written to", fd, m, m + 2 * PAGE);
}

static void stale_file(void)
{
	int fd = uffd(UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	char *m = mem(MEMFD, 8);

	memset(m, 1, 4 * PAGE);
	reg(fd, m, 8, WP);
	wp(fd, m, 8, 1);
	reg(fd, m, 8, MINOR);
	FACT("memfd: REGISTER without WP, MADV_DONTNEED: page, marker",
	     P("%s", (madvise(m, PAGE, MADV_DONTNEED), madvise(m + 4 * PAGE, PAGE, MADV_DONTNEED),
		      pm(m))),
	     P(", %s", pm(m + 4 * PAGE)));
	FACT("... write to the page", P("%s", touch(m + PAGE, true)), P(", %s", pm(m + PAGE)));
	unreg(fd, m, 8);
	FACT("... UNREGISTER: page, marker", P("%s", pm(m + 2 * PAGE)),
	     P(", %s", pm(m + 4 * PAGE)));
}

static long do_madvise(struct doer *d)
{
	return madvise(d->at, PAGE, MADV_DONTNEED);
}

static void order(void)
{
	int fd = uffd(UFFD_FEATURE_EVENT_REMOVE);
	char *m = mem(ANON, 4);
	struct doer *d = calloc(1, sizeof(*d));

	m[0] = 1;
	reg(fd, m, 4, WP);
	doer_start(d, do_madvise, m);
	nap(50);
	FACT("an event is unread: WRITEPROTECT of length 0, unaligned, mode 8, nothing mapped",
	     P("%s", err(wp(fd, m, 0, 1))), P(", %s", err(wp(fd, m + 1, 1, 1))),
	     P(", %s", err(wp(fd, m, 1, 8))), P(", %s", err(wp(fd, NULL, 1, 1))));
	messages(fd, m);
	doer_state(d, 100);
	FACT("WRITEPROTECT: WP and DONTWAKE", P("%s", err(wp(fd, m, 1, 3))));
}

static void rights(void)
{
	int fd = uffd(UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC);
	char *m = mem(ANON, 8);
	int self = open("/proc/self/mem", O_RDWR);

	m[0] = m[PAGE] = 1;
	mprotect(m, 8 * PAGE, PROT_NONE);
	reg(fd, m, 8, WP);
	FACT("WP_ASYNC, PROT_NONE: WRITEPROTECT of a page, of nothing",
	     P("%s", err(wp(fd, m, 4, 1))), P(", %s", pm(m)), P(", %s", pm(m + 2 * PAGE)));
	mprotect(m, 8 * PAGE, PROT_READ);
	FACT("... read-only then: write(2) to /proc/self/mem of a page, of nothing",
	     P("%s", err(pwrite(self, "x", 1, (off_t)(uintptr_t)m))),
	     P(", %s", err(pwrite(self, "x", 1, (off_t)(uintptr_t)(m + 2 * PAGE)))),
	     P(", %s", pm(m)), P(", %s", pm(m + 2 * PAGE)));
	mprotect(m, 8 * PAGE, PROT_READ | PROT_WRITE);
	FACT("... read of nothing", P("%s", touch(m + 3 * PAGE, false)),
	     P(", %s", pm(m + 3 * PAGE)));
	FACT("... write there", P("%s", touch(m + 3 * PAGE, true)), P(", %s", pm(m + 3 * PAGE)));
	close(self);
}

static void collapse(void)
{
	const unsigned long size = 2UL << 20;
	int fd = uffd(UFFD_FEATURE_WP_UNPOPULATED);
	char *m = mem(ANON, 2 * size / PAGE);
	char *at = (char *)(((uintptr_t)m + size - 1) & ~(size - 1));

	memset(at, 1, size);
	FACT("MADV_COLLAPSE, not registered", P("%s", err(madvise(at, size, 25) ? -errno : 0)));
	madvise(at, size, MADV_DONTNEED);
	madvise(at, size, MADV_NOHUGEPAGE);
	memset(at, 1, size);
	madvise(at, size, MADV_HUGEPAGE);
	reg(fd, at, size / PAGE, WP);
	FACT("MADV_COLLAPSE, registered", P("%s", err(madvise(at, size, 25) ? -errno : 0)));
	wp(fd, at + PAGE, 1, 1);
	FACT("... a page is write-protected", P("%s", err(madvise(at, size, 25) ? -errno : 0)));
	madvise(at + PAGE, PAGE, MADV_DONTNEED);
	FACT("... a page is missing", P("%s", err(madvise(at, size, 25) ? -errno : 0)));
	wp(fd, at + PAGE, 1, 1);
	FACT("... a marker", P("%s", err(madvise(at, size, 25) ? -errno : 0)));
}

/* What PAGEMAP_SCAN notes on guards and poison. */
static void noted(enum mem kind)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING,
		.category_mask = PAGE_IS_WRITTEN,
	};
	const int maps = open("/proc/self/pagemap", O_RDONLY);
	int fd = uffd(UFFD_FEATURE_WP_ASYNC);
	char *m = mem(kind, 8), *n;
	long done;

	reg(fd, m, 8, WP);
	madvise(m, 4 * PAGE, 102);
	poison(fd, m + 4 * PAGE, 4, 0, &done);
	scan.start = (uintptr_t)m;
	scan.end = (uintptr_t)(m + 8 * PAGE);
	(void)ioctl(maps, PAGEMAP_SCAN, &scan);
	FACT(kind == ANON ? "PAGEMAP_SCAN with WP_MATCHING: a guard, poison" :
			    "the same of a memfd",
	     P("%s", pm(m)), P(", %s", pm(m + 4 * PAGE)));
	wp(fd, m, 1, 0);
	wp(fd, m + 4 * PAGE, 1, 0);
	FACT("... WRITEPROTECT off", P("%s", pm(m)), P(", %s", pm(m + 4 * PAGE)));
	n = mremap(m + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("... mremap without EVENT_REMAP: the guard", P("%s", pm(n)),
	     P(", %s", touch(n, false)));
	n = mremap(m + 5 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("... the poison", P("%s", pm(n)), P(", %s", touch(n, false)));
	madvise(m + 2 * PAGE, PAGE, MADV_DONTNEED);
	madvise(m + 6 * PAGE, PAGE, MADV_DONTNEED);
	FACT("... MADV_DONTNEED", P("%s", pm(m + 2 * PAGE)), P(", %s", pm(m + 6 * PAGE)),
	     P(", %s", touch(m + 6 * PAGE, false)));
	unreg(fd, m + 3 * PAGE, 1);
	unreg(fd, m + 7 * PAGE, 1);
	FACT("... UNREGISTER", P("%s", pm(m + 3 * PAGE)), P(", %s", pm(m + 7 * PAGE)));
	close(maps);
}

void group_bits(void)
{
	noted(ANON);
	noted(MEMFD);
	stale();
	stale_file();
	order();
	rights();
	collapse();
}
