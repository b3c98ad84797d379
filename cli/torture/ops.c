/* SPDX-License-Identifier: MIT */
/*
 * Changes to the map, and plain accesses.
 */
#define _GNU_SOURCE
#include "torture/handlers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

/* Pages [from, to) of a slot. */
struct part {
	unsigned int from, to;
};

static struct part any_part(struct worker *w)
{
	const unsigned int a = (unsigned int)roll(w, SLOT_PAGES);

	return (struct part){ a, a + 1 + (unsigned int)roll(w, SLOT_PAGES - a) };
}

/* As far as it is mapped from its first page on; empty if that isn't. */
static struct part mapped_part(struct worker *w, const struct slot *s)
{
	struct part part = any_part(w);
	unsigned int i = part.from;

	while (i < part.to && s->page[i].mapped)
		i++;
	part.to = i;
	return part;
}

static unsigned long part_addr(const struct worker *w, const struct slot *s, struct part part)
{
	return slot_addr(w->t, s) + part.from * PAGE;
}

static unsigned long part_len(struct part part)
{
	return (part.to - part.from) * PAGE;
}

static void op_map(struct worker *w, struct slot *s)
{
	const struct part part = any_part(w);
	const unsigned long addr = part_addr(w, s, part);
	const int share = is_shared(s) ? MAP_SHARED : MAP_PRIVATE;
	struct samara_file *file = slot_file(w->t, s);
	const int populate = roll(w, 8) ? 0 : MAP_POPULATE;
	unsigned long ret;

	do {
		ret = samara_mmap(w->t->mm, addr, part_len(part), RW,
				  share | MAP_FIXED | populate | (file ? 0 : MAP_ANONYMOUS), file,
				  file ? addr - BASE : 0);
	} while (again(w, (long)ret));
	if (ret != addr) {
		wrong(w, "mmap of %#lx: %ld", addr, (long)ret);
		return;
	}
	for (unsigned int i = part.from; i < part.to; i++)
		s->page[i] = (struct page_state){
			.mapped = true,
			.prot = RW,
			.id = is_shared(s) ? s->in_file[i] : 0,
		};
}

static void op_unmap(struct worker *w, struct slot *s)
{
	const struct part part = any_part(w);
	int err;

	do {
		err = samara_munmap(w->t->mm, part_addr(w, s, part), part_len(part));
	} while (again(w, err));
	if (err)
		wrong(w, "munmap of %#lx: %d", part_addr(w, s, part), err);
	for (unsigned int i = part.from; i < part.to; i++)
		s->page[i] = (struct page_state){ .mapped = false };
}

static void op_protect(struct worker *w, struct slot *s)
{
	static const int prots[] = { RW, RW, PROT_READ, PROT_NONE };
	const int prot = prots[roll(w, 4)];
	const struct part part = mapped_part(w, s);
	int err;

	if (part.from == part.to)
		return;
	do {
		err = samara_mprotect(w->t->mm, part_addr(w, s, part), part_len(part), prot);
	} while (again(w, err));
	if (err)
		wrong(w, "mprotect of %#lx: %d", part_addr(w, s, part), err);
	for (unsigned int i = part.from; i < part.to; i++)
		s->page[i].prot = prot;
}

bool write_page(struct worker *w, struct slot *s, unsigned int i)
{
	struct page_state *p = &s->page[i];
	const unsigned long addr = page_addr(w->t, s, i);
	const bool writable = p->mapped && (p->prot & PROT_WRITE) && !p->guard;
	const uint64_t id = new_id(w->t, i);
	struct samara_fault fault = { 0 };
	long put;

	fill(w->buf, id);
	do {
		put = samara_write(w->t->mm, addr, w->buf, PAGE, &fault);
	} while (again(w, put));
	if (writable && (ran_out(w, put) || (put != (long)PAGE && lost(w, &fault))))
		return false;
	if (put != (writable ? (long)PAGE : 0)) {
		wrong(w, "%#lx: %ld bytes written (signal %d, code %d); mapped %d prot %d guard %d",
		      addr, put, fault.signo, fault.code, p->mapped, p->prot, p->guard);
	} else if (writable) {
		p->id = id;
		p->freed = false;
		if (is_shared(s))
			s->in_file[i] = id;
	}
	return true;
}

/* A page of any slot, whatever others do to it meanwhile. */
static void op_stroll(struct worker *w)
{
	const struct slot *s = &w->t->slot[roll(w, SLOTS)];
	const unsigned int page = (unsigned int)roll(w, SLOT_PAGES);
	bool fits;
	long got;

	do {
		got = samara_read(w->t->mm, page_addr(w->t, s, page), w->buf, PAGE, NULL);
	} while (again(w, got));
	if (!got || ran_out(w, got))
		return;
	if (got != (long)PAGE) {
		wrong(w, "%ld bytes of a page were read", got);
		return;
	}
	fits = is_shared(s) ? each_holds_any(w->t, w->buf, page) : holds_any(w->buf, page);
	if (!fits)
		wrong(w, "page %u of slot %lu holds %#lx, not whole or no page of that number",
		      page, (unsigned long)(s - w->t->slot), (unsigned long)w->buf[0]);
}

static void op_discard(struct worker *w, struct slot *s)
{
	const struct part part = mapped_part(w, s);
	int err;

	if (part.from == part.to)
		return;
	do {
		err = samara_madvise(w->t->mm, part_addr(w, s, part), part_len(part),
				     MADV_DONTNEED);
	} while (again(w, err));
	if (err)
		wrong(w, "MADV_DONTNEED of %#lx: %d", part_addr(w, s, part), err);
	for (unsigned int i = part.from; i < part.to; i++)
		if (!is_shared(s))
			s->page[i].id = 0;
}

/* Pages leave now, or soon. They hold what they held. */
static void op_pageout(struct worker *w, struct slot *s)
{
	const struct part part = mapped_part(w, s);
	const int advice = roll(w, 4) ? MADV_PAGEOUT : MADV_COLD;
	int err;

	if (part.from == part.to)
		return;
	do {
		err = samara_madvise(w->t->mm, part_addr(w, s, part), part_len(part), advice);
	} while (again(w, err));
	if (err)
		wrong(w, "advice %d of %#lx: %d", advice, part_addr(w, s, part), err);
}

/* Pages that may become zeros until they are written to. */
static void op_free(struct worker *w, struct slot *s)
{
	const struct part part = mapped_part(w, s);
	int err;

	if (part.from == part.to || s->kind != SLOT_ANON)
		return;
	do {
		err = samara_madvise(w->t->mm, part_addr(w, s, part), part_len(part), MADV_FREE);
	} while (again(w, err));
	if (err)
		wrong(w, "MADV_FREE of %#lx: %d", part_addr(w, s, part), err);
	for (unsigned int i = part.from; i < part.to; i++)
		s->page[i].freed = true;
}

static void op_guard(struct worker *w, struct slot *s)
{
	const bool install = roll(w, 2);
	const struct part part = mapped_part(w, s);
	int err;

	if (part.from == part.to)
		return;
	do {
		err = samara_madvise(w->t->mm, part_addr(w, s, part), part_len(part),
				     install ? GUARD_INSTALL : GUARD_REMOVE);
	} while (again(w, err));
	if (err)
		wrong(w, "guards at %#lx: %d", part_addr(w, s, part), err);
	for (unsigned int i = part.from; i < part.to; i++) {
		struct page_state *p = &s->page[i];

		if (install && !p->guard && !is_shared(s))
			p->id = 0;
		p->guard = install;
	}
}

static void moved(struct slot *from, struct slot *to, struct part part)
{
	for (unsigned int i = part.from; i < part.to; i++) {
		to->page[i] = from->page[i];
		from->page[i] = (struct page_state){ .mapped = false };
	}
}

/* How far a part is not mapped any more, from its first page on. */
static unsigned int gone_until(const struct worker *w, const struct slot *s, struct part part)
{
	struct samara_vma_info vma;
	const unsigned long addr = part_addr(w, s, part), end = addr + part_len(part);

	if (samara_vma_next(w->t->mm, addr, &vma) || vma.start >= end)
		return part.to;
	return vma.start > addr ? part.from + (unsigned int)((vma.start - addr) / PAGE) : part.from;
}

/*
 * Several mappings move one by one, as in Linux: when memory is refused, those before it have
 * moved.
 */
static void move_part(struct worker *w, struct slot *from, struct slot *to, struct part part)
{
	struct part front = part;
	unsigned long ret, target;

	do {
		target = part_addr(w, to, part);
		ret = samara_mremap(w->t->mm, part_addr(w, from, part), part_len(part),
				    part_len(part), MREMAP_MAYMOVE | MREMAP_FIXED, target);
		if (!again(w, (long)ret))
			break;
		front.from = part.from;
		front.to = part.from = gone_until(w, from, part);
		moved(from, to, front);
	} while (part.from < part.to);
	if (ret != target)
		wrong(w, "mremap of %#lx to %#lx: %ld", part_addr(w, from, part), target,
		      (long)ret);
	moved(from, to, part);
}

/* Pages of a slot go to another of its kind that no thread holds. */
static void op_move(struct worker *w, struct slot *from)
{
	struct slot *to = &w->t->slot[roll(w, SLOTS)];
	struct part part = mapped_part(w, from);

	if (w->t->handlers && part.to > part.from)
		part.to = part.from + 1; /* several mappings do not move if one is registered */
	if (is_shared(from) || part.from == part.to || to == from || to->kind != from->kind ||
	    pthread_mutex_trylock(&to->lock))
		return;
	move_part(w, from, to, part);
	check_page(w, w->t->mm, part_addr(w, to, part), &to->page[part.from]);
	pthread_mutex_unlock(&to->lock);
}

/* A slot's part of its file becomes zeros; private copies stay. */
static void op_hole(struct worker *w, struct slot *s)
{
	const struct part part = any_part(w);
	int err;

	if (s->kind == SLOT_ANON)
		return;
	do {
		err = samara_file_punch_hole(slot_file(w->t, s), part_addr(w, s, part) - BASE,
					     part_len(part));
	} while (again(w, err));
	if (err)
		wrong(w, "a hole at %#lx: %d", part_addr(w, s, part) - BASE, err);
	for (unsigned int i = part.from; is_shared(s) && i < part.to; i++)
		s->in_file[i] = s->page[i].id = 0;
}

static void op_sync(struct worker *w)
{
	int err;

	do {
		err = samara_file_sync(w->t->host);
	} while (again(w, err));
	if (err)
		wrong(w, "%d", err);
}

/* Reports that look at pages; what they say is over when they return. */
static void look_everywhere(struct worker *w)
{
	unsigned long long entries[SLOT_PAGES];
	unsigned char resident[SLOT_PAGES];
	const unsigned long addr = BASE + roll(w, SLOTS) * SLOT_BYTES;
	int err;

	do {
		err = samara_print_smaps(w->t->mm, w->t->null);
	} while (again(w, err));
	if (err)
		wrong(w, "smaps: %d", err);
	err = samara_pagemap(w->t->mm, addr, SLOT_PAGES, entries);
	if (err)
		wrong(w, "pagemap of %#lx: %d", addr, err);
	err = samara_mincore(w->t->mm, addr, SLOT_BYTES, resident);
	if (err && err != -ENOMEM) /* something is not mapped */
		wrong(w, "mincore of %#lx: %d", addr, err);
}

static void op_maps(struct worker *w)
{
	struct samara_vma_info vma = { .end = 0 };
	struct samara_report report = { 0 };
	unsigned long end = 0;

	if (!roll(w, 4) && samara_mm_validate(w->t->mm, &report))
		wrong(w, "%s: %s", report.invariant, report.text);
	if (!roll(w, 8))
		look_everywhere(w);
	while (!samara_vma_next(w->t->mm, end, &vma)) {
		if (vma.start >= vma.end || vma.end <= end)
			wrong(w, "a mapping %#lx-%#lx behind %#lx", vma.start, vma.end, end);
		end = vma.end;
	}
}

void do_op(struct worker *w, enum op op, struct slot *s)
{
	const unsigned int page = (unsigned int)roll(w, SLOT_PAGES);

	switch (op) {
	case OP_MAP:
		op_map(w, s);
		return;
	case OP_UNMAP:
		op_unmap(w, s);
		return;
	case OP_PROTECT:
		op_protect(w, s);
		return;
	case OP_WRITE:
		write_page(w, s, page);
		return;
	case OP_READ:
		check_page(w, w->t->mm, page_addr(w->t, s, page), &s->page[page]);
		return;
	case OP_STROLL:
		op_stroll(w);
		return;
	case OP_DISCARD:
		op_discard(w, s);
		return;
	case OP_GUARD:
		op_guard(w, s);
		return;
	case OP_MOVE:
		op_move(w, s);
		return;
	case OP_FORK:
		op_fork(w, s);
		return;
	case OP_PIN:
		op_pin(w, s);
		return;
	case OP_CPU:
		op_cpu(w, s);
		return;
	case OP_EXCHANGE:
		op_exchange(w, s);
		return;
	case OP_HOLE:
		op_hole(w, s);
		return;
	case OP_SYNC:
		op_sync(w);
		return;
	case OP_PAGEOUT:
		op_pageout(w, s);
		return;
	case OP_FREE:
		op_free(w, s);
		return;
	case OP_REGISTER:
		op_register(w, s);
		return;
	case OP_UNREGISTER:
		op_unregister(w, s);
		return;
	case OP_SHIELD:
		op_shield(w, s);
		return;
	default:
		op_maps(w);
	}
}
