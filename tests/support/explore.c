/* SPDX-License-Identifier: MIT */
/* See explore.h. */
#include "support/explore.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "base/compiler.h"

#define STACK (64UL << 10)
#define RED_ZONE 256 /* below the frame that stops: what the compiler may use there */

void explore_point(const char *file, int line);
void futex_wait(unsigned int *word, unsigned int expected, int who, const struct timespec *timeout);
void futex_wake(unsigned int *word, int how_many, int who);
void explore_lock(unsigned int *word);
void explore_unlock(unsigned int *word);

enum status { READY, ASLEEP, DONE };

struct thread {
	jmp_buf at;
	enum status status;
	unsigned int *word; /* asleep on it, as who */
	int who;
	char *low; /* the live stack's lower end */
};

/* What a state is made of besides shared memory and stacks; no padding is left unset. */
static struct thread threads[EXPLORE_THREADS];
static struct place {
	const char *file;
	int line;
} where[EXPLORE_THREADS]; /* follows from the stack */
static char stacks[EXPLORE_THREADS][STACK] __aligned(64);
static const struct explore *run;
static unsigned int current;
static jmp_buf scheduler;
static const char *failure;
static unsigned long states;

bool explore_possible(void)
{
	return !SAMARA_ASAN && !SAMARA_TSAN && !SAMARA_UBSAN;
}

unsigned long explore_states(void)
{
	return states;
}

/* coroutines -------------------------------------------------------------- */

static __noinline void stop(enum status status)
{
	struct thread *self = &threads[current];

	self->status = status;
	self->low = (char *)__builtin_frame_address(0) - RED_ZONE;
	if (!_setjmp(self->at))
		_longjmp(scheduler, 1);
}

/* What earlier calls left below the stack's end would make equal states different. */
static __noinline void clean_below(void)
{
	volatile char below[2 * RED_ZONE];

	for (size_t i = 0; i < sizeof(below); i++)
		below[i] = 0;
}

static void stop_at(enum status status, const char *file, int line)
{
	where[current] = (struct place){ file, line };
	clean_below();
	stop(status);
}

void explore_point(const char *file, int line)
{
	if (run)
		stop_at(READY, file, line);
}

void futex_wait(unsigned int *word, unsigned int expected, int who, const struct timespec *timeout)
{
	(void)timeout;
	explore_point("futex_wait", 0);
	if (*(volatile unsigned int *)word != expected)
		return;
	threads[current].word = word;
	threads[current].who = who;
	stop_at(ASLEEP, "futex_wait", 0);
}

static void wake(const unsigned int *word, int how_many, int who)
{
	for (unsigned int i = 0; i < run->threads && how_many > 0; i++) {
		struct thread *t = &threads[i];

		if (t->status == ASLEEP && t->word == word && (t->who & who)) {
			t->status = READY;
			how_many--;
		}
	}
}

void futex_wake(unsigned int *word, int how_many, int who)
{
	explore_point("futex_wake", 0);
	wake(word, how_many, who);
}

void explore_lock(unsigned int *word)
{
	explore_point("lock", 0);
	while (*(volatile unsigned int *)word) {
		threads[current].word = word;
		threads[current].who = -1;
		stop_at(ASLEEP, "lock", 0);
	}
	*word = 1;
}

void explore_unlock(unsigned int *word)
{
	*word = 0;
	wake(word, EXPLORE_THREADS, -1);
}

void explore_fail(const char *why)
{
	failure = why;
	stop(DONE);
	abort();
}

static void main_of_thread(void)
{
	stop(READY);
	run->thread(current);
	stop_at(DONE, "end", 0);
}

static void start(unsigned int i)
{
	/* Static: what is live across _setjmp() must not be in a register. */
	static ucontext_t context, back;

	memset(stacks[i], 0, STACK);
	getcontext(&context);
	context.uc_stack.ss_sp = stacks[i];
	context.uc_stack.ss_size = STACK;
	context.uc_link = &back;
	makecontext(&context, main_of_thread, 0);
	current = i;
	if (!_setjmp(scheduler))
		setcontext(&context);
}

static __noinline void step(unsigned int i)
{
	current = i;
	if (!_setjmp(scheduler))
		_longjmp(threads[i].at, 1);
}

/* states ------------------------------------------------------------------ */

struct node {
	struct node *up;
	size_t size;
	unsigned int thread; /* whose step led here */
	unsigned int next;   /* to be tried from here */
	struct place place;  /* where it stopped then */
	bool asleep;
	char data[];
};

static size_t live(const struct thread *t, unsigned int i)
{
	return t->status == DONE ? 0 : (size_t)(stacks[i] + STACK - t->low);
}

static struct node *save(struct node *up, unsigned int thread)
{
	size_t size = sizeof(threads) + run->size;
	struct node *n;
	char *p;

	for (unsigned int i = 0; i < run->threads; i++) {
		struct thread *t = &threads[i];

		if (t->status != ASLEEP) {
			t->word = NULL;
			t->who = 0;
		}
		if (t->status == DONE)
			memset(t->at, 0, sizeof(t->at));
		size += live(t, i);
	}
	n = malloc(sizeof(*n) + size);
	if (!n)
		abort();
	*n = (struct node){ .up = up, .size = size, .thread = thread };
	n->place = where[thread];
	n->asleep = threads[thread].status == ASLEEP;
	p = n->data;
	memcpy(p, threads, sizeof(threads));
	p += sizeof(threads);
	memcpy(p, run->shared, run->size);
	p += run->size;
	for (unsigned int i = 0; i < run->threads; i++) {
		const size_t bytes = live(&threads[i], i);

		memcpy(p, stacks[i] + STACK - bytes, bytes);
		p += bytes;
	}
	return n;
}

static void restore(const struct node *n)
{
	const char *p = n->data;

	memcpy(threads, p, sizeof(threads));
	p += sizeof(threads);
	memcpy(run->shared, p, run->size);
	p += run->size;
	for (unsigned int i = 0; i < run->threads; i++) {
		const size_t bytes = live(&threads[i], i);

		memcpy(stacks[i] + STACK - bytes, p, bytes);
		p += bytes;
	}
}

/* Two independent halves: no two of a few million states have the same 128 bits by chance. */
struct hash {
	uint64_t a, b;
};

static struct hash hash_of(const struct node *n)
{
	struct hash h = { 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f };
	size_t i = 0;

	for (; i + 8 <= n->size; i += 8) {
		uint64_t x;

		memcpy(&x, n->data + i, 8);
		h.a = (h.a ^ x) * 0xff51afd7ed558ccd;
		h.a ^= h.a >> 32;
		h.b = (h.b + x) * 0xc4ceb9fe1a85ec53;
		h.b ^= h.b >> 29;
	}
	for (; i < n->size; i++) {
		h.a = (h.a ^ (unsigned char)n->data[i]) * 0x100000001b3;
		h.b = (h.b + (unsigned char)n->data[i]) * 0xff51afd7ed558ccd;
	}
	return h;
}

static struct hash *table;
static size_t slots;

static bool insert(struct hash h)
{
	size_t i = h.a & (slots - 1);

	while (table[i].a | table[i].b) {
		if (table[i].a == h.a && table[i].b == h.b)
			return false;
		i = (i + 1) & (slots - 1);
	}
	table[i] = h;
	return true;
}

static void grow(void)
{
	struct hash *old = table;
	const size_t before = slots;

	slots = before ? before * 4 : 1 << 16;
	table = calloc(slots, sizeof(*table));
	if (!table)
		abort();
	for (size_t i = 0; i < before; i++) {
		if (old[i].a | old[i].b)
			(void)insert(old[i]);
	}
	free(old);
}

/* search ------------------------------------------------------------------ */

static void print_path(const struct node *n)
{
	const char *base;

	if (!n->up)
		return;
	print_path(n->up);
	base = strrchr(n->place.file, '/');
	fprintf(stderr, "  thread %u %s %s:%d\n", n->thread, n->asleep ? "sleeps at" : "goes to",
		base ? base + 1 : n->place.file, n->place.line);
}

/* Nobody can go on: then all must be done. */
static bool stuck(void)
{
	bool asleep = false;

	for (unsigned int i = 0; i < run->threads; i++) {
		if (threads[i].status == READY)
			return false;
		asleep |= threads[i].status == ASLEEP;
	}
	return asleep;
}

/* The node below n by a step of thread i; NULL: that state is known, or i cannot go on. */
static struct node *follow(struct node *n, unsigned int i)
{
	struct node *below;

	restore(n);
	if (threads[i].status == DONE || (threads[i].status == ASLEEP && !run->spurious))
		return NULL;
	step(i);
	below = save(n, i);
	if (stuck())
		failure = "all threads that are not done sleep";
	if (!failure && !insert(hash_of(below))) {
		free(below);
		return NULL;
	}
	states++;
	return below;
}

static void search(struct node *top)
{
	while (top) {
		struct node *below = NULL;

		while (!below && top->next < run->threads)
			below = follow(top, top->next++);
		if (!failure && states > run->most_states)
			failure = "too many states";
		if (failure) {
			fprintf(stderr, "%s: %s, after\n", run->name, failure);
			print_path(below ? below : top);
			return;
		}
		if (below) {
			if (states > slots / 2)
				grow();
			top = below;
		} else {
			struct node *up = top->up;

			free(top);
			top = up;
		}
	}
}

bool explore(const struct explore *what)
{
	if (what->threads > EXPLORE_THREADS)
		abort();
	memset(threads, 0, sizeof(threads));
	memset(what->shared, 0, what->size);
	if (what->begin)
		what->begin();
	run = what;
	failure = NULL;
	states = 0;
	slots = 0;
	table = NULL;
	grow();
	for (unsigned int i = 0; i < what->threads; i++)
		start(i);
	search(save(NULL, 0));
	free(table);
	run = NULL;
	return !failure;
}
