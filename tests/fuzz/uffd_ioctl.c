/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: bytes are calls that one thread makes of an address space and its userfaultfds. Their
 * arguments are a hostile guest's: any request, with any structure.
 *
 *   { kind, operands }*
 *
 * An operand is one byte that says where it comes from, and what that needs:
 *
 *   00..7f      so many pages from the start of the memory
 *   80..bf      the number that is left of it, 0 to 63
 *   c0..df  n   2^(2 (byte - c0)) + n
 *   e0..e7  8   eight bytes, as they are
 *   e8..ef  n   ULONG_MAX - n
 *   f0..f7      bytes of the host that may be read
 *   f8..ff  n   the operand before + n - 128
 *
 * Nothing waits: accesses are SAMARA_NOWAIT, no call brings pages in by itself, what is copied from
 * is registered nowhere, events wait for no reader, and reads are O_NONBLOCK.
 * Invariants are looked at all the time, and in the end nothing may be left.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/access.h>
#include <samara/file.h>
#include <samara/inject.h>
#include <samara/mm.h>
#include <samara/reclaim.h>
#include <samara/uffd.h>

#define PAGE 4096UL
#define BASE 0x10000000UL
#define PAGES 128UL
#define OPS_MAX 300U
#define UFFDS 3
#define MMS 3
#define RAM (8UL << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
	unsigned long before; /* the operand before */
};

struct world {
	struct samara_machine *machine;
	struct samara_mm *mm[MMS], *elsewhere; /* a guest that makes requests */
	struct samara_file *file;
	struct samara_uffd *uffd[UFFDS];
};

static char source[4 * PAGE];

static unsigned int take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static unsigned long operand(struct input *in)
{
	const unsigned int kind = take(in);
	unsigned long value = 0;

	if (kind < 0x80)
		value = BASE + kind * PAGE;
	else if (kind < 0xc0)
		value = kind - 0x80;
	else if (kind < 0xe0)
		value = (1UL << (kind - 0xc0) * 2) + take(in);
	else if (kind < 0xe8)
		for (int i = 0; i < 8; i++)
			value = value << 8 | take(in);
	else if (kind < 0xf0)
		value = ~0UL - take(in);
	else if (kind < 0xf8)
		value = (unsigned long)(uintptr_t)source + (kind - 0xf0);
	else
		value = in->before + take(in) - 128;
	in->before = value;
	return value;
}

static __attribute__((noreturn)) void stop(const char *what, const struct samara_report *report)
{
	fprintf(stderr, "%s: %s: %s\n", what, report->invariant, report->text);
	abort();
}

/* the map ------------------------------------------------------------------------- */

static struct samara_mm *any_mm(struct input *in, struct world *w)
{
	struct samara_mm *const mm = w->mm[take(in) % MMS];

	return mm ? mm : w->mm[0];
}

/* Pages from place on, so many; both inside. */
static unsigned long any_range(struct input *in, unsigned long *len)
{
	const unsigned long page = take(in) % PAGES;

	*len = (1 + take(in) % (PAGES - page)) * PAGE;
	return BASE + page * PAGE;
}

static void do_map(struct input *in, struct world *w)
{
	struct samara_mm *const mm = any_mm(in, w);
	const unsigned int how = take(in);
	unsigned long len;
	const unsigned long at = any_range(in, &len);
	struct samara_file *const file = how & 1 ? w->file : NULL;
	const int flags =
		MAP_FIXED | (how & 2 ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS);

	(void)samara_mmap(mm, at, len, PROT_READ | PROT_WRITE, flags, file, at - BASE);
}

static void do_change(struct input *in, struct world *w)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_WIPEONFORK,
				      MADV_DONTFORK, MADV_COLD, 102,         103 };
	struct samara_mm *const mm = any_mm(in, w);
	const unsigned int how = take(in);
	unsigned long len;
	const unsigned long at = any_range(in, &len);

	switch (how & 3) {
	case 0:
		(void)samara_munmap(mm, at, len);
		break;
	case 1:
		(void)samara_mprotect(mm, at, len, how & 4 ? PROT_READ : PROT_READ | PROT_WRITE);
		break;
	case 2:
		(void)samara_mremap(mm, at, len, (1 + take(in) % 16) * PAGE,
				    MREMAP_MAYMOVE | (how & 4 ? MREMAP_FIXED : 0) |
					    (how & 8 ? 4 : 0),
				    BASE + take(in) % PAGES * PAGE);
		break;
	default:
		(void)samara_madvise(mm, at, len, advice[how >> 2 & 7]);
	}
}

static void do_fork(struct input *in, struct world *w)
{
	struct samara_mm **const to = &w->mm[1 + take(in) % (MMS - 1)];

	if (*to)
		samara_mm_exit(*to);
	if (samara_fork(w->mm[0], to))
		*to = NULL;
	else
		samara_uffd_events_wait(*to, 0);
}

static void do_access(struct input *in, struct world *w)
{
	struct samara_mm *const mm = any_mm(in, w);
	const unsigned int how = take(in);
	const unsigned long addr = operand(in);
	struct samara_fault fault;
	char buf[PAGE + 16] = { 0 };

	(void)samara_access(mm, addr, buf, how >> 1 & 4 ? sizeof(buf) : 1 + (how >> 4),
			    (how & 1 ? SAMARA_WRITE : SAMARA_READ) | SAMARA_NOWAIT, &fault);
}

/* userfaultfds --------------------------------------------------------------------- */

static void do_create(struct input *in, struct world *w)
{
	struct samara_uffd **const to = &w->uffd[take(in) % UFFDS];
	const unsigned int flags = take(in);
	struct uffdio_api api = { .api = UFFD_API };

	samara_uffd_put(*to);
	if (samara_uffd_create(any_mm(in, w), O_NONBLOCK | (flags & 1), to)) {
		*to = NULL;
		return;
	}
	for (int i = 0; i < 3; i++)
		api.features = api.features << 8 | take(in);
	if (flags & 2)
		(void)samara_uffd_ioctl(*to, UFFDIO_API, &api);
	if (flags & 4)
		samara_uffd_source(*to, w->elsewhere);
}

static struct samara_uffd *any_uffd(struct input *in, const struct world *w)
{
	const unsigned int first = take(in);

	for (unsigned int i = 0; i < UFFDS; i++)
		if (w->uffd[(first + i) % UFFDS])
			return w->uffd[(first + i) % UFFDS];
	return NULL;
}

static void do_ioctl(struct input *in, struct world *w)
{
	static const unsigned long requests[] = {
		UFFDIO_API,  UFFDIO_REGISTER, UFFDIO_UNREGISTER, UFFDIO_WAKE,         UFFDIO_COPY,
		UFFDIO_MOVE, UFFDIO_ZEROPAGE, UFFDIO_CONTINUE,   UFFDIO_WRITEPROTECT, UFFDIO_POISON,
	};
	struct samara_uffd *const uffd = any_uffd(in, w);
	const unsigned int which = take(in);
	const unsigned long request = which % 16 < 10 ? requests[which % 16] : operand(in);
	uint64_t arg[5];

	for (int i = 0; i < 5; i++)
		arg[i] = operand(in);
	if (which & 0x10) /* a length that may do */
		arg[request == UFFDIO_COPY || request == UFFDIO_MOVE ? 2 : 1] =
			(1 + (which >> 5)) * PAGE;
	if (uffd)
		(void)samara_uffd_ioctl(uffd, request, which == 0xff ? NULL : arg);
}

static void do_read(struct input *in, struct world *w)
{
	struct samara_uffd *const uffd = any_uffd(in, w);
	struct samara_uffd *child;
	struct uffd_msg msg[4];
	const long got = uffd ? samara_uffd_read(uffd, msg, take(in) % 5) : 0;

	for (long i = 0; i < got / (long)sizeof(*msg); i++) {
		struct samara_uffd **const to = &w->uffd[take(in) % UFFDS];

		if (take(in) & 1)
			msg[i].arg.fork.ufd = take(in);
		if (*to == uffd || samara_uffd_forked(uffd, &msg[i], &child))
			continue;
		samara_uffd_put(*to);
		*to = child;
	}
}

static void do_scan(struct input *in, struct world *w)
{
	struct page_region regions[8];
	struct pm_scan_arg arg = { .size = sizeof(arg) };
	__u64 *const fields = &arg.size;
	const unsigned int which = take(in);

	arg.start = BASE;
	arg.end = BASE + PAGES * PAGE;
	arg.vec = (uint64_t)(uintptr_t)regions;
	arg.vec_len = 8;
	arg.return_mask = take(in) | 1;
	arg.flags = which >> 6;
	for (unsigned int i = 0; i < (which & 3); i++) {
		const unsigned int field = take(in) % 12;

		/* Where regions go is this program's own memory, which is to last. */
		if (field != 5 && field != 6)
			fields[field] = operand(in);
	}
	(void)samara_pagemap_scan(any_mm(in, w), &arg);
}

/* all ------------------------------------------------------------------------------- */

static void next_op(struct input *in, struct world *w)
{
	static void (*const ops[])(struct input * in, struct world * w) = {
		do_map,   do_change, do_create, do_access, do_ioctl, do_ioctl,
		do_ioctl, do_ioctl,  do_read,   do_fork,   do_scan,  do_access,
	};

	ops[take(in) % (sizeof(ops) / sizeof(*ops))](in, w);
}

static void check(const struct world *w, const char *when)
{
	struct samara_report report = { 0 };

	for (int i = 0; i < MMS; i++)
		if (w->mm[i] && samara_mm_validate(w->mm[i], &report))
			stop(when, &report);
}

static void set_up(struct world *w)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;

	config.ram_bytes = RAM;
	config.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	if (samara_machine_create(&config, &w->machine) ||
	    samara_mm_create(w->machine, &w->mm[0]) ||
	    samara_file_memfd(w->machine, "fuzz", PAGES / 2 * PAGE, &w->file))
		abort();
	if (samara_mm_create(w->machine, &w->elsewhere) ||
	    samara_mmap(w->elsewhere, BASE, PAGES / 2 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) != BASE)
		abort();
	samara_uffd_events_wait(w->mm[0], 0);
}

static void tear_down(struct world *w)
{
	struct samara_report report = { 0 };

	/* An address space may end before its userfaultfds. */
	for (int i = MMS - 1; i > 0; i--)
		if (w->mm[i])
			samara_mm_exit(w->mm[i]);
	for (int i = 0; i < UFFDS; i++)
		samara_uffd_put(w->uffd[i]);
	samara_file_put(w->file);
	samara_mm_exit(w->mm[0]);
	samara_mm_exit(w->elsewhere);
	if (samara_machine_validate(w->machine, &report))
		stop("in the end", &report);
	samara_machine_destroy(w->machine);
	if (samara_live_objects()) {
		fprintf(stderr, "%lu objects are left\n", samara_live_objects());
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size, 0 };
	struct world w = { .machine = NULL };

	set_up(&w);
	for (unsigned int n = 0; n < OPS_MAX && in.at < in.end; n++) {
		next_op(&in, &w);
		if (n % 16 == 15)
			check(&w, "after a call");
	}
	check(&w, "after all calls");
	tear_down(&w);
	return 0;
}
