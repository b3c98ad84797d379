/* SPDX-License-Identifier: MIT */
#include "served.h"

#include <linux/futex.h>

static void *agent_loop(void *arg);
static long futex(void *word, int op, unsigned int val, const struct timespec *ts)
{
	const long ret = syscall(SYS_futex, word, op, val, ts, NULL, 0);

	return ret < 0 ? -errno : ret;
}

/* A thread made by hand, so that its exit word can lie on any page. */
static int ends_at_once(void *arg)
{
	struct control *c = arg;

	word_wait(&c->go, 77);
	syscall(SYS_exit, 0);
	return 0;
}

struct robust {
	struct {
		void *next;
		long offset;
		void *pending;
	} head;
	struct {
		void *next;
		unsigned int word;
	} lock;
};

static struct control owner; /* it looks at nothing on the page once it is ready */

static int ends_owner(void *arg)
{
	struct robust *r = arg;

	r->head.next = &r->lock;
	r->head.offset = (char *)&r->lock.word - (char *)&r->lock;
	r->head.pending = NULL;
	r->lock.next = &r->head;
	r->lock.word = (unsigned int)syscall(SYS_gettid);
	syscall(SYS_set_robust_list, &r->head, sizeof(r->head));
	word_set(&owner.done, 1);
	word_wait(&owner.go, 77);
	syscall(SYS_exit, 0);
	return 0;
}

static void *stack_for_thread(void)
{
	return (char *)mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0) +
	       16 * PAGE;
}

/* arg[2]: the state of the page is changed by the supervisor between "started" and "ends". */
static long join(struct guest *g, long page)
{
	static struct control c;
	unsigned int *word = (unsigned int *)(g->at + page * (long)PAGE);
	const struct timespec half = { 0, 500000000 };

	*word = 0;
	clone(ends_at_once, stack_for_thread(),
	      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
		      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
	      &c, word, NULL, word);
	word_set(&g->c[2].done, 1); /* the supervisor does something to the page */
	word_wait(&g->c[2].go, 1);
	word_set(&c.go, 77);
	usleep(20000);
	/* As pthread_join(3) waits. The page is let through again by the supervisor meanwhile. */
	word_set(&g->c[2].done, 2);
	word_wait(&g->c[2].go, 2);
	if (!*(volatile unsigned int *)word)
		return 0;
	return futex(word, FUTEX_WAIT, *word, &half) == -ETIMEDOUT ? 1 : 2;
}

static long robust(struct guest *g, long page)
{
	struct robust *r = (struct robust *)(g->at + page * (long)PAGE);

	clone(ends_owner, stack_for_thread(),
	      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, r);
	word_wait(&owner.done, 1);
	word_set(&g->c[2].done, 1); /* the supervisor does something to the page */
	word_wait(&g->c[2].go, 1);
	word_set(&owner.go, 77);
	usleep(50000);
	word_set(&g->c[2].done, 2);
	word_wait(&g->c[2].go, 2);
	return r->lock.word & FUTEX_OWNER_DIED ? 1 : 0;
}

static long doer_does(struct guest *g, enum asked what, long page, long arg)
{
	char *at = g->at + page * (long)PAGE;
	struct timespec ts = { arg / 1000, arg % 1000 * 1000000 };
	long ret;
	int fd;

	switch (what) {
	case ASK_LOAD:
	case ASK_STORE:
		return touch(g, at, what == ASK_STORE);
	case ASK_HAMMER:
		for (double end = now() + (double)arg * 1000; now() < end;)
			if (touch(g, at, true))
				return g->c->sig;
		return 0;
	case ASK_READ2:
		fd = open("/dev/zero", O_RDONLY);
		ret = read(fd, at, 1);
		ret = ret < 0 ? -errno : ret;
		close(fd);
		return ret;
	case ASK_JOIN:
		return join(g, page);
	case ASK_ROBUST:
		return robust(g, page);
	case ASK_FUTEX:
		return futex(at, FUTEX_WAIT, 0, &ts);
	default:
		return -ENOSYS;
	}
}

static long map_at(struct guest *g, char *at, unsigned long bytes, int prot, long to, int flags)
{
	return mmap(at, bytes, prot, MAP_SHARED | MAP_FIXED | flags, g->ram.fd, to * (long)PAGE) ==
			       MAP_FAILED ?
		       -errno :
		       0;
}

static long agent_does(struct guest *g, enum asked what, long page, long pages, long arg)
{
	char *at = g->at + page * (long)PAGE;
	const unsigned long bytes = (unsigned long)pages * PAGE;
	int fd;

	switch (what) {
	case ASK_UNMAP:
		return munmap(at, bytes);
	case ASK_MAP:
		return map_at(g, at, bytes, PROT_READ | PROT_WRITE, arg, 0);
	case ASK_MAP_FULL:
		return map_at(g, at, bytes, PROT_READ | PROT_WRITE, arg, MAP_POPULATE);
	case ASK_NONE:
		return mprotect(at, bytes, PROT_NONE);
	case ASK_RDONLY:
		return mprotect(at, bytes, PROT_READ);
	case ASK_EMPTY:
		fd = memfd_create("empty", 0);
		return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
				       MAP_FAILED ?
			       -errno :
			       fd;
	case ASK_ZAP:
		return madvise(at, bytes, MADV_DONTNEED);
	case ASK_WAKE_AT:
		return futex(at, FUTEX_WAKE, 100, NULL);
	default:
		return -ENOSYS;
	}
}

static struct guest *agents;

static void *agent_loop(void *arg)
{
	struct control *c = arg;

	for (unsigned int n = 1;; n++) {
		word_wait(&c->go, n);
		c->ret = agent_does(agents, (enum asked)c->arg[0], c->arg[1], c->arg[2], c->arg[3]);
		word_set(&c->done, n);
	}
	return NULL;
}

static void body(struct guest *g)
{
	pthread_t thread;

	agents = g;
	pthread_create(&thread, NULL, agent_loop, g->c + 1);
	for (unsigned int n = 2;; n++) {
		word_wait(&g->c->go, n);
		g->c->ret = doer_does(g, (enum asked)g->c->arg[0], g->c->arg[1], g->c->arg[2]);
		word_set(&g->c->done, n);
	}
}

struct served served_start(unsigned long pages, uint64_t modes, uint64_t features)
{
	struct served s = { .g = guest_start(body, pages, modes, features) };

	s.doer = s.g.c;
	s.agent = s.g.c + 1;
	s.doers = 1;
	return s;
}

void served_begin(struct served *s, enum asked what, long page, long arg)
{
	s->doer->arg[0] = what;
	s->doer->arg[1] = page;
	s->doer->arg[2] = arg;
	word_set(&s->doer->go, ++s->doers);
}

bool served_done(struct served *s, int ms, long *ret)
{
	for (int i = 0; __atomic_load_n(&s->doer->done, __ATOMIC_ACQUIRE) != s->doers; i++) {
		if (i == ms)
			return false;
		usleep(1000);
	}
	*ret = s->doer->ret;
	return true;
}

long served_agent(struct served *s, enum asked what, long page, long pages, long arg)
{
	s->agent->arg[0] = what;
	s->agent->arg[1] = page;
	s->agent->arg[2] = pages;
	s->agent->arg[3] = arg;
	word_set(&s->agent->go, ++s->agents);
	word_wait(&s->agent->done, s->agents);
	return s->agent->ret;
}

void served_end(struct served *s)
{
	guest_end(&s->g);
}
