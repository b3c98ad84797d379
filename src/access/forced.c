/* SPDX-License-Identifier: MIT */
/*
 * Bytes that a debugger moves. Each page is pinned meanwhile: the fault has made it the process's
 * own if it is written to, so that no other process and no file sees it.
 */
#include "access/forced.h"

#include <errno.h>
#include <signal.h>

#include "access/pin.h"
#include "base/bytes.h"
#include "core/mm.h"

static void describe(const struct forced *f, unsigned long addr, int err)
{
	if (!f->fault)
		return;
	*f->fault = (struct samara_fault){ 0 };
	if (err == -EFAULT)
		*f->fault = (struct samara_fault){ .addr = addr,
						   .signo = SIGSEGV,
						   .code = SEGV_ACCERR };
	else if (err)
		*f->fault = (struct samara_fault){ .addr = addr, .code = err };
}

/* From addr on, n bytes of one page; at is the place in f->buf. */
static int move_bytes(const struct forced *f, unsigned long addr, char *at, unsigned long n)
{
	const unsigned long page = addr & mm_page_mask(f->mm);
	struct samara_pin pin;
	const int err = pin_to_copy(f->mm, page, f->write, f->flags, &pin);
	char *host;

	if (err)
		return err;
	host = (char *)pin.host + (addr - page);
	if (f->write)
		bytes_store(host, at, n);
	else
		bytes_load(at, host, n);
	samara_unpin_pages(&pin, 1, !!f->write);
	return 0;
}

long access_forced(const struct forced *f)
{
	const unsigned long size = mm_page_size(f->mm);
	unsigned long done = 0, n;
	int err = mm_call(f->mm);

	if (err)
		return err;
	for (; done < f->len; done += n) {
		n = min(f->len - done, size - ((f->addr + done) & (size - 1)));
		err = move_bytes(f, f->addr + done, (char *)f->buf + done, n);
		if (err)
			break;
	}
	describe(f, f->addr + done, err);
	return done || err == -EFAULT ? (long)done : err;
}
