/* SPDX-License-Identifier: MIT */
/*
 * Accesses that wait for a handler: which do, and what each answers once it is woken.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/cpu.h>

#include "support/mem.h"
#include "support/uffd_sleep.h"

#define RW (PROT_READ | PROT_WRITE)
#define P MEM_PAGE
#define PAGES 8UL

static struct mem m;
static struct samara_uffd *uffd;
static unsigned long a; /* registered, PAGES of them */
static const unsigned char ones[MEM_PAGE] = { [0 ... MEM_PAGE - 1] = 1 };

static void open_one(int flags, unsigned long long features)
{
	uffd = uffd_open(m.mm, O_NONBLOCK | flags, features);
	a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	uffd_register_at(uffd, a, PAGES * P, MISSING);
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	open_one(0, 0);
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

/* accesses ------------------------------------------------------------------------ */

struct at {
	unsigned long addr, len;
	struct samara_fault fault;
};

static long do_read(void *arg)
{
	struct at *at = arg;
	unsigned char byte = 0;
	const long n = samara_read(m.mm, at->addr, &byte, 1, &at->fault);

	return n == 1 ? byte : n;
}

static long do_write(void *arg)
{
	const struct at *at = arg;
	const unsigned char byte = 5;

	return samara_write(m.mm, at->addr, &byte, 1, NULL);
}

static long do_fetch(void *arg)
{
	const struct at *at = arg;
	unsigned char byte = 0;
	const long n = samara_fetch(m.mm, at->addr, &byte, 1, NULL);

	return n == 1 ? byte : n;
}

static long do_cmpxchg(void *arg)
{
	const struct at *at = arg;
	uint64_t is = 1;

	return samara_cmpxchg(m.mm, at->addr, 1, &is, 6, NULL);
}

static long do_touch(void *arg)
{
	const struct at *at = arg;

	return samara_touch(m.mm, at->addr, P, PROT_WRITE);
}

static long do_pin(void *arg)
{
	const struct at *at = arg;
	struct samara_pin pin;
	const long n = samara_pin_pages(m.mm, at->addr, 1, SAMARA_PIN_WRITE, &pin);

	if (n == 1)
		samara_unpin_pages(&pin, 1, 1);
	return n;
}

static long do_mlock(void *arg)
{
	const struct at *at = arg;

	return samara_mlock(m.mm, at->addr, P);
}

static long do_populate(void *arg)
{
	const struct at *at = arg;

	return samara_madvise(m.mm, at->addr, P, MADV_POPULATE_WRITE);
}

static long do_force(void *arg)
{
	const struct at *at = arg;
	unsigned char byte = 0;
	const long n = samara_access(m.mm, at->addr, &byte, 1, SAMARA_READ | SAMARA_FORCE, NULL);

	return n == 1 ? byte : n;
}

static long do_cpu(void *arg)
{
	struct at *at = arg;
	struct samara_cpu *cpu;
	long ret = -ENOMEM;
	const void *p;

	if (samara_cpu_create(m.machine, &cpu))
		return ret;
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	p = samara_cpu_miss(cpu, at->addr, SAMARA_ACCESS_WRITE, &at->fault);
	ret = p ? 1 : at->fault.signo ? at->fault.signo : at->fault.code;
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
	return ret;
}

static const struct {
	long (*access)(void *arg);
	bool write;
	long answered, interrupted;
} accesses[] = {
	{ do_read, false, 1, -EAGAIN },  { do_write, true, 1, -EAGAIN },
	{ do_fetch, false, 1, -EAGAIN }, { do_cmpxchg, true, 1, -EAGAIN },
	{ do_touch, true, 0, -EAGAIN },  { do_pin, true, 1, -EAGAIN },
	{ do_mlock, true, 0, -EAGAIN },  { do_populate, true, 0, -EAGAIN },
	{ do_force, false, 1, -EAGAIN }, { do_cpu, true, 1, -EAGAIN },
};

static void assert_told(unsigned long addr, unsigned long long flags)
{
	struct uffd_msg msg;

	assert_int_equal(samara_uffd_read(uffd, &msg, 1), sizeof(msg));
	assert_int_equal(msg.event, UFFD_EVENT_PAGEFAULT);
	assert_int_equal(msg.arg.pagefault.address, addr);
	assert_int_equal(msg.arg.pagefault.flags, flags);
}

static void assert_nothing_told(void)
{
	struct uffd_msg msg;

	assert_int_equal(samara_uffd_read(uffd, &msg, 1), -EAGAIN);
}

static void again(void)
{
	assert_int_equal(samara_munmap(m.mm, a, PAGES * P), 0);
	samara_uffd_put(uffd);
	open_one(0, 0);
}

/* which wait ------------------------------------------------------------------------ */

static void every_access_waits_until_it_is_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct at at = { .addr = a };
		struct sleeping s;

		if (accesses[i].access == do_fetch)
			assert_int_equal(samara_mprotect(m.mm, a, P, RW | PROT_EXEC), 0);
		assert_true(sleeps(&s, uffd, 1, accesses[i].access, &at));
		assert_told(a, accesses[i].write ? UFFD_PAGEFAULT_FLAG_WRITE : 0);
		assert_nothing_told();
		assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
		assert_int_equal(woken(&s), accesses[i].answered);
		assert_nothing_told();
		again();
	}
}

static void every_access_can_be_interrupted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct at at = { .addr = a };
		struct sleeping s;

		if (accesses[i].access == do_fetch)
			assert_int_equal(samara_mprotect(m.mm, a, P, RW | PROT_EXEC), 0);
		assert_true(sleeps(&s, uffd, 1, accesses[i].access, &at));
		assert_int_equal(samara_uffd_interrupt(m.mm, s.tid ^ 1U << 30), 0);
		assert_int_equal(uffd_sleepers(uffd), 1);
		assert_int_equal(samara_uffd_interrupt(m.mm, i % 2 ? s.tid : 0), 1);
		assert_int_equal(woken(&s), accesses[i].interrupted);
		assert_int_equal(uffd_sleepers(uffd), 0);
		/* Its message has gone with it. */
		assert_nothing_told();
		assert_int_equal(samara_munlock(m.mm, a, P), 0);
		again();
	}
}

/* A signal's sender may be in a section. */
static void a_section_keeps_no_thread_from_interrupting(void **state)
{
	struct at at = { .addr = a };
	struct samara_cpu *cpu;
	struct sleeping s;
	unsigned long met;

	(void)state;
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	samara_cpu_run(cpu, m.mm);
	assert_true(sleeps(&s, uffd, 1, do_read, &at));
	samara_cpu_enter(cpu);
	met = samara_uffd_interrupt(m.mm, 0);
	samara_uffd_events_wait(m.mm, 0);
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
	assert_int_equal(m.mm->watch.uffds.no_wait, 1);
	assert_int_equal(met, 1);
	assert_int_equal(woken(&s), -EAGAIN);
}

static void the_validator_looks_at_sleepers(void **state)
{
	struct samara_report report = { 0 };
	struct at at = { .addr = a };
	struct uffd_sleeper *sleeper;
	struct sleeping s;

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_read, &at));
	mem_check(&m);
	sleeper = list_first_entry(&uffd->q.pending, struct uffd_sleeper, in);
	sleeper->queued = false;
	assert_int_not_equal(samara_mm_validate(m.mm, &report), 0);
	assert_string_equal(report.invariant, "uffd_sleeper");
	sleeper->queued = true;
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	assert_int_equal(woken(&s), 1);
}

static long do_map_populated(void *arg)
{
	const struct at *at = arg;

	return (long)samara_mmap(m.mm, at->addr, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				 NULL, 0);
}

/* MAP_POPULATE of new memory is registered with nothing; mlockall populates what is. */
static long do_mlockall(void *arg)
{
	(void)arg;
	return samara_mlockall(m.mm, 1 /* MCL_CURRENT */);
}

static void populating_waits_at_each_page_and_an_interruption_ends_it(void **state)
{
	struct sleeping s;
	struct at at = { .addr = a };

	(void)state;
	assert_true(sleeps(&s, uffd, 1, do_mlockall, &at));
	for (unsigned long i = 0; i < 3; i++) {
		while (uffd_sleepers(uffd) != 1)
			sched_yield();
		assert_told(a + i * P, UFFD_PAGEFAULT_FLAG_WRITE);
		assert_int_equal(uffd_zeropage_at(uffd, a + i * P, P, 0, NULL), 0);
		/* A write breaks the zero frame's sharing; the next page is asked for then. */
	}
	while (uffd_sleepers(uffd) != 1)
		sched_yield();
	assert_int_equal(samara_uffd_interrupt(m.mm, 0), 1);
	assert_int_equal(woken(&s), 0);
	assert_int_equal(do_map_populated(&at), (long)a);
}

/* As in Linux: no handler is asked while mprotect holds the lock, and none later. */
static void mprotect_of_locked_memory_asks_no_handler(void **state)
{
	unsigned long b = mem_map(&m, 2, PROT_NONE, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(samara_mlock(m.mm, b, 2 * P), -ENOMEM);
	uffd_register_at(uffd, b, 2 * P, MISSING);
	assert_int_equal(samara_mprotect(m.mm, b, 2 * P, RW), 0);
	assert_nothing_told();
	assert_true(pte_none(mem_pte(&m, b)));
}

/* kinds of userfaultfds ----------------------------------------------------------------- */

static void some_are_not_told_of_some_accesses(void **state)
{
	static const struct {
		int flags;
		unsigned long long features;
		long touch, pin, mlock, populate;
	} rows[] = {
		{ 0, UFFD_FEATURE_SIGBUS, -EFAULT, -EFAULT, -ENOMEM, -EFAULT },
		{ UFFD_USER_MODE_ONLY, 0, 1, -EFAULT, -ENOMEM, -EFAULT },
	};
	struct at at = { .addr = 0 };
	struct sleeping s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		samara_uffd_put(uffd);
		open_one(rows[i].flags, rows[i].features);
		at.addr = a;
		assert_int_equal(do_pin(&at), rows[i].pin);
		assert_int_equal(do_mlock(&at), rows[i].mlock);
		assert_int_equal(samara_munlock(m.mm, a, P), 0);
		assert_int_equal(do_populate(&at), rows[i].populate);
		assert_nothing_told();
		if (rows[i].touch < 0) {
			assert_int_equal(do_read(&at), 0);
			assert_int_equal(at.fault.signo, SIGBUS);
			assert_int_equal(at.fault.code, BUS_ADRERR);
			assert_int_equal(at.fault.lsb, 0);
			assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
			assert_int_equal(do_read(&at), 1);
			continue;
		}
		assert_true(sleeps(&s, uffd, 1, do_read, &at));
		assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
		assert_int_equal(woken(&s), 1);
	}
}

static void a_message_says_what_it_was_asked_to_say(void **state)
{
	struct at at = { .addr = 0 };
	struct sleeping s;
	struct uffd_msg msg;

	(void)state;
	for (unsigned int exact = 0; exact < 2; exact++) {
		samara_uffd_put(uffd);
		open_one(0, exact ? UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_THREAD_ID : 0);
		at.addr = a + P + 7;
		assert_true(sleeps(&s, uffd, 1, do_read, &at));
		assert_int_equal(samara_uffd_read(uffd, &msg, 1), sizeof(msg));
		assert_int_equal(msg.arg.pagefault.address, a + P + (exact ? 7 : 0));
		assert_int_equal(msg.arg.pagefault.feat.ptid, exact ? s.tid : 0);
		assert_int_equal(uffd_copy_to(uffd, a + P, ones, P, 0, NULL), 0);
		assert_int_equal(woken(&s), 1);
	}
}

/* A message is handed on whole: nothing of the host is in its unused bytes. */
static void what_a_message_does_not_use_is_zero(void **state)
{
	struct at at = { .addr = a };
	unsigned char bytes[sizeof(struct uffd_msg)];
	struct uffd_msg msg, said;
	struct sleeping s;

	(void)state;
	memset(&msg, 0xff, sizeof(msg));
	memset(&said, 0, sizeof(said));
	assert_true(sleeps(&s, uffd, 1, do_write, &at));
	assert_int_equal(samara_uffd_read(uffd, &msg, 1), sizeof(msg));
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	assert_int_equal(woken(&s), 1);
	said.event = UFFD_EVENT_PAGEFAULT;
	said.arg.pagefault.flags = UFFD_PAGEFAULT_FLAG_WRITE;
	said.arg.pagefault.address = a;
	memcpy(bytes, &msg, sizeof(msg));
	assert_memory_equal(bytes, &said, sizeof(said));
}

static void memory_beside_a_missing_page_is_moved_first(void **state)
{
	unsigned char buf[2 * MEM_PAGE];
	struct samara_fault fault;
	long n;

	(void)state;
	assert_int_equal(uffd_copy_to(uffd, a, ones, P, 0, NULL), 0);
	n = samara_access(m.mm, a + 1, buf, 2 * P, SAMARA_READ | SAMARA_NOWAIT, &fault);
	assert_int_equal(n, P - 1);
	assert_int_equal(fault.addr, a + P);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -EAGAIN);
	assert_told(a + P, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_access_waits_until_it_is_answered),
		TEST(every_access_can_be_interrupted),
		TEST(a_section_keeps_no_thread_from_interrupting),
		TEST(the_validator_looks_at_sleepers),
		TEST(populating_waits_at_each_page_and_an_interruption_ends_it),
		TEST(mprotect_of_locked_memory_asks_no_handler),
		TEST(some_are_not_told_of_some_accesses),
		TEST(a_message_says_what_it_was_asked_to_say),
		TEST(what_a_message_does_not_use_is_zero),
		TEST(memory_beside_a_missing_page_is_moved_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
