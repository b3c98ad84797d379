/* SPDX-License-Identifier: MIT */
/*
 * Threads, of which one runs.
 *
 * They are real (seats.c), so that stacks and thread-local storage are what the library expects. At
 * yield points the running thread gives the turn away; a strategy (choose.c) says to which.
 *
 *   main    setup --- makes the others, waits ------------------------ check
 *   others            START ... yield points ... ends of keys, END
 *
 * Daemons (detached threads: the RCU worker) are scheduled like the others, and not waited for.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <stdio.h>

#define ALONE_STEPS_MAX 10000000

__thread struct thread *self;
struct thread *threads[THREADS_MAX];
unsigned int thread_count;
bool alone;

static struct thread *main_thread(void)
{
	return threads[0];
}

static bool all_ended(void)
{
	for (unsigned int i = 1; i < thread_count; i++) {
		if (!threads[i]->daemon && threads[i]->state != THREAD_DONE)
			return false;
	}
	return true;
}

bool thread_can_run(const struct thread *t)
{
	switch (t->state) {
	case THREAD_READY:
		return true;
	case THREAD_IN_GRACE:
		return grace_is_over(t);
	case THREAD_JOINS:
		return threads[t->joins]->state == THREAD_DONE;
	default:
		return false;
	}
}

static const char *state_text(const struct thread *t)
{
	switch (t->state) {
	case THREAD_SLEEPS:
		return "sleeps";
	case THREAD_IN_GRACE:
		return "waits for readers";
	case THREAD_JOINS:
		return "waits for a thread's end";
	default:
		return "is ready";
	}
}

static void fail_deadlock(void)
{
	char text[800];
	size_t n = 0;

	for (unsigned int i = 0; i < thread_count && n < sizeof(text); i++) {
		const struct thread *t = threads[i];
		char word[64];

		if (t->state == THREAD_DONE || (!i && !alone) || t->daemon)
			continue;
		describe_word(t->op.addr, word, sizeof(word));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "; %s %s at {0x%lx} (%s)",
				      t->name, state_text(t), t->op.place, word);
	}
	fail(DEADLOCK, "no thread can run%s", text);
}

/* Who runs next. */
static struct thread *choose_next(void)
{
	unsigned int ready = 0, reluctant = 0;

	if (alone ? thread_can_run(main_thread()) : all_ended())
		return main_thread();
	for (unsigned int i = !alone; i < thread_count; i++) {
		const struct thread *t = threads[i];

		if (thread_can_run(t) && !t->relaxed)
			ready |= 1U << i;
		else if (t->state == THREAD_NAPS || thread_can_run(t))
			reluctant |= 1U << i;
	}
	if (!(ready | reluctant))
		fail_deadlock();
	return choose_thread(ready, reluctant);
}

static void go_on_with(struct thread *next)
{
	struct thread *own = self;

	if (next == own)
		return;
	shared->switches++;
	turn_give(next);
	turn_wait(own);
}

/* steps ------------------------------------------------------------------- */

static void count_step(void)
{
	self->own_step++;
	if (alone)
		shared->alone_steps++;
	else
		shared->steps++;
	if (shared->steps > plan->max_steps || shared->alone_steps > ALONE_STEPS_MAX)
		fail(TOO_LONG, "%u steps, and no end; %s is at {0x%lx}", plan->max_steps,
		     self->name, self->op.place);
}

/* It runs: those that let it go first are its equals again. */
static void ran(void)
{
	static const struct thread *before;

	if (before != self)
		self->run_since = shared->steps;
	before = self;
	self->last_run = shared->steps;
	for (unsigned int i = 0; i < thread_count; i++) {
		if (threads[i] != self)
			threads[i]->relaxed = false;
	}
}

static void hash_add(uint64_t value)
{
	shared->hash = (shared->hash ^ value) * 0x100000001b3UL;
}

static void event_note(void)
{
	const struct op *op = &self->op;

	if (alone)
		return;
	hash_add(self->id + 1);
	if (!plan->events || shared->events == EVENTS_MAX)
		return;
	shared->event[shared->events++] = (struct event){
		.thread = self->id,
		.kind = op->kind,
		.size = op->size,
		.order = op->order,
		.addr = op->addr,
		.place = op->place,
		.caller = self->depth && self->depth <= CALLS_MAX ? self->call[self->depth - 1] : 0,
	};
}

void event_value(uint64_t value, unsigned int stale)
{
	if (alone)
		return;
	hash_add(value + stale);
	if (!plan->events || !shared->events || shared->events == EVENTS_MAX)
		return;
	shared->event[shared->events - 1].value = value;
	shared->event[shared->events - 1].stale = stale;
}

void yield_point(struct op op)
{
	if (!self)
		return;
	self->op = op;
	if (is_only_thread())
		return;
	count_step();
	if (!alone || self != main_thread())
		go_on_with(choose_next());
	ran();
	event_note();
}

void thread_block(enum thread_state state)
{
	self->state = state;
	count_step();
	go_on_with(choose_next());
	self->state = THREAD_READY;
	ran();
}

bool is_only_thread(void)
{
	return thread_count < 2;
}

/* begin and end ----------------------------------------------------------- */

static void run_key_ends(void);

void thread_serve(struct thread *t)
{
	self = t;
	ran();
	event_note();
	self->result = self->fn(self->arg);
	run_key_ends();
	yield_point((struct op){ .kind = OP_END });
	self->state = THREAD_DONE;
	turn_give(choose_next());
}

static struct thread *thread_add(const char *name)
{
	static struct thread all[THREADS_MAX];
	struct thread *t = &all[thread_count];

	t->id = thread_count;
	t->name = name;
	t->clock.t[t->id] = 1;
	seat_take(t);
	snprintf(shared->thread_name[t->id], sizeof(shared->thread_name[0]), "%s", name);
	threads[thread_count++] = t;
	return t;
}

struct thread *thread_new(const char *name, void *(*fn)(void *arg), void *arg)
{
	struct thread *t = thread_add(name);

	t->fn = fn;
	t->arg = arg;
	t->op = (struct op){ .kind = OP_START };
	clock_join(&t->clock, &self->clock);
	clock_tick(self);
	return t;
}

void threads_begin(void)
{
	self = thread_add("main");
	alone = true;
}

void threads_run(void)
{
	alone = false;
	go_on_with(choose_next());
	alone = true;
	for (unsigned int i = 1; i < thread_count; i++) {
		if (!threads[i]->daemon)
			clock_join(&self->clock, &threads[i]->clock);
	}
}

/* pthread_create(3), _join(3), keys: of the program (calls.h) ------------- */

int schedule_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg)
{
	int detached = PTHREAD_CREATE_JOINABLE;
	struct thread *t;

	if (attr)
		pthread_attr_getdetachstate(attr, &detached);
	t = thread_new(detached == PTHREAD_CREATE_DETACHED ? "worker" : "thread", fn, arg);
	t->daemon = detached == PTHREAD_CREATE_DETACHED;
	*thread = t->id; /* nothing but what is here knows the thread by it */
	yield_point(
		(struct op){ .kind = OP_CREATE, .place = (uintptr_t)__builtin_return_address(0) });
	return 0;
}

int schedule_pthread_join(pthread_t thread, void **result)
{
	const unsigned int i = (unsigned int)thread;

	if (!i || i >= thread_count || threads[i]->daemon)
		fail(BROKEN, "a thread is joined that there is not");
	yield_point(
		(struct op){ .kind = OP_JOIN, .place = (uintptr_t)__builtin_return_address(0) });
	self->joins = i;
	if (threads[i]->state != THREAD_DONE)
		thread_block(THREAD_JOINS);
	threads[i]->daemon = true; /* joined once */
	clock_join(&self->clock, &threads[i]->clock);
	if (result)
		*result = threads[i]->result;
	return 0;
}

int schedule_pthread_setname_np(pthread_t thread, const char *name)
{
	snprintf(shared->thread_name[thread], sizeof(shared->thread_name[0]), "%s", name);
	return 0;
}

/* fork(2) of the program: libc calls what is noted here, and forgets nothing by itself. */
static struct fork_handlers {
	void (*prepare)(void), (*parent)(void), (*child)(void);
} fork_handlers[4];
static unsigned int fork_handler_count;

int schedule_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (fork_handler_count == sizeof(fork_handlers) / sizeof(fork_handlers[0]))
		fail(BROKEN, "more than %u fork handlers", fork_handler_count);
	fork_handlers[fork_handler_count++] = (struct fork_handlers){ prepare, parent, child };
	return 0;
}

static void fork_prepare(void)
{
	for (unsigned int i = fork_handler_count; i-- > 0;)
		fork_handlers[i].prepare();
}

static void fork_parent(void)
{
	for (unsigned int i = 0; i < fork_handler_count; i++)
		fork_handlers[i].parent();
}

/* It has one thread, which nothing schedules. */
static void fork_child(void)
{
	self = NULL;
	for (unsigned int i = 0; i < fork_handler_count; i++)
		fork_handlers[i].child();
}

void threads_prepare(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* Keys are ours, so that what they call at a thread's end is scheduled. */
static void (*key_end[KEYS_MAX])(void *);
static bool key_used[KEYS_MAX];

int schedule_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
	for (unsigned int i = 0; i < KEYS_MAX; i++) {
		if (key_used[i])
			continue;
		key_used[i] = true;
		key_end[i] = end;
		*key = i;
		return 0;
	}
	fail(BROKEN, "more than %d keys", KEYS_MAX);
}

int schedule_pthread_key_delete(pthread_key_t key)
{
	key_used[key] = false;
	key_end[key] = NULL;
	return 0;
}

int schedule_pthread_setspecific(pthread_key_t key, const void *value)
{
	if (self)
		self->key[key] = (void *)value;
	return 0;
}

void *schedule_pthread_getspecific(pthread_key_t key)
{
	return self ? self->key[key] : NULL;
}

static void run_key_ends(void)
{
	bool again = true;

	for (int round = 0; again && round < 4; round++) {
		again = false;
		for (unsigned int i = 0; i < KEYS_MAX; i++) {
			void *value = self->key[i];

			self->key[i] = NULL;
			if (!value || !key_end[i])
				continue;
			key_end[i](value);
			again = true;
		}
	}
}
