/* SPDX-License-Identifier: MIT */
/*
 * Real threads for the scheduled ones. They are made once for a process and serve one schedule
 * after another: to make a thread costs more than a small schedule.
 *
 * A seat waits for its turn, a futex word. Its thread-local storage is put back to what it was
 * before it served. What a daemon was doing when its schedule ended is dropped (longjmp).
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <elf.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_SIZE (1UL << 20)

struct seat {
	unsigned int turn;   /* futex word: its thread may run */
	unsigned int parked; /* futex word: it serves no thread */
	bool dropped;        /* its thread shall not go on */
	jmp_buf home;
	struct thread *thread;
	char *tls, *tls_before; /* NULL for seat 0, until it is first put back */
};

static struct seat *seats; /* not in the program's data, which are put back as well (reset.c) */
static char *stacks;
static size_t tls_size;

static void word_set(unsigned int *word, unsigned int value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void word_await(unsigned int *word, unsigned int until)
{
	unsigned int value;

	while ((value = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != until)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* turns ------------------------------------------------------------------- */

void turn_give(const struct thread *t)
{
	word_set(&seats[t->id].turn, 1);
}

void turn_wait(const struct thread *t)
{
	struct seat *seat = &seats[t->id];

	word_await(&seat->turn, 1);
	seat->turn = 0;
	if (seat->dropped)
		longjmp(seat->home, 1);
}

/* thread-local storage ------------------------------------------------------ */

/* The program's own lies right below the thread pointer (x86-64: variant II). */
static void find_tls(void)
{
	const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
	const unsigned long count = getauxval(AT_PHNUM);

	for (unsigned long i = 0; i < count; i++) {
		if (header[i].p_type == PT_TLS)
			tls_size = (header[i].p_memsz + header[i].p_align - 1) &
				   ~(header[i].p_align - 1);
	}
}

static void tls_keep(struct seat *seat)
{
	seat->tls = (char *)__builtin_thread_pointer() - tls_size;
	seat->tls_before = malloc(tls_size + 1);
	if (!seat->tls_before)
		abort();
	memcpy(seat->tls_before, seat->tls, tls_size);
}

/* seats ------------------------------------------------------------------- */

static void *seat_main(void *arg)
{
	struct seat *seat = arg;

	tls_keep(seat);
	for (;;) {
		seat->dropped = false;
		word_set(&seat->parked, 1);
		word_await(&seat->turn, 1);
		seat->turn = 0;
		if (seat->dropped)
			continue; /* it never began */
		seat->parked = 0;
		if (!setjmp(seat->home))
			thread_serve(seat->thread);
	}
	return NULL;
}

void seats_prepare(void)
{
	find_tls();
	seats = lazy_memory(SEATS * sizeof(*seats));
	stacks = lazy_memory(SEATS * STACK_SIZE);
}

void seats_begin(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	tls_keep(&seats[0]);
	pthread_attr_init(&attr);
	for (unsigned int i = 1; i < SEATS; i++) {
		pthread_attr_setstack(&attr, stacks + i * STACK_SIZE, STACK_SIZE);
		if (pthread_create(&thread, &attr, seat_main, &seats[i]))
			abort();
	}
	for (unsigned int i = 1; i < SEATS; i++)
		word_await(&seats[i].parked, 1);
}

void seat_take(struct thread *t)
{
	if (t->id >= SEATS)
		fail(BROKEN, "more than %d threads", SEATS);
	seats[t->id].thread = t;
}

/* The schedule is over: all seats as they were. By the main thread. */
void seats_clear(void)
{
	for (unsigned int i = 1; i < SEATS; i++) {
		struct seat *seat = &seats[i];

		if (i < thread_count && threads[i]->state != THREAD_DONE) {
			seat->dropped = true;
			seat->parked = 0;
			word_set(&seat->turn, 1);
		}
		word_await(&seat->parked, 1);
	}
	for (unsigned int i = 0; i < SEATS; i++)
		memcpy(seats[i].tls, seats[i].tls_before, tls_size);
}
