/* SPDX-License-Identifier: MIT */
/*
 * Forks, pins, and what a CPU does.
 */
#include "torture/torture.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

static bool writable(const struct page_state *p)
{
	return p->mapped && (p->prot & PROT_WRITE) && !p->guard;
}

/* A page that may be written, or SLOT_PAGES. */
static unsigned int writable_page(struct worker *w, const struct slot *s)
{
	const unsigned int from = (unsigned int)roll(w, SLOT_PAGES);

	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		if (writable(&s->page[(from + i) % SLOT_PAGES]))
			return (from + i) % SLOT_PAGES;
	return SLOT_PAGES;
}

/*
 * After a fork, with the slot's lock held: what the child writes the parent doesn't see, and the
 * other way round, unless it is shared. theirs: the child's pages.
 */
static void write_on_both_sides(struct worker *w, struct samara_mm *child, struct slot *s,
				struct page_state *theirs)
{
	const unsigned int i = writable_page(w, s);
	const unsigned long addr = page_addr(w->t, s, i);
	const uint64_t id = new_id(w->t, i);
	struct samara_fault fault = { 0 };
	long put;

	if (i == SLOT_PAGES)
		return;
	fill(w->buf, id);
	do {
		put = samara_write(child, addr, w->buf, PAGE, &fault);
	} while (again(w, put));
	if (ran_out(w, put) || (put != (long)PAGE && lost(w, &fault)))
		return;
	if (put != (long)PAGE)
		wrong(w, "%#lx: the child cannot write", addr);
	theirs[i].id = id;
	theirs[i].freed = false;
	if (is_shared(s))
		s->page[i].id = s->in_file[i] = id;
	check_page(w, w->t->mm, addr, &s->page[i]);
	write_page(w, s, i);
	if (is_shared(s))
		theirs[i].id = s->page[i].id;
	check_page(w, child, addr, &theirs[i]);
}

/* NULL: memory ran out. */
static struct samara_mm *fork_it(struct worker *w)
{
	struct samara_mm *child = NULL;
	int err;

	do {
		err = samara_fork(w->t->mm, &child);
	} while (again(w, err));
	if (err && !ran_out(w, err))
		wrong(w, "fork: %d", err);
	return child;
}

void op_fork(struct worker *w, struct slot *s)
{
	struct page_state theirs[SLOT_PAGES];
	struct samara_report report = { 0 };
	struct samara_mm *child = fork_it(w);

	if (!child)
		return;
	memcpy(theirs, s->page, sizeof(theirs));
	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		check_page(w, child, page_addr(w->t, s, i), &theirs[i]);
	write_on_both_sides(w, child, s, theirs);
	if (!roll(w, 4) && samara_mm_validate(child, &report))
		wrong(w, "the child: %s: %s", report.invariant, report.text);
	samara_mm_exit(child);
}

/* A pinned page stays the one the process sees, through a fork and writes on both sides. */
void op_pin(struct worker *w, struct slot *s)
{
	const unsigned int i = writable_page(w, s);
	const unsigned long addr = page_addr(w->t, s, i);
	struct samara_mm *child = NULL;
	struct samara_pin pin;
	long pinned;

	if (i == SLOT_PAGES)
		return;
	do {
		pinned = samara_pin_pages(w->t->mm, addr, 1, SAMARA_PIN_WRITE, &pin);
	} while (again(w, pinned));
	if (ran_out(w, pinned) ||
	    (pinned == -EFAULT && lost(w, &(struct samara_fault){ .signo = SIGBUS })))
		return;
	if (pinned != 1) {
		wrong(w, "%#lx cannot be pinned: %ld", addr, pinned);
		return;
	}
	if (!roll(w, 3))
		child = fork_it(w);
	if (write_page(w, s, i) && !holds(pin.host, s->page[i].id))
		wrong(w, "%#lx: a write is not seen through the pin", addr);
	if (child)
		samara_mm_exit(child);
	samara_unpin_pages(&pin, 1, 1);
	check_page(w, w->t->mm, addr, &s->page[i]);
}

static bool cpu_access(struct worker *w, unsigned long addr, enum samara_access access,
		       uint64_t *seen, struct samara_fault *fault)
{
	uint64_t *host;

	samara_cpu_enter(w->cpu);
	host = samara_cpu_lookup(w->cpu, addr, access);
	if (!host)
		host = samara_cpu_miss(w->cpu, addr, access, fault);
	if (host) {
		*seen = __atomic_load_n(host, __ATOMIC_RELAXED);
		if (access == SAMARA_ACCESS_WRITE)
			__atomic_store_n(host, *seen, __ATOMIC_RELAXED);
	}
	samara_cpu_exit(w->cpu);
	return host;
}

/* Each page of the slot by the inline lookup; a write puts back what is there. */
void op_cpu(struct worker *w, struct slot *s)
{
	for (unsigned int i = 0; i < SLOT_PAGES; i++) {
		struct page_state *const p = &s->page[i];
		const enum samara_access access =
			roll(w, 2) ? SAMARA_ACCESS_WRITE : SAMARA_ACCESS_READ;
		const bool may = p->mapped && !p->guard &&
				 (access == SAMARA_ACCESS_WRITE ? p->prot & PROT_WRITE : p->prot);
		const unsigned long addr = page_addr(w->t, s, i);
		struct samara_fault fault = { 0 };
		uint64_t seen = 0;
		bool could;

		do {
			could = cpu_access(w, addr, access, &seen, &fault);
		} while (!could && !fault.signo && again(w, fault.code));
		if (!could && may && (fault.signo ? lost(w, &fault) : ran_out(w, fault.code)))
			continue;
		if (could != may)
			wrong(w,
			      "%#lx: access %d %s (signal %d, code %d); mapped %d prot %d guard %d",
			      addr, (int)access, could ? "succeeds" : "fails", fault.signo,
			      fault.code, p->mapped, p->prot, p->guard);
		else if (could && !may_hold(p, seen))
			wrong(w, "%#lx: holds %#lx, and should %#lx", addr, (unsigned long)seen,
			      (unsigned long)p->id);
		else if (could && access == SAMARA_ACCESS_WRITE)
			settle(p, seen);
	}
}

static int exchange(struct worker *w, unsigned long addr, uint64_t *expected, uint64_t desired,
		    struct samara_fault *fault)
{
	int ret;

	do {
		ret = samara_cmpxchg(w->t->mm, addr, 8, expected, desired, fault);
	} while (again(w, ret));
	return ret;
}

void op_exchange(struct worker *w, struct slot *s)
{
	const unsigned int i = writable_page(w, s);
	const unsigned long addr = page_addr(w->t, s, i);
	struct samara_fault fault = { 0 };
	uint64_t expected;
	int ret;

	if (i == SLOT_PAGES)
		return;
	expected = s->page[i].id + 1;
	ret = exchange(w, addr, &expected, 0, &fault);
	if (ran_out(w, ret) || (ret == -EFAULT && lost(w, &fault)))
		return;
	if (ret != 0 || !may_hold(&s->page[i], expected))
		wrong(w, "%#lx: an exchange for what isn't there found %#lx", addr,
		      (unsigned long)expected);
	ret = exchange(w, addr, &expected, expected, &fault);
	if (ret == 1)
		settle(&s->page[i], expected);
	else if (!ran_out(w, ret) && !(ret == -EFAULT && lost(w, &fault)) &&
		 !(ret == 0 && s->page[i].freed && !expected))
		wrong(w, "%#lx: an exchange for what is there failed", addr);
}
