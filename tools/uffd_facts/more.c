/* SPDX-License-Identifier: MIT */
/* Questions that the first answers raised. */
#include "facts.h"

#include <sys/wait.h>

static int fd;
static char *m;

static long dontneed(struct doer *d)
{
	return madvise(d->at, 2 * PAGE, MADV_DONTNEED) ? -errno : 0;
}

static long populates(struct doer *d)
{
	return madvise(d->at, PAGE, (int)d->arg) ? -errno : 0;
}

static long locks(struct doer *d)
{
	return mlock(d->at, PAGE) ? -errno : 0;
}

static long forks(struct doer *d)
{
	pid_t pid = fork();

	if (!pid) {
		FACT("fork with 2 descriptors, WIPEONFORK, DONTFORK: child",
		     P("%s", vmflags(d->at)), P("; %s", vmflags(d->at + 2 * PAGE)),
		     P("; wiped: %s", vmflags(d->at + 4 * PAGE)), P(" %s", pm(d->at + 4 * PAGE)),
		     P("; not copied: %s", vmflags(d->at + 6 * PAGE)));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static void removed_when(void)
{
	struct doer d = { 0 };

	fd = uffd(ALL_EVENTS);
	m = mem(ANON, 8);
	memset(m, 'm', 8 * PAGE);
	reg(fd, m, 8, MISSING);
	doer_start(&d, dontneed, m);
	nap(40);
	FACT("MADV_DONTNEED, REMOVE not read: the page", P("%s", pm(m)), P(", holds %c", m[0]));
	FACT("... read", P("%s", messages(fd, m)));
	FACT("... then", P("%s", doer_state(&d, 100)), P(", %s", pm(m)));
	close(fd);
}

static void async_kinds(void)
{
	static const char *const kinds[] = { "anon",          "shared anon",  "memfd",
					     "memfd private", "file private", "file shared" };
	char name[80];

	fd = uffd(UFFD_FEATURE_WP_ASYNC);
	for (int kind = ANON; kind <= FILE_SHARED; kind++) {
		for (uint64_t mode = WP; mode <= (WP | MISSING); mode++) {
			uint64_t ioctls = 0;
			int ret;

			m = mem((enum mem)kind, 4);
			ret = reg_out(fd, m, 4, mode, &ioctls);
			snprintf(name, sizeof(name), "WP_ASYNC: REGISTER %s, WP%s", kinds[kind],
				 mode & MISSING ? " MISSING" : "");
			FACT(name, P("%s", err(ret)),
			     P(", ioctls %#llx", (unsigned long long)ioctls),
			     P(", %s", vmflags(m)));
			if (ret || mode != WP)
				continue;
			m[0] = 1;
			ret = wp(fd, m, 4, 1);
			FACT("... WRITEPROTECT; a page, nothing", P("%s", err(ret)),
			     P(", %s", pm(m)), P("; %s", pm(m + 2 * PAGE)));
			FACT("... write, read, to both", P("%s", touch(m, true)),
			     P(", %s", touch(m + 2 * PAGE, false)), P(", %s", pm(m)),
			     P("; %s", pm(m + 2 * PAGE)));
		}
	}
}

static void protect_ranges(void)
{
	char *n;
	int ret;

	fd = uffd(UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	m = mem(ANON, 12);
	memset(m, 1, 12 * PAGE);
	reg(fd, m, 4, WP);
	reg(fd, m + 8 * PAGE, 4, WP);
	munmap(m + 4 * PAGE, 4 * PAGE);
	ret = wp(fd, m, 12, 1);
	FACT("WRITEPROTECT of VMA, hole, VMA", P("%s", err(ret)), P(", %s", pm(m)),
	     P("; %s", pm(m + 8 * PAGE)));
	m = mem(ANON, 12);
	memset(m, 1, 12 * PAGE);
	reg(fd, m, 4, WP);
	reg(fd, m + 8 * PAGE, 4, WP);
	ret = wp(fd, m, 12, 1);
	FACT("WRITEPROTECT of VMA, not registered, VMA", P("%s", err(ret)), P(", %s", pm(m)),
	     P("; %s", pm(m + 8 * PAGE)));
	n = mem(ANON, 4);
	n[0] = 1;
	reg(uffd(0), n, 4, WP);
	ret = wp(fd, n, 1, 1);
	FACT("WRITEPROTECT of what another descriptor has registered", P("%s", err(ret)),
	     P(", %s", pm(n)));
	{
		long done;
		char *o = mem(ANON, 4);

		reg(uffd(0), o, 4, MISSING);
		ret = zeropage(fd, o, 1, 0, &done);
		FACT("ZEROPAGE of what another descriptor has registered", P("%s", err(ret)),
		     P(", %s", pm(o)));
		ret = unreg(fd, o, 1);
		FACT("REGISTER by another, overlap by one page", P("%s", err(reg(fd, o, 1, WP))),
		     P(" (%s)", err(ret)));
	}
	/* A subset of the modes. */
	m = mem(ANON, 4);
	reg(fd, m, 4, MISSING | WP);
	ret = reg(fd, m, 4, WP);
	FACT("REGISTER with fewer modes, the rest set already", P("%s", err(ret)),
	     P(", %s", vmflags(m)));
	ret = reg(fd, m, 2, MISSING);
	FACT("... part of it", P("%s", err(ret)), P(", %s", vmflags(m)));
	close(fd);
}

static void zero_pages(void)
{
	long done;
	char *z = mem(ANON, 4);
	const uint64_t mask = (1ULL << 55) - 1;

	fd = uffd(0);
	m = mem(ANON, 4);
	reg(fd, m, 4, MISSING);
	zeropage(fd, m, 2, 0, &done);
	(void)*(volatile char *)z;
	(void)*(volatile char *)(z + PAGE);
	FACT("frames: two of ZEROPAGE, two of reads",
	     P("%s", (pagemap(m) & mask) == (pagemap(m + PAGE) & mask) ? "one" : "two"),
	     P(", %s", (pagemap(z) & mask) == (pagemap(z + PAGE) & mask) ? "one" : "two"));
	z = mem(ANON, 4);
	FACT("MOVE of a frame of ZEROPAGE", P("%s", err(move(fd, m + 2 * PAGE, m, 1, 0, &done))),
	     P(", %s", pm(m + 2 * PAGE)), P(", source %s", pm(m)));
	close(fd);
}

static void waits_inside_calls(void)
{
	struct doer d = { 0 };
	long done;

	fd = uffd(0);
	m = mem(ANON, 8);
	reg(fd, m, 8, MISSING);
	d.arg = 23;
	doer_start(&d, populates, m);
	FACT("MADV_POPULATE_WRITE of a missing page", P("%s", messages(fd, m)),
	     P(", %s", doer_state(&d, 0)));
	zeropage(fd, m, 1, 0, &done);
	FACT("... ZEROPAGE", P("%s", doer_state(&d, 100)), P(", answer %s", err(d.ret)));
	doer_start(&d, locks, m + PAGE);
	FACT("mlock of a missing page", P("%s", messages(fd, m)), P(", %s", doer_state(&d, 0)));
	close(fd);
	FACT("... close", P("%s", doer_state(&d, 100)), P(", answer %s", err(d.ret)));
}

static void forks_of_two(void)
{
	struct doer d = { 0 };
	int second;

	fd = uffd(ALL_EVENTS);
	second = uffd(ALL_EVENTS);
	m = mem(ANON, 8);
	memset(m, 1, 8 * PAGE);
	reg(fd, m, 2, MISSING);
	reg(second, m + 2 * PAGE, 2, MISSING);
	reg(fd, m + 4 * PAGE, 4, MISSING);
	madvise(m + 4 * PAGE, 2 * PAGE, MADV_WIPEONFORK);
	madvise(m + 6 * PAGE, 2 * PAGE, MADV_DONTFORK);
	doer_start(&d, forks, m);
	nap(50);
	{
		struct uffd_msg msg;
		char text[80];
		const int early = next_message(second, &msg, 50);

		FACT("fork with 2 descriptors: the second has its event at once",
		     P("%s", early ? message_text(&msg, m, text, 80) : "no"));
		/* The child's descriptors stay open. */
		FACT("... the first",
		     P("%s", next_message(fd, &msg, 100) ? message_text(&msg, m, text, 80) : "no"));
		nap(20);
		FACT("... the fork", P("%s", doer_state(&d, 0)));
		FACT("... the second",
		     P("%s",
		       next_message(second, &msg, 100) ? message_text(&msg, m, text, 80) : "no"));
	}
	nap(100);
	FACT("... the fork", P("%s", doer_state(&d, 300)));
	close(fd);
	close(second);
}

static void markers_written(void)
{
	struct doer d = { 0 };
	char *s = mem(MEMFD, 4);

	fd = uffd(UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	m = mem(ANON, 4);
	reg(fd, m, 4, WP);
	wp(fd, m, 4, 1);
	doer_start(&d, do_write, m + PAGE);
	FACT("anon marker, WP only, write", P("%s", messages(fd, m)), P(", %s", doer_state(&d, 0)),
	     P(", %s", pm(m + PAGE)));
	wp(fd, m + PAGE, 1, 0);
	FACT("... WRITEPROTECT off", P("%s", doer_state(&d, 100)));
	reg(fd, s, 4, WP);
	wp(fd, s, 4, 1);
	doer_start(&d, do_write, s + PAGE);
	FACT("memfd marker, WP only, nothing in the cache, write", P("%s", messages(fd, s)),
	     P(", %s", doer_state(&d, 0)), P(", %s", pm(s + PAGE)));
	wp(fd, s + PAGE, 1, 0);
	FACT("... WRITEPROTECT off", P("%s", doer_state(&d, 100)));
	close(fd);
}

static char *from;
static char *to;

static long moves(struct doer *d)
{
	(void)d;
	return mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ?
		       -errno :
		       0;
}

static void moved_bits(void)
{
	struct doer d = { 0 };

	fd = uffd(ALL_EVENTS | UFFD_FEATURE_WP_UNPOPULATED);
	from = m = mem(ANON, 4);
	m[0] = 1;
	reg(fd, m, 4, WP);
	wp(fd, m, 4, 1);
	to = free_place(8);
	doer_start(&d, moves, m);
	FACT("mremap with EVENT_REMAP: events", P("%s", messages(fd, m)));
	FACT("... page, marker at the new place", P("%s", pm(to)), P("; %s", pm(to + PAGE)),
	     P(", %s", vmflags(to)));
	FACT("... new memory beside it",
	     P("%s", mmap(to + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == to + 4 * PAGE ?
			     vmflags(to + 4 * PAGE) :
			     "none"));
	close(fd);
}

/* mremap of several mappings, or beside registered memory; the soft-dirty door. */
static void moved_together(void)
{
	char *n, *at;
	int refs;
	long ret;

	fd = uffd(UFFD_FEATURE_EVENT_REMOVE);
	m = mem(ANON, 8);
	memset(m, 1, 8 * PAGE);
	mprotect(m + 4 * PAGE, 4 * PAGE, PROT_READ);
	at = free_place(8);
	reg(fd, m, 4, WP);
	n = mremap(m, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	FACT("mremap of two VMAs, the first registered", P("%s", err(n == MAP_FAILED ? -errno : 0)),
	     P("; %s", vmflags(m)), P("; %s", vmflags(at)));
	m = mem(ANON, 8);
	memset(m, 1, 8 * PAGE);
	mprotect(m, 4 * PAGE, PROT_READ);
	at = free_place(8);
	reg(fd, m + 4 * PAGE, 4, WP);
	n = mremap(m, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	FACT("mremap of two VMAs, the second registered",
	     P("%s", err(n == MAP_FAILED ? -errno : 0)), P("; first: %s", vmflags(m)),
	     P("; there: %s", vmflags(at)));
	/* Untouched registered memory moves to the end of more of it; no EVENT_REMAP. */
	m = mem(ANON, 12);
	n = mem(ANON, 4);
	reg(fd, m, 4, WP);
	reg(fd, n, 4, WP);
	n = mremap(n, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, m + 4 * PAGE);
	FACT("registered memory moves beside registered memory, no EVENT_REMAP",
	     P("beside: %s", vmflags(m)), P("; moved: %s", vmflags(n)));
	close(fd);
	fd = uffd(0);
	m = mem(ANON, 12);
	munmap(m + 8 * PAGE, 4 * PAGE);
	reg(fd, m, 4, WP);
	FACT("mremap grows registered memory that is followed by other",
	     P("%s", err(mremap(m, 4 * PAGE, 5 * PAGE, 0) == MAP_FAILED ? -errno : 0)));
	reg(fd, m + 4 * PAGE, 4, WP);
	m = mremap(m + 6 * PAGE, 2 * PAGE, 4 * PAGE, 0);
	FACT("mremap grows registered memory in place",
	     P("%s", m == MAP_FAILED ? err(-errno) : vmflags(m)));
	refs = open("/proc/self/clear_refs", O_WRONLY);
	for (char what = '0'; what < '8'; what++) {
		char name[60];

		ret = write(refs, &what, 1);
		snprintf(name, sizeof(name), "clear_refs %c (soft-dirty is not configured)", what);
		FACT(name, P("%s", err(ret < 0 ? -errno : ret)));
	}
	close(fd);
}

/* Which error comes first; private shared memory; a mapping that goes while REMOVE waits. */
static void orders(void)
{
	char *none = mem(ANON, 4), *n, *p;
	struct doer d = { 0 };
	static char page[4 * PAGE] = "o";
	long done;
	int ret;

	fd = uffd(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MINOR_SHMEM |
		  UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	mprotect(none, 4 * PAGE, PROT_NONE);
	m = mem(ANON, 8);
	n = mem(ANON, 4);
	reg(fd, m, 8, MISSING | WP);
	zeropage(fd, m, 1, 0, &done);
	FACT("COPY, a page is there and the source unreadable",
	     P("%s", err(copy(fd, m, none, 1, 0, &done))));
	FACT("COPY, not registered and the source unreadable",
	     P("%s", err(copy(fd, n, none, 1, 0, &done))));
	doer_start(&d, do_read, m + 4 * PAGE);
	nap(30);
	zeropage(fd, m + 6 * PAGE, 1, 0, &done);
	ret = copy(fd, m + 4 * PAGE, page, 4, 0, &done);
	FACT("COPY stops after 2 of 4, a sleeper at the first", P("%s", err(ret)),
	     P(", field %s", err(done)), P(", %s", doer_state(&d, 100)));
	messages(fd, m);
	doer_start(&d, dontneed, m + 4 * PAGE);
	nap(30);
	munmap(m + 4 * PAGE, 4 * PAGE);
	messages(fd, m);
	FACT("MADV_DONTNEED, the mapping goes while REMOVE waits", P("%s", doer_state(&d, 100)),
	     P(", answer %s", err(d.ret)));
	p = mem(MEMFD_PRIVATE, 8);
	{
		int mfd = memfd_create("private", 0);

		if (ftruncate(mfd, 8 * PAGE) || pwrite(mfd, page, PAGE, 0) != (long)PAGE)
			abort();
		p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, mfd, 0);
	}
	reg(fd, p, 8, MISSING | MINOR | WP);
	doer_start(&d, do_write, p);
	FACT("memfd private, MISSING|MINOR, in the cache: write", P("%s", messages(fd, p)));
	ret = cont(fd, p, 1, 0, &done);
	FACT("... CONTINUE", P("%s", err(ret)), P(", %s", doer_state(&d, 100)), P(", %s", pm(p)));
	ret = zeropage(fd, p + PAGE, 1, 0, &done);
	FACT("memfd private: ZEROPAGE of a hole", P("%s", err(ret)), P(", %s", pm(p + PAGE)));
	ret = copy(fd, p + 2 * PAGE, page, 1, UFFDIO_COPY_MODE_WP, &done);
	FACT("memfd private: COPY with WP", P("%s", err(ret)), P(", %s", pm(p + 2 * PAGE)));
	ret = poison(fd, p + 3 * PAGE, 1, 0, &done);
	FACT("memfd private: POISON", P("%s", err(ret)), P(", %s", pm(p + 3 * PAGE)));
	close(fd);
}

void group_more(void)
{
	orders();
	moved_together();
	moved_bits();
	removed_when();
	markers_written();
	zero_pages();
	protect_ranges();
	waits_inside_calls();
	forks_of_two();
	async_kinds();
}
