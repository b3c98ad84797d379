/* SPDX-License-Identifier: MIT */
/*
 * Every allocation behind an access, refused in turn: the caller is told, nothing is lost, and the
 * same access works afterwards.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define LEN (3 * MEM_PAGE)

struct scene {
	struct mem m;
	struct samara_file *file;
	unsigned long at;
	struct samara_cpu *cpu;
};

/* Whether it was done; not done must be for want of memory. */
static bool write_all(struct scene *s)
{
	struct samara_fault fault;
	char bytes[LEN];
	long n;

	memset(bytes, 'w', LEN);
	n = samara_write(s->m.mm, s->at, bytes, LEN, &fault);
	if (n == (long)LEN)
		return true;
	assert_true(n == -ENOMEM || (n >= 0 && n < (long)LEN));
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
	return false;
}

static bool read_all(struct scene *s)
{
	struct samara_fault fault;
	char bytes[LEN];
	long n = samara_read(s->m.mm, s->at, bytes, LEN, &fault);

	if (n == (long)LEN)
		return true;
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
	return false;
}

static bool exchange(struct scene *s)
{
	struct samara_fault fault;
	uint64_t was = 0;
	const int ret = samara_cmpxchg(s->m.mm, s->at, 8, &was, 0, &fault);

	if (ret >= 0)
		return true;
	assert_int_equal(ret, -ENOMEM);
	assert_int_equal(fault.code, -ENOMEM);
	return false;
}

static bool pin(struct scene *s)
{
	struct samara_pin pins[3];
	const long n = samara_pin_pages(s->m.mm, s->at, 3, SAMARA_PIN_LONGTERM, pins);

	if (n > 0)
		samara_unpin_pages(pins, (unsigned long)n, 0);
	assert_true(n > 0 || n == -ENOMEM);
	return n == 3;
}

static bool miss(struct scene *s)
{
	struct samara_fault fault;
	void *p;

	samara_cpu_run(s->cpu, s->m.mm);
	samara_cpu_enter(s->cpu);
	p = samara_cpu_miss(s->cpu, s->at, SAMARA_ACCESS_WRITE, &fault);
	samara_cpu_exit(s->cpu);
	samara_cpu_run(s->cpu, NULL);
	if (p)
		return true;
	assert_int_equal(fault.signo, 0);
	assert_int_equal(fault.code, -ENOMEM);
	return false;
}

static bool touch(struct scene *s)
{
	const int err = samara_touch(s->m.mm, s->at, LEN, PROT_WRITE);

	assert_true(!err || err == -ENOMEM);
	return !err;
}

static bool (*const deeds[])(struct scene *s) = { write_all, read_all, exchange, pin, miss, touch };

enum behind { ANON, FILE_PRIVATE, FILE_SHARED, BEHINDS };

static bool refuse(size_t deed, enum behind behind, unsigned long nth,
		   void (*inject)(unsigned long nth))
{
	struct scene s = { .file = NULL };
	bool done;

	mem_open(&s.m, 1 << 20);
	assert_int_equal(samara_cpu_create(s.m.machine, &s.cpu), 0);
	if (behind != ANON)
		assert_int_equal(samara_file_memfd(s.m.machine, "f", LEN, &s.file), 0);
	s.at = mem_map(&s.m, 3, RW, behind == FILE_SHARED ? MAP_SHARED : MAP_PRIVATE, s.file);
	inject(nth);
	done = deeds[deed](&s);
	inject(0);
	mem_check(&s.m);
	if (!done)
		assert_true(deeds[deed](&s));
	mem_check(&s.m);
	samara_file_put(s.file);
	samara_cpu_destroy(s.cpu);
	mem_close(&s.m);
	return !done;
}

static void each_allocation(void (*inject)(unsigned long nth))
{
	for (size_t deed = 0; deed < ARRAY_SIZE(deeds); deed++) {
		for (enum behind behind = ANON; behind < BEHINDS; behind++) {
			unsigned long nth = 1;

			while (refuse(deed, behind, nth, inject))
				nth++;
			assert_true(nth > 1);
		}
	}
}

static void one_refused_allocation_loses_nothing(void **state)
{
	(void)state;
	each_allocation(samara_inject_nth);
}

static void all_refused_from_one_on_lose_nothing(void **state)
{
	(void)state;
	each_allocation(samara_inject_from);
}

/* A stack that cannot grow for want of memory is as it was, and has no family that is new. */
static void a_refused_growth_leaves_the_stack_as_it_was(void **state)
{
	const unsigned long s = 1UL << 40, below = s - 3 * MEM_PAGE;
	struct samara_mm_stats before = { .size = sizeof(before) }, now = before;
	struct samara_fault fault;
	unsigned long nth = 0;
	struct mem m;
	char byte = 1;

	(void)state;
	mem_open(&m, 1 << 20);
	assert_int_equal(samara_mmap(m.mm, s, MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, NULL,
				     0),
			 s);
	assert_int_equal(samara_mm_stats(m.mm, &before), 0);
	do {
		samara_inject_nth(++nth);
		(void)!samara_write(m.mm, below, &byte, 1, &fault);
		samara_inject_nth(0);
		mem_check(&m);
		if (mem_vma(&m, s)->vm_start < s)
			break;
		assert_int_equal(fault.signo, SIGSEGV);
		assert_null(mem_vma(&m, s)->anon_vma);
		assert_int_equal(samara_mm_stats(m.mm, &now), 0);
		assert_memory_equal(&before, &now, sizeof(now));
	} while (nth < 100);
	assert_in_range(nth, 2, 20);
	mem_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_refused_allocation_loses_nothing),
		cmocka_unit_test(all_refused_from_one_on_lose_nothing),
		cmocka_unit_test(a_refused_growth_leaves_the_stack_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
