/* SPDX-License-Identifier: MIT */
/*
 * What was tried: call x outcome x kind of mapping at the call's address.
 */
#define _GNU_SOURCE
#include <string.h>

#include "check/check.h"

static const char *const kind_names[KINDS] = {
	"nothing", "private", "shared", "file,private", "file,shared",
	"heap",    "stack",   "locked", "sealed",       "several",
};

/* What random calls leave out: the library does not answer it yet, or this check cannot see it. */
const char *const never_tried[] = {
	"mmap MAP_HUGETLB",
	"PROT_EXEC alone (takes a protection key)",
	"pkey_mprotect, pkey_alloc",
	"madvise MADV_COLLAPSE, MADV_HWPOISON, MADV_SOFT_OFFLINE",
	"madvise MADV_GUARD_INSTALL, MADV_GUARD_REMOVE",
	"mincore: the vector's contents",
	"contents of memory, pagemap",
	"reads that fault (only writes and what the calls populate)",
	"overcommit modes other than the host's",
	"reservations of terabytes",
	"/dev/zero at offsets near 2^63 (MADV_REMOVE there gives EFBIG)",
	NULL,
};

static enum map_kind kind_of(const struct samara_vma_info *vma)
{
	const bool shared = vma->flags & SAMARA_VM_SHARED;

	if (vma->flags & SAMARA_VM_SEALED)
		return KIND_SEALED;
	if (vma->flags & SAMARA_VM_LOCKED)
		return KIND_LOCKED;
	if (vma->flags & SAMARA_VM_GROWSDOWN)
		return KIND_STACK;
	if (vma->start >= WIRE_BRK && vma->start < WIRE_BRK + (1UL << 30))
		return KIND_HEAP;
	if (!vma->ino)
		return KIND_PRIVATE;
	if (!strcmp(vma->name, "/dev/zero (deleted)"))
		return KIND_SHARED;
	return shared ? KIND_FILE_SHARED : KIND_FILE_PRIVATE;
}

/* What lies where op is aimed at, before it is carried out. */
enum map_kind kind_at(struct samara_mm *mm, const struct wire_op *op)
{
	const unsigned long addr = op->arg[0], end = addr + op->arg[1];
	struct samara_vma_info vma, next;

	if (op->nr < 0 && op->nr != OP_TOUCH)
		return KIND_NOTHING;
	if (samara_vma_next(mm, addr, &vma) || (vma.start > addr && vma.start >= end))
		return KIND_NOTHING;
	if (op->nr != OP_TOUCH && end > vma.end && !samara_vma_next(mm, vma.end, &next) &&
	    next.start < end)
		return KIND_SEVERAL;
	return vma.start > addr ? KIND_NOTHING : kind_of(&vma);
}

void cover_add(struct cover *sum, const struct cover *part)
{
	for (int c = 0; c < CALLS; c++)
		for (int k = 0; k < KINDS; k++)
			for (int o = 0; o < OUTCOMES; o++)
				sum->seen[c][k][o] += part->seen[c][k][o];
}

static unsigned long row_sum(const struct cover *c, int call, int outcome)
{
	unsigned long sum = 0;

	for (int k = 0; k < KINDS; k++)
		sum += c->seen[call][k][outcome];
	return sum;
}

static unsigned long call_sum(const struct cover *c, int call)
{
	unsigned long sum = 0;

	for (int o = 0; o < OUTCOMES; o++)
		sum += row_sum(c, call, o);
	return sum;
}

void cover_print(const struct cover *c, FILE *to)
{
	fprintf(to, "%-17s %-10s", "call", "outcome");
	for (int k = 0; k < KINDS; k++)
		fprintf(to, " %12s", kind_names[k]);
	fputc('\n', to);
	for (int call = 0; call < CALLS; call++) {
		for (int o = 0; o < OUTCOMES; o++) {
			if (!row_sum(c, call, o))
				continue;
			fprintf(to, "%-17s %-10s", calls[call].name, o ? error_name(o) : "ok");
			for (int k = 0; k < KINDS; k++)
				if (c->seen[call][k][o])
					fprintf(to, " %12lu", c->seen[call][k][o]);
				else
					fprintf(to, " %12s", "-");
			fputc('\n', to);
		}
	}
}

void cover_print_gaps(const struct cover *c, FILE *to)
{
	fputs("not tried:\n", to);
	for (int call = 0; call < CALLS; call++)
		if (!call_sum(c, call))
			fprintf(to, "  %s\n", calls[call].name);
	for (const char *const *at = never_tried; *at; at++)
		fprintf(to, "  %s\n", *at);
}

json_t *cover_json(const struct cover *c)
{
	json_t *rows = json_array();

	for (int call = 0; call < CALLS; call++)
		for (int k = 0; k < KINDS; k++)
			for (int o = 0; o < OUTCOMES; o++)
				if (c->seen[call][k][o])
					json_array_append_new(
						rows, json_pack("{s:s s:s s:s s:I}", "call",
								calls[call].name, "mapping",
								kind_names[k], "outcome",
								o ? error_name(o) : "ok", "count",
								(json_int_t)c->seen[call][k][o]));
	return rows;
}
