/* SPDX-License-Identifier: MIT */
/* Errors of the requests that resolve faults, and what they leave when they stop half-way. */
#include "facts.h"

#include <sys/socket.h>
#include <sys/wait.h>

static char source[8 * PAGE];

/* One of the requests, of pages from at on. */
static long ask(int which, int fd, char *at, unsigned long pages, uint64_t mode, long *done)
{
	static char *from;

	switch (which) {
	case 0:
		return copy(fd, at, source, pages, mode, done);
	case 1:
		return zeropage(fd, at, pages, mode, done);
	case 2:
		return cont(fd, at, pages, mode, done);
	case 3:
		return poison(fd, at, pages, mode, done);
	case 4:
		from = mem(ANON, 8);
		memset(from, 'm', 8 * PAGE);
		return move(fd, at, from, pages, mode, done);
	case 5:
		*done = 0;
		return wp(fd, at, pages, mode | UFFDIO_WRITEPROTECT_MODE_WP);
	default:
		*done = 0;
		return wake(fd, at, pages);
	}
}

static const char *const names[] = { "COPY", "ZEROPAGE",     "CONTINUE", "POISON",
				     "MOVE", "WRITEPROTECT", "WAKE" };

static void row(const char *what, int which, long ret, const long *done)
{
	char name[160];

	snprintf(name, sizeof(name), "%s: %s", names[which], what);
	FACT(name, P("%s", err(ret)), P(", field %s", which < 5 ? err(*done) : "-"));
}

static void bad_source(int fd, char *m);
static void bad_move(int fd, char *m);

/* Ranges below vm.mmap_min_addr, and sources that cannot be. */
static void bad_ranges(int fd)
{
	char *m = mem(ANON, 4);
	char *low;

	FACT("REGISTER: the address 0, nothing mapped", P("%s", err(reg(fd, NULL, 1, MISSING))));
	FACT("UNREGISTER: the address 0, nothing mapped", P("%s", err(unreg(fd, NULL, 1))));
	low = mmap((void *)(16 * PAGE), PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (low != (void *)(16 * PAGE))
		return;
	FACT("REGISTER: from 0 to a mapping", P("%s", err(reg(fd, NULL, 17, MISSING))));
	FACT("UNREGISTER: from 0 to a mapping", P("%s", err(unreg(fd, NULL, 17))));
	munmap(low, PAGE);
	reg(fd, m, 4, MISSING);
	bad_move(fd, m);
	bad_source(fd, m);
	munmap(m, 4 * PAGE);
}

void group_ioctls(void)
{
	int fd = uffd(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MINOR_SHMEM |
		      UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE);

	for (int i = 0; i < 7; i++) {
		char *m = mem(ANON, 8), *s = mem(MEMFD, 8);
		long done;

		if (i == 2)
			memset(s, 's', 8 * PAGE), madvise(s, 8 * PAGE, MADV_DONTNEED);
		reg(fd, m, 4, i == 5 ? WP | MISSING : MISSING);
		reg(fd, s, 8, MISSING | WP | MINOR);
		row("length 0", i, ask(i, fd, m, 0, 0, &done), &done);
		row("unaligned", i, ask(i, fd, m + 8, 1, 0, &done), &done);
		if (i < 6)
			row("unknown mode", i, ask(i, fd, m, 1, 0x40, &done), &done);
		row("wraps", i, ask(i, fd, m, -1UL / PAGE, 0, &done), &done);
		row("beyond the task size", i, ask(i, fd, (char *)(1UL << 47), 1, 0, &done), &done);
		row("the address 0", i, ask(i, fd, NULL, 1, 0, &done), &done);
		row("64 pages from 0 on", i, ask(i, fd, NULL, 64, 0, &done), &done);
		row("nothing mapped", i, ask(i, fd, m - PAGE, 1, 0, &done), &done);
		row("mapped, not registered", i, ask(i, fd, m + 5 * PAGE, 1, 0, &done), &done);
		row("two VMAs, second not registered", i, ask(i, fd, m + 3 * PAGE, 2, 0, &done),
		    &done);
		row("anon, registered", i, ask(i, fd, m, 1, 0, &done), &done);
		row("... again: there is a page", i, ask(i, fd, m, 1, 0, &done), &done);
		row("memfd, registered, all modes", i, ask(i, fd, s, 1, 0, &done), &done);
		row("... again", i, ask(i, fd, s, 1, 0, &done), &done);
		row("mode WP (COPY 2, CONTINUE 2)", i,
		    ask(i, fd, i == 2 ? s + PAGE : m + PAGE, 1, 2, &done), &done);
		munmap(m, 8 * PAGE);
		munmap(s, 8 * PAGE);
	}
	bad_ranges(fd);
}

/* The destination m is registered; no source can be read. */
static void bad_source(int fd, char *m)
{
	static const struct {
		const char *what;
		unsigned long at;
	} from[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "at 1 MiB, not mapped", 1UL << 20 },
		{ "at 1 MiB + 1, not mapped", (1UL << 20) + 1 },
		{ "the last byte that can be mapped", (1UL << 47) - PAGE - 1 },
		{ "the last page that can be mapped", (1UL << 47) - 2 * PAGE },
		{ "the last page that can be mapped + 1", (1UL << 47) - 2 * PAGE + 1 },
		{ "the task size", (1UL << 47) - PAGE },
		{ "1 << 47", 1UL << 47 },
		{ "no canonical address", 1UL << 60 },
		{ "wraps", -PAGE },
	};
	long done, ret;
	char name[120];

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		ret = copy(fd, m, (void *)from[i].at, 1, 0, &done);
		snprintf(name, sizeof(name), "source %s", from[i].what);
		row(name, 0, ret, &done);
	}
	row("source 0, nothing mapped at the destination", 0, copy(fd, m - PAGE, NULL, 1, 0, &done),
	    &done);
	copy(fd, m, source, 1, 0, &done);
	row("source 0, there is a page", 0, copy(fd, m, NULL, 1, 0, &done), &done);
	row("source not mapped, there is a page", 0, copy(fd, m, (void *)(1UL << 20), 1, 0, &done),
	    &done);
}

/* MOVE's source has the same checks as its destination. */
static void bad_move(int fd, char *m)
{
	static const unsigned long from[] = { 0,         PAGE, 1UL << 20, (1UL << 47) - PAGE,
					      1UL << 47, -PAGE };
	char name[120];
	long done, ret;

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		ret = move(fd, m, (void *)from[i], 1, 0, &done);
		snprintf(name, sizeof(name), "source %#lx", from[i]);
		row(name, 4, ret, &done);
	}
}

/* The mm has ended: requests come from its parent, which has the descriptor. */
static void dead_mm(void)
{
	int fd;
	char *m = mem(ANON, 4);
	uint64_t ioctls;
	long done;
	pid_t pid;

	{
		/* A child makes one and sends it over a socket. */
		int pair[2];
		char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
		char byte = 0;
		struct iovec iov = { &byte, 1 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			return;
		pid = fork();
		if (!pid) {
			struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
			int own = uffd(UFFD_FEATURE_MOVE | UFFD_FEATURE_POISON);

			reg(own, m, 4, MISSING | WP);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(c), &own, sizeof(int));
			sendmsg(pair[1], &msg, 0);
			_exit(0);
		}
		recvmsg(pair[0], &msg, 0);
		waitpid(pid, NULL, 0);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	}
	FACT("mm has ended: REGISTER", P("%s", err(reg_out(fd, m, 4, MISSING, &ioctls))));
	FACT("mm has ended: UNREGISTER", P("%s", err(unreg(fd, m, 4))));
	for (int i = 0; i < 7; i++) {
		char name[60];
		long ret = ask(i, fd, m, 1, 0, &done);

		snprintf(name, sizeof(name), "mm has ended: %s", names[i]);
		FACT(name, P("%s", err(ret)), P(", field %s", err(done)));
	}
	{
		struct uffd_msg msg;
		long ret = read(fd, &msg, sizeof(msg));

		FACT("mm has ended: read", P("%s", err(ret < 0 ? -errno : ret)));
	}
}

void group_partial(void)
{
	int fd = uffd(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_POISON |
		      UFFD_FEATURE_MOVE);
	char *m = mem(ANON, 8), *s = mem(MEMFD, 8), *src = mem(ANON, 4);
	long done = 0;
	int ret;

	reg(fd, m, 8, MISSING | WP);
	zeropage(fd, m, 1, 0, &done);
	copy(fd, m + 2 * PAGE, source, 1, 0, &done);
	ret = copy(fd, m, source, 4, 0, &done);
	FACT("COPY of 4 pages, page 0 is there", P("%s", err(ret)), P(", field %s", err(done)));
	madvise(m, 2 * PAGE, MADV_DONTNEED);
	ret = copy(fd, m, source, 4, 0, &done);
	FACT("COPY of 4 pages, page 2 is there", P("%s", err(ret)), P(", field %s", err(done)));
	madvise(m, 2 * PAGE, MADV_DONTNEED);
	ret = zeropage(fd, m, 4, 0, &done);
	FACT("ZEROPAGE of 4 pages, page 2 is there", P("%s", err(ret)), P(", field %s", err(done)));
	madvise(m, 2 * PAGE, MADV_DONTNEED);
	ret = poison(fd, m, 4, 0, &done);
	FACT("POISON of 4 pages, page 2 is there", P("%s", err(ret)), P(", field %s", err(done)));
	madvise(m, 8 * PAGE, MADV_DONTNEED);
	memset(src, 's', 2 * PAGE);
	mprotect(src + 2 * PAGE, 2 * PAGE, PROT_NONE);
	ret = copy(fd, m, src, 4, 0, &done);
	FACT("COPY of 4 pages, source unreadable from page 2 on", P("%s", err(ret)),
	     P(", field %s", err(done)));
	ret = copy(fd, m + 4 * PAGE, src + 2 * PAGE, 1, 0, &done);
	FACT("COPY, source unreadable", P("%s", err(ret)), P(", field %s", err(done)));
	ret = copy(fd, m + 4 * PAGE, (char *)src + 1, 1, 0, &done);
	FACT("COPY, source unaligned", P("%s", err(ret)), P(", field %s", err(done)));
	ret = copy(fd, m + 4 * PAGE, (char *)-PAGE, 2, 0, &done);
	FACT("COPY, source wraps", P("%s", err(ret)), P(", field %s", err(done)));
	s[0] = 's', s[PAGE] = 's';
	madvise(s, 8 * PAGE, MADV_DONTNEED);
	reg(fd, s, 8, MINOR);
	ret = cont(fd, s, 4, 0, &done);
	FACT("CONTINUE of 4 pages, 2 are in the cache", P("%s", err(ret)),
	     P(", field %s", err(done)));
	ret = cont(fd, s + 2 * PAGE, 1, 0, &done);
	FACT("CONTINUE, not in the cache", P("%s", err(ret)), P(", field %s", err(done)));
	ret = cont(fd, s, 1, 0, &done);
	FACT("CONTINUE, mapped already", P("%s", err(ret)), P(", field %s", err(done)));
	{
		int mfd = memfd_create("short", 0);
		char *t;

		if (ftruncate(mfd, 2 * PAGE))
			abort();
		t = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
		reg(fd, t, 4, MISSING | MINOR);
		FACT("COPY to a memfd beyond its end",
		     P("%s", err(copy(fd, t + 2 * PAGE, source, 1, 0, &done))),
		     P(", field %s", err(done)));
		FACT("COPY of 4, the last 2 beyond the end",
		     P("%s", err(copy(fd, t, source, 4, 0, &done))), P(", field %s", err(done)));
		FACT("CONTINUE beyond the end", P("%s", err(cont(fd, t + 2 * PAGE, 1, 0, &done))),
		     P(", field %s", err(done)));
		FACT("ZEROPAGE beyond the end",
		     P("%s", err(zeropage(fd, t + 2 * PAGE, 1, 0, &done))),
		     P(", field %s", err(done)));
		FACT("touch beyond the end, MISSING", P("%s", touch(t + 3 * PAGE, false)));
	}
	dead_mm();
}
