/* SPDX-License-Identifier: MIT */
/*
 * What was tried: call x sort of arguments x kind of mapping at the call's
 * address x outcome. All of it was compared and found equal, or the run would
 * have ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "check/cover.h"

const char *const kind_names[KINDS] = {
	"nothing", "private", "PROT_NONE", "shared", "file,private", "file,shared",
	"heap",    "stack",   "droppable", "locked", "sealed",       "several",
};

static const int errnos[] = {
	0,     EPERM,     EAGAIN,     ENOMEM, EACCES, EFAULT, EBUSY,  EEXIST, ENODEV,      EINVAL,
	EFBIG, EOVERFLOW, EOPNOTSUPP, ENOSYS, EBADF,  EIO,    ENOENT, ESRCH,  EINPROGRESS,
};
#define KNOWN (int)(sizeof(errnos) / sizeof(errnos[0]))

int outcome_errno(int outcome)
{
	return outcome < KNOWN ? errnos[outcome] : -1;
}

static int outcome_of(long ret)
{
	int i = 0;

	if (ret == WIRE_ASLEEP)
		ret = -EINPROGRESS;
	while (SAMARA_IS_ERR_VALUE(ret) && i < KNOWN && errnos[i] != -ret)
		i++;
	return i;
}

const char *outcome_name(int outcome)
{
	const int err = outcome_errno(outcome);

	if (err == EINPROGRESS)
		return "waits";
	return !err ? "ok" : err < 0 ? "other" : error_name(err);
}

static enum map_kind kind_of(const struct samara_vma_info *vma)
{
	const bool shared = vma->flags & SAMARA_VM_SHARED;

	if (vma->flags & SAMARA_VM_SEALED)
		return KIND_SEALED;
	if (vma->flags & SAMARA_VM_LOCKED)
		return KIND_LOCKED;
	if (vma->flags & SAMARA_VM_GROWSDOWN)
		return KIND_STACK;
	if (vma->flags & SAMARA_VM_DROPPABLE)
		return KIND_DROPPABLE;
	if (vma->start >= WIRE_LOW && !strcmp(vma->name, "[heap]"))
		return KIND_HEAP;
	if (!vma->ino)
		return vma->flags & (SAMARA_VM_READ | SAMARA_VM_WRITE | SAMARA_VM_EXEC) ?
			       KIND_PRIVATE :
			       KIND_NONE;
	if (!strcmp(vma->name, "/dev/zero (deleted)"))
		return KIND_SHARED;
	return shared ? KIND_FILE_SHARED : KIND_FILE_PRIVATE;
}

bool has_mapping(enum call_id call)
{
	return calls[call].args > is_uffd(calls[call].nr) &&
	       calls[call].kind[is_uffd(calls[call].nr)] == ARG_ADDR && call != CALL_BRK;
}

/* What lies where op is aimed at, before it is carried out. */
enum map_kind kind_at(struct samara_mm *mm, const struct wire_op *op)
{
	const struct call_info *call = &calls[call_of(op->nr)];
	const int at = is_uffd(op->nr);
	const unsigned long addr = op->arg[at];
	const unsigned long end = op->nr == OP_SCAN ? op->arg[1] : addr + op->arg[at + 1];
	struct samara_vma_info vma, next;

	if (!has_mapping(call_of(op->nr)))
		return KIND_NOTHING;
	if (samara_vma_next(mm, addr, &vma) || (vma.start > addr && vma.start >= end))
		return KIND_NOTHING;
	if (call->args > 1 && end > vma.end && !samara_vma_next(mm, vma.end, &next) &&
	    next.start < end)
		return KIND_SEVERAL;
	return vma.start > addr ? KIND_NOTHING : kind_of(&vma);
}

void cover_count(struct cover *cover, const struct wire_op *op, long ret, enum map_kind kind)
{
	const enum call_id call = call_of(op->nr);
	const int outcome = outcome_of(ret);
	int n;
	const struct arg_class *class = classes_of(call, &n);

	for (int i = 0; i < n; i++)
		if (is_of_class(&class[i], op))
			cover->seen[call][i][kind][outcome]++;
}

void cover_add(struct cover *sum, const struct cover *part)
{
	unsigned long *to = &sum->seen[0][0][0][0];
	const unsigned long *from = &part->seen[0][0][0][0];

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static unsigned long row_sum(const struct cover *c, int call, int class, int outcome)
{
	unsigned long sum = 0;

	for (int k = 0; k < KINDS; k++)
		sum += c->seen[call][class][k][outcome];
	return sum;
}

static void print_row(const struct cover *c, int call, const struct arg_class *class, int outcome,
		      FILE *to)
{
	int n;
	const int at = (int)(class - classes_of((enum call_id)call, &n));

	fprintf(to, "%-17s %-32s %-10s", calls[call].name, class->name, outcome_name(outcome));
	for (int k = 0; k < KINDS; k++)
		if (c->seen[call][at][k][outcome])
			fprintf(to, " %12lu", c->seen[call][at][k][outcome]);
		else
			fprintf(to, " %12s", "-");
	fputc('\n', to);
}

void cover_print(const struct cover *c, FILE *to)
{
	fprintf(to, "%-17s %-32s %-10s", "call", "arguments", "outcome");
	for (int k = 0; k < KINDS; k++)
		fprintf(to, " %12s", kind_names[k]);
	fputc('\n', to);
	for (const struct arg_class *class = arg_classes; class->name; class ++) {
		int n;
		const int at = (int)(class - classes_of(class->call, &n));

		for (int o = 0; o < MAX_OUTCOMES; o++)
			if (row_sum(c, class->call, at, o))
				print_row(c, class->call, class, o, to);
	}
	fputs("not asked:\n", to);
	for (const struct note *note = notes; note->call; note++)
		if (!note->deviates)
			fprintf(to, "  %s, %s: %s\n", note->call, note->what ? note->what : "any",
				note->why);
}

static void add_cells(json_t *rows, const struct cover *c, const struct arg_class *class, int at)
{
	for (int k = 0; k < KINDS; k++)
		for (int o = 0; o < MAX_OUTCOMES; o++) {
			const unsigned long count = c->seen[class->call][at][k][o];

			if (count)
				json_array_append_new(
					rows,
					json_pack("{s:s s:s s:s s:s s:I}", "call",
						  calls[class->call].name, "arguments", class->name,
						  "mapping", kind_names[k], "outcome",
						  outcome_name(o), "count", (json_int_t)count));
		}
}

json_t *cover_json(const struct cover *c)
{
	json_t *rows = json_array();

	for (const struct arg_class *class = arg_classes; class->name; class ++) {
		int n;
		const struct arg_class *first = classes_of(class->call, &n);

		add_cells(rows, c, class, (int)(class - first));
	}
	return rows;
}
