/* SPDX-License-Identifier: MIT */
/*
 * Accesses that do not sleep: the handler is told once, and they succeed later.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/cpu.h>
#include <samara/inject.h>
#include <samara/reclaim.h>

#include "support/mem.h"
#include "support/uffd_sleep.h"
#include "uffd/queue.h"

#define RW (PROT_READ | PROT_WRITE)
#define P MEM_PAGE
#define PAGES 300UL
#define NOWAIT ((unsigned int)SAMARA_NOWAIT)

static struct mem m;
static struct samara_uffd *uffd;
static unsigned long a;
static const unsigned char ones[MEM_PAGE] = { [0 ... MEM_PAGE - 1] = 1 };

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 21);
	uffd = uffd_open(m.mm, O_NONBLOCK, 0);
	a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	uffd_register_at(uffd, a, PAGES * P, MISSING);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_uffd_put(uffd);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

static long access_at(unsigned long addr, unsigned int flags)
{
	unsigned char byte = 3;

	return samara_access(m.mm, addr, &byte, 1, flags, NULL);
}

static long read_one(struct uffd_msg *msg)
{
	return samara_uffd_read(uffd, msg, 1);
}

static void assert_told(unsigned long addr)
{
	struct uffd_msg msg;

	assert_int_equal(read_one(&msg), sizeof(msg));
	assert_int_equal(msg.arg.pagefault.address, addr);
}

static void assert_nothing_told(void)
{
	struct uffd_msg msg;

	assert_int_equal(read_one(&msg), -EAGAIN);
}

static void the_handler_is_told_once(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(access_at(a + 5, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_nothing_told();
	/* Another reason is another fault. */
	assert_int_equal(access_at(a, SAMARA_WRITE | NOWAIT), -EAGAIN);
	assert_told(a);
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	assert_int_equal(access_at(a, SAMARA_WRITE | NOWAIT), 1);
	assert_nothing_told();
}

/* Whatever ended it, the next fault there is told again: else it would wait for ever. */
static void a_fault_that_is_over_is_told_again(void **state)
{
	enum { WOKEN, FILLED, UNMAPPED, UNREGISTERED, WAYS };

	(void)state;
	for (int way = 0; way < WAYS; way++)
		for (int read = 0; read < 2; read++) {
			assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
			if (read)
				assert_told(a);
			switch (way) {
			case WOKEN:
				assert_int_equal(uffd_wake_at(uffd, a, P), 0);
				break;
			case FILLED:
				assert_int_equal(uffd_copy_to(uffd, a, ones, P,
							      UFFDIO_COPY_MODE_DONTWAKE, NULL),
						 0);
				assert_int_equal(samara_madvise(m.mm, a, P, MADV_DONTNEED), 0);
				break;
			case UNMAPPED:
				assert_int_equal(samara_munmap(m.mm, a, P), 0);
				assert_int_equal(samara_mmap(m.mm, a, P, RW,
							     MAP_PRIVATE | MAP_ANONYMOUS |
								     MAP_FIXED,
							     NULL, 0),
						 a);
				uffd_register_at(uffd, a, P, MISSING);
				break;
			default:
				assert_int_equal(uffd_unregister_at(uffd, a, P), 0);
				uffd_register_at(uffd, a, P, MISSING);
			}
			assert_nothing_told();
			assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
			assert_told(a);
			assert_int_equal(uffd_wake_at(uffd, a, P), 0);
		}
}

/* Other modes replace those that it was told by; later these come back. */
static void a_fault_is_told_again_once_other_modes_were_registered(void **state)
{
	(void)state;
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
	uffd_register_at(uffd, a, PAGES * P, WP);
	uffd_register_at(uffd, a, PAGES * P, MISSING);
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
}

/* Protection goes without waking, or by another userfaultfd's request: it is over all the same. */
static void a_write_is_told_again_once_its_page_is_protected_again(void **state)
{
	struct samara_uffd *other = uffd_open(m.mm, O_NONBLOCK, 0);

	(void)state;
	uffd_register_at(uffd, a, P, MISSING | WP);
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	for (int way = 0; way < 2; way++) {
		assert_int_equal(uffd_protect_at(uffd, a, P, UFFDIO_WRITEPROTECT_MODE_WP), 0);
		assert_int_equal(access_at(a, SAMARA_WRITE | NOWAIT), -EAGAIN);
		assert_told(a);
		assert_int_equal(uffd_protect_at(way ? other : uffd, a, P,
						 way ? 0 : UFFDIO_WRITEPROTECT_MODE_DONTWAKE),
				 0);
		assert_int_equal(uffd_protect_at(uffd, a, P, UFFDIO_WRITEPROTECT_MODE_WP), 0);
		assert_int_equal(access_at(a, SAMARA_WRITE | NOWAIT), -EAGAIN);
		assert_told(a);
		assert_int_equal(uffd_protect_at(uffd, a, P, 0), 0);
	}
	samara_uffd_put(other);
}

/* An mremap without EVENT_REMAP takes the registration of what its target merges with. */
static void a_fault_beside_what_has_moved_is_told_again(void **state)
{
	const unsigned long hole = a + 20 * P, from = a + 100 * P;

	(void)state;
	assert_int_equal(samara_munmap(m.mm, hole, 2 * P), 0);
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
	assert_int_equal(samara_mremap(m.mm, from, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, hole),
			 hole);
	assert_null(mem_vma(&m, a)->rare.uffd);
	assert_int_equal(uffd->q.posts->used, 0);
	uffd_register_at(uffd, a, P, MISSING);
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
}

/* Shared memory's page comes through another mapping, which wakes nobody. */
static void a_page_that_came_another_way_is_told_again(void **state)
{
	struct samara_file *file;
	const unsigned char byte = 1;
	unsigned long b;

	(void)state;
	assert_int_equal(samara_file_memfd(m.machine, "uffd", P, &file), 0);
	b = mem_map(&m, 1, RW, MAP_SHARED, file);
	uffd_register_at(uffd, b, P, MISSING);
	assert_int_equal(access_at(b, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(b);
	assert_int_equal(samara_file_pwrite(file, &byte, 1, 0), 1);
	assert_int_equal(access_at(b, SAMARA_READ | NOWAIT), 1);
	assert_int_equal(samara_file_punch_hole(file, 0, P), 0);
	assert_int_equal(access_at(b, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(b);
	samara_file_put(file);
}

/* A guest cannot make the library allocate, and no fault is lost. */
static void many_faults_are_told_when_there_is_room(void **state)
{
	unsigned long told = 0;
	struct uffd_msg msg;

	(void)state;
	for (unsigned long i = 0; i < PAGES; i++)
		assert_int_equal(access_at(a + i * P, SAMARA_READ | NOWAIT), -EAGAIN);
	while (read_one(&msg) == sizeof(msg)) {
		assert_int_equal(msg.arg.pagefault.address, a + told * P);
		told++;
	}
	assert_int_equal(told, 256);
	/* Those that were read give way. */
	for (unsigned long i = told; i < PAGES; i++)
		assert_int_equal(access_at(a + i * P, SAMARA_READ | NOWAIT), -EAGAIN);
	for (; told < PAGES; told++)
		assert_told(a + told * P);
	assert_nothing_told();
}

static void a_cpu_does_not_sleep_either(void **state)
{
	struct samara_fault fault;
	struct samara_cpu *cpu;
	void *p;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	p = samara_cpu_miss(cpu, a + 8, SAMARA_ACCESS_WRITE | NOWAIT, &fault);
	samara_cpu_exit(cpu);
	assert_null(p);
	assert_int_equal(fault.addr, a + 8);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -EAGAIN);
	assert_told(a);
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	samara_cpu_enter(cpu);
	p = samara_cpu_miss(cpu, a + 8, SAMARA_ACCESS_WRITE | NOWAIT, &fault);
	assert_non_null(p);
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
}

static void flags_are_checked(void **state)
{
	static const unsigned int wrong[] = { 0, NOWAIT, SAMARA_READ | SAMARA_WRITE,
					      SAMARA_FETCH | SAMARA_READ, SAMARA_READ | 64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(access_at(a, wrong[i]), -EINVAL);
	assert_nothing_told();
}

static void a_stack_grows_unless_it_may_not(void **state)
{
	const unsigned long at = 1UL << 32;
	struct samara_fault fault;
	unsigned char byte = 1;

	(void)state;
	assert_int_equal(samara_mmap(m.mm, at, P, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NULL,
				     0),
			 at);
	assert_int_equal(
		samara_access(m.mm, at - 8, &byte, 1, SAMARA_WRITE | SAMARA_NOGROW, &fault), 0);
	assert_int_equal(fault.addr, at - 8);
	assert_int_equal(access_at(at - 8, SAMARA_WRITE), 1);
}

/* As a debugger: private memory that the program may not touch, and only that. */
static void a_debugger_is_not_stopped_by_rights(void **state)
{
	const unsigned long b = mem_map(&m, 3, PROT_NONE, MAP_PRIVATE, NULL);
	unsigned char buf[2 * MEM_PAGE];
	struct samara_fault fault;

	(void)state;
	memset(buf, 7, sizeof(buf));
	assert_int_equal(samara_access(m.mm, b + 9, buf, sizeof(buf), SAMARA_WRITE, NULL), 0);
	assert_int_equal(samara_access(m.mm, b + 9, buf, sizeof(buf), SAMARA_WRITE | SAMARA_FORCE,
				       &fault),
			 sizeof(buf));
	memset(buf, 0, sizeof(buf));
	assert_int_equal(samara_access(m.mm, b + 9, buf, sizeof(buf), SAMARA_READ | SAMARA_FORCE,
				       &fault),
			 sizeof(buf));
	assert_int_equal(buf[0], 7);
	assert_int_equal(buf[sizeof(buf) - 1], 7);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(samara_access(m.mm, 1UL << 30, buf, 1, SAMARA_READ | SAMARA_FORCE, &fault),
			 0);
	assert_int_equal(fault.addr, 1UL << 30);
	/* It asks the handler, and does not sleep. */
	assert_int_equal(access_at(a, SAMARA_WRITE | SAMARA_FORCE | NOWAIT), -EAGAIN);
	assert_told(a);
}

static void a_page_in_swap_is_read_meanwhile(void **state)
{
	const unsigned long b = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	struct samara_swap *swap;
	unsigned char byte = 0;
	long n;

	(void)state;
	assert_int_equal(samara_swapon_compressed(m.machine, 1 << 20, "lz4", &swap), 0);
	for (unsigned long i = 0; i < 8; i++)
		assert_int_equal(samara_write(m.mm, b + i * P, ones, P, NULL), P);
	assert_int_equal(samara_madvise(m.mm, b, 8 * P, MADV_PAGEOUT), 0);
	assert_false(pte_present(mem_pte(&m, b)));
	for (unsigned long i = 0; i < 8; i++) {
		while ((n = samara_access(m.mm, b + i * P, &byte, 1, SAMARA_READ | NOWAIT, NULL)) ==
		       -EAGAIN)
			sched_yield();
		assert_int_equal(n, 1);
		assert_int_equal(byte, 1);
	}
	assert_int_equal(samara_swapoff(swap), 0);
}

static int broken_read(void *priv, unsigned long slot, void *page)
{
	(void)priv;
	(void)slot;
	(void)page;
	return -EIO;
}

static int any_write(void *priv, unsigned long slot, const void *page)
{
	(void)priv;
	(void)slot;
	(void)page;
	return 0;
}

static void a_page_that_cannot_be_read_is_a_signal(void **state)
{
	static const struct samara_swap_ops ops = { .size = sizeof(ops),
						    .read = broken_read,
						    .write = any_write };
	const unsigned long b = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_fault fault;
	struct samara_swap *swap;
	unsigned char byte = 1;
	long n;

	(void)state;
	assert_int_equal(samara_swapon_ops(m.machine, &ops, NULL, 64, 0, &swap), 0);
	assert_int_equal(samara_write(m.mm, b, &byte, 1, NULL), 1);
	assert_int_equal(samara_madvise(m.mm, b, P, MADV_PAGEOUT), 0);
	assert_false(pte_present(mem_pte(&m, b)));
	while ((n = samara_access(m.mm, b, &byte, 1, SAMARA_READ | NOWAIT, &fault)) == -EAGAIN)
		sched_yield();
	assert_int_equal(n, 0);
	assert_int_equal(fault.signo, SIGBUS);
	assert_int_equal(samara_munmap(m.mm, b, P), 0);
	assert_int_equal(samara_swapoff(swap), 0);
}

static void assert_broken(const char *invariant)
{
	struct samara_report report = { 0 };

	assert_int_not_equal(samara_mm_validate(m.mm, &report), 0);
	assert_string_equal(report.invariant, invariant);
}

static void the_validator_counts_posts(void **state)
{
	struct uffd_sleeper *post;

	(void)state;
	for (unsigned long i = 0; i < 3; i++)
		assert_int_equal(access_at(a + i * P, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
	uffd->q.posts->used++;
	assert_broken("uffd_sleeper");
	uffd->q.posts->used--;
	mem_check(&m);
	/* In use, and in no list. */
	post = list_first_entry(&uffd->q.told, struct uffd_sleeper, in);
	list_del(&post->in);
	assert_broken("uffd_sleeper");
	list_add_tail(&post->in, &uffd->q.told);
	/* Listed, and not in use. */
	post->uffd = NULL;
	assert_broken("uffd_sleeper");
	post->uffd = uffd;
	uffd->q.readable = false;
	assert_broken("uffd_readable");
	uffd->q.readable = true;
}

static void without_memory_for_posts_it_is_said(void **state)
{
	struct samara_fault fault;
	unsigned char byte;

	(void)state;
	assert_int_equal(samara_inject_site("uffd_posts", 1), 0);
	assert_int_equal(samara_access(m.mm, a, &byte, 1, SAMARA_READ | NOWAIT, &fault), -ENOMEM);
	assert_int_equal(fault.code, -ENOMEM);
	assert_int_equal(samara_inject_site("uffd_posts", 0), 0);
	assert_nothing_told();
	assert_int_equal(access_at(a, SAMARA_READ | NOWAIT), -EAGAIN);
	assert_told(a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_handler_is_told_once),
		TEST(a_fault_that_is_over_is_told_again),
		TEST(a_fault_is_told_again_once_other_modes_were_registered),
		TEST(a_write_is_told_again_once_its_page_is_protected_again),
		TEST(a_fault_beside_what_has_moved_is_told_again),
		TEST(a_page_that_came_another_way_is_told_again),
		TEST(many_faults_are_told_when_there_is_room),
		TEST(a_cpu_does_not_sleep_either),
		TEST(flags_are_checked),
		TEST(a_stack_grows_unless_it_may_not),
		TEST(a_debugger_is_not_stopped_by_rights),
		TEST(a_page_in_swap_is_read_meanwhile),
		TEST(a_page_that_cannot_be_read_is_a_signal),
		TEST(the_validator_counts_posts),
		TEST(without_memory_for_posts_it_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
