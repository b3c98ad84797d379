/* SPDX-License-Identifier: MIT */
/*
 * Write protection by userfaultfd, writes to what it protects, and scans, with every allocation
 * failing in turn (support/inject_run.h). The registration ends with each operation.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <samara/uffd.h>

#include "support/cmocka_all.h"
#include "support/inject_run.h"

#define NEW 0x77
#define FAR_PAGES 1024UL /* two leaves */

struct protect {
	struct rich *w;
	unsigned long at, pages;
	unsigned long long features;
};

/* 0, and *out is a userfaultfd that has write-protected all of it; -ENOMEM, and there is none. */
static int protect(const struct protect *p, struct samara_uffd **out)
{
	struct uffdio_api api = { .api = UFFD_API, .features = p->features };
	const struct uffdio_range range = { p->at, p->pages * RICH_PAGE };
	struct uffdio_register reg = { .range = range, .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { range, UFFDIO_WRITEPROTECT_MODE_WP };
	int err = samara_uffd_create(p->w->view[RICH_SELF].mm, O_NONBLOCK, out);

	if (err)
		return err;
	assert_int_equal(samara_uffd_ioctl(*out, UFFDIO_API, &api), 0);
	err = samara_uffd_ioctl(*out, UFFDIO_REGISTER, &reg);
	if (!err)
		err = samara_uffd_ioctl(*out, UFFDIO_WRITEPROTECT, &wp);
	if (err)
		samara_uffd_put(*out);
	return err;
}

static int protect_and_end(const struct protect *p)
{
	struct samara_uffd *uffd;
	const int err = protect(p, &uffd);

	if (!err)
		samara_uffd_put(uffd);
	return err;
}

static int protect_row(struct rich *w, enum rich_row row)
{
	const struct protect p = { w, RICH_AT(row, 0), RICH_PAGES, UFFD_FEATURE_WP_ASYNC };

	return protect_and_end(&p);
}

static int protect_shared(struct rich *w)
{
	return protect_row(w, RICH_SHARED);
}

static int protect_private(struct rich *w)
{
	return protect_row(w, RICH_PRIVATE);
}

/* Markers alone: their tables are made. */
static int protect_untouched(struct rich *w)
{
	const struct protect p = { w, RICH_BASE << 1, FAR_PAGES, UFFD_FEATURE_WP_UNPOPULATED };
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	const unsigned long addr =
		samara_mmap(mm, p.at, FAR_PAGES * RICH_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	int err;

	if (SAMARA_IS_ERR_VALUE(addr))
		return (int)addr;
	err = protect_and_end(&p);
	assert_int_equal(samara_munmap(mm, p.at, FAR_PAGES * RICH_PAGE), 0);
	return err;
}

/* The write that is written down: a copy, or the page as it is. */
static int write_protected(struct rich *w, enum rich_row row, unsigned int page)
{
	const struct protect p = { w, RICH_AT(row, 0), RICH_PAGES, UFFD_FEATURE_WP_ASYNC };
	struct samara_uffd *uffd;
	int err = protect(&p, &uffd);

	if (err)
		return err;
	err = rich_write(w, RICH_SELF, row, page, NEW);
	samara_uffd_put(uffd);
	return err;
}

static int write_protected_copy(struct rich *w)
{
	return write_protected(w, RICH_PRIVATE, 0);
}

static int write_protected_own(struct rich *w)
{
	return write_protected(w, RICH_PRIVATE, 3);
}

/* It is brought by its marker first. */
static int write_protected_hole(struct rich *w)
{
	return write_protected(w, RICH_SHARED, 6);
}

/* PAGEMAP_SCAN: memory for the regions. */
static int scan_row(struct rich *w)
{
	struct page_region region[RICH_PAGES];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = RICH_AT(RICH_SHARED, 0),
		.end = RICH_AT(RICH_SHARED, RICH_PAGES),
		.vec = (uintptr_t)region,
		.vec_len = RICH_PAGES,
		.return_mask = PAGE_IS_PRESENT,
	};
	const long n = samara_pagemap_scan(w->view[RICH_SELF].mm, &arg);

	assert_true(n == -ENOMEM || n > 0);
	return n < 0 ? (int)n : 0;
}

#define OP(fn_) \
	{ \
		.name = #fn_, .fn = fn_ \
	}

int main(void)
{
	static const struct inject_op ops[] = {
		OP(protect_shared),
		OP(protect_private),
		OP(protect_untouched),
		OP(write_protected_copy),
		OP(write_protected_own),
		OP(write_protected_hole),
		OP(scan_row),
	};

	return inject_run("inject/uffd_protect", ops, sizeof(ops) / sizeof(ops[0]));
}
