/* SPDX-License-Identifier: MIT */
/* UFFDIO_MOVE and UFFDIO_POISON. */
#include "facts.h"

#include <sys/wait.h>

static int fd;

static void moved(const char *what, char *dst, char *src, unsigned long pages, uint64_t mode)
{
	long done = 0;
	int ret = move(fd, dst, src, pages, mode, &done);

	FACT(what, P("%s", err(ret)), P(", field %s", err(done)), P("; dst %s", pm(dst)),
	     P(", src %s", pm(src)));
	madvise(dst, pages * PAGE, MADV_DONTNEED);
}

static char *fresh(unsigned long pages)
{
	char *src = mem(ANON, pages);

	memset(src, 's', pages * PAGE);
	return src;
}

static void not_asked_for(void)
{
	char *dst, *src;
	long done;

	close(fd);
	fd = uffd(0);
	dst = mem(ANON, 4);
	reg(fd, dst, 4, MISSING);
	src = fresh(4);
	FACT("MOVE without UFFD_FEATURE_MOVE asked for",
	     P("%s", err(move(fd, dst, src, 1, 0, &done))));
	FACT("POISON without UFFD_FEATURE_POISON asked for",
	     P("%s", err(poison(fd, dst + PAGE, 1, 0, &done))));
}

static void move_shared(char *dst)
{
	char *src, byte;
	int hold[2];
	long done;
	pid_t pid;

	src = fresh(4);
	if (pipe(hold))
		return;
	pid = fork();
	if (!pid) {
		close(hold[1]);
		if (read(hold[0], &byte, 1))
			_exit(1);
		_exit(0);
	}
	moved("source shared with a child", dst, src, 1, 0);
	moved("3 pages shared with a child", dst, src, 3, 0);
	close(hold[1]);
	waitpid(pid, NULL, 0);
	moved("... the child has ended", dst, src, 1, 0);
	src = fresh(4);
	madvise(src, PAGE, 102);
	moved("source is a guard", dst, src, 1, 0);
	poison(fd, dst + PAGE, 1, 0, &done);
	moved("destination has a poison marker", dst + PAGE, src + PAGE, 1, 0);
	src = fresh(4);
	moved("length 0", dst, src, 0, 0);
	moved("unknown mode", dst, src, 1, 4);
	{
		struct doer d = { 0 };

		doer_start(&d, do_read, dst + 5 * PAGE);
		nap(30);
		src = fresh(4);
		FACT("a sleeper at the destination, DONTWAKE",
		     P("%s",
		       err(move(fd, dst + 5 * PAGE, src, 1, UFFDIO_MOVE_MODE_DONTWAKE, &done))),
		     P(", %s", doer_state(&d, 60)));
		wake(fd, dst + 5 * PAGE, 1);
		FACT("... WAKE", P("%s", doer_state(&d, 60)), P(", it read %c", (char)d.ret));
	}
	not_asked_for();
}

/* In kB, of the mapping at at, as smaps has it. */
static long smaps(const char *at, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from = 0, to = 0;
	const size_t n = strlen(field);
	char line[512];
	long kb = -1;

	while (kb < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			continue;
		if ((uintptr_t)at >= from && (uintptr_t)at < to && !strncmp(line, field, n))
			kb = strtol(line + n, NULL, 10);
	}
	fclose(f);
	return kb;
}

#define SMAPS(at) \
	P("; LazyFree %ld, Private_Dirty %ld, Private_Clean %ld", smaps(at, "LazyFree:"), \
	  smaps(at, "Private_Dirty:"), smaps(at, "Private_Clean:"))

/* What is written to a page, or is not, goes with it. */
static void move_lazyfree(char *dst)
{
	char *src = fresh(1);
	long done;

	FACT("a page that was written to: smaps", P("of src"), SMAPS(src));
	FACT("... MOVE", P("%s", err(move(fd, dst, src, 1, 0, &done))), SMAPS(dst));
	madvise(dst, PAGE, MADV_DONTNEED);
	src = fresh(1);
	madvise(src, PAGE, MADV_FREE);
	FACT("MADV_FREE of it: smaps", P("of src"), SMAPS(src));
	FACT("... MOVE", P("%s", err(move(fd, dst, src, 1, 0, &done))), SMAPS(dst));
	dst[0] = 'w';
	FACT("... a write to it then", P("of dst"), SMAPS(dst));
	madvise(dst, PAGE, MADV_DONTNEED);
	src = fresh(1);
	madvise(src, PAGE, MADV_FREE);
	src = mremap(src, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("mremap of a page behind MADV_FREE", P("of the new place"), SMAPS(src));
}

/* The source's part of the page table was never made. */
static void move_without_table(char *dst)
{
	char *area = mem(ANON, 2048);
	char *src = (char *)(((uintptr_t)area + (4UL << 20) - 1) & ~((2UL << 20) - 1));
	long done;

	zeropage(fd, dst, 1, 0, &done);
	moved("source has no page table, destination has a page", dst, src, 1, 0);
	zeropage(fd, dst, 1, 0, &done);
	moved("source has no page table, destination has a page, ALLOW_SRC_HOLES", dst, src, 1,
	      UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES);
}

static void move_registered(char *dst)
{
	char *src, *other;

	src = fresh(4);
	other = mem(ANON, 4);
	moved("destination not registered", other, src, 1, 0);
	reg(fd, other, 4, WP);
	moved("destination registered for WP only", other, src, 1, 0);
	src = fresh(4);
	reg(fd, src, 4, MISSING);
	moved("source registered by the same descriptor", dst, src, 1, 0);
	src = fresh(4);
	reg(uffd(0), src, 4, MISSING);
	moved("source registered by another descriptor", dst, src, 1, 0);
	src = fresh(4);
	reg(fd, src, 4, WP);
	wp(fd, src, 1, 1);
	moved("source write-protected (uffd-wp)", dst, src, 1, 0);
	src = fresh(4);
	other = mem(ANON, 4);
	reg(uffd(0), other, 4, MISSING);
	moved("destination registered by another descriptor", other, src, 1, 0);
	src = fresh(8);
	reg(fd, src + 4 * PAGE, 4, MISSING);
	madvise(src + 4 * PAGE, PAGE, MADV_DONTNEED);
	moved("within one range, to a hole of it", src + 4 * PAGE, src + 5 * PAGE, 1, 0);
	move_shared(dst);
}

void group_move(void)
{
	char *dst, *src, *zero;
	long done;

	fd = uffd(UFFD_FEATURE_MOVE);
	dst = mem(ANON, 8);
	reg(fd, dst, 8, MISSING);
	moved("MOVE of one page", dst, fresh(4), 1, 0);
	src = fresh(4);
	src = fresh(4);
	reg(fd, src, 4, MISSING);
	madvise(src, PAGE, MADV_DONTNEED);
	moved("source and destination overlap, downwards", src, src + PAGE, 2, 0);
	src = fresh(4);
	moved("MOVE to the page itself (missing)", dst, dst, 1, 0);
	moved("source not mapped", dst, src - PAGE, 1, 0);
	moved("source over the end of its VMA", dst, src + 3 * PAGE, 2, 0);
	moved("source unaligned", dst, src + 8, 1, 0);
	madvise(src + PAGE, PAGE, MADV_DONTNEED);
	moved("source is a hole", dst, src + PAGE, 1, 0);
	moved("source is a hole, ALLOW_SRC_HOLES", dst, src + PAGE, 1,
	      UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES);
	moved("4 pages, the second is a hole", dst, src, 4, 0);
	src = fresh(4);
	madvise(src + PAGE, PAGE, MADV_DONTNEED);
	moved("4 pages, the second is a hole, ALLOW_SRC_HOLES", dst, src, 4,
	      UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES);
	moved("source has no anon_vma", dst, mem(ANON, 4), 1, 0);
	move_without_table(dst);
	move_lazyfree(dst);
	zero = mem(ANON, 4);
	(void)*(volatile char *)zero;
	moved("source is the zero page", dst, zero, 1, 0);
	src = fresh(4);
	zeropage(fd, dst, 1, 0, &done);
	moved("destination has a page", dst, src, 1, 0);
	mprotect(src, 4 * PAGE, PROT_READ);
	moved("source read-only", dst, src, 1, 0);
	src = fresh(4);
	mlock(src, 4 * PAGE);
	moved("source locked, destination not", dst, src, 1, 0);
	moved("source is a memfd's", dst, mem(MEMFD, 4), 1, 0);
	src = mem(MEMFD_PRIVATE, 4);
	src[0] = 1;
	moved("source is a private page of a memfd", dst, src, 1, 0);
	move_registered(dst);
}

/* Page 1 is in the cache, and 0 and 2 are not. */
static void poisoned_file(char *s)
{
	char *from = fresh(1);
	long done;

	madvise(s, 4 * PAGE, MADV_DONTNEED);
	poison(fd, s, 4, 0, &done);
	FACT("COPY over poison of a memfd, not in the cache",
	     P("%s", err(copy(fd, s, from, 1, 0, &done))), P(", %s", pm(s)));
	FACT("COPY over poison of a memfd, in the cache",
	     P("%s", err(copy(fd, s + PAGE, from, 1, 0, &done))), P(", %s", pm(s + PAGE)));
	FACT("CONTINUE over poison of a memfd", P("%s", err(cont(fd, s + PAGE, 1, 0, &done))),
	     P(", %s", pm(s + PAGE)), P(", touch %s", touch(s + PAGE, false)));
	FACT("CONTINUE over poison of a memfd, not in the cache",
	     P("%s", err(cont(fd, s + 2 * PAGE, 1, 0, &done))), P(", %s", pm(s + 2 * PAGE)));
	FACT("ZEROPAGE over poison of a memfd",
	     P("%s", err(zeropage(fd, s + 2 * PAGE, 1, 0, &done))), P(", %s", pm(s + 2 * PAGE)));
	madvise(s + 3 * PAGE, PAGE, 102);
	FACT("CONTINUE over a guard, not in the cache",
	     P("%s", err(cont(fd, s + 3 * PAGE, 1, 0, &done))), P(", %s", pm(s + 3 * PAGE)));
	madvise(s + PAGE, PAGE, MADV_DONTNEED);
	madvise(s + PAGE, PAGE, 102);
	FACT("CONTINUE over a guard", P("%s", err(cont(fd, s + PAGE, 1, 0, &done))),
	     P(", %s", pm(s + PAGE)));
}

static void poison_and_calls(char *m, char *s)
{
	long done;

	poison(fd, m + 2 * PAGE, 1, 0, &done);
	mprotect(m + 2 * PAGE, PAGE, PROT_READ);
	FACT("mprotect", P("%s", pm(m + 2 * PAGE)), P(", touch %s", touch(m + 2 * PAGE, false)));
	mprotect(m + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	madvise(m + 2 * PAGE, PAGE, MADV_DONTNEED);
	FACT("MADV_DONTNEED", P("%s", pm(m + 2 * PAGE)));
	poison(fd, m + 3 * PAGE, 1, 0, &done);
	madvise(m + 3 * PAGE, PAGE, MADV_FREE);
	FACT("MADV_FREE", P("%s", pm(m + 3 * PAGE)));
	poison(fd, m + 4 * PAGE, 1, 0, &done);
	madvise(m + 4 * PAGE, PAGE, 102);
	FACT("MADV_GUARD_INSTALL over poison", P("%s", pm(m + 4 * PAGE)),
	     P(", touch %s", touch(m + 4 * PAGE, false)));
	FACT("POISON over a guard", P("%s", err(poison(fd, m + 4 * PAGE, 1, 0, &done))));
	FACT("ZEROPAGE over a guard", P("%s", err(zeropage(fd, m + 4 * PAGE, 1, 0, &done))));
	madvise(m + 7 * PAGE, PAGE, MADV_DONTNEED);
	madvise(m + 7 * PAGE, PAGE, 102);
	FACT("COPY over a guard", P("%s", err(copy(fd, m + 7 * PAGE, s + PAGE, 1, 0, &done))),
	     P(", %s", pm(m + 7 * PAGE)));
	FACT("WRITEPROTECT over a guard", P("%s", err(wp(fd, m + 4 * PAGE, 1, 1))),
	     P(", %s", pm(m + 4 * PAGE)));
	poison(fd, m + 5 * PAGE, 1, 0, &done);
	unreg(fd, m, 8);
	FACT("UNREGISTER: poison", P("%s", pm(m + 5 * PAGE)),
	     P(", touch %s", touch(m + 5 * PAGE, false)));
	FACT("POISON of a memfd's missing page", P("%s", err(poison(fd, s, 1, 0, &done))),
	     P(", %s", pm(s)), P(", touch %s", touch(s, false)));
	madvise(s + PAGE, PAGE, MADV_DONTNEED);
	FACT("POISON of a memfd's page in the cache, not mapped",
	     P("%s", err(poison(fd, s + PAGE, 1, 0, &done))), P(", %s", pm(s + PAGE)),
	     P(", touch %s", touch(s + PAGE, false)));
	madvise(s, 2 * PAGE, MADV_DONTNEED);
	FACT("MADV_DONTNEED of the memfd's", P("%s", pm(s)), P(", %s", pm(s + PAGE)));
	{
		unsigned char vec = 9;

		poison(fd, s, 1, 0, &done);
		mincore(s, PAGE, &vec);
		FACT("mincore of poison", P("%d", vec & 1));
	}
	poisoned_file(s);
}

void group_poison(void)
{
	char *m = mem(ANON, 8), *s = mem(MEMFD, 8), *moved_to;
	long done;
	pid_t pid;
	int ret;

	fd = uffd(UFFD_FEATURE_POISON | UFFD_FEATURE_WP_UNPOPULATED |
		  UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MISSING_SHMEM);
	reg(fd, m, 8, MISSING | WP);
	s[PAGE] = 1;
	reg(fd, s, 8, MISSING | WP);
	FACT("POISON of a missing page", P("%s", err(poison(fd, m, 1, 0, &done))),
	     P(", field %s", err(done)), P(", %s", pm(m)));
	FACT("read", P("%s", touch(m, false)));
	FACT("write", P("%s", touch(m, true)));
	poison(fd, m + 7 * PAGE, 1, 0, &done);
	FACT("COPY over it", P("%s", err(copy(fd, m + 7 * PAGE, s + PAGE, 1, 0, &done))),
	     P(", %s", pm(m + 7 * PAGE)));
	ret = zeropage(fd, m, 1, 0, &done);
	FACT("ZEROPAGE over it", P("%s", err(ret)));
	FACT("WRITEPROTECT over it", P("%s", err(wp(fd, m, 1, 1))), P(", %s", pm(m)));
	FACT("read then", P("%s", touch(m, false)));
	FACT("WRITEPROTECT off", P("%s", err(wp(fd, m, 1, 0))), P(", %s", pm(m)));
	wp(fd, m + PAGE, 1, 1);
	FACT("POISON over a uffd-wp marker", P("%s", err(poison(fd, m + PAGE, 1, 0, &done))),
	     P(", %s", pm(m + PAGE)));
	{
		struct doer d = { 0 };

		doer_start(&d, do_read, m + PAGE);
		FACT("... read of the marker, MISSING too", P("%s", messages(fd, m)),
		     P(", %s", doer_state(&d, 0)));
	}
	pid = fork();
	if (!pid) {
		FACT("fork: child", P("%s", pm(m)), P(", %s", vmflags(m)),
		     P(", touch %s", touch(m, false)));
		FACT("fork: child, poison and wp", P("%s", pm(m + PAGE)));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	moved_to = mremap(m, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, free_place(4));
	FACT("mremap (no EVENT_REMAP): the new place", P("%s", pm(moved_to)),
	     P(", %s", vmflags(moved_to)), P(", touch %s", touch(moved_to, false)));
	poison_and_calls(m, s);
}
