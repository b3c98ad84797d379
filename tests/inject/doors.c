/* SPDX-License-Identifier: MIT */
/*
 * Files, devices, CPUs, notifiers, machines and mms beside a rich address space
 * (support/rich_mm.h), with every allocation failing in turn (support/inject_run.h).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/backend.h>
#include <samara/cpu.h>
#include <samara/notifier.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"

#define RW (PROT_READ | PROT_WRITE)

/* making things, and giving them up again ------------------------------------ */

static int given_up(struct samara_file *file, int err)
{
	if (!err)
		samara_file_put(file);
	return err;
}

static int make_from_fd(struct rich *w)
{
	const int fd = memfd_create("other", 0);
	struct samara_file *file;
	const int err = samara_file_from_fd(w->machine, fd, &file);

	close(fd);
	return given_up(file, err);
}

static int make_named(struct rich *w)
{
	const struct samara_file_identity id = { .size = sizeof(id),
						 .name = "/lib/libc.so",
						 .ino = 9 };
	struct samara_file *file;
	const int err = samara_file_named(w->machine, &id, &file);

	return given_up(file, err);
}

static int make_shmem(struct rich *w)
{
	struct samara_file *file;
	const int err = samara_file_shmem(w->machine, RICH_PAGE, &file);

	return given_up(file, err);
}

static int make_memfd(struct rich *w)
{
	struct samara_file *file;
	const int err = samara_file_memfd(w->machine, "more", RICH_PAGE, &file);

	return given_up(file, err);
}

static int make_reopened(struct rich *w)
{
	struct samara_file *file;
	const int err = samara_file_reopen(w->device, SAMARA_FILE_READ, &file);

	return given_up(file, err);
}

static int make_sysv(struct rich *w)
{
	struct samara_file *file;
	const int err = samara_file_sysv(w->machine, 1, 2, RICH_PAGE, &file);

	return given_up(file, err);
}

/* Shown once, then unmapped; its frames go with it. */
static int make_device(struct rich *w)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops) };
	struct samara_file *file;
	unsigned long frame;
	int err = samara_file_device(w->machine, &ops, NULL, &file);

	if (err)
		return err;
	err = samara_device_alloc(file, 0, &frame);
	if (!err)
		err = samara_device_alloc(file, 3, &frame);
	samara_file_put(file);
	return err;
}

static int make_machine(struct rich *w)
{
	struct samara_machine *machine;
	const int err = samara_machine_create(NULL, &machine);

	(void)w;
	if (!err)
		samara_machine_destroy(machine);
	return err;
}

static int make_mm(struct rich *w)
{
	struct samara_mm *mm;
	const int err = samara_mm_create(w->machine, &mm);

	if (!err)
		samara_mm_exit(mm);
	return err;
}

static int make_cpu(struct rich *w)
{
	return w->cpu ? 0 : samara_cpu_create(w->machine, &w->cpu);
}

static int register_notifier(struct rich *w)
{
	static const struct samara_notifier_ops ops;

	return samara_notifier_register(w->view[RICH_SELF].mm, &ops, NULL, &w->notifier);
}

static int set_layout(struct rich *w)
{
	const struct samara_mapping special[] = {
		{ .start = 0x7ffff7fc0000,
		  .end = 0x7ffff7fc4000,
		  .prot = PROT_READ,
		  .flags = MAP_PRIVATE,
		  .name = "[vvar]" },
		{ .start = 0x7ffff7fc6000,
		  .end = 0x7ffff7fc8000,
		  .prot = PROT_READ | PROT_EXEC,
		  .flags = MAP_PRIVATE,
		  .name = "[vdso]" },
	};
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	layout.special = special;
	layout.nr_special = 2;
	return samara_set_layout(w->view[RICH_SELF].mm, &layout);
}

/* A new address space with a stack that was written to, and a fork of it: all, or nothing. */
static int make_laid_out(struct rich *w)
{
	const struct samara_mapping stack = {
		.start = 0x7ffffffde000,
		.end = 0x7ffffffff000,
		.prot = RW,
		.flags = MAP_PRIVATE,
		.name = "[stack]",
		.touched = true,
	};
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct samara_vma_info info;
	struct samara_mm *mm, *child;
	int err = samara_mm_create(w->machine, &mm);

	if (err)
		return err;
	layout.special = &stack;
	layout.nr_special = 1;
	err = samara_set_layout(mm, &layout);
	if (err)
		assert_int_equal(samara_vma_next(mm, 0, &info), -ENOENT);
	else
		err = samara_fork(mm, &child);
	if (!err)
		samara_mm_exit(child);
	samara_mm_exit(mm);
	return err;
}

/* files that are mapped ---------------------------------------------------- */

static void expect_file(struct rich *w, unsigned int from, unsigned int to, int what)
{
	struct rich_view *v = &w->view[RICH_SELF];

	rich_set(v, RICH_FILE, from, to, what);
	for (unsigned int page = from; page < to; page++)
		if (v->byte[RICH_PRIVATE][page] == 0x40 + (int)page)
			rich_set(v, RICH_PRIVATE, page, page + 1, what);
}

static int truncate_file(struct rich *w)
{
	const int err = samara_file_set_length(w->file, 3 * RICH_PAGE);

	if (err)
		return err;
	expect_file(w, 3, RICH_PAGES, RICH_BUS);
	rich_set(&w->view[RICH_SELF], RICH_PRIVATE, 3, RICH_PAGES, RICH_BUS);
	return 0;
}

/* The rest of a page becomes zeros: the page has to be there for that. */
static int truncate_host_inside_a_page(struct rich *w)
{
	const int err = samara_file_set_length(w->host, 6 * RICH_PAGE + 1);
	struct rich_view *v = &w->view[RICH_SELF];
	unsigned char last = 1;

	if (err)
		return err;
	rich_set(v, RICH_HOST, 6, 7, RICH_LEAVE); /* its ends differ now */
	rich_set(v, RICH_HOST, 7, RICH_PAGES, RICH_BUS);
	if (samara_read(v->mm, RICH_AT(RICH_HOST, 7) - 1, &last, 1, NULL) == 1)
		assert_int_equal(last, 0);
	return 0;
}

static int lengthen_host(struct rich *w)
{
	return samara_file_set_length(w->host, 2 * RICH_PAGES * RICH_PAGE);
}

static int punch_hole(struct rich *w)
{
	const int err = samara_file_punch_hole(w->file, RICH_PAGE, 4 * RICH_PAGE);

	if (!err)
		expect_file(w, 1, 5, 0);
	return err;
}

static int punch_host_inside_pages(struct rich *w)
{
	struct rich_view *v = &w->view[RICH_SELF];
	const int err = samara_file_punch_hole(w->host, 3 * RICH_PAGE + 100, 2 * RICH_PAGE);

	if (err)
		return err;
	rich_set(v, RICH_HOST, 3, 4, RICH_LEAVE);
	rich_set(v, RICH_HOST, 4, 5, 0);
	rich_set(v, RICH_HOST, 5, 6, RICH_LEAVE);
	return 0;
}

static int pread_host(struct rich *w)
{
	unsigned char byte;
	const long ret = samara_file_pread(w->host, &byte, 1, 4 * RICH_PAGE);

	if (ret == 1)
		assert_int_equal(byte, 0x54);
	return ret == 1 ? 0 : (int)ret;
}

static int pwrite_host(struct rich *w)
{
	unsigned char page[RICH_PAGE];
	long ret;

	memset(page, 0x21, sizeof(page));
	ret = samara_file_pwrite(w->host, page, sizeof(page), 4 * RICH_PAGE);
	if (ret != sizeof(page))
		return (int)ret;
	rich_set(&w->view[RICH_SELF], RICH_HOST, 4, 5, 0x21);
	return 0;
}

/* What is beyond the end. */
static int pwrite_more(struct rich *w)
{
	unsigned char page[RICH_PAGE] = { 0 };
	const long ret = samara_file_pwrite(w->file, page, sizeof(page), 20 * RICH_PAGE);

	return ret == sizeof(page) ? 0 : (int)ret;
}

static int sync_host(struct rich *w)
{
	unsigned char byte = 0x50;

	assert_int_equal(samara_file_pwrite(w->host, &byte, 1, 0), 1);
	return samara_file_sync(w->host);
}

/* Mapped shared, written, unmapped: the last close writes back. */
static int write_back_at_close(struct rich *w)
{
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	const int fd = memfd_create("close", 0);
	const unsigned long addr = RICH_AT(RICH_SPARE, 0);
	struct samara_file *file;
	struct samara_fault fault;
	unsigned char byte = 0;
	unsigned long at;
	long ret;

	assert_int_equal(ftruncate(fd, RICH_PAGE), 0);
	ret = samara_file_from_fd(w->machine, fd, &file);
	if (ret) {
		close(fd);
		return (int)ret;
	}
	at = samara_mmap(mm, addr, RICH_PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0);
	samara_file_put(file);
	ret = SAMARA_IS_ERR_VALUE(at) ? (long)at : samara_write(mm, addr, "x", 1, &fault);
	if (at == addr)
		assert_int_equal(samara_munmap(mm, addr, RICH_PAGE), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, ret == 1 ? 'x' : 0);
	close(fd);
	return ret == 1 ? 0 : (int)ret;
}

static void hears_nothing(void *priv, unsigned long start, unsigned long end, enum samara_lost lost)
{
	(void)priv;
	(void)start;
	(void)end;
	(void)lost;
}

static int attach_unit(struct rich *w)
{
	static const struct samara_unit_ops ops = { .size = sizeof(ops), .flush = hears_nothing };
	struct samara_unit *unit;
	const int err = samara_unit_attach(w->view[RICH_SELF].mm, &ops, NULL, &unit);

	if (!err)
		samara_unit_detach(unit);
	return err;
}

/* A page that is the process's own behind it; its bytes stay. */
static int fault_in_unshared(struct rich *w)
{
	struct samara_translation t;

	return samara_fault_in(w->view[RICH_SELF].mm, RICH_AT(RICH_FAMILY, 1), SAMARA_ACCESS_READ,
			       SAMARA_FAULT_IN_UNSHARE, &t, NULL);
}

static int show_again(struct rich *w)
{
	samara_file_unmap_pages(w->device, 0, RICH_PAGES);
	return 0;
}

static int length_of_memory(struct rich *w)
{
	return samara_file_set_length(w->file, 100 * RICH_PAGE);
}

#define OP(fn_, ...) \
	{ \
		.name = #fn_, .fn = fn_, __VA_ARGS__ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(make_from_fd),
		OP(make_named),
		OP(make_shmem),
		OP(make_memfd),
		OP(make_reopened),
		OP(make_sysv),
		OP(make_device),
		OP(make_machine),
		OP(make_mm),
		OP(make_cpu),
		OP(register_notifier),
		OP(attach_unit),
		OP(fault_in_unshared, .flags = INJECT_PARTIAL),
		OP(set_layout),
		OP(make_laid_out),
		OP(truncate_file, .flags = INJECT_NO_MEMORY),
		OP(truncate_host_inside_a_page, .flags = INJECT_NEVER),
		OP(lengthen_host, .flags = INJECT_NO_MEMORY),
		OP(punch_hole, .flags = INJECT_NO_MEMORY),
		OP(punch_host_inside_pages, .flags = INJECT_NO_MEMORY),
		OP(pread_host),
		OP(pwrite_host),
		OP(pwrite_more),
		OP(sync_host, .flags = INJECT_NO_MEMORY),
		OP(write_back_at_close, .flags = INJECT_PARTIAL),
		OP(show_again, .flags = INJECT_NO_MEMORY),
		OP(length_of_memory, .flags = INJECT_NO_MEMORY),
	};

	return inject_run("inject/doors", ops, sizeof(ops) / sizeof(ops[0]));
}
