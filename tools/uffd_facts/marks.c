/* SPDX-License-Identifier: MIT */
/* The uffd-wp bit and its markers; asynchronous write protection; PAGEMAP_SCAN. */
#include "facts.h"

#include <sys/wait.h>

#define SHMEM \
	(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM)

/* A write by a thread, and the message that it gives; then it is let go. */
void writes(const char *what, int fd, char *base, char *at)
{
	/* A thread that goes on sleeping writes to it later: it is never freed. */
	struct doer *d = calloc(1, sizeof(*d));
	struct uffd_msg msg;
	char text[80];
	bool told;

	doer_start(d, do_write, at);
	told = next_message(fd, &msg, 80);
	FACT(what, P("%s", told ? message_text(&msg, base, text, 80) : "no message"),
	     P(", %s", doer_state(d, told ? 0 : 50)));
	if (told) {
		wp(fd, at, 1, 0);
		doer_state(d, 100);
		FACT("... after WRITEPROTECT off", P("%s", doer_state(d, 50)), P(", %s", pm(at)));
	}
}

static void unpopulated(void)
{
	int fd;
	char *m;

	fd = uffd(UFFD_FEATURE_WP_UNPOPULATED);
	m = mem(ANON, 8);
	reg(fd, m, 8, WP | MISSING);
	FACT("WP_UNPOPULATED: WRITEPROTECT of nothing", P("%s", err(wp(fd, m, 4, 1))),
	     P(", %s", pm(m)));
	writes("... write (MISSING too)", fd, m, m);
	{
		static char filled[PAGE] = "c";
		long done;
		int ret = zeropage(fd, m + PAGE, 1, 0, &done);

		FACT("ZEROPAGE over a marker", P("%s", err(ret)), P(", %s", pm(m + PAGE)));
		ret = copy(fd, m + 2 * PAGE, filled, 1, 0, &done);
		FACT("COPY over a marker", P("%s", err(ret)), P(", %s", pm(m + 2 * PAGE)));
	}
	madvise(m + 3 * PAGE, PAGE, MADV_DONTNEED);
	FACT("MADV_DONTNEED of an anonymous marker", P("%s", pm(m + 3 * PAGE)));
	wp(fd, m + 3 * PAGE, 1, 1);
	FACT("marker again", P("%s", pm(m + 3 * PAGE)));
	wp(fd, m + 3 * PAGE, 1, 0);
	FACT("WRITEPROTECT off on a marker", P("%s", pm(m + 3 * PAGE)));
	close(fd);
	fd = uffd(UFFD_FEATURE_WP_UNPOPULATED);
	reg(fd, m + 4 * PAGE, 4, WP);
	wp(fd, m + 4 * PAGE, 4, 1);
	FACT("only WP: read of a marker", P("%s", touch(m + 4 * PAGE, false)),
	     P(", then %s", pm(m + 4 * PAGE)));
	writes("only WP: write to a marker", fd, m, m + 5 * PAGE);
	unreg(fd, m + 6 * PAGE, 1);
	FACT("UNREGISTER of a marker", P("%s", pm(m + 6 * PAGE)));
	madvise(m + 7 * PAGE, PAGE, 102);
	FACT("MADV_GUARD_INSTALL over a marker", P("%s", pm(m + 7 * PAGE)));
	madvise(m + 7 * PAGE, PAGE, 103);
	FACT("MADV_GUARD_REMOVE then", P("%s", pm(m + 7 * PAGE)));
}

static void anon_marks(void)
{
	int fd = uffd(0);
	char *m = mem(ANON, 16), *n;

	m[0] = 1, m[PAGE] = 1, m[4 * PAGE] = m[5 * PAGE] = m[6 * PAGE] = 1;
	(void)*(volatile char *)(m + 2 * PAGE);
	reg(fd, m, 16, WP);
	FACT("WRITEPROTECT of page, page, zero page, nothing", P("%s", err(wp(fd, m, 4, 1))));
	FACT("... pagemap", P("%s", pm(m)), P(", %s", pm(m + PAGE)), P(", %s", pm(m + 2 * PAGE)),
	     P(", %s", pm(m + 3 * PAGE)));
	FACT("... read", P("%s", touch(m, false)));
	writes("... write to the page", fd, m, m);
	writes("... write to the zero page", fd, m, m + 2 * PAGE);
	writes("... write to nothing", fd, m, m + 3 * PAGE);
	mprotect(m + PAGE, PAGE, PROT_READ);
	mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE);
	FACT("mprotect and back", P("%s", pm(m + PAGE)), P(", %s", vmflags(m + PAGE)));
	writes("... write", fd, m, m + PAGE);
	wp(fd, m + 4 * PAGE, 3, 1);
	madvise(m + 4 * PAGE, PAGE, MADV_DONTNEED);
	FACT("MADV_DONTNEED of an anonymous page", P("%s", pm(m + 4 * PAGE)));
	madvise(m + 5 * PAGE, PAGE, MADV_FREE);
	FACT("MADV_FREE", P("%s", pm(m + 5 * PAGE)));
	writes("... write", fd, m, m + 5 * PAGE);
	wp(fd, m + 5 * PAGE, 1, 1);
	n = mremap(m + 5 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("mremap without EVENT_REMAP", P("%s", pm(n)), P(", %s", vmflags(n)));
	FACT("... write", P("%s", touch(n, true)));
	unreg(fd, m + 6 * PAGE, 1);
	FACT("UNREGISTER", P("%s", pm(m + 6 * PAGE)), P(", %s", vmflags(m + 6 * PAGE)));
	m[7 * PAGE] = 1;
	wp(fd, m + 7 * PAGE, 1, 1);
	reg(fd, m + 7 * PAGE, 1, MISSING);
	FACT("REGISTER again without WP", P("%s", pm(m + 7 * PAGE)),
	     P(", %s", vmflags(m + 7 * PAGE)));
	FACT("... write", P("%s", touch(m + 7 * PAGE, true)));
	FACT("... pagemap", P("%s", pm(m + 7 * PAGE)));
	close(fd);

	fd = uffd(UFFD_FEATURE_EVENT_REMAP);
	m = mem(ANON, 4);
	m[0] = 1;
	reg(fd, m, 4, WP);
	wp(fd, m, 1, 1);
	FACT("close: bits before", P("%s", pm(m)));
	close(fd);
	FACT("close: bits after", P("%s", pm(m)), P(", %s", vmflags(m)));

	unpopulated();
}

static void shmem_marks(void)
{
	int fd = uffd(SHMEM), mfd = memfd_create("marks", 0);
	char *m, *n;
	unsigned char vec;

	if (ftruncate(mfd, 16 * PAGE))
		abort();
	m = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
	n = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
	memset(m, 's', 8 * PAGE);
	reg(fd, m, 16, WP);
	FACT("memfd: WRITEPROTECT of pages and holes", P("%s", err(wp(fd, m, 16, 1))),
	     P("; %s", pm(m)), P("; %s", pm(m + 8 * PAGE)));
	FACT("write through another mapping", P("%s", touch(n, true)));
	writes("write", fd, m, m);
	madvise(m + PAGE, PAGE, MADV_DONTNEED);
	FACT("MADV_DONTNEED", P("%s", pm(m + PAGE)));
	mincore(m + PAGE, PAGE, &vec);
	FACT("mincore of the marker", P("%d", vec & 1));
	FACT("read of the marker", P("%s", touch(m + PAGE, false)), P(", then %s", pm(m + PAGE)));
	writes("write then", fd, m, m + PAGE);
	madvise(m + 2 * PAGE, PAGE, MADV_REMOVE);
	FACT("MADV_REMOVE", P("%s", pm(m + 2 * PAGE)));
	fallocate(mfd, 3, 3 * PAGE, PAGE);
	FACT("fallocate(PUNCH_HOLE)", P("%s", pm(m + 3 * PAGE)));
	if (ftruncate(mfd, 12 * PAGE))
		abort();
	FACT("truncated: marker beyond the end", P("%s", pm(m + 13 * PAGE)));
	madvise(m + 4 * PAGE, PAGE, MADV_PAGEOUT);
	FACT("MADV_PAGEOUT (no swap)", P("%s", pm(m + 4 * PAGE)));
	munmap(m + 5 * PAGE, PAGE);
	m = mremap(m + 6 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("mremap without EVENT_REMAP", P("%s", pm(m)), P(", %s", vmflags(m)));
	close(fd);
	FACT("close", P("%s", pm(m + 2 * PAGE)));

	fd = uffd(SHMEM);
	m = mem(MEMFD, 8);
	reg(fd, m, 8, MISSING | WP | MINOR);
	wp(fd, m, 8, 1);
	writes("memfd MISSING WP MINOR: write to a marker, nothing in the cache", fd, m, m);
	close(fd);
	fd = uffd(SHMEM);
	n = mem(MEMFD, 8);
	n[0] = n[PAGE] = 1;
	madvise(n, 2 * PAGE, MADV_DONTNEED);
	reg(fd, n, 8, MISSING | WP | MINOR);
	wp(fd, n, 8, 1);
	writes("... marker, page in the cache", fd, n, n);
	{
		long done;
		int ret = cont(fd, n + PAGE, 1, 0, &done);

		FACT("CONTINUE over a marker", P("%s", err(ret)), P(", %s", pm(n + PAGE)));
	}
	close(fd);
	fd = uffd(SHMEM);
	m = mem(FILE_PRIVATE, 8);
	(void)*(volatile char *)m;
	reg(fd, m, 8, WP);
	wp(fd, m, 8, 1);
	FACT("private file: WRITEPROTECT of a cached and of an unmapped page", P("%s", pm(m)),
	     P("; %s", pm(m + 7 * PAGE)));
	writes("... write", fd, m, m);
	madvise(m + PAGE, PAGE, MADV_DONTNEED);
	FACT("... MADV_DONTNEED", P("%s", pm(m + PAGE)));
}

void group_marks(void)
{
	anon_marks();
	shmem_marks();
}

/* PAGEMAP_SCAN ---------------------------------------------------------------------- */

static int maps_fd;

static void scan(const char *what, char *base, struct pm_scan_arg arg)
{
	struct page_region vec[8] = { 0 };
	char text[300] = "";
	long ret;

	if (arg.vec == 1)
		arg.vec = (uintptr_t)vec;
	ret = ioctl(maps_fd, PAGEMAP_SCAN, &arg);
	if (ret < 0)
		ret = -errno;
	for (long i = 0; i < ret && i < 8; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " [%ld,%ld) %#llx",
			 ((long)vec[i].start - (long)base) / (long)PAGE,
			 ((long)vec[i].end - (long)base) / (long)PAGE,
			 (unsigned long long)vec[i].categories);
	if (!arg.walk_end) {
		FACT(what, P("%s, walk_end not written", err(ret)));
		return;
	}
	FACT(what, P("%s", err(ret)),
	     P(", walk_end %+ld", ((long)arg.walk_end - (long)base) / (long)PAGE), P(":%s", text));
}

#define ARG(...) \
	((struct pm_scan_arg){ .size = sizeof(struct pm_scan_arg), \
			       .start = (uintptr_t)m, \
			       .end = (uintptr_t)m + 8 * PAGE, \
			       .vec = 1, \
			       .vec_len = 8, \
			       .return_mask = 0x1ff, \
			       __VA_ARGS__ })

static void scan_kinds(int fd)
{
	char *m, *s;

	s = mem(ANON, 8);
	s[0] = 1;
	m = s;
	scan("CHECK_WPASYNC over memory not registered", m, ARG(.flags = PM_SCAN_CHECK_WPASYNC));
	scan("WP_MATCHING over memory not registered", m, ARG(.flags = PM_SCAN_WP_MATCHING));
	scan("both over memory not registered", m,
	     ARG(.flags = PM_SCAN_CHECK_WPASYNC | PM_SCAN_WP_MATCHING));
	madvise(m + PAGE, PAGE, 102);
	scan("a guard", m, ARG(.end = (uintptr_t)m + 3 * PAGE));
	m = mem(MEMFD, 8);
	m[0] = m[PAGE] = 1;
	reg(fd, m, 8, WP);
	scan("memfd", m, ARG(.flags = 0));
	scan("memfd, WP_MATCHING", m, ARG(.flags = PM_SCAN_WP_MATCHING));
	m[0] = 2;
	m[4 * PAGE] = 1;
	scan("memfd, after writes to 0 and 4", m, ARG(.flags = 0));
	madvise(m, PAGE, MADV_DONTNEED);
	scan("memfd, 0 zapped after its write", m, ARG(.flags = 0));
	wp(fd, m, 1, 1);
	scan("memfd, 0 zapped and protected", m, ARG(.flags = 0));
	fd = uffd(SHMEM);
	m = mem(ANON, 8);
	m[0] = 1;
	reg(fd, m, 8, WP);
	wp(fd, m, 8, 1);
	scan("registered without WP_ASYNC", m, ARG(.flags = 0));
	scan("registered without WP_ASYNC, CHECK_WPASYNC", m, ARG(.flags = PM_SCAN_CHECK_WPASYNC));
	scan("registered without WP_ASYNC, WP_MATCHING", m, ARG(.flags = PM_SCAN_WP_MATCHING));
}

void group_scan(void)
{
	int fd = uffd(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | SHMEM);
	char *m = mem(ANON, 8);

	maps_fd = open("/proc/self/pagemap", O_RDONLY);
	m[0] = m[PAGE] = m[5 * PAGE] = 1;
	(void)*(volatile char *)(m + 2 * PAGE);
	scan("not registered", m, ARG(.flags = 0));
	FACT("REGISTER MISSING|WP with WP_ASYNC", P("%s", err(reg(fd, m, 8, MISSING | WP))));
	unreg(fd, m, 8);
	reg(fd, m, 8, WP);
	scan("registered, nothing protected (page page zero - - page - -)", m, ARG(.flags = 0));
	scan("only written", m,
	     ARG(.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN));
	scan("written, WP_MATCHING", m,
	     ARG(.flags = PM_SCAN_WP_MATCHING, .category_mask = PAGE_IS_WRITTEN,
		 .return_mask = PAGE_IS_WRITTEN));
	FACT("... pagemap of page, zero page, nothing", P("%s", pm(m)), P("; %s", pm(m + 2 * PAGE)),
	     P("; %s", pm(m + 3 * PAGE)));
	m[PAGE] = 2, m[3 * PAGE] = 1;
	scan("after writes to 1 and 3", m,
	     ARG(.category_mask = PAGE_IS_WRITTEN, .return_mask = 0x1ff));
	FACT("... pagemap of 1, 3, 4", P("%s", pm(m + PAGE)), P("; %s", pm(m + 3 * PAGE)),
	     P("; %s", pm(m + 4 * PAGE)));
	FACT("WP_ASYNC: message", P("%s", messages(fd, m)));
	FACT("WP_ASYNC: WRITEPROTECT off", P("%s", err(wp(fd, m, 1, 0))));
	scan("vec_len 0, WP_MATCHING, vec 0", m,
	     ARG(.flags = PM_SCAN_WP_MATCHING, .vec = 0, .vec_len = 0,
		 .category_mask = PAGE_IS_WRITTEN, .return_mask = 0));
	scan("max_pages 3", m, ARG(.max_pages = 3));
	scan("vec_len 1", m, ARG(.vec_len = 1));
	scan("vec_len 1, WP_MATCHING", m, ARG(.vec_len = 1, .flags = PM_SCAN_WP_MATCHING));
	scan("anyof present or swapped", m,
	     ARG(.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED));
	scan("inverted present", m,
	     ARG(.category_inverted = PAGE_IS_PRESENT, .category_mask = PAGE_IS_PRESENT));
	scan("size 8", m, ARG(.size = 8));
	scan("unknown flag", m, ARG(.flags = 4));
	scan("unaligned start", m, ARG(.start = (uintptr_t)m + 1));
	scan("unaligned end", m, ARG(.end = (uintptr_t)m + 8 * PAGE - 1));
	scan("start above end", m, ARG(.start = (uintptr_t)m + 8 * PAGE, .end = (uintptr_t)m));
	scan("unknown category", m, ARG(.category_mask = 1 << 20));
	scan("unknown return", m, ARG(.return_mask = 1 << 20));
	scan("vec with vec_len 0", m, ARG(.vec_len = 0));
	scan("vec_len without vec", m, ARG(.vec = 0));
	scan("vec NULL, vec_len 0, no WP", m, ARG(.vec = 0, .vec_len = 0));
	scan("vec unreadable", m, ARG(.vec = 8));
	scan("end beyond the task size", m, ARG(.end = 1UL << 56));
	scan("over unmapped memory", m,
	     ARG(.start = (uintptr_t)m - PAGE, .end = (uintptr_t)m + 9 * PAGE));
	scan_kinds(fd);
}
