/* SPDX-License-Identifier: MIT */
/*
 * A system call's number and arguments, carried out on an mm and put into words.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "support/mm_calls.h"

static const struct {
	long nr;
	const char *name;
	int args;
} names[] = {
	{ SYS_mmap, "mmap", 6 },         { SYS_munmap, "munmap", 2 },
	{ SYS_mprotect, "mprotect", 3 }, { SYS_mremap, "mremap", 5 },
	{ SYS_madvise, "madvise", 3 },   { SYS_mlock, "mlock", 2 },
	{ SYS_mlock2, "mlock2", 3 },     { SYS_munlock, "munlock", 2 },
	{ SYS_mlockall, "mlockall", 1 }, { SYS_munlockall, "munlockall", 0 },
	{ SYS_mseal, "mseal", 3 },       { SYS_msync, "msync", 3 },
	{ SYS_brk, "brk", 1 },           { SYS_remap_file_pages, "remap_file_pages", 5 },
	{ SYS_mincore, "mincore", 3 },   { MM_READ, "read", 1 },
	{ MM_TOUCH, "touch", 1 },        { MM_FORK, "fork", 0 },
};

#define NAMES (sizeof(names) / sizeof(names[0]))
_Static_assert(NAMES == MM_CALL_KINDS, "each call has a name");

int mm_call_kind(long nr)
{
	int kind = 0;

	while (kind < MM_CALL_KINDS - 1 && names[kind].nr != nr)
		kind++;
	return kind;
}

const char *mm_call_name(int kind)
{
	return names[kind].name;
}

static struct samara_file *file_of(const struct mm_gen *gen, unsigned long fd)
{
	for (int i = 0; i < MM_FILES; i++)
		if ((unsigned long)gen->fd[i] == fd)
			return gen->file[i];
	return NULL;
}

/* *mm becomes the child. */
static long fork_and_go_on(struct samara_mm **mm)
{
	struct samara_mm *child;
	const int err = samara_fork(*mm, &child);

	if (err)
		return err;
	samara_mm_exit(*mm);
	*mm = child;
	return 0;
}

long mm_call_do(const struct mm_gen *gen, struct samara_mm **mm_at, const struct mm_call *call)
{
	static unsigned char vec[MM_WINDOW_PAGES];
	const unsigned long *a = call->arg;
	struct samara_mm *mm = *mm_at;

	switch (call->nr) {
	case SYS_mmap:
		return (long)samara_mmap(mm, a[0], a[1], (int)a[2], (int)a[3], file_of(gen, a[4]),
					 a[5]);
	case SYS_munmap:
		return samara_munmap(mm, a[0], a[1]);
	case SYS_mprotect:
		return samara_mprotect(mm, a[0], a[1], (int)a[2]);
	case SYS_mremap:
		return (long)samara_mremap(mm, a[0], a[1], a[2], (int)a[3], a[4]);
	case SYS_madvise:
		return samara_madvise(mm, a[0], a[1], (int)a[2]);
	case SYS_mlock:
		return samara_mlock(mm, a[0], a[1]);
	case SYS_mlock2:
		return samara_mlock2(mm, a[0], a[1], (int)a[2]);
	case SYS_munlock:
		return samara_munlock(mm, a[0], a[1]);
	case SYS_mlockall:
		return samara_mlockall(mm, (int)a[0]);
	case SYS_munlockall:
		return samara_munlockall(mm);
	case SYS_mseal:
		return samara_mseal(mm, a[0], a[1], a[2]);
	case SYS_msync:
		return samara_msync(mm, a[0], a[1], (int)a[2]);
	case SYS_brk:
		return (long)samara_brk(mm, a[0]);
	case SYS_remap_file_pages:
		return samara_remap_file_pages(mm, a[0], a[1], (int)a[2], a[3], (int)a[4]);
	case SYS_mincore:
		return samara_mincore(mm, a[0], a[1], a[2] ? vec : NULL);
	case MM_READ:
	case MM_TOUCH: {
		const int err =
			samara_touch(mm, a[0], 1, call->nr == MM_READ ? PROT_READ : PROT_WRITE);

		return err ? err : 1;
	}
	case MM_FORK:
		return fork_and_go_on(mm_at);
	default:
		return -ENOSYS;
	}
}

void mm_call_text(const struct mm_call *call, char *buf, size_t size)
{
	size_t len;

	for (size_t i = 0; i < NAMES; i++) {
		if (names[i].nr != call->nr)
			continue;
		len = (size_t)snprintf(buf, size, "%s(", names[i].name);
		for (int j = 0; j < names[i].args && len < size; j++)
			len += (size_t)snprintf(buf + len, size - len, "%s%#lx", j ? ", " : "",
						call->arg[j]);
		if (len < size)
			snprintf(buf + len, size - len, ")");
		return;
	}
	snprintf(buf, size, "call %ld", call->nr);
}
