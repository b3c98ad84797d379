/* SPDX-License-Identifier: MIT */
/*
 * Which faults a userfaultfd stops, and for what reason; what is put where a marker was.
 */
#include <sys/mman.h>

#include "mmu/entry.h"
#include "mmu/table.h"
#include "support/mem.h"
#include "support/uffd_calls.h"

#define RW (PROT_READ | PROT_WRITE)
#define STOPPED_WP ((unsigned int)VM_FAULT_UFFD | (unsigned int)VM_FAULT_UFFD_WP)
#define STOPPED_MINOR ((unsigned int)VM_FAULT_UFFD | (unsigned int)VM_FAULT_UFFD_MINOR)

static struct mem m;
static struct samara_file *file;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	assert_int_equal(samara_file_memfd(m.machine, "uffd", 16 * MEM_PAGE, &file), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mem_check(&m);
	samara_file_put(file);
	mem_close(&m);
	return 0;
}

/* The second look agrees with the fault. */
static unsigned int fault(unsigned long addr, unsigned int flags)
{
	const unsigned int codes = mem_fault(&m, addr, flags);

	if (codes & VM_FAULT_UFFD) {
		struct vma *vma = mem_vma(&m, addr);

		assert_true(fault_uffd_waits(vma, addr, flags, codes));
		assert_false(fault_uffd_waits(vma, addr, flags, codes ^ VM_FAULT_UFFD_MINOR));
	}
	return codes;
}

static void fill_file(unsigned long page)
{
	const unsigned char byte = 7;

	assert_int_equal(samara_file_pwrite(file, &byte, 1, page * MEM_PAGE), 1);
}

static void set_wp(unsigned long addr)
{
	struct table *leaf = table_find(m.mm, addr);
	pte_t *pte = table_pte(m.mm, leaf, addr);

	table_lock(leaf);
	pte_set(pte, pte_with(pte_without(pte_read(pte), PTE_WRITE), PTE_UFFD_WP));
	table_unlock(leaf);
}

static void anonymous_memory_is_missing_until_it_has_an_entry(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);

	(void)state;
	uffd_register_at(uffd, a, 2 * MEM_PAGE, MISSING);
	assert_int_equal(fault(a, 0), VM_FAULT_UFFD);
	assert_int_equal(fault(a + MEM_PAGE, FAULT_WRITE), VM_FAULT_UFFD);
	assert_int_equal(mem_frames(&m), 0);
	assert_int_equal(fault(a + 2 * MEM_PAGE, FAULT_WRITE), 0);
	assert_int_equal(uffd_unregister_at(uffd, a, MEM_PAGE), 0);
	assert_int_equal(fault(a, 0), 0);
	samara_uffd_put(uffd);
	assert_int_equal(fault(a + MEM_PAGE, FAULT_WRITE), 0);
}

static void a_hole_of_shared_memory_is_missing_and_what_the_cache_has_is_minor(void **state)
{
	static const struct {
		unsigned long long mode;
		unsigned int hole, cached;
	} rows[] = {
		{ MISSING, VM_FAULT_UFFD, 0 },
		{ MINOR, 0, STOPPED_MINOR },
		{ MISSING | MINOR, VM_FAULT_UFFD, STOPPED_MINOR },
		{ WP, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++)
			for (unsigned int write = 0; write <= FAULT_WRITE; write++) {
				struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
				const unsigned long a = mem_map(&m, 17, RW, flags, file);

				fill_file(3);
				uffd_register_at(uffd, a, 17 * MEM_PAGE, rows[i].mode);
				assert_int_equal(fault(a + 3 * MEM_PAGE, write), rows[i].cached);
				assert_int_equal(fault(a + 5 * MEM_PAGE, write), rows[i].hole);
				assert_int_equal(fault(a + 16 * MEM_PAGE, write), VM_FAULT_SIGBUS);
				samara_uffd_put(uffd);
				assert_int_equal(samara_munmap(m.mm, a, 17 * MEM_PAGE), 0);
				assert_int_equal(samara_file_set_length(file, 0), 0);
				assert_int_equal(samara_file_set_length(file, 16 * MEM_PAGE), 0);
			}
}

static void only_missing_lets_pages_around_be_mapped(void **state)
{
	(void)state;
	for (unsigned long long mode = MISSING; mode <= MINOR; mode <<= 1) {
		struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
		const unsigned long a = mem_map(&m, 16, RW, MAP_SHARED, file);

		fill_file(3);
		fill_file(4);
		uffd_register_at(uffd, a, 16 * MEM_PAGE, mode);
		(void)fault(a + 3 * MEM_PAGE, 0);
		assert_int_equal(pte_present(mem_pte(&m, a + 4 * MEM_PAGE)), mode == MISSING);
		samara_uffd_put(uffd);
		assert_int_equal(samara_munmap(m.mm, a, 16 * MEM_PAGE), 0);
	}
}

static void a_protected_page_stops_writes_only(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	uffd_register_at(uffd, a, 2 * MEM_PAGE, WP);
	assert_int_equal(fault(a, FAULT_WRITE), 0);
	set_wp(a);
	assert_int_equal(fault(a, FAULT_WRITE), STOPPED_WP);
	assert_int_equal(fault(a, 0), 0);
	assert_int_equal(fault(a, FAULT_UNSHARE), 0);
	/* Who is not registered for it is not stopped by the bit that stays behind. */
	uffd_register_at(uffd, a, 2 * MEM_PAGE, MISSING);
	assert_true(pte_uffd_wp(mem_pte(&m, a)));
	assert_int_equal(fault(a, FAULT_WRITE), 0);
	assert_true(pte_write(mem_pte(&m, a)));
	samara_uffd_put(uffd);
}

static void asynchronous_protection_stops_none(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, 0, UFFD_FEATURE_WP_ASYNC);
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);

	(void)state;
	uffd_register_at(uffd, a, MEM_PAGE, WP);
	assert_int_equal(fault(a, FAULT_WRITE), 0);
	set_wp(a);
	assert_int_equal(fault(a, FAULT_WRITE), 0);
	samara_uffd_put(uffd);
}

/* The page comes with the bit, and is counted in its table as the marker was. */
static void the_page_of_a_marker_comes_protected(void **state)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(kinds); i++)
		for (unsigned int write = 0; write <= FAULT_WRITE; write++) {
			struct samara_file *of = i < 2 ? file : NULL;
			struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
			const unsigned long a = mem_map(&m, 2, RW, kinds[i % 2], of);
			pte_t pte;

			uffd_register_at(uffd, a, 2 * MEM_PAGE, WP);
			assert_int_equal(fault(a + MEM_PAGE, FAULT_WRITE), 0); /* a table */
			mem_mark(&m, a, MARKER_UFFD_WP);
			assert_int_equal(fault(a, write), 0);
			pte = mem_pte(&m, a);
			assert_true(pte_present(pte) && pte_uffd_wp(pte) && !pte_write(pte));
			mem_check(&m);
			assert_int_equal(fault(a, FAULT_WRITE), STOPPED_WP);
			samara_uffd_put(uffd);
			assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
		}
}

static void missing_and_minor_come_before_a_marker(void **state)
{
	struct samara_uffd *uffd = uffd_open(m.mm, 0, 0);
	const unsigned long a = mem_map(&m, 2, RW, MAP_SHARED, file);

	(void)state;
	fill_file(1);
	assert_int_equal(fault(a, FAULT_WRITE), 0);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_REMOVE), 0);
	mem_mark(&m, a, MARKER_UFFD_WP);
	mem_mark(&m, a + MEM_PAGE, MARKER_UFFD_WP);
	uffd_register_at(uffd, a, 2 * MEM_PAGE, MISSING | WP | MINOR);
	assert_int_equal(fault(a, FAULT_WRITE), VM_FAULT_UFFD);
	assert_int_equal(fault(a + MEM_PAGE, FAULT_WRITE), STOPPED_MINOR);
	samara_uffd_put(uffd);
}

static void some_faults_end_with_a_signal_instead(void **state)
{
	struct samara_uffd *sigbus = uffd_open(m.mm, 0, UFFD_FEATURE_SIGBUS);
	struct samara_uffd *user = uffd_open(m.mm, UFFD_USER_MODE_ONLY, 0);
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	const unsigned long b = a + MEM_PAGE;

	(void)state;
	uffd_register_at(sigbus, a, MEM_PAGE, MISSING);
	uffd_register_at(user, b, MEM_PAGE, MISSING);
	assert_int_equal(fault(a, 0), VM_FAULT_SIGBUS);
	assert_int_equal(fault(a, FAULT_KERNEL), VM_FAULT_SIGBUS);
	assert_int_equal(fault(b, 0), VM_FAULT_UFFD);
	assert_int_equal(fault(b, FAULT_KERNEL), VM_FAULT_SIGBUS);
	samara_uffd_put(sigbus);
	samara_uffd_put(user);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(anonymous_memory_is_missing_until_it_has_an_entry),
		TEST(a_hole_of_shared_memory_is_missing_and_what_the_cache_has_is_minor),
		TEST(only_missing_lets_pages_around_be_mapped),
		TEST(a_protected_page_stops_writes_only),
		TEST(asynchronous_protection_stops_none),
		TEST(the_page_of_a_marker_comes_protected),
		TEST(missing_and_minor_come_before_a_marker),
		TEST(some_faults_end_with_a_signal_instead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
