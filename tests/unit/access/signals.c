/* SPDX-License-Identifier: MIT */
/*
 * Which signal an access ends in: the rows were measured on Linux 6.18, x86-64.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 4 << 20);

enum how { LOAD, STORE, FETCH };

static void expect(enum how how, unsigned long addr, int signo, int code)
{
	struct samara_fault fault = { .addr = 1, .signo = 99, .lsb = 99 };
	char c = 'x';
	long n;

	if (how == STORE)
		n = samara_write(m.mm, addr, &c, 1, &fault);
	else
		n = how == LOAD ? samara_read(m.mm, addr, &c, 1, &fault) :
				  samara_fetch(m.mm, addr, &c, 1, &fault);
	assert_int_equal(n, !signo);
	assert_int_equal(fault.signo, signo);
	assert_int_equal(fault.code, code);
	assert_int_equal(fault.lsb, signo == SIGBUS && code == BUS_MCEERR_AR ? 12 : 0);
	if (signo)
		assert_int_equal(fault.addr, addr);
}

static void rights(void **state)
{
	const unsigned long a = mem_map(&m, 5, PROT_NONE, MAP_PRIVATE, NULL);
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, RW };
	static const int code[][3] = {
		{ SEGV_ACCERR, SEGV_ACCERR, SEGV_ACCERR },
		{ 0, SEGV_ACCERR, SEGV_ACCERR },
		{ 0, 0, SEGV_ACCERR },
		{ 0, SEGV_ACCERR, 0 },
		{ 0, 0, SEGV_ACCERR },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(prot); i++) {
		const unsigned long at = a + i * MEM_PAGE + 5;

		assert_int_equal(samara_mprotect(m.mm, a + i * MEM_PAGE, MEM_PAGE, prot[i]), 0);
		/* Twice: the second time the page may be there. */
		for (int how = LOAD; how <= FETCH; how++) {
			expect(how, at, code[i][how] ? SIGSEGV : 0, code[i][how]);
			expect(how, at, code[i][how] ? SIGSEGV : 0, code[i][how]);
		}
	}
}

static void rights_follow_mprotect_also_where_pages_are(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	expect(STORE, a, 0, 0);
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_READ), 0);
	expect(LOAD, a, 0, 0);
	expect(STORE, a, SIGSEGV, SEGV_ACCERR);
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, PROT_NONE), 0);
	expect(LOAD, a, SIGSEGV, SEGV_ACCERR);
	assert_int_equal(samara_mprotect(m.mm, a, MEM_PAGE, RW), 0);
	expect(STORE, a, 0, 0);
}

static void places_without_memory(void **state)
{
	static const struct {
		unsigned long addr;
		int code;
	} rows[] = {
		{ 8, SEGV_MAPERR },
		{ 0x10000, SEGV_MAPERR },
		{ 0x7fffffffefff, SEGV_MAPERR },
		{ 0x7ffffffff000, SEGV_MAPERR },
		{ 0x7fffffffffff, SEGV_MAPERR },
		{ 0x800000000000, SI_KERNEL },
		{ 0x1234000000000000, SI_KERNEL },
		{ 0xffff7fffffffffff, SI_KERNEL },
		{ 0xffff800000000000, SEGV_MAPERR },
		{ 0xffffffffff5fffff, SEGV_MAPERR },
		{ 0xffffffffff601000, SEGV_MAPERR },
		{ ~0UL, SEGV_MAPERR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int how = LOAD; how <= FETCH; how++)
			expect(how, rows[i].addr, SIGSEGV, rows[i].code);
}

/* Only running there is another matter; where there is none (vsyscall=none) it is not. */
static void the_vsyscall_page(void **state)
{
	static const unsigned long at[] = { 0xffffffffff600000, 0xffffffffff600010,
					    0xffffffffff600fff };
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		expect(LOAD, at[i], SIGSEGV, SEGV_MAPERR);
		expect(STORE, at[i], SIGSEGV, SEGV_MAPERR);
		expect(FETCH, at[i], SIGSEGV, SI_KERNEL);
	}
	mem_close(&m);
	cfg.ram_bytes = 4 << 20;
	cfg.flags = SAMARA_MACHINE_NO_GATE;
	mem_open_machine(&m, &cfg);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		for (int how = LOAD; how <= FETCH; how++)
			expect(how, at[i], SIGSEGV, SEGV_MAPERR);
}

static void guards(void **state)
{
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, NULL), at = a + MEM_PAGE + 9;

	(void)state;
	assert_int_equal(samara_madvise(m.mm, a + MEM_PAGE, MEM_PAGE, MADV_GUARD_INSTALL), 0);
	for (int how = LOAD; how <= FETCH; how++)
		expect(how, at, SIGSEGV, SEGV_MAPERR);
	expect(STORE, a, 0, 0);
	expect(STORE, a + 2 * MEM_PAGE, 0, 0);
	assert_int_equal(samara_mprotect(m.mm, a, 3 * MEM_PAGE, PROT_READ | PROT_EXEC), 0);
	expect(LOAD, at, SIGSEGV, SEGV_MAPERR);
	expect(STORE, at, SIGSEGV, SEGV_ACCERR);
	expect(FETCH, at, SIGSEGV, SEGV_MAPERR);
	assert_int_equal(samara_mprotect(m.mm, a, 3 * MEM_PAGE, PROT_NONE), 0);
	expect(LOAD, at, SIGSEGV, SEGV_ACCERR);
}

static void poison(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	mem_mark(&m, a, MARKER_POISON);
	for (int how = LOAD; how <= FETCH; how++)
		expect(how, a + 33, SIGBUS, BUS_MCEERR_AR);
	assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
}

static void beyond_the_end_of_a_file(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long shared = mem_map(&m, 4, RW, MAP_SHARED, file);
	const unsigned long private = mem_map(&m, 4, RW, MAP_PRIVATE, file);

	(void)state;
	assert_int_equal(samara_file_set_length(file, MEM_PAGE + 10), 0);
	expect(LOAD, shared + MEM_PAGE + 100, 0, 0);
	for (int how = LOAD; how <= FETCH; how++) {
		expect(how, shared + 2 * MEM_PAGE + 3, SIGBUS, BUS_ADRERR);
		expect(how, private + 2 * MEM_PAGE + 3, SIGBUS, BUS_ADRERR);
	}
	expect(STORE, private, 0, 0);
	assert_int_equal(samara_file_set_length(file, 0), 0);
	/* Truncation takes private copies, too. */
	expect(LOAD, private, SIGBUS, BUS_ADRERR);
	expect(LOAD, shared, SIGBUS, BUS_ADRERR);
	samara_file_put(file);
}

static unsigned long stack_at(unsigned long addr, int prot)
{
	assert_int_equal(samara_mmap(m.mm, addr, 4 * MEM_PAGE, prot,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, NULL,
				     0),
			 addr);
	return addr;
}

static void below_a_stack(void **state)
{
	unsigned long s = stack_at(0x10000000000, RW);

	(void)state;
	expect(STORE, s - 5, 0, 0);
	expect(LOAD, s - 3 * MEM_PAGE, 0, 0);
	expect(LOAD, s - (1 << 20), 0, 0);
	expect(FETCH, s - (1 << 20) - 4 * MEM_PAGE, SIGSEGV, SEGV_ACCERR);
	assert_int_equal(mem_vma(&m, s)->vm_start, s - (1 << 20) - 4 * MEM_PAGE);
	/* It grows before anybody asks whether the access is allowed. */
	s = stack_at(0x20000000000, PROT_READ);
	expect(STORE, s - 5, SIGSEGV, SEGV_ACCERR);
	assert_int_equal(mem_vma(&m, s)->vm_start, s - MEM_PAGE);
	assert_int_equal(samara_set_rlimit(m.mm, RLIMIT_STACK, 1 << 20, 1 << 20), 0);
	expect(LOAD, s - (2 << 20), SIGSEGV, SEGV_MAPERR);
	s = stack_at(0x30000000000, RW);
	assert_int_equal(samara_mmap(m.mm, s - 100 * MEM_PAGE, 4 * MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 s - 100 * MEM_PAGE);
	expect(STORE, s - 5, SIGSEGV, SEGV_MAPERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(rights),
		TEST(rights_follow_mprotect_also_where_pages_are),
		TEST(places_without_memory),
		TEST(the_vsyscall_page),
		TEST(guards),
		TEST(poison),
		TEST(beyond_the_end_of_a_file),
		TEST(below_a_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
