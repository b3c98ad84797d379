/* SPDX-License-Identifier: MIT */
/*
 * Pages move to other frames, of one address space or so that a large block is free, and nobody can
 * tell but by their frames.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/reclaim.h>

#include "frame/pfn.h"
#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define RAM (8UL << 20)
#define FRAMES (RAM / MEM_PAGE)

MEM_FIXTURE(m, RAM);

static unsigned long word(struct samara_mm *mm, unsigned long addr)
{
	unsigned long value = 0;

	assert_int_equal(samara_read(mm, addr, &value, sizeof(value), NULL), sizeof(value));
	return value;
}

static void set(struct samara_mm *mm, unsigned long addr, unsigned long value)
{
	assert_int_equal(samara_write(mm, addr, &value, sizeof(value), NULL), sizeof(value));
}

static unsigned long pfn_at(unsigned long addr)
{
	return pte_pfn(mem_pte(&m, addr));
}

static void all_pages_of_a_range_move(void **state)
{
	struct samara_file *file = mem_file(&m, 4);
	const unsigned long anon = mem_map(&m, 1024, RW, MAP_PRIVATE, NULL);
	const unsigned long shared = mem_map(&m, 4, RW, MAP_SHARED, file);
	unsigned long pfn[3];

	(void)state;
	set(m.mm, anon, 1);
	set(m.mm, anon + 700 * MEM_PAGE, 2);
	word(m.mm, anon + MEM_PAGE); /* zeros, which no mm has for itself */
	set(m.mm, shared, 3);
	pfn[0] = pfn_at(anon);
	pfn[1] = pfn_at(anon + 700 * MEM_PAGE);
	pfn[2] = pfn_at(shared);
	assert_int_equal(samara_migrate_pages(m.mm, anon, 1024), 2);
	assert_int_equal(samara_migrate_pages(m.mm, shared, 1), 1);
	assert_int_not_equal(pfn_at(anon), pfn[0]);
	assert_int_not_equal(pfn_at(anon + 700 * MEM_PAGE), pfn[1]);
	assert_int_not_equal(pfn_at(shared), pfn[2]);
	assert_int_equal(word(m.mm, anon), 1);
	assert_int_equal(word(m.mm, anon + 700 * MEM_PAGE), 2);
	assert_int_equal(word(m.mm, shared), 3);
	assert_true(folio_test(mem_folio(&m, anon), FOLIO_LRU));
	assert_int_equal(samara_munmap(m.mm, anon, 1024 * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, shared, 4 * MEM_PAGE), 0);
	samara_file_put(file);
}

static void pinned_pages_stay(void **state)
{
	const unsigned long anon = mem_map(&m, 3, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, anon + MEM_PAGE, 1, SAMARA_PIN_WRITE, &pin), 1);
	assert_int_equal(samara_migrate_pages(m.mm, anon, 3), 2);
	assert_int_equal(pfn_at(anon + MEM_PAGE), pin.pfn);
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(samara_migrate_pages(m.mm, anon, 3), 3);
}

static void what_is_no_range_is_refused(void **state)
{
	const unsigned long top = m.mm->geo->task_size;

	(void)state;
	assert_int_equal(samara_migrate_pages(m.mm, 1, 1), -EINVAL);
	assert_int_equal(samara_migrate_pages(m.mm, 0, ~0UL), -EINVAL);
	assert_int_equal(samara_migrate_pages(m.mm, top - MEM_PAGE, 2), -EINVAL);
	assert_int_equal(samara_migrate_pages(m.mm, ~0UL << 12, 0), -EINVAL);
	assert_int_equal(samara_migrate_pages(m.mm, 0, top / MEM_PAGE), 0);
	assert_int_equal(samara_compact(m.machine, FRAME_ORDERS), -EINVAL);
}

static void a_machine_without_a_frame_moves_nothing(void **state)
{
	const unsigned long anon = mem_map(&m, FRAMES, RW, MAP_PRIVATE, NULL);
	unsigned long n = 0;
	char c = 1;

	(void)state;
	while (samara_write(m.mm, anon + n * MEM_PAGE, &c, 1, NULL) == 1)
		n++;
	assert_int_equal(samara_migrate_pages(m.mm, anon, n), -ENOMEM);
	assert_int_equal(samara_compact(m.machine, 3), -ENOMEM);
}

/* compaction ------------------------------------------------------------------------ */

/* All frames are used, then three of four are free again: no two of a pair of eight. */
static unsigned long scatter(unsigned long *pages)
{
	const unsigned long anon = mem_map(&m, FRAMES, RW, MAP_PRIVATE, NULL);
	unsigned long n = 0;

	while (samara_write(m.mm, anon + n * MEM_PAGE, &n, sizeof(n), NULL) == sizeof(n))
		n++;
	for (unsigned long i = 0; i < n; i++)
		if (pfn_at(anon + i * MEM_PAGE) % 4)
			assert_int_equal(samara_madvise(m.mm, anon + i * MEM_PAGE, MEM_PAGE,
							MADV_DONTNEED),
					 0);
	*pages = n;
	return anon;
}

static bool has_block(unsigned int order)
{
	struct folio *folio = folio_alloc(m.machine->ram, order, FOLIO_RAW);

	if (folio)
		folio_put(m.machine->ram, folio);
	return folio;
}

static void a_large_block_becomes_free(void **state)
{
	unsigned long pages, anon = scatter(&pages), kept = 0;

	(void)state;
	assert_true(has_block(1));
	assert_false(has_block(2));
	for (unsigned int order = 2; order < FRAME_ORDERS; order++) {
		assert_int_equal(samara_compact(m.machine, order), 0);
		assert_true(has_block(order));
	}
	for (unsigned long i = 0; i < pages; i++) {
		if (!mem_folio(&m, anon + i * MEM_PAGE))
			continue;
		kept++;
		assert_int_equal(word(m.mm, anon + i * MEM_PAGE), i);
	}
	assert_true(kept >= FRAMES / 4 - 8 && kept <= FRAMES / 4);
}

static void pins_are_gone_round(void **state)
{
	struct samara_pin pins[FRAMES / 64];
	unsigned long pages, anon = scatter(&pages), n = 0;

	(void)state;
	/* One in each block of 64, but for those of the lower quarter. */
	for (unsigned long i = 0; i < pages; i++) {
		const unsigned long pfn = pfn_at(anon + i * MEM_PAGE);

		if (mem_folio(&m, anon + i * MEM_PAGE) && pfn % 64 == 32 && pfn > FRAMES / 4) {
			assert_int_equal(samara_pin_pages(m.mm, anon + i * MEM_PAGE, 1,
							  SAMARA_PIN_WRITE, &pins[n]),
					 1);
			n++;
		}
	}
	assert_int_equal(samara_compact(m.machine, 6), 0);
	assert_int_equal(samara_compact(m.machine, 8), 0);
	assert_int_equal(samara_compact(m.machine, 9), -ENOMEM);
	samara_unpin_pages(pins, n, 0);
	assert_int_equal(samara_compact(m.machine, 9), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(all_pages_of_a_range_move),   TEST(pinned_pages_stay),
		TEST(what_is_no_range_is_refused), TEST(a_machine_without_a_frame_moves_nothing),
		TEST(a_large_block_becomes_free),  TEST(pins_are_gone_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
