/* SPDX-License-Identifier: MIT */
/*
 * A program that touches memory, without saying what it reads or writes.
 */
#include <errno.h>
#include <sys/mman.h>

#include "access/page_access.h"

static int touch_page(struct samara_mm *mm, unsigned long addr, enum samara_access kind)
{
	struct samara_fault fault;
	struct access_at at;
	int err;

	while (!access_begin(mm, addr, kind, &at)) {
		err = access_fault(mm, addr, kind, &fault);
		if (err)
			return err;
	}
	access_end(&at);
	return 0;
}

int samara_touch(struct samara_mm *mm, unsigned long addr, unsigned long len, int access)
{
	const int refused = mm_call(mm);
	unsigned long end = addr + len;
	int err = 0;

	if (refused)
		return refused;
	if (end < addr)
		end = ULONG_MAX;
	for (addr &= mm_page_mask(mm); !err && addr < end; addr += mm_page_size(mm)) {
		err = touch_page(mm, addr,
				 access & PROT_WRITE ? SAMARA_ACCESS_WRITE : SAMARA_ACCESS_READ);
		if (!err && (access & PROT_EXEC))
			err = touch_page(mm, addr, SAMARA_ACCESS_EXEC);
	}
	return err;
}
