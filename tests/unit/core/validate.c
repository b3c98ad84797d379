/* SPDX-License-Identifier: MIT */
/*
 * The validator finds each kind of damage and calls it by its name.
 */
#include <errno.h>

#include "support/cmocka_all.h"

#include "support/mm_shape.h"
#include "vma/find.h"

static void expect(struct samara_mm *mm, const char *invariant)
{
	struct samara_report report = { 0 };

	assert_int_equal(samara_mm_validate(mm, &report), -EUCLEAN);
	assert_string_equal(report.invariant, invariant);
	assert_true(report.text[0]);
}

static void each_broken_invariant_is_named(void **state)
{
	struct fixture *f = *state;
	struct samara_mm *mm = f->mm;
	struct vma *vma;

	map_pages(mm, 0, 4, RW, 0);
	vma = vma_lookup(mm, AT(0));
	assert_int_equal(samara_mm_validate(mm, NULL), 0);

	vma->vm_end -= PAGE;
	expect(mm, "place");
	vma->vm_end += PAGE;
	vma->vm_mm = NULL;
	expect(mm, "vma_mm");
	vma->vm_mm = mm;
	vma->rmap.anon_links = 1;
	expect(mm, "vma_anon");
	vma->rmap.anon_links = 0;
	vma->vm_flags |= VM_SHARED | VM_MAYSHARE;
	expect(mm, "vma_behind");
	vma->vm_flags &= ~(VM_SHARED | VM_MAYSHARE);
	vma->vm_flags &= ~VM_MAYWRITE;
	expect(mm, "vma_flags");
	vma->vm_flags |= VM_MAYWRITE;
	mm->count.total_vm++;
	expect(mm, "total_vm");
	mm->count.total_vm--;
	mm->count.accounted--;
	expect(mm, "accounted");
	mm->count.accounted++;
	mm->count.map_count++;
	expect(mm, "map_count");
	mm->count.map_count--;
	assert_int_equal(samara_mm_validate(mm, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_broken_invariant_is_named, fixture_up,
						fixture_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
