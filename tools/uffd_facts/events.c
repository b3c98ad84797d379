/* SPDX-License-Identifier: MIT */
/* Which events come, in which order, and who waits for whom. */
#include "facts.h"

#include <sys/wait.h>

static int fd;
static char *m;

static void asked(const char *what, long (*make)(void))
{
	told(what, fd, m, make);
}

static long ret_of(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long unmap_one(void)
{
	return ret_of(munmap(m, PAGE));
}
static long unmap_two(void)
{
	return ret_of(munmap(m + 2 * PAGE, 4 * PAGE));
}
static long unmap_none(void)
{
	return ret_of(munmap(m, PAGE));
}
static long dontneed(void)
{
	return ret_of(madvise(m + 8 * PAGE, 2 * PAGE, MADV_DONTNEED));
}
static long dontneed_two(void)
{
	return ret_of(madvise(m + 8 * PAGE, 8 * PAGE, MADV_DONTNEED));
}
static long lazyfree(void)
{
	return ret_of(madvise(m + 8 * PAGE, 2 * PAGE, MADV_FREE));
}
static long pageout(void)
{
	return ret_of(madvise(m + 8 * PAGE, 2 * PAGE, MADV_PAGEOUT));
}
static long guards(void)
{
	return ret_of(madvise(m + 10 * PAGE, PAGE, 102));
}
static long unguards(void)
{
	return ret_of(madvise(m + 10 * PAGE, PAGE, 103));
}
static long map_over(void)
{
	return ret_of(mmap(m + 11 * PAGE, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0) == MAP_FAILED ?
			      -1 :
			      0);
}
static char *there;
static long remap_move(void)
{
	return mremap(m + 16 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) ==
			       MAP_FAILED ?
		       -errno :
		       0;
}
static long remap_shrink(void)
{
	return mremap(there, 4 * PAGE, 2 * PAGE, 0) == MAP_FAILED ? -errno : 0;
}
static long remap_grow(void)
{
	return mremap(there, 2 * PAGE, 4 * PAGE, 0) == MAP_FAILED ? -errno : 0;
}
static long remap_grow_move(void)
{
	return mremap(there, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -errno : 0;
}
static long remap_over(void)
{
	return mremap(m + 20 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      m + 22 * PAGE) == MAP_FAILED ?
		       -errno :
		       0;
}
static long remap_shrink_move(void)
{
	return mremap(m + 24 * PAGE, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      there + 16 * PAGE) == MAP_FAILED ?
		       -errno :
		       0;
}
static long remap_dontunmap(void)
{
	return mremap(m + 28 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | 4, NULL) == MAP_FAILED ?
		       -errno :
		       0;
}
static long remap_fails(void)
{
	return mremap(m + 28 * PAGE, 2 * PAGE, 1UL << 60, MREMAP_MAYMOVE) == MAP_FAILED ? -errno :
											  0;
}
static long protect(void)
{
	return ret_of(mprotect(m + 8 * PAGE, PAGE, PROT_READ));
}

static int mfd;
static char *s;
static long remove_hole(void)
{
	return ret_of(madvise(s, PAGE, MADV_REMOVE));
}
static long punch(void)
{
	return ret_of(fallocate(mfd, 3, PAGE, PAGE));
}
static long truncated(void)
{
	return ret_of(ftruncate(mfd, 2 * PAGE));
}
static long dontneed_memfd(void)
{
	return ret_of(madvise(s, PAGE, MADV_DONTNEED));
}

static long forks(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return 0;
}
static long vforks(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return 0;
}
static char *brk_at;
static long brk_down(void)
{
	return brk(brk_at) ? -errno : 0;
}

static void at_close(void)
{
	static struct doer c;
	struct uffd_msg msg;
	int second;

	/* Close while a call waits for its event to be read. */
	m += PAGE;
	doer_calls(&c, unmap_one);
	nap(30);
	FACT("munmap, event unread", P("%s", doer_state(&c, 0)));
	close(fd);
	FACT("... after close", P("%s", doer_state(&c, 200)), P(", answer %s", err(c.ret)));

	/* Two descriptors in one munmap. */
	fd = uffd(ALL_EVENTS);
	second = uffd(ALL_EVENTS);
	m = mem(ANON, 8);
	memset(m, 1, 8 * PAGE);
	reg(fd, m + 2 * PAGE, 2, MISSING);
	reg(second, m + 4 * PAGE, 2, MISSING);
	doer_calls(&c, unmap_two);
	nap(30);
	FACT("munmap over two descriptors: second has a message before the first is read",
	     P("%d", next_message(second, &msg, 50)));
	FACT("... read of the first", P("%s", messages(fd, m)));
	FACT("... of the second then", P("%s", messages(second, m)));
	FACT("... the call", P("%s", doer_state(&c, 200)));
}

static void at_once(void)
{
	static struct doer f, c;
	struct uffd_msg msg;
	char text[80];
	long done;

	/* A fault and an event wait at once. */
	close(fd);
	fd = uffd(ALL_EVENTS);
	m = mem(ANON, 8);
	m[0] = 1;
	reg(fd, m, 8, MISSING);
	doer_calls(&c, unmap_one);
	nap(30);
	doer_start(&f, do_read, m + 4 * PAGE);
	nap(30);
	next_message(fd, &msg, 100);
	FACT("an event waits, then a fault comes: read first",
	     P("%s", message_text(&msg, m, text, 80)));
	nap(20);
	FACT("... the call before its event is read", P("%s", doer_state(&c, 0)));
	FACT("COPY while an event waits (mmap_changing)",
	     P("%s", err(zeropage(fd, m + 4 * PAGE, 1, 0, &done))), P(", field %s", err(done)));
	FACT("WRITEPROTECT meanwhile", P("%s", err(wp(fd, m + 4 * PAGE, 1, 1))));
	FACT("REGISTER meanwhile", P("%s", err(reg(fd, m + 4 * PAGE, 1, MISSING | WP))));
	FACT("WAKE meanwhile", P("%s", err(wake(fd, m + 7 * PAGE, 1))));
	next_message(fd, &msg, 100);
	FACT("... read next", P("%s", message_text(&msg, m, text, 80)));
	FACT("... the call then", P("%s", doer_state(&c, 200)));
	FACT("ZEROPAGE then", P("%s", err(zeropage(fd, m + 4 * PAGE, 1, 0, &done))));
	FACT("... the sleeper", P("%s", doer_state(&f, 200)));

	at_close();
}

static void of_files(void)
{
	mfd = memfd_create("events", 0);
	if (ftruncate(mfd, 8 * PAGE))
		abort();
	s = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
	memset(s, 's', 8 * PAGE);
	reg(fd, s, 8, MISSING | WP);
	m = s;
	asked("MADV_REMOVE of a memfd's page", remove_hole);
	asked("MADV_DONTNEED of a memfd's page", dontneed_memfd);
	asked("fallocate(PUNCH_HOLE) of the memfd", punch);
	asked("ftruncate of the memfd", truncated);

	brk_at = sbrk(0);
	brk_at = (char *)(((uintptr_t)brk_at + PAGE - 1) & ~(PAGE - 1));
	if (!brk(brk_at + 4 * PAGE)) {
		m = brk_at;
		FACT("(brk registered)", P("%s", err(reg(fd, brk_at, 4, MISSING))));
		asked("brk shrinks", brk_down);
	}

	at_once();
}

void group_events(void)
{
	fd = uffd(ALL_EVENTS);
	m = mem(ANON, 32);
	memset(m, 'm', 32 * PAGE);
	reg(fd, m, 32, MISSING | WP);
	asked("munmap of one page", unmap_one);
	asked("munmap of a hole", unmap_none);
	mprotect(m + 4 * PAGE, PAGE, PROT_READ);
	asked("munmap of four pages in 3 VMAs", unmap_two);
	asked("mmap(MAP_FIXED) over one", map_over);
	asked("MADV_DONTNEED of two", dontneed);
	mprotect(m + 12 * PAGE, PAGE, PROT_READ);
	asked("MADV_DONTNEED over several VMAs, one not registered", dontneed_two);
	asked("MADV_FREE", lazyfree);
	asked("MADV_PAGEOUT", pageout);
	asked("MADV_GUARD_INSTALL", guards);
	asked("MADV_GUARD_REMOVE", unguards);
	asked("mprotect", protect);
	there = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(there, 64 * PAGE);
	asked("mremap to a free place", remap_move);
	FACT("... flags there", P("%s", vmflags(there)));
	asked("mremap shrinks in place", remap_shrink);
	asked("mremap grows in place", remap_grow);
	FACT("... flags there", P("%s", vmflags(there)));
	mmap(there + 4 * PAGE, PAGE, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	asked("mremap grows and moves", remap_grow_move);
	asked("mremap over registered memory", remap_over);
	asked("mremap shrinks and moves (FIXED)", remap_shrink_move);
	asked("mremap DONTUNMAP", remap_dontunmap);
	FACT("... flags of the old place", P("%s", vmflags(m + 28 * PAGE)));
	asked("mremap that fails", remap_fails);
	asked("fork", forks);
	asked("vfork", vforks);

	of_files();
}
