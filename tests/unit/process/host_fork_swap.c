/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process while a machine reclaims: its own thread is awake, pages leave and
 * come back, an area is switched on and off. The child has no such thread. It is refused all that
 * has to do with the parent's swap areas, and a machine of its own reclaims by a thread of its own.
 */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/own_threads.h"
#include "support/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/inject.h>
#include <samara/mm.h>
#include <samara/reclaim.h>

#include "base/compiler.h"

#define RECLAIMER "samara-reclaim"
#define AREA 0x20000000UL
#define PAGE 4096UL
#define RAM (1UL << 20)
#define PAGES (3 * RAM / PAGE) /* of each thread */
#define BUSY 2UL

static struct {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_swap *swap, *own; /* own: the embedder's backend */
	unsigned char disk[64][PAGE];
	unsigned int stop;
} w;

static int read_slot(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	memcpy(page, w.disk[slot], PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	memcpy(w.disk[slot], page, PAGE);
	return 0;
}

static const struct samara_swap_ops ops = {
	.size = sizeof(ops),
	.read = read_slot,
	.write = write_slot,
};

static struct samara_machine *small_machine(struct samara_mm **mm, struct samara_swap **swap)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;

	config.ram_bytes = RAM;
	if (samara_machine_create(&config, &machine) || samara_mm_create(machine, mm) ||
	    samara_swapon_compressed(machine, 16 * RAM, "lz4", swap))
		return NULL;
	return machine;
}

/* What thread nr has, written or compared. */
static bool write_all(struct samara_mm *mm, unsigned long nr)
{
	const unsigned long start = AREA + nr * PAGES * PAGE;

	for (unsigned long at = start; at < start + PAGES * PAGE; at += PAGE)
		if (samara_write(mm, at, &at, sizeof(at), NULL) != sizeof(at))
			return false;
	return true;
}

static bool is_written(struct samara_mm *mm, unsigned long nr)
{
	const unsigned long start = AREA + nr * PAGES * PAGE;
	unsigned long value;

	for (unsigned long at = start; at < start + PAGES * PAGE; at += PAGE)
		if (samara_read(mm, at, &value, sizeof(value), NULL) != sizeof(value) ||
		    value != at)
			return false;
	return true;
}

static bool map_all(struct samara_mm *mm)
{
	return samara_mmap(mm, AREA, BUSY * PAGES * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) == AREA;
}

static void *busy(void *arg)
{
	const unsigned long nr = (unsigned long)arg;

	while (!__atomic_load_n(&w.stop, __ATOMIC_RELAXED))
		if (!write_all(w.mm, nr) || !is_written(w.mm, nr))
			return "a page was lost";
	return NULL;
}

static void *on_and_off(void *arg)
{
	while (!__atomic_load_n(&w.stop, __ATOMIC_RELAXED))
		if (samara_swapon_ops(w.machine, &ops, NULL, 64, 0, &w.own) ||
		    samara_swapoff(w.own))
			return "an area is not switched on, or off";
	return arg;
}

/* what a child does: 0, or the line that went wrong ------------------------------- */

#define REFUSED(call) \
	do { \
		if ((long)(call) != -ESRCH) \
			return __LINE__; \
	} while (0)

static int refused_calls(void)
{
	struct samara_machine_memory memory = { .size = sizeof(memory) };
	struct samara_swap *swap;

	REFUSED(samara_swapon(w.machine, 0, 0, &swap));
	REFUSED(samara_swapon_ops(w.machine, &ops, NULL, 64, 0, &swap));
	REFUSED(samara_swapon_compressed(w.machine, RAM, "lz4", &swap));
	REFUSED(samara_swapoff(w.swap));
	REFUSED(samara_print_swaps(w.machine, 1));
	REFUSED(samara_reclaim(w.machine, 1));
	REFUSED(samara_compact(w.machine, 0));
	REFUSED(samara_migrate_pages(w.mm, AREA, 1));
	REFUSED(samara_memory_failure(w.machine, 1, 0));
	REFUSED(samara_machine_memory(w.machine, &memory));
	REFUSED(samara_machine_validate(w.machine, NULL));
	REFUSED(samara_print_meminfo(w.machine, 1));
	REFUSED(samara_print_vmstat(w.machine, 1));
	samara_set_oom(w.machine, NULL, NULL);
	return 0;
}

static int machine_of_its_own(void)
{
	struct samara_swap *swap;
	struct samara_mm *mm;
	struct samara_machine *machine = small_machine(&mm, &swap);

	if (!machine || !map_all(mm) || !write_all(mm, 0) || !is_written(mm, 0) ||
	    samara_machine_validate(machine, NULL))
		return __LINE__;
	if (!own_threads_become(RECLAIMER, 1))
		return __LINE__;
	if (samara_munmap(mm, AREA, BUSY * PAGES * PAGE) || samara_swapoff(swap))
		return __LINE__;
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
	return own_threads_become(RECLAIMER, 0) ? 0 : __LINE__;
}

static int everything(void)
{
	int line = own_threads(RECLAIMER) ? __LINE__ : refused_calls();

	line = line ? line : machine_of_its_own();
	samara_mm_exit(w.mm);
	samara_machine_destroy(w.machine);
	return line;
}

/* No child lives for longer than a minute. */
static void fork_one(int round)
{
	int status, line;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		line = everything();
		if (line)
			dprintf(2, "host_fork_swap.c:%d in child %d\n", line, round);
		_exit(line ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_process_whose_machine_reclaims_may_fork(void **state)
{
	const int rounds = test_full() ? 200 / (int)test_slowdown() : 8;
	pthread_t thread[BUSY], switcher;
	void *failure;

	(void)state;
	/* The address sanitizer's allocator stays locked in a child if a thread was in it. */
	if (SAMARA_ASAN || !forked_may_have_threads())
		skip();
	w.machine = small_machine(&w.mm, &w.swap);
	assert_non_null(w.machine);
	assert_true(map_all(w.mm));
	for (unsigned long i = 0; i < BUSY; i++) {
		assert_true(write_all(w.mm, i));
		assert_int_equal(pthread_create(&thread[i], NULL, busy, (void *)i), 0);
	}
	assert_int_equal(pthread_create(&switcher, NULL, on_and_off, NULL), 0);
	for (int i = 0; i < rounds; i++) {
		assert_true(own_threads_become(RECLAIMER, 1));
		fork_one(i);
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	for (unsigned long i = 0; i < BUSY; i++) {
		pthread_join(thread[i], &failure);
		assert_null(failure);
		assert_true(is_written(w.mm, i));
	}
	pthread_join(switcher, &failure);
	assert_null(failure);
	assert_int_equal(samara_mm_validate(w.mm, NULL), 0);
	assert_int_equal(samara_machine_validate(w.machine, NULL), 0);
	samara_mm_exit(w.mm);
	assert_int_equal(samara_swapoff(w.swap), 0);
	samara_machine_destroy(w.machine);
	assert_true(own_threads_become(RECLAIMER, 0));
	assert_int_equal(samara_live_objects(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_whose_machine_reclaims_may_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
