/* SPDX-License-Identifier: MIT */
/* What happens to threads that sleep in a fault; fork. */
#include "facts.h"

#include <sys/wait.h>

struct scene {
	int fd;
	char *m;
	struct doer d;
};

/* A reader sleeps at page 2 of 8, its message read or not. */
static void asleep(struct scene *s, uint64_t features, bool read_it)
{
	struct uffd_msg msg;

	s->fd = uffd(features);
	s->m = mem(ANON, 8);
	reg(s->fd, s->m, 8, MISSING);
	doer_start(&s->d, do_read, s->m + 2 * PAGE);
	nap(30);
	if (read_it)
		next_message(s->fd, &msg, 100);
}

static void after(const char *what, struct scene *s)
{
	FACT(what, P("%s", doer_state(&s->d, 200)));
}

static void groups_of_events(void)
{
	struct scene s;
	long done;

	asleep(&s, 0, true);
	munmap(s.m + 2 * PAGE, PAGE);
	after("munmap of the page it sleeps at (no events)", &s);
	wake(s.fd, s.m + 2 * PAGE, 1);
	after("... then WAKE", &s);
	asleep(&s, 0, true);
	mremap(s.m, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	after("mremap DONTUNMAP of its memory (no events)", &s);
	asleep(&s, 0, true);
	mprotect(s.m, 8 * PAGE, PROT_NONE);
	after("mprotect(PROT_NONE)", &s);
	wake(s.fd, s.m, 8);
	after("... then WAKE", &s);
	asleep(&s, 0, true);
	madvise(s.m, 8 * PAGE, MADV_DONTNEED);
	after("MADV_DONTNEED", &s);
	asleep(&s, 0, true);
	mmap(s.m, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	after("mmap(MAP_FIXED) over it", &s);
	asleep(&s, 0, true);
	FACT("poison", P("%s", err(poison(s.fd, s.m + 2 * PAGE, 1, 0, &done))));
	after("POISON of its page", &s);
	asleep(&s, 0, true);
	copy(s.fd, s.m + 2 * PAGE, s.m - 0, 0, 0, &done);
	zeropage(s.fd, s.m + 2 * PAGE, 1, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &done);
	after("ZEROPAGE with DONTWAKE", &s);
	wake(s.fd, s.m + 3 * PAGE, 1);
	after("... WAKE of the next page", &s);
	wake(s.fd, s.m, 8);
	after("... WAKE of all", &s);
	asleep(&s, 0, true);
	zeropage(s.fd, s.m + 2 * PAGE, 1, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &done);
	FACT("ZEROPAGE again, page is there",
	     P("%s", err(zeropage(s.fd, s.m + 2 * PAGE, 1, 0, &done))));
	after("... does an -EEXIST wake", &s);
}

static void pass(int sig)
{
	(void)sig;
}

void group_sleepers(void)
{
	struct scene s;
	struct uffd_msg msg;
	struct sigaction sa = { .sa_handler = pass };
	struct doer b = { 0 };
	char text[80];
	long done;

	asleep(&s, 0, false);
	close(s.fd);
	after("close, message unread", &s);
	asleep(&s, 0, true);
	close(s.fd);
	after("close, message read", &s);
	FACT("... the page", P("%s", pm(s.m + 2 * PAGE)));
	FACT("... flags", P("%s", vmflags(s.m)));
	asleep(&s, 0, true);
	unreg(s.fd, s.m, 8);
	after("UNREGISTER of all", &s);
	asleep(&s, 0, true);
	unreg(s.fd, s.m, 1);
	after("UNREGISTER of another page", &s);
	reg(s.fd, s.m, 8, WP);
	after("REGISTER again with WP only", &s);
	wake(s.fd, s.m, 8);
	after("... then WAKE", &s);
	asleep(&s, 0, true);
	wake(s.fd, s.m + 2 * PAGE, 1);
	nap(20);
	FACT("WAKE without a page: it faults again", P("%s", doer_state(&s.d, 20)),
	     P("; %s",
	       next_message(s.fd, &msg, 100) ? message_text(&msg, s.m, text, 80) : "no message"));
	asleep(&s, 0, false);
	doer_start(&b, do_write, s.m + 2 * PAGE);
	nap(30);
	FACT("two sleepers at one page: messages", P("%s", messages(s.fd, s.m)));
	zeropage(s.fd, s.m + 2 * PAGE, 1, 0, &done);
	FACT("... ZEROPAGE wakes both", P("%s", doer_state(&s.d, 100)),
	     P(", %s", doer_state(&b, 100)));
	groups_of_events();
	asleep(&s, 0, true);
	sigaction(SIGUSR1, &sa, NULL);
	pthread_kill(s.d.thread, SIGUSR1);
	nap(20);
	FACT("a signal with a handler for the sleeper", P("%s", doer_state(&s.d, 50)),
	     P("; %s", next_message(s.fd, &msg, 50) ? "a message again" : "no message"));
	asleep(&s, ALL_EVENTS, false);
	FACT("unread fault, WAKE, then read", P("%s", err(wake(s.fd, s.m, 8))));
	FACT("...", P("%s", messages(s.fd, s.m)));
}

static void child_says(const char *what, int (*said)(char *m), char *m)
{
	char name[160];
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		snprintf(name, sizeof(name), "%s: child", what);
		FACT(name, P("%s", vmflags(m)), P("; page 0 %s", pm(m)),
		     P(", page 1 %s", pm(m + PAGE)), P(", page 2 %s", pm(m + 2 * PAGE)));
		if (said)
			said(m);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static long forks(struct doer *d)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		FACT("EVENT_FORK: child", P("%s", vmflags(d->at)), P("; page 0 %s", pm(d->at)),
		     P(", page 1 %s", pm(d->at + PAGE)),
		     P(", page 2 %s, touch 0 w: (sleeps)", pm(d->at + 2 * PAGE)));
		*(volatile char *)(d->at + 3 * PAGE) = 1;
		FACT("EVENT_FORK: child got its page", P("%d", d->at[3 * PAGE]));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

void group_fork(void)
{
	int fd = uffd(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
		      UFFD_FEATURE_POISON | UFFD_FEATURE_MISSING_SHMEM);
	char *m = mem(ANON, 4), *s = mem(MEMFD, 4);
	struct doer d = { 0 };
	struct uffd_msg msg;
	char text[80];
	long done;
	int child;

	reg(fd, m, 4, MISSING | WP);
	zeropage(fd, m, 1, 0, &done);
	wp(fd, m, 4, 1);
	poison(fd, m + 2 * PAGE, 1, 0, &done);
	FACT("parent, anon: zero page wp, nothing wp, poison", P("page 0 %s", pm(m)),
	     P(", page 1 %s", pm(m + PAGE)), P(", page 2 %s", pm(m + 2 * PAGE)));
	child_says("fork without EVENT_FORK, anon", NULL, m);
	s[0] = 1, s[PAGE] = 1;
	reg(fd, s, 4, MISSING | WP);
	wp(fd, s, 2, 1);
	madvise(s + PAGE, PAGE, MADV_DONTNEED);
	poison(fd, s + 2 * PAGE, 1, 0, &done);
	FACT("parent, memfd: page wp, marker, poison", P("page 0 %s", pm(s)),
	     P(", page 1 %s", pm(s + PAGE)), P(", page 2 %s", pm(s + 2 * PAGE)));
	child_says("fork without EVENT_FORK, memfd", NULL, s);
	close(fd);

	fd = uffd(UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_EVENT_FORK |
		  UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_POISON);
	m = mem(ANON, 4);
	reg(fd, m, 4, MISSING | WP);
	copy(fd, m, s, 1, UFFDIO_COPY_MODE_WP, &done);
	copy(fd, m + PAGE, s, 1, 0, &done);
	doer_start(&d, forks, m);
	nap(50);
	FACT("EVENT_FORK",
	     P("%s", next_message(fd, &msg, 300) ? message_text(&msg, m, text, 80) : "none"));
	child = (int)msg.arg.fork.ufd;
	FACT("... flags of the child's descriptor (fcntl F_GETFL, F_GETFD)",
	     P("%#x", fcntl(child, F_GETFL)), P(" %#x", fcntl(child, F_GETFD)));
	FACT("... UFFDIO_API on it", P("%s", err(api(child, 0, NULL))));
	FACT("... a message of the child",
	     P("%s", next_message(child, &msg, 500) ? message_text(&msg, m, text, 80) : "none"));
	FACT("... ZEROPAGE through the child's",
	     P("%s", err(zeropage(child, m + 3 * PAGE, 1, 0, &done))));
	FACT("... ZEROPAGE through the parent's: its own mm",
	     P("%s", err(zeropage(fd, m + 3 * PAGE, 1, 0, &done))));
	FACT("... the fork", P("%s", doer_state(&d, 500)));

	/* fork while its event is not read: does the child run? */
	doer_start(&d, forks, m);
	nap(80);
	FACT("fork, event unread: parent", P("%s", doer_state(&d, 0)));
	close(fd);
	FACT("... after close", P("%s", doer_state(&d, 500)), P(", status %ld", d.ret));
}
