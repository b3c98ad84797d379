/* SPDX-License-Identifier: MIT */
/* Features that change how faults are told; swap. */
#include "facts.h"

#include <sys/file.h>
#include <sys/swap.h>

#define SHMEM \
	(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM)

static void kinds_of_access(void)
{
	static struct doer d;
	char *s;
	long done;
	int fd;

	/* MISSING and MINOR and the kinds of access. */
	fd = uffd(SHMEM);
	s = mem(MEMFD, 8);
	s[0] = 1;
	madvise(s, PAGE, MADV_DONTNEED);
	reg(fd, s, 8, MISSING | MINOR);
	doer_start(&d, do_read, s);
	FACT("memfd, MISSING|MINOR, page in the cache, read", P("%s", messages(fd, s)));
	cont(fd, s, 1, 0, &done);
	doer_state(&d, 100);
	doer_start(&d, do_write, s + PAGE);
	FACT("memfd, MISSING|MINOR, not in the cache, write", P("%s", messages(fd, s)));
	FACT("... ZEROPAGE", P("%s", err(zeropage(fd, s + PAGE, 1, 0, &done))),
	     P(", %s", doer_state(&d, 100)), P(", then %s", pm(s + PAGE)));
	s = mem(MEMFD, 16);
	reg(fd, s, 16, MINOR);
	doer_start(&d, do_read, s);
	FACT("memfd, MINOR only, not in the cache: read", P("%s", messages(fd, s)),
	     P(", %s", doer_state(&d, 50)));
	s = mem(MEMFD, 16);
	memset(s, 1, 16 * PAGE);
	madvise(s, 16 * PAGE, MADV_DONTNEED);
	reg(fd, s, 1, MINOR);
	(void)*(volatile char *)(s + PAGE);
	FACT("fault-around beside MINOR: the pages around", P("registered %s", pm(s)),
	     P("; next %s", pm(s + 2 * PAGE)));
	s = mem(MEMFD_PRIVATE, 8);
	reg(fd, s, 8, MISSING);
	doer_start(&d, do_read, s);
	FACT("memfd private, MISSING: read of a hole", P("%s", messages(fd, s)));
	{
		static char page[PAGE] = "p";

		FACT("... COPY of a page", P("%s", err(copy(fd, s, page, 1, 0, &done))),
		     P(", %s", doer_state(&d, 100)), P(", %s", pm(s)));
	}
	madvise(s, PAGE, MADV_DONTNEED);
	FACT("... the cache got it? after MADV_DONTNEED, mincore", P("%s", pm(s)));
}

void group_modes(void)
{
	int fd = uffd(UFFD_FEATURE_SIGBUS | SHMEM);
	char *m = mem(ANON, 8), *s;
	long done, ret;
	int in[2], n;
	struct doer d = { 0 };

	reg(fd, m, 8, MISSING);
	FACT("SIGBUS: read of a missing page", P("%s", touch(m, false)));
	FACT("SIGBUS: a message", P("%s", messages(fd, m)));
	zeropage(fd, m, 1, 0, &done);
	FACT("SIGBUS: read after ZEROPAGE", P("%s", touch(m, false)));
	s = mem(ANON, 4);
	s[0] = 1;
	reg(fd, s, 4, WP);
	wp(fd, s, 1, 1);
	FACT("SIGBUS: write to a protected page", P("%s", touch(s, true)));
	if (pipe(in))
		return;
	n = (int)write(in[1], "x", 1);
	ret = read(in[0], m + PAGE, 1);
	FACT("SIGBUS: read(2) into a missing page", P("%s", err(ret < 0 ? -errno : ret)));
	close(fd);

	fd = uffd_raw(O_NONBLOCK | UFFD_USER_MODE_ONLY);
	api(fd, 0, NULL);
	m = mem(ANON, 8);
	reg(fd, m, 8, MISSING);
	n = (int)write(in[1], "x", 1);
	ret = read(in[0], m + PAGE, 1);
	FACT("USER_MODE_ONLY: read(2) into a missing page", P("%s", err(ret < 0 ? -errno : ret)),
	     P(" (%d)", n));
	ret = madvise(m + 2 * PAGE, PAGE, 22);
	FACT("USER_MODE_ONLY: MADV_POPULATE_READ", P("%s", err(ret ? -errno : 0)));
	ret = mlock(m + 3 * PAGE, PAGE);
	FACT("USER_MODE_ONLY: mlock", P("%s", err(ret ? -errno : 0)));
	doer_start(&d, do_read, m + 4 * PAGE);
	FACT("USER_MODE_ONLY: a touch", P("%s", messages(fd, m)));
	close(fd);
	doer_state(&d, 100);

	kinds_of_access();
}

void group_swap(void)
{
	int fd;
	char *m, *s;
	long done;

	/* As samara check: one program at a time uses the host's swap. */
	if (!swap_file || flock(open("/proc/swaps", O_RDONLY), LOCK_EX | LOCK_NB) ||
	    swapon(swap_file, 0)) {
		fact("swap", "not asked for, or refused");
		return;
	}
	fd = uffd(UFFD_FEATURE_POISON | SHMEM | UFFD_FEATURE_MOVE);
	m = mem(ANON, 8);
	memset(m, 's', 8 * PAGE);
	reg(fd, m, 8, WP);
	wp(fd, m, 4, 1);
	madvise(m, 8 * PAGE, MADV_PAGEOUT);
	FACT("anon wp, then paged out", P("%s", pm(m)), P("; not wp: %s", pm(m + 5 * PAGE)));
	FACT("WRITEPROTECT off while it is out", P("%s", err(wp(fd, m + PAGE, 1, 0))),
	     P(", %s", pm(m + PAGE)));
	FACT("WRITEPROTECT on while it is out", P("%s", err(wp(fd, m + 5 * PAGE, 1, 1))),
	     P(", %s", pm(m + 5 * PAGE)));
	FACT("read brings it back", P("%s", touch(m, false)), P(", %s", pm(m)));
	writes("... write", fd, m, m);
	writes("write to one that is out", fd, m, m + 2 * PAGE);
	{
		char *n = mem(ANON, 4);

		reg(fd, n, 4, MISSING);
		madvise(m, 8 * PAGE, MADV_PAGEOUT);
		FACT("MOVE of one that is out",
		     P("%s", err(move(fd, n, m + 6 * PAGE, 1, 0, &done))), P(", dst %s", pm(n)),
		     P(", src %s", pm(m + 6 * PAGE)));
		FACT("MOVE of one that is out, write-protected",
		     P("%s", err(move(fd, n + PAGE, m + 5 * PAGE, 1, 0, &done))),
		     P(", dst %s", pm(n + PAGE)), P(", src %s", pm(m + 5 * PAGE)));
		FACT("COPY over one that is out",
		     P("%s", err(copy(fd, m + 7 * PAGE, n, 1, 0, &done))));
		unreg(fd, m, 8);
		FACT("UNREGISTER: what is out", P("%s", pm(m + 3 * PAGE)));
	}
	s = mem(MEMFD, 8);
	memset(s, 's', 8 * PAGE);
	reg(fd, s, 8, WP);
	wp(fd, s, 4, 1);
	madvise(s, 8 * PAGE, MADV_PAGEOUT);
	FACT("memfd wp, then paged out", P("%s", pm(s)), P("; not wp: %s", pm(s + 5 * PAGE)));
	FACT("... read", P("%s", touch(s, false)), P(", %s", pm(s)));
	writes("... write", fd, s, s + PAGE);
	close(fd);
	fd = uffd(SHMEM);
	s = mem(MEMFD, 8);
	memset(s, 's', 8 * PAGE);
	madvise(s, 8 * PAGE, MADV_PAGEOUT);
	reg(fd, s, 8, MISSING | MINOR);
	{
		struct doer d = { 0 };

		doer_start(&d, do_read, s);
		FACT("memfd MISSING|MINOR, page is out: read", P("%s", messages(fd, s)));
		FACT("... CONTINUE", P("%s", err(cont(fd, s, 1, 0, &done))),
		     P(", %s", doer_state(&d, 100)));
	}
	munmap(m, 8 * PAGE);
	munmap(s, 8 * PAGE);
	swapoff(swap_file);
}
