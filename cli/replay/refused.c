/* SPDX-License-Identifier: MIT */
/*
 * Calls that the kernel refused.
 *
 * Such a call has mostly changed nothing, but some have: an mprotect over several
 * mappings keeps what it did before the one that failed. If our answer is the
 * recorded one, the call is made, and leaves here what it left there. If we would
 * have answered something else, it is not made. Which of the two it is has to be
 * known before anything changes, so the call is made in a copy of the space first:
 *
 *	space --copy--> trial: the call = the recorded error    make it in the space
 *	                             anything else        leave the space alone
 *
 * Files' rights, mount options, filters (seccomp, security modules) and the free
 * memory of the machine are not in a trace of memory calls. An error that one of
 * them may give is no difference (VERDICT_REFUSED). Any other is.
 */
#include <errno.h>
#include <sys/mman.h>

#include "replay/compare.h"
#include "replay/perform.h"

bool refused(const struct attempt *a)
{
	if (a->call->kind == CALL_BRK) /* it gives no error but the break as it was */
		return a->call->addr != 0 && a->recorded != a->call->addr;
	return SAMARA_IS_ERR_VALUE(a->recorded);
}

/* fork leaves out what MADV_DONTFORK marks, and all locks. Put them back. 0 or -errno. */
static int put_back(const struct attempt *a, const struct samara_vma_info *vma,
		    struct samara_mm *copy)
{
	struct samara_mapping m = { .start = vma->start, .end = vma->end, .offset = vma->offset };
	int err = 0;

	if (vma->flags & SAMARA_VM_DONTCOPY) {
		struct map_line line;

		map_line_of(&line, vma);
		m.prot = (int)(vma->flags & (PROT_READ | PROT_WRITE | PROT_EXEC));
		m.flags = vma->flags & SAMARA_VM_MAYSHARE ? MAP_SHARED : MAP_PRIVATE;
		m.vm_flags = SAMARA_VM_DONTCOPY;
		m.file = vma->ino ? world_map_file(a->w, a->space->arch, &line) : NULL;
		err = vma->ino && !m.file ? -ENOMEM : samara_mm_install(copy, &m);
	}
	if (!err && (vma->flags & SAMARA_VM_LOCKED))
		err = samara_mlock2(copy, vma->start, vma->end - vma->start, MLOCK_ONFAULT);
	return err;
}

/* A copy of a's space in which a call gets the answer that it would get there. 0 or -errno. */
static int trial_begin(const struct attempt *a, struct space *trial)
{
	const struct space *s = a->space;
	struct samara_vma_info vma;
	int err;

	*trial = *s;
	err = samara_fork(s->mm, &trial->mm);
	if (err)
		return err;
	samara_set_caps(trial->mm, ~0U);
	for (unsigned long at = 0; !err && samara_vma_next(s->mm, at, &vma) == 0; at = vma.end)
		if (vma.flags & (SAMARA_VM_DONTCOPY | SAMARA_VM_LOCKED))
			err = put_back(a, &vma, trial->mm);
	if (!err && s->lock_future)
		err = samara_mlockall(trial->mm, MCL_FUTURE | MCL_ONFAULT);
	samara_set_caps(trial->mm, s->owner.caps);
	if (err)
		samara_mm_exit(trial->mm);
	return err;
}

/* An advice that a kernel's age or configuration decides on: EINVAL where it is not known. */
static bool optional_advice(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_REMOVE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
		return false;
	default:
		return true;
	}
}

/* May memory have been short, or a limit that is not known? */
static bool memory_may_be_short(const struct attempt *a)
{
	const struct call *c = a->call;
	bool known = a->space->known.map && snapshots_overcommit(a->w->snapshots) >= 0 &&
		     snapshots_overcommit(a->w->snapshots) != SAMARA_OVERCOMMIT_NEVER;

	switch (c->kind) {
	case CALL_MLOCK:
	case CALL_MLOCK2:
	case CALL_MLOCKALL: /* whose limit depends on rights that a setuid() has changed */
	case CALL_MADVISE:
		return true;
	case CALL_MMAP:
	case CALL_MREMAP:
	case CALL_SHMAT:
		return !known || c->len >= MEMORY_DECIDES || c->to.len >= MEMORY_DECIDES;
	case CALL_MPROTECT:
		return (c->prot & PROT_WRITE) && (!known || c->len >= MEMORY_DECIDES);
	default:
		return false;
	}
}

/* The kernel refused it, we answer got: may the reason be one that the map does not show? */
static bool outside_the_map(const struct attempt *a, unsigned long got)
{
	const struct call *c = a->call;
	bool allowed = !SAMARA_IS_ERR_VALUE(got);

	if (c->kind == CALL_BRK)
		return got == c->addr;
	switch (-(long)a->recorded) {
	case EINVAL:
		return c->kind == CALL_MADVISE && optional_advice(c->advice);
	case EEXIST:
		return false;
	case ENOMEM:
		return allowed && memory_may_be_short(a);
	case EAGAIN: /* RLIMIT_MEMLOCK of an owner who is not known */
	case EFAULT:
		return allowed;
	default: /* rights, filters, devices; they may be asked before the map is */
		return true;
	}
}

void perform_refused(const struct attempt *a, struct outcome *out)
{
	struct attempt tried = *a;
	struct space trial;

	out->got = a->recorded;
	if (a->call->kind == CALL_RLIMIT)
		return;
	if (trial_begin(a, &trial)) { /* no memory to find out */
		out->verdict = VERDICT_REFUSED;
		return;
	}
	tried.space = &trial;
	make_call(&tried, out);
	samara_mm_exit(trial.mm);
	if (out->verdict != VERDICT_SAME)
		return;
	if (out->got == a->recorded) {
		make_call(a, out);
		if (out->got != a->recorded)
			out->verdict = VERDICT_DIFFERS;
		return;
	}
	out->untouched = true;
	out->verdict = outside_the_map(a, out->got) ? VERDICT_REFUSED : VERDICT_DIFFERS;
}

/*
 * mprotect asks each mapping in turn for the right, and a shared mapping of a file
 * that was opened read-only, or any of a file on a noexec mount, does not have it.
 */
void perform_refused_part(const struct attempt *a)
{
	const struct call *c = a->call;
	struct samara_vma_info vma;
	unsigned long start, end;

	if (c->kind != CALL_MPROTECT || a->recorded != (unsigned long)-EACCES)
		return;
	start = a->place == PLACE_OWN ? own_address(a->space, c->addr) : c->addr;
	end = start;
	while (samara_vma_next(a->space->mm, end, &vma) == 0 && end < start + c->len) {
		bool write = (c->prot & PROT_WRITE) && !(vma.flags & SAMARA_VM_WRITE);
		bool exec = (c->prot & PROT_EXEC) && !(vma.flags & SAMARA_VM_EXEC);
		bool file = vma.name[0] != '\0' && vma.name[0] != '[';

		if (file && ((write && (vma.flags & SAMARA_VM_MAYSHARE)) || exec))
			break;
		end = vma.end;
	}
	if (end > start && end < start + c->len)
		(void)!samara_mprotect(a->space->mm, start, end - start, c->prot);
}
