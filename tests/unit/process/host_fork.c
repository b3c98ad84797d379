/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the host process beside threads that are inside calls: in the child every call on
 * the parent's machine refuses, at once, and changes nothing in the parent. The child can make a
 * machine of its own.
 */
#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/random.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/cpu.h>
#include <samara/file.h>
#include <samara/inject.h>
#include <samara/maple_tree.h>
#include <samara/mm.h>
#include <samara/notifier.h>
#include <samara/reclaim.h>

#include "core/mm.h"

#define AREA 0x20000000UL
#define PAGES 8
#define PAGE 4096UL
#define BUSY 3

static struct {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_file *file, *host, *device;
	struct samara_cpu *cpu;
	struct samara_notifier *notifier;
	struct samara_pin pin;
	unsigned int stop;
} w;

static void make_world(void)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops) };
	static const struct samara_notifier_ops nops;
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	int fd = memfd_create("host", MFD_CLOEXEC);

	memset(&w, 0, sizeof(w));
	cfg.ram_bytes = 64UL << 20;
	assert_int_equal(samara_machine_create(&cfg, &w.machine), 0);
	assert_int_equal(samara_mm_create(w.machine, &w.mm), 0);
	assert_int_equal(samara_file_shmem(w.machine, PAGES * PAGE, &w.file), 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	assert_int_equal(samara_file_from_fd(w.machine, fd, &w.host), 0);
	close(fd);
	assert_int_equal(samara_file_device(w.machine, &ops, NULL, &w.device), 0);
	assert_int_equal(samara_notifier_register(w.mm, &nops, NULL, &w.notifier), 0);
	assert_int_equal(samara_mmap(w.mm, AREA, PAGES * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 AREA);
	assert_int_equal(samara_write(w.mm, AREA, "parent's", 8, NULL), 8);
	assert_int_equal(samara_pin_pages(w.mm, AREA + PAGE, 1, SAMARA_PIN_WRITE, &w.pin), 1);
	assert_int_equal(samara_cpu_create(w.machine, &w.cpu), 0);
	samara_cpu_run(w.cpu, w.mm);
}

static void end_world(void)
{
	samara_cpu_destroy(w.cpu);
	samara_unpin_pages(&w.pin, 1, 0);
	samara_notifier_unregister(w.notifier);
	samara_mm_exit(w.mm);
	samara_file_put(w.file);
	samara_file_put(w.host);
	samara_file_put(w.device);
	samara_machine_destroy(w.machine);
	assert_int_equal(samara_live_objects(), 0);
}

/* Takes every lock there is. The naps let freed memory come back, which a fork would copy. */
static void *busy(void *arg)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	const unsigned long at = 0x40000000UL + (unsigned long)arg * (16UL << 20);
	struct samara_mm *child;

	while (!__atomic_load_n(&w.stop, __ATOMIC_RELAXED)) {
		if (samara_mmap(w.mm, at, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				w.host, 0) != at ||
		    samara_write(w.mm, at, "busy", 4, NULL) != 4 ||
		    samara_msync(w.mm, at, PAGE, MS_SYNC) || samara_fork(w.mm, &child) ||
		    samara_munmap(w.mm, at, 4 * PAGE))
			return "a busy call failed";
		samara_mm_exit(child);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

/* what a child does: 0, or the line that went wrong ------------------------------- */

#define REFUSED(call) \
	do { \
		if ((long)(call) != -ESRCH) \
			return __LINE__; \
	} while (0)

static int refused_calls_on_the_mm(void)
{
	struct samara_mm_memory memory = { .size = sizeof(memory) };
	struct samara_mm_stats stats = { .size = sizeof(stats) };
	struct samara_layout layout = { .size = sizeof(layout) };
	struct samara_vma_info info;
	struct samara_report report = { 0 };
	struct samara_notifier *n;
	static const struct samara_notifier_ops nops;
	struct samara_fault fault;
	struct samara_pin pin;
	unsigned long long entry;
	struct samara_mm *mm;
	unsigned char vec[1];
	uint64_t old = 0;
	char c = 0;

	REFUSED(samara_mmap(w.mm, 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0));
	REFUSED(samara_munmap(w.mm, AREA, PAGE));
	REFUSED(samara_mprotect(w.mm, AREA, PAGE, PROT_READ));
	REFUSED(samara_mremap(w.mm, AREA, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0));
	REFUSED(samara_madvise(w.mm, AREA, PAGE, MADV_DONTNEED));
	REFUSED(samara_mlock(w.mm, AREA, PAGE));
	REFUSED(samara_mlock2(w.mm, AREA, PAGE, 0));
	REFUSED(samara_munlock(w.mm, AREA, PAGE));
	REFUSED(samara_mlockall(w.mm, MCL_CURRENT));
	REFUSED(samara_munlockall(w.mm));
	REFUSED(samara_mseal(w.mm, AREA, PAGE, 0));
	REFUSED(samara_msync(w.mm, AREA, PAGE, MS_SYNC));
	REFUSED(samara_mincore(w.mm, AREA, PAGE, vec));
	REFUSED(samara_remap_file_pages(w.mm, AREA, PAGE, 0, 0, 0));
	REFUSED(samara_brk(w.mm, 0));
	REFUSED(samara_set_rlimit(w.mm, 0, 0, 0));
	REFUSED(samara_set_caps(w.mm, 0));
	REFUSED(samara_set_oom_score_adj(w.mm, 0));
	REFUSED(samara_set_touch_policy(w.mm, SAMARA_TOUCH_EXPLICIT));
	REFUSED(samara_get_layout(w.mm, &layout));
	REFUSED(samara_set_layout(w.mm, &layout));
	REFUSED(samara_touch(w.mm, AREA, PAGE, PROT_READ));
	REFUSED(samara_vma_next(w.mm, 0, &info));
	REFUSED(samara_vma_next_copy(w.mm, 0, &info, &c, 1));
	REFUSED(samara_print_maps(w.mm, 1));
	REFUSED(samara_print_smaps(w.mm, 1));
	REFUSED(samara_mm_print_tree(w.mm, 1));
	REFUSED(samara_mm_stats(w.mm, &stats));
	REFUSED(samara_mm_memory(w.mm, &memory));
	REFUSED(samara_mm_validate(w.mm, &report));
	REFUSED(samara_read(w.mm, AREA, &c, 1, &fault));
	REFUSED(samara_write(w.mm, AREA, &c, 1, &fault));
	REFUSED(samara_fetch(w.mm, AREA, &c, 1, &fault));
	REFUSED(samara_cmpxchg(w.mm, AREA, 8, &old, 1, &fault));
	REFUSED(samara_pin_pages(w.mm, AREA, 1, 0, &pin));
	REFUSED(samara_pagemap(w.mm, AREA, 1, &entry));
	REFUSED(samara_fork(w.mm, &mm));
	REFUSED(samara_notifier_register(w.mm, &nops, NULL, &n));
	return 0;
}

static int refused_calls_on_files(void)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops) };
	struct samara_file *file;
	struct samara_cpu *cpu;
	struct samara_mm *mm;
	unsigned long frame;
	char c = 0;

	REFUSED(samara_mm_create(w.machine, &mm));
	REFUSED(samara_cpu_create(w.machine, &cpu));
	REFUSED(samara_set_overcommit(w.machine, SAMARA_OVERCOMMIT_NEVER));
	REFUSED(samara_committed_pages(w.machine));
	REFUSED(samara_file_from_fd(w.machine, 0, &file));
	REFUSED(samara_file_shmem(w.machine, PAGE, &file));
	REFUSED(samara_file_memfd(w.machine, "m", PAGE, &file));
	REFUSED(samara_file_sysv(w.machine, 1, 1, PAGE, &file));
	REFUSED(samara_file_device(w.machine, &ops, NULL, &file));
	REFUSED(samara_file_set_length(w.host, 0));
	REFUSED(samara_file_punch_hole(w.host, 0, PAGE));
	REFUSED(samara_file_pread(w.file, &c, 1, 0));
	REFUSED(samara_file_pwrite(w.file, &c, 1, 0));
	REFUSED(samara_file_sync(w.host));
	REFUSED(samara_device_alloc(w.device, 0, &frame));
	samara_file_unmap_pages(w.file, 0, PAGES);
	return samara_device_bytes(w.device, 1) ? __LINE__ : 0;
}

/* The parent's CPU finds nothing any more; then it runs an mm of the child's. */
static int cpu_of_the_parent(struct samara_mm *own)
{
	struct samara_fault fault = { 0 };
	int line = 0;

	samara_cpu_enter(w.cpu);
	if (samara_cpu_lookup(w.cpu, AREA, SAMARA_ACCESS_WRITE) ||
	    samara_cpu_miss(w.cpu, AREA, SAMARA_ACCESS_WRITE, &fault))
		line = __LINE__;
	samara_cpu_exit(w.cpu);
	if (!line && (fault.signo || fault.code != -ESRCH))
		line = __LINE__;
	samara_cpu_run(w.cpu, own);
	samara_cpu_enter(w.cpu);
	if (!line && !samara_cpu_miss(w.cpu, AREA, SAMARA_ACCESS_WRITE, &fault))
		line = __LINE__;
	samara_cpu_exit(w.cpu);
	samara_cpu_destroy(w.cpu);
	return line;
}

static int machine_of_its_own(void)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_mm *mm, *child;
	struct samara_file *file;
	int line;

	cfg.ram_bytes = 1UL << 20;
	if (samara_machine_create(&cfg, &machine) || samara_mm_create(machine, &mm) ||
	    samara_file_shmem(machine, PAGE, &file) ||
	    samara_mmap(mm, AREA, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) != AREA ||
	    samara_write(mm, AREA, "own", 3, NULL) != 3 || samara_fork(mm, &child) ||
	    samara_write(child, AREA, "two", 3, NULL) != 3)
		return __LINE__;
	line = cpu_of_the_parent(mm);
	samara_mm_exit(child);
	samara_mm_exit(mm);
	samara_file_put(file);
	samara_machine_destroy(machine);
	return line;
}

/* Before the child maps anything that could lie in their place. */
static int frames_are_not_mapped(void)
{
	unsigned char in_core;

	errno = 0;
	return mincore(w.pin.host, PAGE, &in_core) == -1 && errno == ENOMEM ? 0 : __LINE__;
}

static int everything(void)
{
	int line = frames_are_not_mapped();
	unsigned long refs;

	line = line ? line : refused_calls_on_the_mm();
	line = line ? line : refused_calls_on_files();
	line = line ? line : machine_of_its_own();
	/* What the parent's machine is made of stays. */
	refs = refcount_read(&w.machine->refs);
	samara_unpin_pages(&w.pin, 1, 1);
	if (!line && refcount_read(&w.machine->refs) != refs)
		line = __LINE__;
	samara_notifier_unregister(w.notifier);
	samara_mm_exit(w.mm);
	samara_file_put(samara_file_get(w.file));
	samara_file_put(w.host);
	samara_machine_destroy(w.machine);
	return line;
}

/* Exit status 0 if fn() found nothing; no child lives for longer than a minute. */
static void in_child(int (*fn)(void), int round)
{
	int status, line;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		line = fn();
		if (line)
			dprintf(2, "host_fork.c:%d in child %d\n", line, round);
		_exit(line ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_parent(void)
{
	unsigned char in_core;
	char text[8];

	assert_int_equal(mincore(w.pin.host, PAGE, &in_core), 0);
	assert_int_equal(samara_read(w.mm, AREA, text, 8, NULL), 8);
	assert_memory_equal(text, "parent's", 8);
	assert_int_equal(samara_mm_validate(w.mm, NULL), 0);
}

static void children_of_a_busy_process_are_refused(void **state)
{
	/* A fork can take 0.1 s of waiting for a CPU and for copies of what the threads write. */
	const int rounds = test_full() ? 1000 / (int)test_slowdown() : 12;
	pthread_t thread[BUSY];
	void *failure;

	if (!forked_may_have_threads())
		skip();
	make_world();
	for (unsigned long i = 0; i < BUSY; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, busy, (void *)i), 0);
	for (int i = 0; i < rounds; i++)
		in_child(everything, i);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < BUSY; i++) {
		pthread_join(thread[i], &failure);
		assert_null(failure);
	}
	check_parent();
	end_world();
}

static int grandchild(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(everything() ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && !status ? 0 : __LINE__;
}

static void grandchildren_are_refused_too(void **state)
{
	if (!forked_may_have_threads())
		skip();
	make_world();
	in_child(grandchild, 0);
	check_parent();
	end_world();
}

/* A tree that nobody was writing is the child's, whole. */
static struct maple_tree tree = MTREE_INIT(tree, MT_FLAGS_USE_RCU);

static int use_tree(void)
{
	for (unsigned long i = 0; i < 300; i++) {
		if (mtree_load(&tree, i * 10) != &tree || mtree_erase(&tree, i * 10) != &tree ||
		    mtree_store(&tree, i * 10 + 5, &tree, GFP_KERNEL))
			return __LINE__;
	}
	mtree_destroy(&tree);
	return samara_live_objects() ? __LINE__ : 0;
}

static struct maple_tree others = MTREE_INIT(others, MT_FLAGS_USE_RCU);

static void *busy_tree(void *arg)
{
	const struct timespec nap = { .tv_nsec = 100000 };
	const unsigned long base = (unsigned long)arg * 1000;

	while (!__atomic_load_n(&w.stop, __ATOMIC_RELAXED)) {
		for (unsigned long i = 0; i < 1000; i += 7)
			(void)!mtree_store(&others, base + i, &tree, GFP_KERNEL);
		for (unsigned long i = 0; i < 1000; i += 7)
			mtree_erase(&others, base + i);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int use_tree_only(void)
{
	int line = 0;

	for (unsigned long i = 0; i < 300 && !line; i++) {
		if (mtree_load(&tree, i * 10) != &tree || mtree_erase(&tree, i * 10) != &tree ||
		    mtree_store(&tree, i * 10 + 5, &tree, GFP_KERNEL))
			line = __LINE__;
	}
	mtree_destroy(&tree);
	/* Waits for all that was deferred. What the others were using is not counted here. */
	samara_live_objects();
	return line;
}

static void a_tree_is_usable_in_the_child(void **state)
{
	pthread_t thread[BUSY];

	for (unsigned long i = 0; i < 300; i++)
		assert_int_equal(mtree_store(&tree, i * 10, &tree, GFP_KERNEL), 0);
	in_child(use_tree, 0);
	if (!forked_may_have_threads())
		goto out;
	w.stop = 0;
	for (unsigned long i = 0; i < BUSY; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, busy_tree, (void *)i), 0);
	for (int i = 0; i < (test_full() ? 1000 / (int)test_slowdown() : 6); i++)
		in_child(use_tree_only, i);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < BUSY; i++)
		pthread_join(thread[i], NULL);
out:
	mtree_destroy(&tree);
	mtree_destroy(&others);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grandchildren_are_refused_too),
		cmocka_unit_test(children_of_a_busy_process_are_refused),
		cmocka_unit_test(a_tree_is_usable_in_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
