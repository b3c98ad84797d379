/* SPDX-License-Identifier: MIT */
/*
 * Devices: what a driver may show, and what it is told.
 */
#include <errno.h>
#include <string.h>

#include <samara/inject.h>
#include <samara/mm.h>

#include "store/device.h"

#include "support/at_locks.h"
#include "support/cmocka_all.h"

#include "support/store_box.h"

struct driver {
	struct samara_file *file;
	unsigned long frame[2];
	int answer; /* of mmap_prepare and page_mkwrite, and of fault when not 0 */
	unsigned long set, clear;
	unsigned int closed, released;
};

static int prepare(void *priv, struct samara_vma_desc *desc)
{
	const struct driver *d = priv;

	desc->vm_flags = (desc->vm_flags | d->set) & ~d->clear;
	desc->start = 0; /* not for the driver to choose */
	return d->answer;
}

static int fault(void *priv, struct samara_vmf *vmf)
{
	const struct driver *d = priv;

	if (d->answer || vmf->pgoff > 1)
		return d->answer;
	return device_insert(vmf, d->frame[vmf->pgoff]);
}

static int mkwrite(void *priv, struct samara_vmf *vmf)
{
	(void)vmf;
	return ((const struct driver *)priv)->answer;
}

static void closed(void *priv, const struct samara_vma_desc *gone)
{
	((struct driver *)priv)->closed += (unsigned int)(gone->end - gone->start);
}

static void released(void *priv)
{
	((struct driver *)priv)->released++;
}

static const struct samara_file_ops ops = {
	.size = sizeof(ops),
	.name = "/dev/screen",
	.mmap_prepare = prepare,
	.fault = fault,
	.page_mkwrite = mkwrite,
	.close = closed,
	.release = released,
};
static const struct samara_file_ops no_ops = { .size = sizeof(no_ops) };

static void open_driver(struct store_box *box, struct driver *d)
{
	assert_int_equal(device_create(box->store, &ops, d, &d->file), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(device_alloc(d->file->inode, 0, &d->frame[i]), 0);
}

static void a_device_shows_its_own_frames_only(void **state)
{
	struct store_box *box = *state;
	struct driver d = { 0 }, other = { 0 };
	struct samara_vmf vmf = { .pgoff = 1 };

	open_driver(box, &d);
	open_driver(box, &other);
	vmf.file = d.file;
	assert_int_equal(device_fault(&vmf), 0);
	assert_int_equal(vmf.frame, d.frame[1]);
	assert_int_equal(device_insert(&vmf, other.frame[0]), -EINVAL);
	assert_int_equal(device_insert(&vmf, ZERO_FRAME), -EINVAL);
	assert_int_equal(device_insert(&vmf, ULONG_MAX), -EINVAL);
	assert_null(device_bytes(d.file->inode, other.frame[0]));
	memset(device_bytes(d.file->inode, d.frame[0]), 1, BOX_PAGE);
	assert_ptr_equal(device_bytes(d.file->inode, d.frame[0]),
			 pfn_to_virt(box->ram, d.frame[0]));
	assert_int_equal(box_frames(box), 4);
	box_check(d.file);
	file_put(d.file);
	assert_int_equal(d.released, 1);
	assert_int_equal(box_frames(box), 2);
	file_put(other.file);
}

static void frames_are_counted_under_the_lock_of_their_tree(void **state)
{
	struct store_box *box = *state;
	struct driver d = { 0 };
	struct inode *inode;
	unsigned long frame;

	if (!at_locks_available())
		skip();
	open_driver(box, &d);
	inode = d.file->inode;
	guard_add(&inode->pages.lock.lock, &inode->pages.nr, sizeof(inode->pages.nr), "nr");
	for (unsigned int order = 0; order < 3; order++)
		assert_int_equal(device_alloc(inode, order, &frame), 0);
	assert_int_equal(inode->pages.nr, 5);
	guard_end();
	file_put(d.file);
}

static void what_the_driver_answers_reaches_the_fault(void **state)
{
	struct store_box *box = *state;
	struct driver d = { 0 };
	struct samara_vmf vmf = { .pgoff = 2 };

	open_driver(box, &d);
	vmf.file = d.file;
	/* It said 0, but showed nothing. */
	assert_int_equal(device_fault(&vmf), -EFAULT);
	vmf.pgoff = 0;
	d.answer = -ENOMEM;
	assert_int_equal(device_fault(&vmf), -ENOMEM);
	assert_int_equal(device_page_mkwrite(&vmf), -ENOMEM);
	d.answer = 0;
	assert_int_equal(device_page_mkwrite(&vmf), 0);
	assert_true(inode_has_mkwrite(d.file->inode));
	assert_int_equal(device_huge_fault(&vmf), -EFAULT);
	file_put(d.file);
}

static void mmap_prepare_may_change_what_it_may(void **state)
{
	struct store_box *box = *state;
	const unsigned long plain = SAMARA_VM_READ | SAMARA_VM_MAYREAD | SAMARA_VM_MAYWRITE |
				    SAMARA_VM_SHARED | SAMARA_VM_MAYSHARE;
	struct driver d = { .set = SAMARA_VM_PFNMAP | SAMARA_VM_IO, .clear = SAMARA_VM_MAYWRITE };
	struct samara_vma_desc desc = { .start = 4096, .end = 8192, .vm_flags = plain };

	open_driver(box, &d);
	desc.file = d.file;
	assert_int_equal(device_mmap_prepare(&desc), 0);
	assert_int_equal(desc.vm_flags, (plain | d.set) & ~d.clear);
	assert_int_equal(desc.start, 4096);
	d.answer = -EPERM;
	assert_int_equal(device_mmap_prepare(&desc), -EPERM);
	d.answer = 0;
	desc.vm_flags = plain | SAMARA_VM_WRITE;
	assert_int_equal(device_mmap_prepare(&desc), -EINVAL);
	d.clear = 0;
	d.set = SAMARA_VM_LOCKED;
	assert_int_equal(device_mmap_prepare(&desc), -EINVAL);
	assert_int_equal(desc.vm_flags, plain | SAMARA_VM_WRITE);
	device_close(&desc);
	assert_int_equal(d.closed, 4096);
	file_put(d.file);
}

static void a_driver_may_leave_everything_out(void **state)
{
	struct store_box *box = *state;
	struct samara_vma_desc desc = { .start = 4096, .end = 8192 };
	struct samara_vmf vmf = { 0 };
	struct samara_file *file;

	assert_int_equal(device_create(box->store, &no_ops, NULL, &file), 0);
	vmf.file = desc.file = file;
	assert_string_equal(file->name, "/dev/samara");
	assert_int_equal(device_mmap_prepare(&desc), 0);
	assert_int_equal(device_fault(&vmf), -EFAULT);
	assert_int_equal(device_page_mkwrite(&vmf), 0);
	assert_false(inode_has_mkwrite(file->inode));
	device_close(&desc);
	assert_int_equal(inode_pages(file->inode), ULONG_MAX);
	file_put(file);
}

static void blocks_are_shown_by_pfn_maps(void **state)
{
	struct store_box *box = *state;
	struct driver d = { 0 };
	struct samara_vmf vmf = { .flags = SAMARA_VMF_PFN };
	unsigned long first, none = 0;

	open_driver(box, &d);
	vmf.file = d.file;
	assert_int_equal(device_alloc(d.file->inode, 9, &first), 0);
	assert_int_equal(device_alloc(d.file->inode, 10, &none), -EINVAL);
	assert_non_null(device_bytes(d.file->inode, first + 511));
	assert_int_equal(device_insert(&vmf, first + 511), 0);
	vmf.order = 9;
	assert_int_equal(device_insert(&vmf, first), 0);
	assert_int_equal(device_insert(&vmf, first + 1), -EINVAL);
	assert_int_equal(device_insert(&vmf, d.frame[0]), -EINVAL);
	vmf.flags = 0;
	vmf.order = 0;
	assert_int_equal(device_insert(&vmf, first), -EINVAL);
	assert_int_equal(device_insert(&vmf, d.frame[0]), 0);
	box_check(d.file);
	file_put(d.file);
}

static void refused_memory_leaves_no_device_and_no_frame(void **state)
{
	struct store_box *box = *state;
	unsigned long frame, refused = 0;
	struct driver d = { 0 };
	int err = -ENOMEM;

	for (unsigned long nth = 1; err; nth++) {
		const unsigned long live = samara_live_objects();

		samara_inject_nth(nth);
		err = device_create(box->store, &ops, &d, &d.file);
		samara_inject_nth(0);
		assert_true(!err || samara_live_objects() == live);
	}
	assert_int_equal(d.released, 0);
	for (unsigned long i = 0; i < 100; i++) {
		err = -ENOMEM;
		for (unsigned long nth = 1; err; nth++) {
			samara_inject_nth(nth);
			err = device_alloc(d.file->inode, i % 3, &frame);
			samara_inject_nth(0);
			refused += !!err;
			box_check(d.file);
		}
		assert_int_equal(d.file->inode->pages.nr, i + 1);
	}
	assert_true(refused > 100);
	file_put(d.file);
	assert_int_equal(d.released, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_box_up, store_box_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_device_shows_its_own_frames_only),
		test(frames_are_counted_under_the_lock_of_their_tree),
		test(what_the_driver_answers_reaches_the_fault),
		test(mmap_prepare_may_change_what_it_may),
		test(a_driver_may_leave_everything_out),
		test(blocks_are_shown_by_pfn_maps),
		test(refused_memory_leaves_no_device_and_no_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
