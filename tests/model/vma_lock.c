/* SPDX-License-Identifier: MIT */
/*
 * All orders of a writer and a few page faults on one VMA's lock (core/vma_lock.h): the library's
 * own source, run by support/explore.h.
 */
#include "support/cmocka_all.h"

#include "core/vma_lock.h"
#include "support/explore.h"

static struct {
	struct samara_mm mm, other; /* of these only mmap_lock.seq is used */
	struct vma vma;
	unsigned int readers, writing;
} s;

static void begin(void)
{
	s.mm.mmap_lock.seq = 1;
	s.vma.vm_mm = &s.mm;
	s.vma.vm_lock.refcnt = 1;
}

static void fault(void)
{
	if (vma_try_read(&s.mm, &s.vma) != VMA_READ_HELD)
		return;
	s.readers++;
	if (s.writing)
		explore_fail("a fault beside the writer");
	s.readers--;
	vma_end_read(&s.vma);
}

static void write_section(void)
{
	vma_start_write(&s.vma);
	s.writing = 1;
	if (s.readers)
		explore_fail("the writer beside a fault");
}

/* Two sections, one right after the other. */
static void change(void)
{
	for (int i = 0; i < 2; i++) {
		write_section();
		s.writing = 0;
		vma_end_write_all(&s.mm);
	}
}

/* It leaves the tree and is another mm's then. */
static void take_out(void)
{
	write_section();
	vma_mark_detached(&s.vma);
	s.vma.vm_mm = &s.other;
	s.vma.vm_lock.seq = 1;
	vma_mark_attached(&s.vma);
	vma_end_write_all(&s.mm);
}

static void (*writer)(void);

static void run(unsigned int self)
{
	if (!self) {
		writer();
		return;
	}
	fault();
	fault();
}

static void check(void (*what)(void), unsigned int threads)
{
	struct explore e = {
		.name = "vma_lock",
		.threads = threads,
		.thread = run,
		.shared = &s,
		.size = sizeof(s),
		.begin = begin,
		.most_states = 500000,
	};

	if (!explore_possible())
		skip();
	writer = what;
	assert_true(explore(&e));
	print_message("%lu states\n", explore_states());
	e.spurious = true;
	assert_true(explore(&e));
}

static void a_writer_waits_for_all_faults_and_is_woken(void **state)
{
	check(change, 3);
}

static void a_vma_leaves_no_fault_behind(void **state)
{
	check(take_out, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writer_waits_for_all_faults_and_is_woken),
		cmocka_unit_test(a_vma_leaves_no_fault_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
