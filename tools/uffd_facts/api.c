/* SPDX-License-Identifier: MIT */
/* The handshake, reading and polling, registration. */
#include "facts.h"

#include <poll.h>
#include <sys/syscall.h>

static const char *polled(int fd)
{
	static char text[40];
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, 0);
	snprintf(text, sizeof(text), "%s%s%s", p.revents & POLLIN ? "IN " : "",
		 p.revents & POLLERR ? "ERR " : "", p.revents ? "" : "0");
	return text;
}

static const char *reading(int fd, size_t size)
{
	char buf[256];
	long ret = read(fd, buf, size);

	return err(ret < 0 ? -errno : ret);
}

static void later_answers(void)
{
	struct uffdio_api out;
	struct uffd_msg two[1];
	struct doer a = { 0 };
	char *m;
	int fd;

	fd = uffd_raw(O_CLOEXEC);
	api(fd, 0, NULL);
	FACT("poll of a blocking descriptor", P("%s", polled(fd)));
	close(fd);
	fd = uffd_raw(O_CLOEXEC);
	FACT("WP_ASYNC alone", P("%s", err(api(fd, UFFD_FEATURE_WP_ASYNC, &out))));
	FACT("... features", P("%#llx", (unsigned long long)out.features));
	close(fd);
	m = mem(ANON, 4);
	fd = uffd(UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS);
	reg(fd, m, 4, MISSING);
	doer_start(&a, do_read, m + 7);
	if (next_message(fd, &two[0], 200))
		FACT("THREAD_ID, EXACT_ADDRESS",
		     P("own tid or pid %s",
		       two[0].arg.pagefault.feat.ptid == (unsigned)getpid() ? "pid" : "tid"),
		     P(", offset %d", (int)(two[0].arg.pagefault.address & (PAGE - 1))));
}

void group_api(void)
{
	struct uffdio_api arg = { .api = 0xAB };
	struct uffdio_range range = { 0, PAGE };
	struct uffdio_api out;
	struct uffd_msg two[2];
	char *m = mem(ANON, 4);
	struct doer a = { 0 }, b = { 0 };
	int fd;

	FACT("userfaultfd(2) with an unknown flag", P("%s", err(uffd_raw(0x40))));
	fd = uffd_raw(O_NONBLOCK | O_CLOEXEC);
	FACT("read before UFFDIO_API", P("%s", reading(fd, 32)));
	FACT("poll before UFFDIO_API", P("%s", polled(fd)));
	FACT("UFFDIO_WAKE before UFFDIO_API",
	     P("%s", err(ioctl(fd, UFFDIO_WAKE, &range) ? -errno : 0)));
	FACT("unknown request before UFFDIO_API", P("%s", err(ioctl(fd, 0x1234, 0) ? -errno : 0)));
	FACT("UFFDIO_API, wrong api", P("%s", err(ioctl(fd, UFFDIO_API, &arg) ? -errno : 0)));
	FACT("... and the struct then", P("api %#llx", (unsigned long long)arg.api),
	     P(" features %#llx", (unsigned long long)arg.features),
	     P(" ioctls %#llx", (unsigned long long)arg.ioctls));
	FACT("UFFDIO_API, NULL", P("%s", err(ioctl(fd, UFFDIO_API, NULL) ? -errno : 0)));
	FACT("UFFDIO_API, unknown feature (bit 40)", P("%s", err(api(fd, 1ULL << 40, &out))));
	FACT("... features and ioctls then", P("%#llx", (unsigned long long)out.features),
	     P(" %#llx", (unsigned long long)out.ioctls));
	FACT("UFFDIO_API, features 0", P("%s", err(api(fd, 0, &out))));
	FACT("... features, ioctls", P("%#llx", (unsigned long long)out.features),
	     P(" %#llx", (unsigned long long)out.ioctls));
	FACT("UFFDIO_API a second time", P("%s", err(api(fd, 0, &out))));
	FACT("... features, ioctls", P("%#llx", (unsigned long long)out.features),
	     P(" %#llx", (unsigned long long)out.ioctls));
	FACT("unknown request", P("%s", err(ioctl(fd, 0x1234, 0) ? -errno : 0)));
	FACT("unknown UFFDIO request 0x20",
	     P("%s", err(ioctl(fd, _IO(UFFDIO, 0x20), 0) ? -errno : 0)));
	FACT("read, nothing there, O_NONBLOCK", P("%s", reading(fd, 32)));
	FACT("read of 31 bytes", P("%s", reading(fd, 31)));
	FACT("read of 0 bytes", P("%s", reading(fd, 0)));
	FACT("poll, nothing there", P("%s", polled(fd)));
	FACT("REGISTER with a NULL argument",
	     P("%s", err(ioctl(fd, UFFDIO_REGISTER, NULL) ? -errno : 0)));

	reg(fd, m, 4, MISSING);
	doer_start(&a, do_read, m);
	nap(30);
	doer_start(&b, do_write, m + PAGE + 5);
	nap(30);
	FACT("poll, two faults wait", P("%s", polled(fd)));
	FACT("read of 63 bytes", P("%s", reading(fd, 63)));
	FACT("read of 2 messages, one left", P("%s", err(read(fd, two, sizeof(two)))));
	FACT("... that one", P("%s", message_text(&two[0], m, (char[80]){ 0 }, 80)));
	FACT("... ptid without THREAD_ID", P("%u", two[0].arg.pagefault.feat.ptid));
	FACT("poll after all are read, faults unanswered", P("%s", polled(fd)));
	close(fd);
	nap(20);
	FACT("sleepers after close", P("%s", doer_state(&a, 50)), P(", %s", doer_state(&b, 50)));

	later_answers();
}

static void one(const char *what, enum mem kind, uint64_t mode, int fd)
{
	char *m = mem(kind, 4);
	uint64_t ioctls = 0;
	int ret = reg_out(fd, m, 4, mode, &ioctls);

	FACT(what, P("%s", err(ret)), P(", ioctls %#llx", (unsigned long long)ioctls),
	     P(", %s", vmflags(m)));
	munmap(m, 4 * PAGE);
}

static void kinds_and_modes(int fd)
{
	static const char *const kinds[] = { "anon",          "shared anon",  "memfd",
					     "memfd private", "file private", "file shared" };

	for (int kind = ANON; kind <= FILE_SHARED; kind++) {
		for (uint64_t mode = 1; mode < 8; mode++) {
			char name[80];

			snprintf(name, sizeof(name), "REGISTER %s, %s%s%s", kinds[kind],
				 mode & MISSING ? "MISSING " : "", mode & WP ? "WP " : "",
				 mode & MINOR ? "MINOR" : "");
			if ((mode & (mode - 1)) && kind != ANON && kind != MEMFD &&
			    kind != FILE_PRIVATE)
				continue;
			one(name, (enum mem)kind, mode, fd);
		}
	}
}

static void ranges(int fd, int other, char *m)
{
	FACT("mode 0", P("%s", err(reg(fd, m, 4, 0))));
	FACT("unknown mode", P("%s", err(reg(fd, m, 4, 8 | MISSING))));
	FACT("length 0", P("%s", err(reg(fd, m, 0, MISSING))));
	FACT("unaligned start", P("%s", err(reg(fd, m + 1, 4, MISSING))));
	FACT("wraps", P("%s", err(reg(fd, m, -1UL / PAGE, MISSING))));
	FACT("beyond the task size", P("%s", err(reg(fd, (void *)(1UL << 47), 4, MISSING))));
	FACT("start 0, nothing there", P("%s", err(reg(fd, NULL, 1, MISSING))));
	FACT("nothing mapped in the range", P("%s", err(reg(fd, m - PAGE, 1, MISSING))));
	FACT("hole first, then memory", P("%s", err(reg(fd, m - PAGE, 3, MISSING))),
	     P(", %s", vmflags(m)));
	unreg(fd, m, 8);
	FACT("memory, then hole", P("%s", err(reg(fd, m + 6 * PAGE, 3, MISSING))),
	     P(", %s", vmflags(m + 6 * PAGE)));
	unreg(fd, m, 8);
	FACT("two pages in the middle", P("%s", err(reg(fd, m + 2 * PAGE, 2, MISSING))),
	     P(", %s", vmflags(m + 2 * PAGE)));
	FACT("... the next two: merged", P("%s", err(reg(fd, m + 4 * PAGE, 2, MISSING))),
	     P(", %s", vmflags(m + 2 * PAGE)));
	FACT("... the next two, by another descriptor",
	     P("%s", err(reg(other, m + 6 * PAGE, 2, MISSING))), P(", %s", vmflags(m + 2 * PAGE)));
	FACT("... the other registers what is taken", P("%s", err(reg(other, m, 8, MISSING))));
	FACT("... the same, with another mode", P("%s", err(reg(fd, m + 2 * PAGE, 2, WP))),
	     P(", %s", vmflags(m + 2 * PAGE)));
	FACT("... the same again", P("%s", err(reg(fd, m + 2 * PAGE, 2, WP))));
	FACT("UNREGISTER by the other descriptor", P("%s", err(unreg(other, m + 2 * PAGE, 4))),
	     P(", %s", vmflags(m + 2 * PAGE)));
	FACT("UNREGISTER of what is not registered", P("%s", err(unreg(fd, m, 1))));
	FACT("UNREGISTER of a hole", P("%s", err(unreg(fd, m - PAGE, 1))));
	FACT("UNREGISTER unaligned", P("%s", err(unreg(fd, m + 1, 1))));
	FACT("UNREGISTER length 0", P("%s", err(unreg(fd, m, 0))));
	FACT("UNREGISTER of all, by both", P("%s", err(unreg(fd, m, 6))),
	     P(", %s", err(unreg(other, m, 8))));
	FACT("... merged again", P("%s", vmflags(m)));
}

static void odd_mappings(int fd, char *m)
{
	uint64_t ioctls;
	char *n;

	mprotect(m, 4 * PAGE, PROT_NONE);
	FACT("PROT_NONE, private", P("%s", err(reg(fd, m, 4, MISSING))));
	n = mem(ANON, 4);
	syscall(462, n, 4 * PAGE, 0UL);
	FACT("sealed memory", P("%s", err(reg(fd, n, 4, MISSING))));
	n = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, open("/bin/sh", O_RDONLY), 0);
	FACT("shared file that may not be written, WP", P("%s", err(reg(fd, n, 1, WP))));
	n = mem(MEMFD, 4);
	mprotect(n, 4 * PAGE, PROT_READ);
	FACT("memfd read-only now, may be written, MISSING", P("%s", err(reg(fd, n, 1, MISSING))));
	{
		int ro = memfd_create("ro", 0);
		char path[64];

		if (ftruncate(ro, 4 * PAGE))
			abort();
		snprintf(path, sizeof(path), "/proc/self/fd/%d", ro);
		n = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, open(path, O_RDONLY), 0);
		FACT("memfd opened read-only, MISSING", P("%s", err(reg(fd, n, 1, MISSING))));
		n = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, open(path, O_RDONLY), 0);
		FACT("the same, private, MINOR", P("%s", err(reg(fd, n, 1, MINOR))));
	}
	n = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, 0x08 | MAP_ANONYMOUS, -1, 0);
	FACT("MAP_DROPPABLE, MISSING, WP", P("%s", err(reg(fd, n, 4, MISSING))),
	     P(", %s", err(reg(fd, n, 4, WP))));
	n = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	FACT("MAP_GROWSDOWN", P("%s", err(reg(fd, n, 4, MISSING))));
	n = mem(ANON, 4);
	mlock(n, 4 * PAGE);
	FACT("locked memory", P("%s", err(reg(fd, n, 4, MISSING))));
	n = mem(ANON, 8);
	mprotect(n + 4 * PAGE, 4 * PAGE, PROT_READ);
	FACT("over two VMAs of different rights", P("%s", err(reg(fd, n, 8, MISSING))));
	n = mem(ANON, 8);
	mmap(n + 4 * PAGE, 4 * PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE, open("/bin/sh", O_RDONLY),
	     0);
	FACT("anon, then a private file: MISSING", P("%s", err(reg(fd, n, 8, MISSING))),
	     P(", %s", vmflags(n)));
	FACT("anon, then a private file: WP", P("%s", err(reg_out(fd, n, 8, WP, &ioctls))),
	     P(", ioctls %#llx", (unsigned long long)ioctls));
	{
		FILE *f = fopen("/proc/self/maps", "r");
		char line[256];
		unsigned long at = 0;

		while (fgets(line, sizeof(line), f))
			if (strstr(line, "[vdso]"))
				at = strtoul(line, NULL, 16);
		FACT("[vdso], WP", P("%s", at ? err(reg(fd, (void *)at, 1, WP)) : "none"));
	}
}

void group_register(void)
{
	int fd = uffd(0), other = uffd(0);
	char *m = mem(ANON, 8);

	kinds_and_modes(fd);
	ranges(fd, other, m);
	odd_mappings(fd, m);
}
