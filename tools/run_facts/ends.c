/* SPDX-License-Identifier: MIT */
/*
 * What the kernel writes when a thread ends, and what it knows a futex by: both meet pages that are
 * not there, or that change their frame.
 */
#include "served.h"

#include <linux/futex.h>

/* How the page is while the thread ends. */
enum state { PLAIN, PROTECTED, ABSENT };

static void make(struct served *s, enum state state)
{
	if (state == PROTECTED)
		protect(s->g.uffd, s->g.at, 1, true);
	if (state == ABSENT)
		served_agent(s, ASK_ZAP, 0, 1, 0);
}

static void serve(struct served *s)
{
	struct uffd_msg msg;

	while (next_message(s->g.uffd, &msg, 0))
		;
	cont(s->g.uffd, s->g.at, 1, 0);
	protect(s->g.uffd, s->g.at, 1, false);
	wake(s->g.uffd, s->g.at, 1);
}

static long ends(enum asked what, enum state state, int *messages)
{
	struct served s = served_start(8, ALL_MODES, 0);
	struct uffd_msg msg;
	long ret = -1;

	*messages = 0;
	s.g.ram.base[0] = 0;
	cont(s.g.uffd, s.g.at, 1, 0);
	served_begin(&s, what, 0, 0);
	word_wait(&s.g.c[2].done, 1);
	make(&s, state);
	word_set(&s.g.c[2].go, 1);
	word_wait(&s.g.c[2].done, 2);
	while (next_message(s.g.uffd, &msg, 20))
		(*messages)++;
	serve(&s);
	word_set(&s.g.c[2].go, 2);
	if (!served_done(&s, 2000, &ret))
		ret = -1;
	served_end(&s);
	return ret;
}

static void exits(void)
{
	static const char *const states[] = { "there and writable", "write-protected", "absent" };
	char question[120];
	int messages;
	long ret;

	for (int i = 0; i < 3; i++) {
		snprintf(question, sizeof(question),
			 "exit word (CLONE_CHILD_CLEARTID) on a page that is %s", states[i]);
		ret = ends(ASK_JOIN, (enum state)i, &messages);
		FACT(question, P("%s; messages %d",
				 ret == 0 ? "0 is written" :
				 ret == 1 ? "stays: the joiner sleeps for ever" :
					    "stays",
				 messages));
	}
	for (int i = 0; i < 3; i++) {
		snprintf(question, sizeof(question), "robust futex of a thread that ends, page %s",
			 states[i]);
		ret = ends(ASK_ROBUST, (enum state)i, &messages);
		FACT(question, P("%s; messages %d",
				 ret == 1 ? "OWNER_DIED is written" : "stays locked", messages));
	}
}

static long wake_here(void *word)
{
	return syscall(SYS_futex, word, FUTEX_WAKE, 100, NULL, NULL, 0);
}

static void futexes(void)
{
	struct served s = served_start(8, ALL_MODES, 0);
	long ret = 0;

	s.g.ram.base[0] = 0;
	s.g.ram.base[9 * PAGE] = 0;
	cont(s.g.uffd, s.g.at, 1, 0);
	served_begin(&s, ASK_FUTEX, 0, 3000);
	usleep(50000);
	served_agent(&s, ASK_MAP_FULL, 0, 1, 9);
	FACT("a shared futex's waiter, its page gets another frame, FUTEX_WAKE by the guest",
	     P("wakes %ld", served_agent(&s, ASK_WAKE_AT, 0, 1, 0)));
	FACT("... FUTEX_WAKE by the supervisor, at the old frame",
	     P("wakes %ld; ", wake_here(s.g.ram.base)),
	     P("waiter %s", served_done(&s, 1000, &ret) ? err(ret) : "sleeps"));
	served_end(&s);
}

void group_ends(void)
{
	exits();
	futexes();
}
