/* SPDX-License-Identifier: MIT */
/*
 * Signals and pages on both sides. Frames have different numbers there; what
 * must be the same is which pages are one frame: each frame becomes the number
 * of the first page that shows it, over all processes. The page of zeros is apart.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "check/compare_pages.h"
#include "common.h"

#define FLAGS \
	(SAMARA_PM_MMAP_EXCLUSIVE | SAMARA_PM_GUARD | SAMARA_PM_FILE | SAMARA_PM_SWAP | \
	 SAMARA_PM_PRESENT | SAMARA_PM_UFFD_WP)

static struct page_counts counts;

const struct page_counts *pages_counted(void)
{
	return &counts;
}

struct page_counts *page_counts(void)
{
	return &counts;
}

static void count_fault(const struct samara_fault *fault)
{
	counts.faults[fault->code == SI_KERNEL   ? FAULT_KERNEL :
		      fault->signo == SIGBUS     ? FAULT_BUS :
		      fault->code == SEGV_ACCERR ? FAULT_ACCESS :
						   FAULT_NOTHING]++;
}

bool same_code(int signo, int host, int ours)
{
	return host == ours || (signo == SIGBUS && host == BUS_ADRERR && ours == BUS_MCEERR_AR);
}

bool same_fault(const struct wire_answer *a, const struct seen *b, struct difference *d)
{
	const struct samara_fault fault = { .addr = a->fault.at,
					    .signo = a->fault.signo,
					    .code = a->fault.code };

	if (fault.signo == b->fault.signo && fault.addr == b->fault.addr &&
	    same_code(fault.signo, fault.code, b->fault.code)) {
		if (fault.signo)
			count_fault(&fault);
		return true;
	}
	snprintf(d->what, sizeof(d->what), "the signal");
	fault_text(&fault, d->host, sizeof(d->host));
	fault_text(&b->fault, d->ours, sizeof(d->ours));
	return false;
}

static void frames_begin(struct frames *f, unsigned long zero)
{
	f->zero = zero;
	f->round++;
}

unsigned long class_of(struct frames *f, uint64_t entry, uint32_t i)
{
	const unsigned long frame = entry & SAMARA_PM_PFN;
	uint32_t at = (uint32_t)(frame * 0x9e3779b1U) % BUCKETS;

	if (!(entry & SAMARA_PM_PRESENT))
		return NO_FRAME;
	if (frame == f->zero)
		return PAGE_OF_ZEROS;
	while (f->at[at].round == f->round && f->at[at].frame != frame)
		at = (at + 1) % BUCKETS;
	if (f->at[at].round != f->round) {
		f->at[at].round = f->round;
		f->at[at].frame = frame;
		f->at[at].first = i;
	}
	return f->at[at].first + 2;
}

void frame_text(unsigned long class, const struct wire_page *first, char *buf, size_t size)
{
	size_t len;

	if (class < 2 || !first) {
		snprintf(buf, size,
			 class == NO_FRAME      ? "none" :
			 class == PAGE_OF_ZEROS ? "of zeros" :
						  "of its own");
		return;
	}
	number_text(first->at & -PAGE, buf, size);
	len = strlen(buf);
	snprintf(buf + len, size - len, ":%lu", (unsigned long)(first->at % PAGE));
}

static void page_text(const struct wire_page *page, const char *frame, char *buf, size_t size)
{
	if (!page) {
		snprintf(buf, size, "(nothing)");
		return;
	}
	snprintf(buf, size, "%s%s%s%s%s%s, frame %s, sum %#lx",
		 page->entry & SAMARA_PM_PRESENT ? "present" : "absent",
		 page->entry & SAMARA_PM_FILE ? " file" : "",
		 page->entry & SAMARA_PM_MMAP_EXCLUSIVE ? " exclusive" : "",
		 page->entry & SAMARA_PM_GUARD ? " guard" : "",
		 page->entry & SAMARA_PM_SWAP ? " swap" : "",
		 page->entry & SAMARA_PM_UFFD_WP ? " uffd-wp" : "", frame,
		 (unsigned long)page->sum);
}

bool say_page(struct difference *d, const struct wire_page *host, const struct wire_page *ours,
	      const char *const frame[2])
{
	const uint64_t at = host ? host->at : ours->at;
	char text[40];

	number_text(at & -PAGE, text, sizeof(text));
	snprintf(d->what, sizeof(d->what), "page %s of process %lu", text,
		 (unsigned long)(at % PAGE));
	page_text(host, frame[0], d->host, sizeof(d->host));
	page_text(ours, frame[1], d->ours, sizeof(d->ours));
	return false;
}

/* Page number i of each list, of which one may be there only on one side. */
static bool say_pages(struct difference *d, const struct page_list *a, const struct page_list *b,
		      size_t i, const unsigned long class[2])
{
	const struct wire_page *host = i < a->n ? &a->page[i] : NULL;
	const struct wire_page *ours = i < b->n ? &b->page[i] : NULL;
	const struct page_list *const lists[2] = { a, b };
	char text[2][40];

	for (int side = 0; side < 2; side++) {
		const bool first = class[side] < 2 || class[side] - 2 == i;

		frame_text(class[side], first ? NULL : &lists[side]->page[class[side] - 2],
			   text[side], sizeof(text[side]));
	}
	if (host && ours && host->at != ours->at) {
		/* By process, then by address. */
		const bool first = host->at % PAGE != ours->at % PAGE ?
					   host->at % PAGE < ours->at % PAGE :
					   host->at < ours->at;
		if (first)
			ours = NULL;
		else
			host = NULL;
	}
	return say_page(d, host, ours, (const char *const[2]){ text[0], text[1] });
}

/* Megabytes, without which the program starts under a small RLIMIT_DATA, and can say so. */
struct tables {
	struct frames host, ours;
	struct wire_page seen[BUCKETS];
};

static struct tables *tables(void)
{
	static struct tables *all;

	if (!all)
		all = calloc(1, sizeof(*all));
	if (!all)
		exit(fail("check", "out of memory"));
	return all;
}

/* The pages of processes that the host showed; list becomes those. */
static void leave_unseen_out(struct page_list *list, uint32_t unseen)
{
	struct wire_page *const seen = tables()->seen;
	size_t n = 0;

	for (size_t i = 0; i < list->n && n < BUCKETS; i++)
		if (!(unseen >> list->page[i].at % PAGE & 1))
			seen[n++] = list->page[i];
	*list = (struct page_list){ seen, n };
}

/* Capabilities that a process has dropped, or never had, hide the frames from it. */
static bool shows_frames(const struct page_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if ((list->page[i].entry & SAMARA_PM_PRESENT) &&
		    !(list->page[i].entry & SAMARA_PM_PFN))
			return false;
	return true;
}

static void count_page(unsigned long class, size_t i, bool framed)
{
	counts.pages++;
	counts.present += class != NO_FRAME;
	counts.unframed += class != NO_FRAME && !framed;
	if (!framed)
		return;
	counts.zeros += class == PAGE_OF_ZEROS;
	counts.shared += class > PAGE_OF_ZEROS && class < i + 2;
}

bool same_pages(const struct host *h, const struct ours *o, unsigned int i, struct difference *d)
{
	struct tables *const t = tables();
	const struct wire_answer *answer = host_answer(h, i);
	const struct seen *seen = &o->seen[i];
	const struct page_list a = {
		(const struct wire_page *)(const void *)((const char *)h->head + answer->pages.at),
		answer->pages.n,
	};
	struct page_list b = {
		(const struct wire_page *)(const void *)(o->text.at + seen->pages_at),
		seen->n_pages,
	};
	const bool framed = shows_frames(&a);

	if (answer->pages.unseen)
		leave_unseen_out(&b, answer->pages.unseen);
	frames_begin(&t->host, o->set.found.facts.zero.frame);
	/* UFFDIO_ZEROPAGE maps one, of a number that is not known, where no read does. */
	frames_begin(&t->ours, o->set.found.facts.zero.frame == NONE ? NONE : 0);
	if (seen->left.may)
		return same_left_pages(&(struct page_lists){ .host = a,
							     .ours = b,
							     .frames = { &t->host, &t->ours },
							     .framed = framed,
							     .unread = answer->pages.unread },
				       seen, h->other_swap, d);
	for (size_t at = 0; (at < a.n || at < b.n) && at < BUCKETS / 2; at++) {
		unsigned long class[2] = { 0 };
		bool unread;

		if (at >= a.n || at >= b.n || a.page[at].at != b.page[at].at)
			return say_pages(d, &a, &b, at, class);
		class[0] = class_of(&t->host, a.page[at].entry, (uint32_t)at);
		class[1] = class_of(&t->ours, b.page[at].entry, (uint32_t)at);
		unread = answer->pages.unread >> a.page[at].at % PAGE & 1;
		if ((a.page[at].entry ^ b.page[at].entry) & FLAGS ||
		    (framed && class[0] != class[1]) ||
		    (!unread && a.page[at].sum != b.page[at].sum))
			return say_pages(d, &a, &b, at, class);
		count_page(class[0], at, framed);
	}
	return true;
}
