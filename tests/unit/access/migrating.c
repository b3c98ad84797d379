/* SPDX-License-Identifier: MIT */
/*
 * A page whose entry says that it is on its way elsewhere is waited for with nothing held. Then the
 * map is looked at again. The test puts such an entry in by itself: no call does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include <samara/cpu.h>

#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/waits.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;
static unsigned long at; /* the page */

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	return 0;
}

MEM_TEAR_DOWN(m);

static pte_t home;

/* The page at `at` is locked and its entry says that it migrates. */
static struct folio *send_off(void)
{
	struct folio *folio = mem_folio(&m, at);
	struct table *leaf;
	pte_t *pte;

	folio_lock(folio);
	lock_rank_release(folio); /* as if another thread had it: this one makes calls */
	mmap_read_lock(m.mm);
	leaf = table_find(m.mm, at);
	pte = table_pte(m.mm, leaf, at);
	table_lock(leaf);
	home = pte_read(pte);
	pte_set(pte, mk_swp(SWP_MIGRATION_EXCL, folio_pfn(m.machine->ram, folio)));
	table_unlock(leaf);
	mmap_read_unlock(m.mm);
	return folio;
}

/* The entry is a page's again; the folio stays locked. */
static void bring_home(void)
{
	struct table *leaf;

	mmap_read_lock(m.mm);
	leaf = table_find(m.mm, at);
	table_lock(leaf);
	pte_set(table_pte(m.mm, leaf, at), home);
	table_unlock(leaf);
	mmap_read_unlock(m.mm);
}

struct waiter {
	long (*call)(void);
	long ret;
};

static void run(void *arg)
{
	struct waiter *w = arg;

	w->ret = w->call();
}

static long call_write(void)
{
	struct samara_fault fault;
	char byte = 9;

	return samara_write(m.mm, at, &byte, 1, &fault);
}

static long call_pin(void)
{
	struct samara_pin pin;
	const long ret = samara_pin_pages(m.mm, at, 1, SAMARA_PIN_WRITE, &pin);

	if (ret == 1)
		samara_unpin_pages(&pin, 1, 1);
	return ret;
}

static long call_mlock(void)
{
	return samara_mlock(m.mm, at, 2 * MEM_PAGE);
}

static long call_populate(void)
{
	return samara_madvise(m.mm, at, 2 * MEM_PAGE, MADV_POPULATE_WRITE);
}

static long call_cpu(void)
{
	struct samara_fault fault;
	struct samara_cpu *cpu;
	long ret;

	if (samara_cpu_create(m.machine, &cpu))
		return -1;
	samara_cpu_run(cpu, m.mm);
	samara_cpu_enter(cpu);
	ret = samara_cpu_miss(cpu, at, SAMARA_ACCESS_WRITE, &fault) != NULL;
	samara_cpu_exit(cpu);
	samara_cpu_destroy(cpu);
	return ret;
}

/*
 * call waits while the page is away. Meanwhile the map can be written; then the page comes back,
 * and, with unmap, leaves at once.
 */
static long answer_after(long (*call)(void), bool unmap)
{
	struct waiter w = { .call = call };
	struct waiting_call c = { .call = run, .arg = &w };
	struct folio *folio;

	at = mem_map(&m, 2, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	folio = send_off();
	assert_true(waits_for_folio(&c, folio));
	/* It holds nothing: the map is written. */
	mem_map(&m, 1, PROT_READ, MAP_PRIVATE, NULL);
	assert_int_equal(samara_munlock(m.mm, at, 2 * MEM_PAGE), 0);
	bring_home();
	folio_get(folio);
	if (unmap)
		assert_int_equal(samara_munmap(m.mm, at, 2 * MEM_PAGE), 0);
	lock_rank_try(folio, RANK_FOLIO);
	folio_unlock(folio);
	folio_put(m.machine->ram, folio);
	call_returns(&c);
	return w.ret;
}

static void a_page_that_migrates_is_waited_for(void **state)
{
	(void)state;
	assert_int_equal(answer_after(call_write, false), 1);
	assert_int_equal(answer_after(call_pin, false), 1);
	assert_int_equal(answer_after(call_mlock, false), 0);
	assert_int_equal(answer_after(call_populate, false), 0);
	assert_int_equal(answer_after(call_cpu, false), 1);
}

static void a_page_that_migrates_may_be_unmapped_meanwhile(void **state)
{
	(void)state;
	assert_int_equal(answer_after(call_write, true), 0);
	assert_int_equal(answer_after(call_pin, true), -EFAULT);
	assert_int_equal(answer_after(call_mlock, true), 0);
	assert_int_equal(answer_after(call_populate, true), -ENOMEM);
	assert_int_equal(answer_after(call_cpu, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_page_that_migrates_is_waited_for),
		TEST(a_page_that_migrates_may_be_unmapped_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
