/* SPDX-License-Identifier: MIT */
/* The first sections of threads for which the address space has no room (base/rcu_guest.c). */
#include "support/cmocka_all.h"
#include "support/forked.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/maple_tree.h>
#include <samara/mm.h>

#include "base/rcu.h"

#define THREADS 40 /* liburcu has room for 8, then for twice as many each time */
#define AREA 0x20000000UL
#define PAGE 4096UL

static struct maple_tree tree = MTREE_INIT(tree, MT_FLAGS_USE_RCU);
static struct samara_mm *mm;
static pthread_barrier_t made, full, done;
static unsigned int wrong, guests, read_over, freed;
static int limited = RLIMIT_AS;

static void check(bool right)
{
	if (!right)
		__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static void call(void)
{
	unsigned long at;
	char byte = 0;
	long n;

	check(mtree_load(&tree, 5) == &tree);
	n = samara_read(mm, AREA, &byte, 1, NULL);
	check((n == 1 && byte == 'x') || n == -ENOMEM);
	at = samara_mmap(mm, 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	check(!(at & (PAGE - 1)) || (long)at == -ENOMEM);
	check(!rcu_read_held());
	samara_rcu_read_lock();
	samara_rcu_read_lock();
	check(mtree_load(&tree, 5) == &tree && rcu_read_held());
	if (rcu_guest_depth == 2)
		__atomic_fetch_add(&guests, 1, __ATOMIC_RELAXED);
	samara_rcu_read_unlock();
	check(rcu_read_held());
	samara_rcu_read_unlock();
	check(!rcu_read_held());
}

static void *thread_main(void *arg)
{
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&full);
	call();
	pthread_barrier_wait(&done);
	return arg;
}

static void *guest_stays(void *arg)
{
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&full);
	samara_rcu_read_lock();
	check(rcu_guest_depth == 1);
	pthread_barrier_wait(&done);
	for (int i = 0; i < 20; i++) {
		usleep(1000);
		check(!__atomic_load_n(&freed, __ATOMIC_ACQUIRE));
	}
	__atomic_store_n(&read_over, 1, __ATOMIC_RELAXED);
	samara_rcu_read_unlock();
	return arg;
}

/* No more mappings; nothing that is there goes. */
static void fill(void)
{
	const struct rlimit limit = { PAGE, RLIM_INFINITY };

	check(!setrlimit(limited, &limit));
}

static void start(pthread_t *thread, unsigned int nr, void *(*fn)(void *))
{
	pthread_barrier_init(&made, NULL, nr + 1);
	pthread_barrier_init(&full, NULL, nr + 1);
	pthread_barrier_init(&done, NULL, nr + 1);
	for (unsigned int i = 0; i < nr; i++)
		check(!pthread_create(&thread[i], NULL, fn, NULL));
	pthread_barrier_wait(&made);
	fill();
	pthread_barrier_wait(&full);
	pthread_barrier_wait(&done);
}

static void many_threads(void *arg)
{
	static const struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct samara_machine *machine;
	pthread_t thread[THREADS];

	check(!samara_machine_create(NULL, &machine) && !samara_mm_create(machine, &mm));
	check(samara_mmap(mm, AREA, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) == AREA);
	check(samara_write(mm, AREA, "x", 1, NULL) == 1);
	check(!mtree_store(&tree, 5, &tree, GFP_KERNEL));
	start(thread, THREADS, thread_main);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	check(guests);
	/* With memory again everything can be given back, and the next thread registers. */
	check(!setrlimit(limited, &no_limit));
	samara_mm_exit(mm);
	samara_machine_destroy(machine);
	mtree_destroy(&tree);
	_exit(wrong ? 1 : 0);
}

static void a_writer(void *arg)
{
	pthread_t thread;

	start(&thread, 1, guest_stays);
	samara_rcu_synchronize();
	__atomic_store_n(&freed, 1, __ATOMIC_RELEASE);
	check(__atomic_load_n(&read_over, __ATOMIC_RELAXED));
	pthread_join(thread, NULL);
	_exit(wrong ? 1 : 0);
}

static unsigned long host_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long n = 0;

	check(f && fscanf(f, "%lu", &n) == 1);
	if (f)
		fclose(f);
	return n;
}

static void *reads(void *arg)
{
	samara_rcu_read_lock();
	samara_rcu_read_unlock();
	return arg;
}

static void one_after_another(unsigned int n)
{
	pthread_t thread;

	for (unsigned int i = 0; i < n; i++) {
		check(!pthread_create(&thread, NULL, reads, NULL));
		pthread_join(thread, NULL);
	}
}

/* The memory that a first section tries to get is at least 16 pages, and goes at once. */
static void many_first_sections(void *arg)
{
	unsigned long before;

	one_after_another(8);
	before = host_pages();
	one_after_another(200);
	check(host_pages() < before + 200UL * 16 / 4);
	_exit(wrong ? 1 : 0);
}

static void run(void (*fn)(void *))
{
	struct forked child;

	/* The sanitizers' run-time libraries map memory themselves, and end the process. */
	if (SAMARA_ASAN || !forked_may_have_threads())
		skip();
	run_forked(fn, NULL, &child);
	if (child.signal || child.status)
		print_message("%s", child.text);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
}

static void first_sections_without_memory_end_nothing(void **state)
{
	run(many_threads);
}

/* A limit of what may be written to, not of addresses. */
static void first_sections_without_data_end_nothing(void **state)
{
	limited = RLIMIT_DATA;
	run(many_threads);
	limited = RLIMIT_AS;
}

static void a_grace_period_waits_for_a_section_without_memory(void **state)
{
	run(a_writer);
}

static void first_sections_leave_no_memory_behind(void **state)
{
	run(many_first_sections);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_sections_without_memory_end_nothing),
		cmocka_unit_test(first_sections_without_data_end_nothing),
		cmocka_unit_test(first_sections_leave_no_memory_behind),
		cmocka_unit_test(a_grace_period_waits_for_a_section_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
