/* SPDX-License-Identifier: MIT */
/*
 * Page faults of every kind, pins, fork and exit of a rich address space (support/rich_mm.h) with
 * every allocation failing in turn (support/inject_run.h). The calls of <samara/mm.h> are in
 * inject/calls.c, files, CPUs and notifiers in inject/doors.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include <samara/cpu.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"
#include "support/mem.h"

#define NEW 0x77

/* accesses ----------------------------------------------------------------- */

/* Of one page that reads as the table says. */
static int read_page(struct rich *w, enum rich_row row, unsigned int page)
{
	const int got = rich_read(w, RICH_SELF, row, page);

	if (got == -ENOMEM)
		return got;
	assert_int_equal(got, w->view[RICH_SELF].byte[row][page]);
	return 0;
}

static int write_page(struct rich *w, enum rich_row row, unsigned int page)
{
	return rich_write(w, RICH_SELF, row, page, NEW);
}

static int write_untouched(struct rich *w)
{
	return write_page(w, RICH_ANON, 6);
}

/* A whole GiB of its own: tables at each level. */
static int write_far(struct rich *w)
{
	const unsigned long far = RICH_BASE << 1;
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	struct samara_fault fault;
	unsigned long addr;
	long ret;

	addr = samara_mmap(mm, far, RICH_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	ret = samara_write(mm, far, "x", 1, &fault);
	assert_int_equal(samara_munmap(mm, far, RICH_PAGE), 0);
	return ret == 1 ? 0 : (int)ret;
}

static int write_zero_page(struct rich *w)
{
	return write_page(w, RICH_ANON, 4);
}

static int write_inherited(struct rich *w)
{
	return write_page(w, RICH_OLD, 0);
}

static int write_own(struct rich *w)
{
	return write_page(w, RICH_OLD, 4);
}

static int write_parents_last(struct rich *w)
{
	/* Nobody else has them then, so this one is reused. */
	samara_mm_exit(w->view[RICH_GRAND].mm);
	samara_mm_exit(w->view[RICH_PARENT].mm);
	w->view[RICH_GRAND].mm = w->view[RICH_PARENT].mm = NULL;
	return write_page(w, RICH_OLD, 0);
}

static int write_private_read(struct rich *w)
{
	return write_page(w, RICH_PRIVATE, 0);
}

static int write_private_unread(struct rich *w)
{
	return write_page(w, RICH_PRIVATE, 6);
}

static int write_host_unread(struct rich *w)
{
	return write_page(w, RICH_HOST, 5);
}

static int read_host_unread(struct rich *w)
{
	return read_page(w, RICH_HOST, 5);
}

static int write_shared_hole(struct rich *w)
{
	return write_page(w, RICH_SHARED, 7);
}

static int read_shared_hole(struct rich *w)
{
	return read_page(w, RICH_SHARED, 6);
}

static int write_shared_file(struct rich *w)
{
	return write_page(w, RICH_FILE, 5);
}

static int write_device(struct rich *w)
{
	return write_page(w, RICH_DEVICE, 6);
}

static int read_pfn(struct rich *w)
{
	return read_page(w, RICH_PFN, 6);
}

/*
 * A stack that cannot grow is SIGSEGV, whatever the reason, and one that has grown stays so, as in
 * Linux.
 */
static int grow_stack(struct rich *w)
{
	const int err = write_page(w, RICH_STACK, 1);

	if (!err)
		rich_set(&w->view[RICH_SELF], RICH_STACK, 2, 4, 0);
	return err == -EFAULT ? -ENOMEM : err;
}

/* Something mapped in SPARE for one access, and unmapped. */
static int write_once(struct rich *w, unsigned int from, int flags, struct samara_file *file)
{
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	const unsigned long addr = RICH_AT(RICH_SPARE, from);
	struct samara_fault fault;
	unsigned long at;
	long ret;

	at = samara_mmap(mm, addr, 2 * RICH_PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file,
			 0);
	if (SAMARA_IS_ERR_VALUE(at))
		return (int)at;
	ret = samara_write(mm, RICH_AT(RICH_SPARE, 1), "x", 1, &fault);
	assert_int_equal(samara_munmap(mm, RICH_AT(RICH_SPARE, 0), RICH_PAGES * RICH_PAGE), 0);
	return ret == 1 ? 0 : -ENOMEM;
}

static int grow_untouched_stack(struct rich *w)
{
	return write_once(w, 4, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, NULL);
}

static int write_private_device(struct rich *w)
{
	return write_once(w, 1, MAP_PRIVATE, w->device);
}

static int fetch(struct rich *w)
{
	struct samara_fault fault;
	unsigned char c;
	const long ret = samara_fetch(w->view[RICH_SELF].mm, RICH_AT(RICH_HOST, 7), &c, 1, &fault);

	if (ret == 1)
		assert_int_equal(c, 0x57);
	return ret == 1 ? 0 : (int)ret;
}

static int exchange(struct rich *w)
{
	struct samara_fault fault;
	uint64_t expected = 0;
	const int ret = samara_cmpxchg(w->view[RICH_SELF].mm, RICH_AT(RICH_ANON, 7), 8, &expected,
				       0, &fault);

	assert_true(ret == 1 || ret == -ENOMEM);
	return ret == 1 ? 0 : ret;
}

/* Several pages: what was moved before memory ran out stays. */
static int write_many(struct rich *w)
{
	static const unsigned char bytes[4 * RICH_PAGE];
	struct samara_fault fault;
	const long ret = samara_write(w->view[RICH_SELF].mm, RICH_AT(RICH_OLD, 0), bytes,
				      sizeof(bytes), &fault);

	if (ret < (long)sizeof(bytes)) {
		assert_int_equal(fault.signo, 0);
		assert_int_equal(fault.code, -ENOMEM);
		return -ENOMEM;
	}
	rich_set(&w->view[RICH_SELF], RICH_OLD, 0, 4, 0);
	return 0;
}

static int touch(struct rich *w)
{
	return samara_touch(w->view[RICH_SELF].mm, RICH_AT(RICH_ANON, 6), 2 * RICH_PAGE,
			    PROT_WRITE);
}

static int cpu_miss(struct rich *w)
{
	struct samara_fault fault;
	unsigned char *p;

	if (!w->cpu && samara_cpu_create(w->machine, &w->cpu))
		return -ENOMEM;
	samara_cpu_run(w->cpu, w->view[RICH_SELF].mm);
	samara_cpu_enter(w->cpu);
	p = samara_cpu_miss(w->cpu, RICH_AT(RICH_OLD, 1), SAMARA_ACCESS_WRITE, &fault);
	if (p)
		assert_int_equal(*p, 0x11);
	samara_cpu_exit(w->cpu);
	if (!p)
		assert_int_equal(fault.code, -ENOMEM);
	return p ? 0 : -ENOMEM;
}

/* pins --------------------------------------------------------------------- */

static int pin(struct rich *w, enum rich_row row, unsigned int page, unsigned int flags)
{
	struct samara_pin pins[2];
	const long n = samara_pin_pages(w->view[RICH_SELF].mm, RICH_AT(row, page), 2, flags, pins);

	if (n > 0)
		samara_unpin_pages(pins, (unsigned long)n, 0);
	return n == 2 ? 0 : n < 0 ? (int)n : -ENOMEM;
}

static int pin_for_writing(struct rich *w)
{
	return pin(w, RICH_OLD, 0, SAMARA_PIN_WRITE);
}

static int pin_for_long(struct rich *w)
{
	return pin(w, RICH_OLD, 0, SAMARA_PIN_LONGTERM);
}

static int pin_zero_for_long(struct rich *w)
{
	return pin(w, RICH_ANON, 4, SAMARA_PIN_LONGTERM);
}

static int pin_file(struct rich *w)
{
	return pin(w, RICH_PRIVATE, 6, SAMARA_PIN_LONGTERM);
}

/* fork --------------------------------------------------------------------- */

static void expect_child(struct rich *w)
{
	struct rich_view *child = &w->view[RICH_CHILD];

	for (int row = 0; row < RICH_ROWS; row++)
		for (unsigned int page = 0; page < RICH_PAGES; page++)
			child->byte[row][page] = w->view[RICH_SELF].byte[row][page];
	rich_set(child, RICH_DONTFORK, 0, RICH_PAGES, RICH_SEGV);
	rich_set(child, RICH_WIPE, 0, RICH_PAGES, 0);
}

/* A page that was the mm's alone is so still: writing to it neither copies nor asks for memory. */
static void still_exclusive(struct rich *w, enum rich_row row, unsigned int page)
{
	const struct mem m = { .machine = w->machine, .mm = w->view[RICH_SELF].mm };
	const unsigned long pfn = pte_pfn(mem_pte(&m, RICH_AT(row, page)));
	const int byte = w->view[RICH_SELF].byte[row][page];

	assert_int_equal(rich_write(w, RICH_SELF, row, page, byte), 0);
	assert_int_equal(pte_pfn(mem_pte(&m, RICH_AT(row, page))), pfn);
}

static int do_fork(struct rich *w)
{
	struct samara_mm *child = NULL;
	const int err = samara_fork(w->view[RICH_SELF].mm, &child);

	if (err) {
		assert_null(child);
		return err;
	}
	w->view[RICH_CHILD].mm = child;
	expect_child(w);
	return 0;
}

/* Everybody then writes, and sees what he wrote; pinned pages stay where they are. */
static int fork_and_write(struct rich *w)
{
	const struct mem m = { .machine = w->machine, .mm = w->view[RICH_SELF].mm };
	int err = do_fork(w);

	if (err) {
		for (unsigned int page = 0; page < 4; page++) {
			still_exclusive(w, RICH_ANON, page);
			still_exclusive(w, RICH_PINNED, page);
			still_exclusive(w, RICH_LOCKED, page);
		}
		still_exclusive(w, RICH_OLD, 4);
		still_exclusive(w, RICH_PRIVATE, 2);
		still_exclusive(w, RICH_HEAP, 1);
		return err;
	}
	err = rich_write(w, RICH_CHILD, RICH_OLD, 0, NEW);
	if (!err)
		err = rich_write(w, RICH_CHILD, RICH_ANON, 0, NEW);
	if (!err)
		err = rich_write(w, RICH_CHILD, RICH_PINNED, 0, NEW);
	if (!err)
		err = rich_write(w, RICH_SELF, RICH_PINNED, 1, NEW + 1);
	if (!err)
		err = rich_write(w, RICH_SELF, RICH_PRIVATE, 2, NEW + 2);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pte_pfn(mem_pte(&m, RICH_AT(RICH_PINNED, i))), w->pin[i].pfn);
	if (err) {
		samara_mm_exit(w->view[RICH_CHILD].mm);
		w->view[RICH_CHILD].mm = NULL;
	}
	return err;
}

/* One that a CPU runs. */
static int leave(struct rich *w)
{
	int err = 0;

	if (!w->cpu)
		err = samara_cpu_create(w->machine, &w->cpu);
	if (err)
		return err;
	samara_cpu_run(w->cpu, w->view[RICH_SELF].mm);
	samara_mm_exit(w->view[RICH_SELF].mm);
	w->view[RICH_SELF].mm = NULL;
	return 0;
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(write_untouched),
		OP(write_far, .flags = INJECT_PARTIAL),
		OP(write_zero_page),
		OP(write_inherited),
		OP(write_own, .flags = INJECT_NO_MEMORY),
		OP(write_parents_last, .flags = INJECT_NO_MEMORY),
		OP(write_private_read),
		OP(write_private_unread),
		OP(write_host_unread),
		OP(read_host_unread),
		OP(write_shared_hole),
		OP(read_shared_hole),
		OP(write_shared_file, .flags = INJECT_NO_MEMORY),
		OP(write_device, .flags = INJECT_NO_MEMORY),
		OP(read_pfn, .flags = INJECT_NO_MEMORY),
		OP(grow_stack, .flags = INJECT_PARTIAL),
		OP(grow_untouched_stack),
		OP(write_private_device),
		OP(fetch),
		OP(exchange),
		OP(write_many, .flags = INJECT_PARTIAL),
		OP(touch, .flags = INJECT_PARTIAL),
		OP(cpu_miss),
		OP(pin_for_writing, .flags = INJECT_PARTIAL),
		OP(pin_for_long, .flags = INJECT_PARTIAL),
		OP(pin_zero_for_long, .flags = INJECT_PARTIAL),
		OP(pin_file, .flags = INJECT_PARTIAL),
		OP(do_fork),
		OP(fork_and_write, .flags = INJECT_PARTIAL),
		OP(leave),
	};

	return inject_run("inject/pages", ops, sizeof(ops) / sizeof(ops[0]));
}
