/* SPDX-License-Identifier: MIT */
/*
 * What a fault may ask for (P4), who may access what, and markers.
 */
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

MEM_FIXTURE(m, 1 << 20);

static void write_and_unshare_exclude_each_other(void **state)
{
	const unsigned long a = mem_map(&m, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);

	(void)state;
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE | FAULT_UNSHARE), VM_FAULT_SIGSEGV);
	assert_true(pte_none(mem_pte(&m, a)));
}

static void unsharing_a_shared_mapping_is_reading_it(void **state)
{
	struct samara_file *file = mem_file(&m, 1);
	const unsigned long a = mem_map(&m, 1, PROT_READ, MAP_SHARED, file);
	struct folio *folio;

	(void)state;
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	folio = mem_folio(&m, a);
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	assert_ptr_equal(mem_folio(&m, a), folio);
	assert_false(pte_dirty(mem_pte(&m, a)));
	assert_false(folio_test(folio, FOLIO_ANON));
	samara_file_put(file);
}

/* A page that may be written to and has not been since MADV_FREE: only a write makes it dirty. */
static void a_page_is_dirty_once_it_is_written(void **state)
{
	const unsigned long a = mem_map(&m, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);
	pte_t clean;

	(void)state;
	assert_int_equal(samara_write(m.mm, a, "x", 1, NULL), 1);
	assert_int_equal(samara_madvise(m.mm, a, MEM_PAGE, MADV_FREE), 0);
	clean = mem_pte(&m, a);
	assert_true(pte_write(clean) && !pte_dirty(clean));
	assert_int_equal(mem_fault(&m, a, 0), 0);
	assert_true(pte_same(mem_pte(&m, a), clean));
	assert_int_equal(mem_fault(&m, a, FAULT_UNSHARE), 0);
	assert_true(pte_same(mem_pte(&m, a), clean));
	assert_int_equal(mem_fault_vma_lock(&m, a, FAULT_UNSHARE), 0);
	assert_true(pte_same(mem_pte(&m, a), clean));
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_true(pte_dirty(mem_pte(&m, a)));
}

static void writing_needs_the_right_unless_the_mapping_is_private(void **state)
{
	struct samara_file *file = mem_file(&m, 1);
	const unsigned long shared = mem_map(&m, 1, PROT_READ, MAP_SHARED, file);
	const unsigned long private = mem_map(&m, 1, PROT_READ, MAP_PRIVATE, file);

	(void)state;
	assert_int_equal(mem_fault(&m, shared, FAULT_WRITE), VM_FAULT_SIGSEGV);
	assert_true(pte_none(mem_pte(&m, shared)));
	/* A debugger's write: the page is the process's own, and still not writable. */
	assert_int_equal(mem_fault(&m, private, FAULT_WRITE | FAULT_FORCE), 0);
	assert_true(folio_test(mem_folio(&m, private), FOLIO_ANON));
	assert_false(pte_write(mem_pte(&m, private)));
	assert_int_equal(mem_bytes(&m, private)[0], 1);
	/* Nor can it be where even mprotect could not allow it. */
	mem_vma(&m, shared)->vm_flags &= ~VM_MAYWRITE;
	mem_vma(&m, shared)->vm_flags |= VM_WRITE;
	assert_int_equal(mem_fault(&m, shared, FAULT_WRITE), VM_FAULT_SIGSEGV);
	mem_vma(&m, shared)->vm_flags &= ~VM_WRITE;
	samara_file_put(file);
}

static void rights_are_those_of_x86(void **state)
{
	static const struct {
		int prot, flags;
		unsigned int read, write, exec, force_read, force_write;
	} rows[] = {
		{ PROT_NONE, MAP_PRIVATE, 1, 1, 1, 0, 0 },
		{ PROT_READ, MAP_PRIVATE, 0, 1, 0, 0, 0 },
		{ PROT_WRITE, MAP_PRIVATE, 0, 0, 0, 0, 0 },
		{ PROT_EXEC, MAP_PRIVATE, 0, 1, 0, 0, 0 },
		{ PROT_READ, MAP_SHARED, 0, 1, 0, 0, 1 },
		{ PROT_NONE, MAP_SHARED, 1, 1, 1, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const unsigned long a = mem_map(&m, 1, rows[i].prot, rows[i].flags, NULL);
		const struct vma *vma = mem_vma(&m, a);
		const unsigned int no = VM_FAULT_SIGSEGV;

		assert_int_equal(fault_check_access(vma, 0), no * rows[i].read);
		assert_int_equal(fault_check_access(vma, FAULT_WRITE), no * rows[i].write);
		assert_int_equal(fault_check_access(vma, FAULT_EXEC), no * rows[i].exec);
		assert_int_equal(fault_check_access(vma, FAULT_FORCE), no * rows[i].force_read);
		assert_int_equal(fault_check_access(vma, FAULT_WRITE | FAULT_FORCE),
				 no * rows[i].force_write);
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	}
}

/* All combinations of what decides, on a VMA that is in no tree. */
static void a_debugger_needs_what_mprotect_could_give(void **state)
{
	static const unsigned long bits[] = { VM_READ,    VM_WRITE,    VM_EXEC,   VM_SHARED,
					      VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC };

	(void)state;
	for (unsigned int set = 0; set < 1U << ARRAY_SIZE(bits); set++) {
		struct vma vma = { .vm_flags = 0 };
		bool any, cow;

		for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++)
			vma.vm_flags |= set >> i & 1 ? bits[i] : 0;
		any = vma.vm_flags & (VM_READ | VM_WRITE | VM_EXEC);
		cow = (vma.vm_flags & VM_MAYWRITE) && !(vma.vm_flags & VM_SHARED);
		assert_int_equal(!fault_check_access(&vma, 0), any);
		assert_int_equal(!fault_check_access(&vma, FAULT_FORCE),
				 any || (vma.vm_flags & VM_MAYREAD));
		assert_int_equal(!fault_check_access(&vma, FAULT_WRITE),
				 !!(vma.vm_flags & VM_WRITE));
		assert_int_equal(!fault_check_access(&vma, FAULT_WRITE | FAULT_FORCE),
				 (vma.vm_flags & VM_WRITE) || cow);
	}
}

static void markers_say_what_the_page_is(void **state)
{
	static const struct {
		unsigned int marker, codes;
	} rows[] = {
		{ MARKER_GUARD, VM_FAULT_SIGSEGV },
		{ MARKER_POISON, VM_FAULT_SIGBUS | VM_FAULT_HWPOISON },
		{ MARKER_POISON | MARKER_GUARD, VM_FAULT_SIGBUS | VM_FAULT_HWPOISON },
		{ MARKER_POISON | MARKER_UFFD_WP, VM_FAULT_SIGBUS | VM_FAULT_HWPOISON },
	};
	const unsigned long a =
		mem_map(&m, ARRAY_SIZE(rows), PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const unsigned long at = a + i * MEM_PAGE;
		pte_t pte;

		mem_mark(&m, at, rows[i].marker);
		pte = mem_pte(&m, at);
		assert_int_equal(mem_fault(&m, at, 0), rows[i].codes);
		assert_int_equal(mem_fault(&m, at, FAULT_WRITE), rows[i].codes);
		assert_int_equal(mem_fault(&m, at, FAULT_UNSHARE), rows[i].codes);
		assert_true(pte_same(mem_pte(&m, at), pte));
	}
	/* No table's entry may be left behind by a marker that no VMA is for. */
	assert_int_equal(samara_munmap(m.mm, a, ARRAY_SIZE(rows) * MEM_PAGE), 0);
}

static void a_forgotten_write_protect_mark_is_no_page(void **state)
{
	const unsigned long a = mem_map(&m, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, NULL);

	(void)state;
	mem_mark(&m, a, MARKER_UFFD_WP);
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_true(pte_none(mem_pte(&m, a)));
	assert_int_equal(mem_fault(&m, a, FAULT_WRITE), 0);
	assert_true(pte_write(mem_pte(&m, a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(write_and_unshare_exclude_each_other),
		TEST(unsharing_a_shared_mapping_is_reading_it),
		TEST(a_page_is_dirty_once_it_is_written),
		TEST(writing_needs_the_right_unless_the_mapping_is_private),
		TEST(rights_are_those_of_x86),
		TEST(a_debugger_needs_what_mprotect_could_give),
		TEST(markers_say_what_the_page_is),
		TEST(a_forgotten_write_protect_mark_is_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
