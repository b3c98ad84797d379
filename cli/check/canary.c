/* SPDX-License-Identifier: MIT */
/*
 * One sequence before all others, of calls that every Linux 6.18 grants: what a filter or a
 * security module refuses is found out here, and named, before it is taken for a difference.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check/gen.h"

#define W WIRE_WINDOW
#define RW (PROT_READ | PROT_WRITE)
#define FIXED_ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

static const struct wire_op canary[] = {
	{ .nr = SYS_mmap, .arg = { W, 16 * PAGE, RW, FIXED_ANON, ~0UL } },
	{ .nr = SYS_mprotect, .arg = { W, PAGE, PROT_READ } },
	{ .nr = SYS_mprotect, .arg = { W, PAGE, RW | PROT_EXEC } },
	{ .nr = SYS_mmap,
	  .arg = { W + 32 * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, WIRE_FD_FILE + FILE_MEMFD } },
	{ .nr = SYS_mmap,
	  .arg = { W + 34 * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, WIRE_FD_FILE + FILE_DISK } },
	{ .nr = SYS_mmap,
	  .arg = { W + 36 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED,
		   WIRE_FD_FILE + FILE_READONLY } },
	{ .nr = SYS_mmap,
	  .arg = { W + 38 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, WIRE_FD_FILE + FILE_ZERO } },
	{ .nr = SYS_mmap, .arg = { W + 40 * PAGE, PAGE, RW | PROT_EXEC, FIXED_ANON, ~0UL } },
	{ .nr = SYS_mremap,
	  .arg = { W + 40 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, W + 50 * PAGE } },
	{ .nr = SYS_madvise, .arg = { W, PAGE, MADV_DONTNEED } },
	{ .nr = SYS_madvise, .arg = { W, PAGE, 102 /* GUARD_INSTALL */ } },
	{ .nr = SYS_madvise, .arg = { W, PAGE, 103 /* GUARD_REMOVE */ } },
	{ .nr = SYS_madvise, .arg = { W, PAGE, MADV_MERGEABLE } },
	{ .nr = SYS_madvise, .arg = { W, PAGE, MADV_HUGEPAGE } },
	{ .nr = OP_TOUCH, .arg = { W } },
	{ .nr = OP_READ, .arg = { W } },
	{ .nr = SYS_mlock, .arg = { W, PAGE } },
	{ .nr = SYS_mlock2, .arg = { W, PAGE, 1 } },
	{ .nr = SYS_munlock, .arg = { W, PAGE } },
	{ .nr = SYS_mlockall, .arg = { MCL_FUTURE } },
	{ .nr = SYS_munlockall },
	{ .nr = SYS_msync, .arg = { W, PAGE, MS_SYNC } },
	{ .nr = SYS_mincore, .arg = { W, PAGE, 1 } },
	{ .nr = SYS_remap_file_pages, .arg = { W + 32 * PAGE, PAGE, 0, 1 } },
	{ .nr = SYS_brk, .arg = { WIRE_BRK + PAGE } },
	{ .nr = OP_RLIMIT, .arg = { RLIMIT_DATA, 1UL << 30 } },
	{ .nr = OP_STORE, .arg = { W, 8, 1 } },
	{ .nr = OP_LOAD, .arg = { W, 8 } },
	{ .nr = OP_FILE_WRITE, .arg = { WIRE_FD_FILE + FILE_DISK, 0, PAGE, 1 } },
	{ .nr = OP_FILE_READ, .arg = { WIRE_FD_FILE + FILE_DISK, 0, PAGE } },
	{ .nr = SYS_ftruncate, .arg = { WIRE_FD_FILE + FILE_MEMFD, 2 * PAGE } },
	{ .nr = OP_FORK_STAY },
	{ .nr = OP_SWITCH, .arg = { 1 } },
	{ .nr = SYS_mseal, .arg = { W + 4 * PAGE, PAGE } },
	{ .nr = OP_DROP_CAPS },
	{ .nr = SYS_munmap, .arg = { W, PAGE } },
};

/* What only a filter or a security module says to them. */
static bool is_refusal(long ret)
{
	return ret == -ENOSYS || ret == -EPERM || ret == -EACCES || ret == -EOPNOTSUPP;
}

/* Tight sequences begin with such calls. */
static bool is_prefix(const struct wire_op *op)
{
	return op->nr == OP_DROP_CAPS || op->nr == OP_RLIMIT;
}

/* Whether sequences may have such calls. */
static bool is_asked(const struct settings *set, const struct wire_op *op)
{
	return set->plan.weight[call_of(op->nr)] ||
	       (is_prefix(op) && set->plan.limits != LIMITS_DEFAULT);
}

/* NULL, or the first of the canary's calls that was refused. */
static const char *first_refusal(const struct side_by_side *s, const struct settings *set)
{
	static char why[120];

	for (unsigned int i = 0; i < s->host.head->result.done; i++) {
		const struct call_info *call = &calls[call_of(canary[i].nr)];
		const long host = host_answer(&s->host, i)->ret;

		if (!is_refusal(host) || host == s->ours.seen[i].ret || !is_asked(set, &canary[i]))
			continue;
		snprintf(why, sizeof(why), "%s is refused here (%s); --mix=%s=0%s leaves it out",
			 call->name, error_name(-host) ? error_name(-host) : "?", call->name,
			 is_prefix(&canary[i]) ? " --limits=default" : "");
		return why;
	}
	return NULL;
}

const char *canary_dies(struct side_by_side *s, const struct settings *set)
{
	static struct seq seq;
	const char *why = NULL;
	int err;

	seq.n = ARRAY_SIZE(canary);
	memcpy(seq.op, canary, sizeof(canary));
	s->ours.begin.lanes = false;
	if (!host_fresh(s, false))
		return s->error;
	err = ours_begin(&s->ours);
	for (unsigned int i = 0; !err && i < seq.n; i++)
		err = ours_do(&s->ours, &seq.op[i], i);
	ours_end(&s->ours);
	if (err)
		return strerror(-err);
	why = host_run(&s->host, &seq);
	if (s->host.head->result.done) {
		const char *refusal = first_refusal(s, set);

		why = refusal ? refusal : why;
	}
	if (why)
		host_stop(&s->host);
	return why;
}
