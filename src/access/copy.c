/* SPDX-License-Identifier: MIT */
/*
 * Bytes in and out of an address space, page by page. A page's part is moved while the leaf is
 * locked: against fork, unmapping, copy-on-write and other copies through this leaf it happens
 * before or after, never in between. Others who have the page (another mm, the file, a CPU
 * inside its section) see a range half moved, but no torn word (base/bytes.h).
 */
#include <errno.h>

#include "access/page_access.h"
#include "access/forced.h"
#include "base/bytes.h"

struct transfer {
	struct samara_mm *mm;
	unsigned long addr, len;
	enum samara_access kind;
	unsigned int flags; /* FAULT_NOWAIT, FAULT_NOGROW */
	char *to;           /* read, fetch */
	const char *from;   /* write */
	struct samara_fault *fault;
};

/* How many bytes from addr on lie on its page. */
static unsigned long page_rest(const struct samara_mm *mm, unsigned long addr, unsigned long len)
{
	return min(len, mm_page_size(mm) - (addr & ~mm_page_mask(mm)));
}

static long transfer(const struct transfer *t)
{
	struct samara_fault ignored;
	struct samara_fault *fault = t->fault ? t->fault : &ignored;
	const unsigned long len = min(t->len, (unsigned long)INT64_MAX);
	unsigned long done = 0, n;
	struct access_at at;
	int err = mm_call(t->mm);

	if (err)
		return err;
	*fault = (struct samara_fault){ 0 };
	while (done < len && !err) {
		if (!access_begin(t->mm, t->addr + done, t->kind, &at)) {
			err = access_fault(t->mm, t->addr + done, t->kind | t->flags, fault);
			continue;
		}
		n = page_rest(t->mm, t->addr + done, len - done);
		if (t->from)
			bytes_store(at.host, t->from + done, n);
		else
			bytes_load(t->to + done, at.host, n);
		access_end(&at);
		done += n;
	}
	return done || err == -EFAULT ? (long)done : err;
}

long samara_read(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
		 struct samara_fault *fault)
{
	return transfer(&(struct transfer){
		.mm = mm,
		.addr = addr,
		.len = len,
		.kind = SAMARA_ACCESS_READ,
		.to = buf,
		.fault = fault,
	});
}

long samara_fetch(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
		  struct samara_fault *fault)
{
	return transfer(&(struct transfer){
		.mm = mm,
		.addr = addr,
		.len = len,
		.kind = SAMARA_ACCESS_EXEC,
		.to = buf,
		.fault = fault,
	});
}

long samara_write(struct samara_mm *mm, unsigned long addr, const void *buf, unsigned long len,
		  struct samara_fault *fault)
{
	return transfer(&(struct transfer){
		.mm = mm,
		.addr = addr,
		.len = len,
		.kind = SAMARA_ACCESS_WRITE,
		.from = buf,
		.fault = fault,
	});
}

#define ACCESS_FLAGS \
	(SAMARA_READ | SAMARA_WRITE | SAMARA_FETCH | SAMARA_FORCE | SAMARA_NOGROW | SAMARA_NOWAIT)

long samara_access(struct samara_mm *mm, unsigned long addr, void *buf, unsigned long len,
		   unsigned int flags, struct samara_fault *fault)
{
	struct transfer t = {
		.mm = mm,
		.addr = addr,
		.len = len,
		.flags = (flags & SAMARA_NOWAIT ? FAULT_NOWAIT : 0) |
			 (flags & SAMARA_NOGROW ? FAULT_NOGROW : 0),
		.fault = fault,
	};

	switch (flags & (SAMARA_READ | SAMARA_WRITE | SAMARA_FETCH)) {
	case SAMARA_READ:
		t.kind = SAMARA_ACCESS_READ;
		t.to = buf;
		break;
	case SAMARA_WRITE:
		t.kind = SAMARA_ACCESS_WRITE;
		t.from = buf;
		break;
	case SAMARA_FETCH:
		t.kind = SAMARA_ACCESS_EXEC;
		t.to = buf;
		break;
	default:
		return -EINVAL;
	}
	if (flags & ~(unsigned int)ACCESS_FLAGS)
		return -EINVAL;
	if (!(flags & SAMARA_FORCE))
		return transfer(&t);
	return access_forced(&(struct forced){
		.mm = mm,
		.addr = addr,
		.buf = buf,
		.len = min(len, (unsigned long)INT64_MAX),
		.write = t.from ? FAULT_WRITE : 0,
		.flags = t.flags,
		.fault = fault,
	});
}
