/* SPDX-License-Identifier: MIT */
/*
 * The library's side of the check: accesses to memory and files, and what there
 * is to tell of pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "check/gen.h"
#include "check/pattern.h"

#define CHUNK (64 * PAGE)

static __thread uint64_t words[CHUNK / 8 + 1]; /* of each lane */

/* A buffer with the alignment of at. */
static void *buffer_for(unsigned long at)
{
	return (char *)words + (at & 7);
}

/* Bytes from at on that go at once: whole pages, so that sums are of whole words. */
static unsigned long chunk(unsigned long at, unsigned long left)
{
	const unsigned long n = CHUNK - at % PAGE;

	return n < left ? n : left;
}

static long store(struct ours *o, unsigned long at, unsigned long len, uint64_t pattern)
{
	unsigned long done = 0;

	while (done < len) {
		const unsigned long n = chunk(at + done, len - done);
		void *const buf = buffer_for(at + done);
		long ret;

		pattern_fill(buf, at + done, n, pattern);
		ret = samara_write(o->mm, at + done, buf, n, &o->fault);
		if (ret < 0)
			return ret;
		done += (unsigned long)ret;
		if ((unsigned long)ret < n)
			break;
	}
	return (long)done;
}

/* 0, or -ENOMEM; *sum is that of what could be read, o->fault says why no more. */
static int load(struct ours *o, unsigned long at, unsigned long len, uint64_t *sum)
{
	*sum = 0;
	while (len) {
		const unsigned long n = chunk(at, len);
		void *const buf = buffer_for(at);
		const long ret = samara_read(o->mm, at, buf, n, &o->fault);

		if (ret < 0)
			return (int)ret;
		*sum = sum_add(*sum, buf, at, (unsigned long)ret);
		if ((unsigned long)ret < n)
			break;
		at += n;
		len -= n;
	}
	return 0;
}

static long survey(struct ours *o, unsigned long at, unsigned long len)
{
	uint64_t sum = 0;

	while (len) {
		const unsigned long rest = PAGE - at % PAGE, n = rest < len ? rest : len;
		uint64_t page;

		o->fault = (struct samara_fault){ 0 };
		if (load(o, at, n, &page))
			return -ENOMEM;
		sum = survey_add(sum, page, o->fault.signo, o->fault.code);
		at += n;
		len -= n;
	}
	o->fault = (struct samara_fault){ 0 };
	return sum_answer(sum);
}

static long file_write(struct samara_file *file, unsigned long at, unsigned long len,
		       uint64_t pattern)
{
	unsigned long done = 0;

	while (done < len) {
		const unsigned long n = chunk(at + done, len - done);
		void *const buf = buffer_for(at + done);
		long ret;

		pattern_fill(buf, at + done, n, pattern);
		ret = samara_file_pwrite(file, buf, n, at + done);
		if (ret < 0 && !done)
			return ret;
		if (ret <= 0)
			break;
		done += (unsigned long)ret;
	}
	return (long)done;
}

static long file_read(struct samara_file *file, unsigned long at, unsigned long len)
{
	unsigned long done = 0;
	uint64_t sum = 0;

	while (done < len) {
		const unsigned long n = chunk(at + done, len - done);
		void *const buf = buffer_for(at + done);
		const long ret = samara_file_pread(file, buf, n, at + done);

		if (ret < 0 && !done)
			return ret;
		if (ret <= 0)
			break;
		sum = sum_add(sum, buf, at + done, (unsigned long)ret);
		done += (unsigned long)ret;
	}
	return sum_answer(survey_add(sum, done, 0, 0));
}

long ours_access(struct ours *o, const struct wire_op *op)
{
	const uint64_t *a = op->arg;
	uint64_t sum;
	int err;

	switch (op->nr) {
	case OP_FETCH:
		if (is_gate_call(a[0])) {
			err = load(o, a[0], 1, &sum);
			return err;
		}
		return samara_fetch(o->mm, a[0], words, 1, &o->fault) < 0 ? -ENOMEM : 0;
	case OP_PEEK:
		err = load(o, a[0], 1, &sum);
		return err;
	case OP_STORE:
		return store(o, a[0], a[1], a[2]);
	case OP_LOAD:
		err = load(o, a[0], a[1], &sum);
		return err ? err : sum_answer(sum);
	case OP_SURVEY:
		return survey(o, a[0], a[1]);
	case OP_FILE_WRITE:
		return file_write(ours_file(o, a[0]), a[1], a[2], a[3]);
	case OP_FILE_READ:
		return file_read(ours_file(o, a[0]), a[1], a[2]);
	default:
		return -ENOSYS;
	}
}

/* what there is to tell of pages ------------------------------------------------ */

/* The sum of a page that is there. All bits: it cannot be read. */
static uint64_t sum_of_page(struct samara_mm *mm, unsigned long at)
{
	return samara_read(mm, at, words, PAGE, NULL) == (long)PAGE ? sum_add(0, words, at, PAGE) :
								      ~UINT64_C(0);
}

static int keep_mapping(struct ours *o, struct seen *seen, unsigned int nr,
			const struct samara_vma_info *vma)
{
	static unsigned long long entries[WIRE_RUN];
	const bool accessible = vma->flags & (SAMARA_VM_READ | SAMARA_VM_WRITE | SAMARA_VM_EXEC);
	const bool disk = strstr(vma->name, "samara-check-");
	const unsigned long n = (vma->end - vma->start) / PAGE;

	if (n > WIRE_RUN || vma->start < WIRE_LOW)
		return 0;
	if (samara_pagemap(o->procs.at[nr].mm, vma->start, n, entries))
		return -EINVAL;
	for (unsigned long i = 0; i < n; i++) {
		const unsigned long at = vma->start + i * PAGE;
		struct wire_page *to;

		if (o->swap.may && doubt_of(&o->procs.at[nr].doubt, at, at + PAGE))
			entries[i] |= PM_DOUBT;
		if (!entries[i] || (disk && is_of_disk(entries[i])))
			continue;
		to = (struct wire_page *)(void *)ours_room(o, sizeof(*to));
		if (!to)
			return -ENOMEM;
		*to = (struct wire_page){ .at = at | nr, .entry = entries[i] };
		if ((entries[i] & SAMARA_PM_PRESENT) && accessible)
			to->sum = sum_of_page(o->procs.at[nr].mm, at);
		o->text.len += sizeof(*to);
		seen->n_pages++;
	}
	return 0;
}

int ours_keep_pages(struct ours *o, struct seen *seen)
{
	int err = 0;

	if (!ours_room(o, 8))
		return -ENOMEM;
	o->text.len = (o->text.len + 7) & ~7UL;
	seen->pages_at = o->text.len;
	for (unsigned int nr = 0; !err && nr < o->procs.n; nr++) {
		struct samara_vma_info vma = { 0 };

		while (!err && samara_vma_next(o->procs.at[nr].mm, vma.end, &vma) == 0)
			err = keep_mapping(o, seen, nr, &vma);
	}
	return err;
}
