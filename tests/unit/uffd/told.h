/* SPDX-License-Identifier: MIT */
/*
 * Calls that tell userfaultfds what they change. A call is made in a thread; the test is the
 * handler of up to three userfaultfds and reads one message after the other. Addresses are pages
 * from BASE.
 */
#ifndef SAMARA_TEST_TOLD_H
#define SAMARA_TEST_TOLD_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <samara/inject.h>
#include <samara/uffd.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "support/waits.h"
#include "uffd/uffd.h"

#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define UFFD_FLAGS (SAMARA_VM_UFFD_MISSING | SAMARA_VM_UFFD_WP | SAMARA_VM_UFFD_MINOR)
#define EVENTS \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
	 UFFD_FEATURE_EVENT_UNMAP)
#define HANDLERS 3

static inline struct samara_uffd *open_with(struct samara_mm *mm, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(mm, O_NONBLOCK, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

static inline void do_register(struct samara_uffd *uffd, unsigned long from, unsigned long to)
{
	struct uffdio_register reg = {
		.range = { .start = AT(from), .len = (to - from) * PAGE },
		.mode = MISSING,
	};

	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
}

/* Pages [from, to), each written to, tell uffd. */
static inline void map_told(struct samara_mm *mm, struct samara_uffd *uffd, unsigned long from,
			    unsigned long to)
{
	map_pages(mm, from, to, RW, 0);
	write_pages(mm, from, to);
	do_register(uffd, from, to);
}

static inline bool registered(struct samara_mm *mm, unsigned long page)
{
	return flags_at(mm, page) & UFFD_FLAGS;
}

/* messages ------------------------------------------------------------------------- */

static inline bool next_message(struct samara_uffd *uffd, struct uffd_msg *msg)
{
	return samara_uffd_read(uffd, msg, 1) == sizeof(*msg);
}

static inline unsigned int unread(struct samara_uffd *uffd)
{
	const struct uffd_event *event;
	unsigned int n = 0;

	spin_lock(&uffd->q.lock, RANK_EVENT);
	list_for_each_entry(event, &uffd->q.events, in)
		n++;
	spin_unlock(&uffd->q.lock);
	return n;
}

static inline long page_of(unsigned long long addr)
{
	return ((long)addr - (long)BASE) / (long)PAGE;
}

static inline void message_text(const struct uffd_msg *msg, char *to, size_t size)
{
	switch (msg->event) {
	case UFFD_EVENT_REMAP:
		snprintf(to, size, "remap %ld>%ld len %lld", page_of(msg->arg.remap.from),
			 page_of(msg->arg.remap.to),
			 (long long)msg->arg.remap.len / (long long)PAGE);
		break;
	case UFFD_EVENT_FORK:
		snprintf(to, size, "fork");
		break;
	default:
		snprintf(to, size, "%s %ld-%ld",
			 msg->event == UFFD_EVENT_UNMAP ? "unmap" : "remove",
			 page_of(msg->arg.remove.start), page_of(msg->arg.remove.end));
	}
}

/* calls ---------------------------------------------------------------------------- */

/* A call under way. Its userfaultfds are handler a, b, c. */
struct told {
	struct fixture *f;
	struct samara_uffd *handler[HANDLERS];
	struct samara_mm *child; /* of a fork */
	long (*call)(struct fixture *f);
	long ret;
	struct uffd_msg last; /* read */
	struct waiting_call in_thread;
	char text[512];
};

static inline void told_run(void *arg)
{
	struct told *t = arg;

	t->ret = t->call ? t->call(t->f) : samara_fork(t->f->mm, &t->child);
}

static inline bool told_waits(const void *arg)
{
	const struct told *t = arg;

	for (int i = 0; i < HANDLERS; i++)
		if (t->handler[i] && unread(t->handler[i]))
			return true;
	return false;
}

/* The call is made (NULL: fork). Whether it waits for an event to be read, or has returned. */
static inline bool call_begins(struct told *t, long (*call)(struct fixture *f))
{
	t->call = call;
	t->text[0] = 0;
	t->child = NULL;
	t->in_thread = (struct waiting_call){ .call = told_run, .arg = t };
	return waits_until(&t->in_thread, told_waits, t);
}

/* Reads the only event that is queued, and adds it to text. */
static inline void read_event(struct told *t)
{
	char one[80], *end;
	unsigned int n = 0;
	int from = 0;

	for (int i = 0; i < HANDLERS; i++) {
		const unsigned int his = t->handler[i] ? unread(t->handler[i]) : 0;

		n += his;
		from = his ? i : from;
	}
	assert_int_equal(n, 1);
	assert_true(uffd_changing(t->handler[from]));
	assert_true(next_message(t->handler[from], &t->last));
	message_text(&t->last, one, sizeof(one));
	end = t->text + strlen(t->text);
	snprintf(end, sizeof(t->text) - strlen(t->text), "%s%s%s", *t->text ? ", " : "",
		 t->handler[1] ? (const char *[]){ "a: ", "b: ", "c: " }[from] : "", one);
}

/* Reads until the call has returned. */
static inline void call_ends(struct told *t)
{
	while (!__atomic_load_n(&t->in_thread.done, __ATOMIC_ACQUIRE)) {
		if (told_waits(t))
			read_event(t);
		else
			sched_yield();
	}
	call_returns(&t->in_thread);
	for (int i = 0; i < HANDLERS; i++) {
		if (!t->handler[i])
			continue;
		assert_int_equal(unread(t->handler[i]), 0);
		assert_false(uffd_changing(t->handler[i]));
	}
}

/* The call gives answer, and tells events, each of which it waits for. */
static inline void call_tells(struct told *t, long (*call)(struct fixture *f), long answer,
			      const char *events)
{
	assert_int_equal(call_begins(t, call), events[0] != 0);
	call_ends(t);
	assert_string_equal(t->text, events);
	assert_int_equal(t->ret, answer);
}

/* An address as 0, an error as itself. */
static inline long err_of(unsigned long ret)
{
	return SAMARA_IS_ERR_VALUE(ret) ? (long)ret : 0;
}

static inline void told_open(struct told *t, struct fixture *f)
{
	*t = (struct told){ .f = f };
	t->handler[0] = open_with(f->mm, EVENTS);
}

static inline void told_close(struct told *t)
{
	for (int i = 0; i < HANDLERS; i++)
		samara_uffd_put(t->handler[i]);
}

#endif
