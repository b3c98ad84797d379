/* SPDX-License-Identifier: MIT */
/*
 * Making a recorded call in the library, and judging the answer.
 *
 * With PLACE_RECORDED an address that the kernel chose is asked for with
 * MAP_FIXED_NOREPLACE (mmap) or MREMAP_FIXED on a range that is found empty
 * (mremap), so that a map which differs shows at once. With PLACE_OWN the call
 * goes out as the program made it, its addresses translated.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "replay/perform.h"

#define PAGE 4096UL
#define SHM_RDONLY 010000UL
#define SHM_EXEC 0100000UL
#define SHM_REMAP 040000UL

static unsigned long as_answer(int ret)
{
	return (unsigned long)(long)ret;
}

static unsigned long ours(const struct attempt *a, unsigned long recorded)
{
	return a->place == PLACE_OWN ? own_address(a->space, recorded) : recorded;
}

static bool is_free(struct samara_mm *mm, unsigned long start, unsigned long len)
{
	struct samara_vma_info vma;

	return samara_vma_next(mm, start, &vma) == -ENOENT || vma.start >= start + len;
}

/*
 * The process was running when its trace began and its map is not known: what
 * the kernel changed with success must have been there.
 */
static void assume_mapped(const struct attempt *a, unsigned long start, unsigned long len,
			  struct outcome *out)
{
	unsigned long end = (start + len + PAGE - 1) & ~(PAGE - 1), at = start & ~(PAGE - 1);
	struct samara_vma_info vma;

	if (a->space->known.map || SAMARA_IS_ERR_VALUE(a->recorded) || len > MEMORY_DECIDES)
		return;
	while (at < end) {
		unsigned long stop = end;
		struct samara_mapping hole = { .prot = PROT_READ | PROT_WRITE,
					       .flags = MAP_PRIVATE };

		if (samara_vma_next(a->space->mm, at, &vma) == 0) {
			if (vma.start <= at) {
				at = vma.end;
				continue;
			}
			if (vma.start < stop)
				stop = vma.start;
		}
		hole.start = at;
		hole.end = stop;
		if (samara_mm_install(a->space->mm, &hole))
			return;
		out->assumed++;
		at = stop;
	}
}

static void do_mmap(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	struct samara_mm *mm = a->space->mm;
	int flags = (int)c->flags;
	unsigned long addr = c->addr;
	struct samara_file *file = NULL;
	bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	bool failed = SAMARA_IS_ERR_VALUE(a->recorded);

	if (!(flags & MAP_ANONYMOUS) && c->source.file.fd >= 0) {
		file = world_file(a->w, a->space->arch, &c->source.file, a->line);
		if (!file) {
			out->got = as_answer(-ENOMEM);
			return;
		}
	}
	if (a->place == PLACE_OWN) {
		addr = own_address(a->space, addr);
	} else if (!fixed && !failed) {
		addr = a->recorded;
		flags |= MAP_FIXED_NOREPLACE;
	}
	out->got = samara_mmap(mm, addr, c->len, c->prot, flags, file, c->source.offset);
	if (SAMARA_IS_ERR_VALUE(out->got) || fixed)
		return;
	if (a->place == PLACE_OWN && !failed && out->got != a->recorded && !a->accept)
		out->elsewhere = samara_munmap(mm, out->got, c->len) == 0;
}

/* It has grown, in place or elsewhere; make it as it was. */
static bool mremap_back(const struct attempt *a, unsigned long old, unsigned long got)
{
	const struct call *c = a->call;
	struct samara_mm *mm = a->space->mm;

	if (got == old)
		return samara_mremap(mm, old, c->to.len, c->len, 0, 0) == old;
	return samara_mremap(mm, got, c->to.len, c->len, MREMAP_MAYMOVE | MREMAP_FIXED, old) == old;
}

static void do_mremap(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	struct samara_mm *mm = a->space->mm;
	unsigned long old = ours(a, c->addr), flags = c->flags, to = c->to.addr;

	assume_mapped(a, c->addr, c->len, out);
	if (flags & MREMAP_FIXED) {
		to = ours(a, to);
	} else if (a->place == PLACE_RECORDED && !SAMARA_IS_ERR_VALUE(a->recorded) &&
		   a->recorded != c->addr) {
		unsigned long len = (c->to.len + PAGE - 1) & ~(PAGE - 1);

		if (!is_free(mm, a->recorded, len)) {
			out->got = as_answer(-EEXIST);
			return;
		}
		flags |= MREMAP_FIXED;
		to = a->recorded;
	}
	if (a->place == PLACE_RECORDED && call_chooses(c) && a->recorded == c->addr)
		flags &= ~(unsigned long)MREMAP_MAYMOVE; /* it stayed; else it has to wait */
	out->got = samara_mremap(mm, old, c->len, c->to.len, (int)flags, to);
	if (a->place == PLACE_OWN && !a->accept && call_chooses(c) && out->got != a->recorded &&
	    !SAMARA_IS_ERR_VALUE(out->got) && !SAMARA_IS_ERR_VALUE(a->recorded))
		out->elsewhere = mremap_back(a, old, out->got);
}

static void do_brk(const struct attempt *a, struct outcome *out)
{
	struct space *s = a->space;

	if (!s->known.brk) {
		struct samara_layout layout = SAMARA_LAYOUT_INIT;

		layout.start_brk = layout.brk = a->recorded;
		if (samara_set_layout(s->mm, &layout) == 0)
			s->known.brk = true;
	}
	out->got = samara_brk(s->mm, a->call->addr);
}

static void do_shmat(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	unsigned long size = 0, addr = c->addr;
	struct samara_file *file = world_shm(a->w, a->space->arch, c->id, &size);
	int prot = PROT_READ, flags = MAP_SHARED;

	if (!file) { /* made before the trace, or by a process outside it */
		out->verdict = VERDICT_NOT_MODELLED;
		return;
	}
	if (!(c->flags & SHM_RDONLY))
		prot |= PROT_WRITE;
	if (c->flags & SHM_EXEC)
		prot |= PROT_EXEC;
	if (c->flags & SHM_REMAP)
		flags |= MAP_FIXED;
	else if (addr || a->place == PLACE_RECORDED)
		flags |= MAP_FIXED_NOREPLACE;
	if (a->place == PLACE_RECORDED && !SAMARA_IS_ERR_VALUE(a->recorded))
		addr = a->recorded; /* SHM_RND has rounded it */
	out->got = samara_mmap(a->space->mm, addr, size, prot, flags, file, 0);
}

/* The kernel unmaps what is left of the segment from addr on. */
static void do_shmdt(const struct attempt *a, struct outcome *out)
{
	unsigned long addr = ours(a, a->call->addr), size;
	struct samara_vma_info vma;

	out->got = as_answer(-EINVAL);
	if (samara_vma_next(a->space->mm, addr, &vma) || vma.start != addr ||
	    strncmp(vma.name, "/SYSV", 5) != 0)
		return;
	if (world_shm(a->w, a->space->arch, (int)vma.ino, &size))
		out->got = as_answer(samara_munmap(a->space->mm, addr, size));
}

static void do_lock(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	struct samara_mm *mm = a->space->mm;
	unsigned long addr = ours(a, c->addr);

	if (c->kind != CALL_MLOCKALL && c->kind != CALL_MUNLOCKALL)
		assume_mapped(a, addr, c->len, out);
	switch (c->kind) {
	case CALL_MLOCK:
		out->got = as_answer(samara_mlock(mm, addr, c->len));
		break;
	case CALL_MLOCK2:
		out->got = as_answer(samara_mlock2(mm, addr, c->len, (int)c->flags));
		break;
	case CALL_MUNLOCK:
		out->got = as_answer(samara_munlock(mm, addr, c->len));
		break;
	case CALL_MLOCKALL:
		out->got = as_answer(samara_mlockall(mm, (int)c->flags));
		break;
	default:
		out->got = as_answer(samara_munlockall(mm));
	}
	if (out->got == 0 && c->kind == CALL_MLOCKALL)
		a->space->lock_future = c->flags & MCL_FUTURE;
	if (c->kind == CALL_MUNLOCKALL)
		a->space->lock_future = false;
}

void make_call(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	struct samara_mm *mm = a->space->mm;

	switch (c->kind) {
	case CALL_MMAP:
		do_mmap(a, out);
		break;
	case CALL_MUNMAP:
		out->got = as_answer(samara_munmap(mm, ours(a, c->addr), c->len));
		break;
	case CALL_MPROTECT:
		assume_mapped(a, ours(a, c->addr), c->len, out);
		out->got = as_answer(samara_mprotect(mm, ours(a, c->addr), c->len, c->prot));
		break;
	case CALL_MREMAP:
		do_mremap(a, out);
		break;
	case CALL_BRK:
		do_brk(a, out);
		break;
	case CALL_MADVISE:
		assume_mapped(a, ours(a, c->addr), c->len, out);
		out->got = as_answer(samara_madvise(mm, ours(a, c->addr), c->len, c->advice));
		break;
	case CALL_MSEAL:
		assume_mapped(a, ours(a, c->addr), c->len, out);
		out->got = as_answer(samara_mseal(mm, ours(a, c->addr), c->len, c->flags));
		break;
	case CALL_REMAP_FILE_PAGES:
		out->got = as_answer(samara_remap_file_pages(mm, ours(a, c->addr), c->len, c->prot,
							     c->source.offset, (int)c->flags));
		break;
	case CALL_SHMAT:
		do_shmat(a, out);
		break;
	case CALL_SHMDT:
		do_shmdt(a, out);
		break;
	case CALL_RLIMIT:
		out->got = 0;
		space_limit(a->space, c->limit.resource, c->limit.cur, c->limit.max);
		break;
	case CALL_MLOCK:
	case CALL_MLOCK2:
	case CALL_MUNLOCK:
	case CALL_MLOCKALL:
	case CALL_MUNLOCKALL:
		do_lock(a, out);
		break;
	default:
		out->verdict = VERDICT_NOT_MODELLED;
	}
}

/* What a call that has succeeded lets the program write. */
static void note_writable(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	unsigned long start = out->got, len = c->len;

	switch (c->kind) {
	case CALL_MMAP:
		break;
	case CALL_MREMAP:
		len = c->to.len;
		break;
	case CALL_MPROTECT:
		start = ours(a, c->addr);
		break;
	case CALL_BRK: /* the last page of the heap belongs to the mapping that has grown */
		start = (out->got - 1) & ~(PAGE - 1);
		len = PAGE;
		break;
	default:
		return;
	}
	if (c->kind == CALL_MREMAP || c->kind == CALL_BRK || (c->prot & PROT_WRITE))
		out->writable = (struct map_range){ start, start + len };
}

static void keep_translation(const struct attempt *a, struct outcome *out)
{
	const struct call *c = a->call;
	unsigned long len = c->kind == CALL_MREMAP ? c->to.len : c->len;
	int err = 0;

	if (a->place != PLACE_OWN || SAMARA_IS_ERR_VALUE(out->got))
		return;
	if (c->kind == CALL_SHMAT)
		world_shm(a->w, a->space->arch, c->id, &len);
	if (c->kind == CALL_MUNMAP)
		err = own_set(a->space, c->addr, c->len, c->addr);
	if (c->kind == CALL_MREMAP)
		err = own_set(a->space, c->addr, c->len, c->addr);
	if (!err && (c->kind == CALL_MMAP || c->kind == CALL_MREMAP || c->kind == CALL_SHMAT)) {
		err = own_set(a->space, a->recorded, len, out->got);
		out->moved = out->got != a->recorded && (call_chooses(c) || c->kind == CALL_SHMAT);
	}
	if (err)
		out->verdict = VERDICT_DIFFERS;
}

static void perform_granted(const struct attempt *a, struct outcome *out)
{
	const enum call_kind kind = a->call->kind;
	bool address = kind == CALL_MMAP || kind == CALL_MREMAP || kind == CALL_SHMAT;

	make_call(a, out);
	if (out->verdict != VERDICT_SAME)
		return;
	pages_filled(a, out);
	out->untouched = out->elsewhere || SAMARA_IS_ERR_VALUE(out->got);
	if (out->got == a->recorded || (a->place == PLACE_OWN && address && !out->untouched))
		keep_translation(a, out);
	else
		out->verdict = VERDICT_DIFFERS;
	if (!out->untouched)
		note_writable(a, out);
}

void perform(const struct attempt *a, struct outcome *out)
{
	*out = (struct outcome){ .verdict = VERDICT_SAME };
	if (refused(a))
		perform_refused(a, out);
	else
		perform_granted(a, out);
}
