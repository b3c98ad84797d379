/* SPDX-License-Identifier: MIT */
/*
 * Notifiers: who is called, in which order, and what registering and unregistering wait for.
 */
#include <errno.h>
#include <sched.h>

#include "space.h"

#include "mmu/notifier.h"
#include "support/at_locks.h"
#include "support/random.h"

#define LOG_MAX 32

struct log {
	unsigned int n;
	struct {
		char what; /* 's'tart, 'e'nd, 'r'elease */
		char who;
		unsigned long start;
	} call[LOG_MAX];
};

struct listener {
	struct log *log;
	char who;
};

static void note(void *priv, char what, unsigned long start)
{
	struct listener *l = priv;

	if (l->log->n == LOG_MAX)
		return;
	l->log->call[l->log->n].what = what;
	l->log->call[l->log->n].who = l->who;
	l->log->call[l->log->n++].start = start;
}

static void on_start(const struct samara_notifier_range *range, void *priv)
{
	note(priv, 's', range->start);
}

static void on_end(const struct samara_notifier_range *range, void *priv)
{
	note(priv, 'e', range->start);
}

static void on_release(struct samara_mm *mm, void *priv)
{
	(void)mm;
	note(priv, 'r', 0);
}

static const struct samara_notifier_ops all = { on_start, on_end, on_release };
static const struct samara_notifier_ops ends_only = { .end = on_end };

/* "sA eA": what was called, in order. Forgets it. */
static void expect(struct log *log, const char *text)
{
	char said[4 * LOG_MAX + 1] = "";

	for (unsigned int i = 0; i < log->n; i++) {
		const char word[] = { ' ', log->call[i].what, log->call[i].who, 0 };

		memcpy(said + 3 * i, word, sizeof(word));
	}
	assert_string_equal(log->n ? said + 1 : said, text);
	log->n = 0;
}

static struct samara_notifier_range range_at(struct space *s, unsigned long start)
{
	return (struct samara_notifier_range){
		.mm = s->mm, .start = start, .end = start + PAGE, .why = SAMARA_NOTIFY_CLEAR
	};
}

static void change(struct space *s, unsigned long start)
{
	struct samara_notifier_range range = range_at(s, start);

	notifier_start(s->mm, &range);
	notifier_end(s->mm, &range);
}

static struct samara_notifier *listen(struct space *s, const struct samara_notifier_ops *ops,
				      void *priv)
{
	struct samara_notifier *n;

	assert_int_equal(samara_notifier_register(s->mm, ops, priv, &n), 0);
	return n;
}

static void they_are_called_in_the_order_of_registration(void **state)
{
	struct log log = { 0 };
	struct listener a = { &log, 'A' }, b = { &log, 'B' }, c = { &log, 'C' };
	struct samara_notifier *na, *nb, *nc;
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	change(&s, 0);
	expect(&log, "");
	na = listen(&s, &all, &a);
	nb = listen(&s, &ends_only, &b);
	nc = listen(&s, &all, &c);
	change(&s, PAGE);
	assert_int_equal(log.call[0].start, PAGE);
	expect(&log, "sA sC eA eB eC");
	samara_notifier_unregister(na);
	change(&s, 0);
	expect(&log, "sC eB eC");
	samara_notifier_unregister(nc);
	samara_notifier_unregister(nb);
	samara_notifier_unregister(NULL);
	change(&s, 0);
	expect(&log, "");
	space_down(&s);
}

static void pairs_nest_and_overlap(void **state)
{
	struct log log = { 0 };
	struct listener a = { &log, 'A' };
	struct samara_notifier_range outer, inner;
	struct samara_notifier *n;
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	n = listen(&s, &all, &a);
	outer = range_at(&s, 0);
	inner = range_at(&s, PAGE);
	notifier_start(s.mm, &outer);
	notifier_start(s.mm, &inner);
	notifier_end(s.mm, &outer);
	notifier_end(s.mm, &inner);
	assert_int_equal(log.call[1].start, PAGE);
	assert_int_equal(log.call[2].start, 0);
	expect(&log, "sA sA eA eA");
	samara_notifier_unregister(n); /* nothing is open any more */
	space_down(&s);
}

static void release_tells_each_and_ends_it(void **state)
{
	struct log log = { 0 };
	struct listener a = { &log, 'A' }, b = { &log, 'B' };
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	notifier_release_all(s.mm);
	listen(&s, &all, &a);
	listen(&s, &ends_only, &b);
	listen(&s, &all, &b);
	notifier_release_all(s.mm);
	expect(&log, "sA sB eA eB eB rA rB");
	change(&s, 0);
	expect(&log, "");
	space_down(&s);
}

/* Two that come and go at once would wait for the same phase. */
static void a_phase_begins_under_the_lock(void **state)
{
	struct samara_notifier *n;
	struct log log = { 0 };
	struct listener a = { &log, 'A' };
	struct space s;

	(void)state;
	if (!at_locks_available())
		skip();
	space_up(&s, samara_geometry_x86_64());
	guard_add(&s.mm->watch.notifiers_lock, &s.mm->watch.notifier_seq,
		  sizeof(s.mm->watch.notifier_seq), "the phase");
	guard_add(&s.mm->watch.notifiers_lock, &s.mm->watch.notifiers,
		  sizeof(s.mm->watch.notifiers), "the list");
	n = listen(&s, &all, &a);
	listen(&s, &all, &a);
	samara_notifier_unregister(n);
	n = listen(&s, &all, &a);
	samara_notifier_unregister(n);
	notifier_release_all(s.mm);
	guard_end();
	space_down(&s);
}

static void a_refused_registration_is_none(void **state)
{
	struct samara_notifier *n = NULL;
	struct space s;

	(void)state;
	space_up(&s, samara_geometry_x86_64());
	samara_inject_nth(1);
	assert_int_equal(samara_notifier_register(s.mm, &all, NULL, &n), -ENOMEM);
	samara_inject_nth(0);
	assert_null(n);
	assert_null(s.mm->watch.notifiers);
	space_down(&s);
}

/* waiting ----------------------------------------------------------------------- */

struct meeting {
	struct space s;
	struct log log;
	struct samara_notifier *notifier;
	int inside, go, ended, registered; /* in the order of time; atomic */
};

static void await(const int *flag)
{
	while (!smp_load_acquire(flag))
		sched_yield();
}

static void *register_now(void *arg)
{
	struct meeting *m = arg;
	static struct listener a;

	a = (struct listener){ &m->log, 'A' };
	if (samara_notifier_register(m->s.mm, &all, &a, &m->notifier))
		return NULL;
	/* The pair that was open when we came is over. */
	smp_store_release(&m->registered, smp_load_acquire(&m->ended) ? 1 : -1);
	return m;
}

static void registering_waits_for_open_pairs_and_is_spared_their_end(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct meeting m = { .inside = 0 };
		struct samara_notifier_range range;
		pthread_t thread;
		void *ok;

		space_up(&m.s, samara_geometry_x86_64());
		range = range_at(&m.s, 0);
		notifier_start(m.s.mm, &range);
		assert_int_equal(pthread_create(&thread, NULL, register_now, &m), 0);
		/* It is on the list, and waits. */
		while (!READ_ONCE(m.s.mm->watch.notifiers) ||
		       !READ_ONCE(m.s.mm->watch.notifier_seq))
			sched_yield();
		change(&m.s, PAGE); /* a later pair is told to it already */
		smp_store_release(&m.ended, 1);
		notifier_end(m.s.mm, &range);
		pthread_join(thread, &ok);
		assert_non_null(ok);
		assert_int_equal(m.registered, 1);
		expect(&m.log, "sA eA");
		samara_notifier_unregister(m.notifier);
		space_down(&m.s);
	}
}

static void slow_start(const struct samara_notifier_range *range, void *priv)
{
	struct meeting *m = priv;

	(void)range;
	smp_store_release(&m->inside, 1);
	await(&m->go);
	for (int i = 0; i < 20000; i++)
		cpu_relax();
	smp_store_release(&m->ended, 1);
}

static const struct samara_notifier_ops slow = { .start = slow_start };

static void *change_now(void *arg)
{
	struct meeting *m = arg;

	change(&m->s, 0);
	return NULL;
}

static void unregistering_waits_for_the_callback(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct meeting m = { .inside = 0 };
		pthread_t thread;

		space_up(&m.s, samara_geometry_x86_64());
		m.notifier = listen(&m.s, &slow, &m);
		assert_int_equal(pthread_create(&thread, NULL, change_now, &m), 0);
		await(&m.inside);
		smp_store_release(&m.go, 1);
		if (round & 1)
			samara_notifier_unregister(m.notifier);
		else
			notifier_release_all(m.s.mm);
		assert_int_equal(smp_load_acquire(&m.ended), 1);
		pthread_join(thread, NULL);
		space_down(&m.s);
	}
}

/* everything at once ---------------------------------------------------------------- */

#define CHANGERS 2

struct storm {
	struct space s;
	bool stop;
};

/* What one registration has heard. It lives on the heap, so that a call after the end is seen. */
struct heard {
	long open;
	unsigned long wrong, starts;
};

static void heard_start(const struct samara_notifier_range *range, void *priv)
{
	struct heard *h = priv;

	(void)range;
	__atomic_fetch_add(&h->open, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->starts, 1, __ATOMIC_RELAXED);
}

static void heard_end(const struct samara_notifier_range *range, void *priv)
{
	struct heard *h = priv;

	(void)range;
	if (__atomic_fetch_sub(&h->open, 1, __ATOMIC_RELAXED) <= 0)
		__atomic_fetch_add(&h->wrong, 1, __ATOMIC_RELAXED);
}

static const struct samara_notifier_ops hearing = { heard_start, heard_end, NULL };

static void *keep_changing(void *arg)
{
	struct storm *t = arg;

	while (!smp_load_acquire(&t->stop)) {
		struct samara_notifier_range outer = range_at(&t->s, 0);

		notifier_start(t->s.mm, &outer);
		change(&t->s, PAGE);
		notifier_end(t->s.mm, &outer);
		sched_yield(); /* rather here than in a pair, where others wait for us */
	}
	return NULL;
}

static void each_end_has_its_start_while_notifiers_come_and_go(void **state)
{
	const unsigned long rounds = 100 / test_slowdown() + 20;
	struct storm t = { .stop = false };
	pthread_t thread[CHANGERS];

	(void)state;
	space_up(&t.s, samara_geometry_x86_64());
	for (int i = 0; i < CHANGERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, keep_changing, &t), 0);
	for (unsigned long i = 0; i < rounds; i++) {
		struct heard *h[2];
		struct samara_notifier *n[2];

		for (int k = 0; k < 2; k++) {
			h[k] = calloc(1, sizeof(*h[k]));
			assert_non_null(h[k]);
			n[k] = listen(&t.s, &hearing, h[k]);
		}
		while (!READ_ONCE(h[i & 1]->starts)) /* so that something does happen */
			sched_yield();
		for (int k = 0; k < 2; k++) {
			samara_notifier_unregister(n[k]);
			assert_int_equal(h[k]->wrong, 0);
			free(h[k]);
		}
	}
	smp_store_release(&t.stop, true);
	for (int i = 0; i < CHANGERS; i++)
		pthread_join(thread[i], NULL);
	space_down(&t.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_called_in_the_order_of_registration),
		cmocka_unit_test(pairs_nest_and_overlap),
		cmocka_unit_test(release_tells_each_and_ends_it),
		cmocka_unit_test(a_phase_begins_under_the_lock),
		cmocka_unit_test(a_refused_registration_is_none),
		cmocka_unit_test(registering_waits_for_open_pairs_and_is_spared_their_end),
		cmocka_unit_test(unregistering_waits_for_the_callback),
		cmocka_unit_test(each_end_has_its_start_while_notifiers_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
