/* SPDX-License-Identifier: MIT */
/*
 * Userfaultfds on both sides: what requests wrote, messages, which can be read, and the calls that
 * slept and are done. And all of it as text.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <samara/uffd_abi.h>

#include "check/check.h"

#define UNWRITTEN 99
#define NO_NUMBER (~UINT64_C(0))
/* The library has none of hugetlb pages. */
#define NOT_HERE (UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_HUGETLBFS)

/* text ------------------------------------------------------------------------------ */

struct text {
	char *at;
	size_t size;
};

static __attribute__((format(printf, 2, 3))) void say(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->size, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < t->size) {
		t->at += n;
		t->size -= (size_t)n;
	} else if (n > 0) {
		t->at += t->size - 1;
		t->size = 1;
	}
}

static void say_number(struct text *t, unsigned long value)
{
	char number[40];

	number_text(value, number, sizeof(number));
	say(t, " %s", number);
}

static void say_message(struct text *t, const struct wire_msg *m)
{
	switch (m->event) {
	case UFFD_EVENT_PAGEFAULT:
		say(t, "fault");
		say_number(t, m->arg[0]);
		say(t, "%s%s%s", m->arg[1] & UFFD_PAGEFAULT_FLAG_WRITE ? " write" : " read",
		    m->arg[1] & UFFD_PAGEFAULT_FLAG_WP ? " wp" : "",
		    m->arg[1] & UFFD_PAGEFAULT_FLAG_MINOR ? " minor" : "");
		if (m->arg[2])
			say(t, " by %ld", (long)m->arg[2] - 1);
		break;
	case UFFD_EVENT_FORK:
		say(t, "fork %ld", (long)m->arg[0]);
		break;
	case UFFD_EVENT_REMAP:
		say(t, "remap");
		for (int i = 0; i < 3; i++)
			say_number(t, m->arg[i]);
		break;
	default:
		say(t,
		    m->event == UFFD_EVENT_REMOVE ? "remove" :
		    m->event == UFFD_EVENT_UNMAP  ? "unmap" :
						    "event %#lx",
		    (unsigned long)m->event);
		say_number(t, m->arg[0]);
		say_number(t, m->arg[1]);
	}
}

static void say_messages(struct text *t, const struct wire_msg *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		say(t, i ? ", " : "");
		say_message(t, &m[i]);
	}
}

/* What a request wrote; a mode that has no such field leaves it. */
static void say_output(struct text *t, int32_t nr, const int64_t out[2])
{
	char text[40];

	if (nr == OP_SCAN) {
		say(t, "up to");
		say_number(t, (unsigned long)out[0]);
		say(t, " sum %#lx", (unsigned long)out[1]);
		return;
	}
	if (nr == OP_UFFD_API) {
		say(t, "features %#lx ioctls %#lx", (unsigned long)out[0], (unsigned long)out[1]);
		return;
	}
	if (out[0] == UNWRITTEN)
		return;
	answer_text((long)out[0], text, sizeof(text));
	say(t, "wrote %s", text);
}

static bool has_output(int32_t nr)
{
	return (nr <= OP_UFFD_API && nr >= OP_UFFD_WAKE) || nr == OP_SCAN;
}

static const struct wire_msg *msgs_of(const struct ours *o, const struct seen *seen)
{
	return (const struct wire_msg *)(const void *)(o->text.at + seen->uffd.msgs_at);
}

void seen_text(const struct ours *o, unsigned int i, char *buf, size_t size)
{
	const struct seen *const seen = &o->seen[i];
	struct text t = { buf, size };

	fault_text(&seen->fault, buf, size);
	if (seen->uffd.n_msgs)
		say_messages(&t, msgs_of(o, seen), seen->uffd.n_msgs);
	else if (seen->uffd.nr && has_output(seen->uffd.nr) && seen->ret != WIRE_ASLEEP &&
		 seen->uffd.out[0])
		say_output(&t, seen->uffd.nr, seen->uffd.out);
}

/* both sides ------------------------------------------------------------------------- */

static bool differ(struct difference *d, const char *what)
{
	snprintf(d->what, sizeof(d->what), "%s", what);
	return false;
}

static int by_fault(const void *a, const void *b)
{
	const struct wire_msg *const x = a, *const y = b;

	for (int i = 0; i < 3; i++)
		if (x->arg[i] != y->arg[i])
			return x->arg[i] < y->arg[i] ? -1 : 1;
	return 0;
}

void sort_faults(struct wire_msg *m, size_t n)
{
	size_t faults = 0;

	while (faults < n && m[faults].event == UFFD_EVENT_PAGEFAULT)
		faults++;
	qsort(m, faults, sizeof(*m), by_fault);
}

/* In the order in which they came, or as a set (ours_lanes.c), which the library's side is then. */
static bool same_messages(const struct wire_answer *host, const struct wire_msg *msgs,
			  const struct seen *seen, const struct wire_msg *ours,
			  struct difference *d)
{
	const size_t n = host->uffd.msgs.len < WIRE_MSGS ? host->uffd.msgs.len : WIRE_MSGS;
	const size_t n_ours = seen->uffd.n_msgs < WIRE_MSGS ? seen->uffd.n_msgs : WIRE_MSGS;
	struct text to[2] = { { d->host, sizeof(d->host) }, { d->ours, sizeof(d->ours) } };
	struct wire_msg a[WIRE_MSGS], b[WIRE_MSGS];

	memcpy(a, msgs, n * sizeof(*a));
	memcpy(b, ours, n_ours * sizeof(*b));
	if (seen->uffd.any_order)
		sort_faults(a, n);
	if (n == n_ours && !memcmp(a, b, n * sizeof(*a)))
		return true;
	say_messages(&to[0], a, n);
	say_messages(&to[1], b, n_ours);
	return differ(d, "what was read");
}

static bool same_output(const struct wire_answer *a, const struct seen *b, struct difference *d)
{
	const bool api = b->uffd.nr == OP_UFFD_API;
	struct text to[2] = { { d->host, sizeof(d->host) }, { d->ours, sizeof(d->ours) } };
	int64_t host[2] = { a->uffd.out[0], a->uffd.out[1] };

	if (api)
		host[0] &= ~(int64_t)NOT_HERE;
	if (host[0] == b->uffd.out[0] && host[1] == b->uffd.out[1])
		return true;
	say_output(&to[0], b->uffd.nr, host);
	say_output(&to[1], b->uffd.nr, b->uffd.out);
	return differ(d, "what the request wrote");
}

static void say_late(struct text *t, const struct wire_late *late, size_t n)
{
	char text[80];

	for (size_t i = 0; i < n; i++) {
		const struct samara_fault fault = { .addr = late[i].fault.at,
						    .signo = late[i].fault.signo,
						    .code = late[i].fault.code };

		answer_text((long)late[i].ret, text, sizeof(text));
		say(t, "%sprocess %u lane %u = %s", i ? ", " : "", late[i].cell / WIRE_LANES,
		    late[i].cell % WIRE_LANES, text);
		fault_text(&fault, text, sizeof(text));
		say(t, "%s%s", *text ? " " : "", text);
	}
	if (!n)
		say(t, "(none)");
}

static bool same_one_late(const struct wire_late *a, const struct wire_late *b)
{
	return a->cell == b->cell && a->ret == b->ret && a->fault.signo == b->fault.signo &&
	       a->fault.at == b->fault.at &&
	       same_code(a->fault.signo, a->fault.code, b->fault.code);
}

static bool same_late(const struct wire_late *a, size_t n, const struct wire_late *b, size_t m,
		      struct difference *d)
{
	struct text to[2] = { { d->host, sizeof(d->host) }, { d->ours, sizeof(d->ours) } };
	bool same = n == m;

	for (size_t i = 0; same && i < n; i++)
		same = same_one_late(&a[i], &b[i]);
	if (same)
		return true;
	say_late(&to[0], a, n);
	say_late(&to[1], b, m);
	return differ(d, "what had slept");
}

bool same_uffd(const struct host *h, const struct ours *o, unsigned int i, struct difference *d)
{
	const struct wire_answer *const a = host_answer(h, i);
	const struct seen *const b = &o->seen[i];
	const char *const text = (const char *)h->head;

	if (!o->begin.lanes)
		return true;
	if (!same_output(a, b, d) ||
	    !same_messages(a, (const void *)(text + a->uffd.msgs.at), b, msgs_of(o, b), d) ||
	    !same_late((const void *)(text + a->uffd.late.at), a->uffd.late.len,
		       (const void *)(o->text.at + b->uffd.late_at), b->uffd.n_late, d))
		return false;
	if (a->uffd.readable == b->uffd.readable)
		return true;
	snprintf(d->host, sizeof(d->host), "bits %#x", a->uffd.readable);
	snprintf(d->ours, sizeof(d->ours), "bits %#x", b->uffd.readable);
	return differ(d, "which userfaultfds can be read");
}
