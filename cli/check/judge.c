/* SPDX-License-Identifier: MIT */
/*
 * Why a host cannot be the referee. What the library can be made to do the same, ours.c does; what
 * is left is here. Each reason is one line for the user.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>

#include "check/check.h"
#include "check/facts.h"

#define FILES_NEED 64 /* descriptors */
#define LEAST_OF_MOST (1UL << 20)
#define NOREPLACE 0x100000UL
#define GAP_KNOWN (1UL << 28)

static const char *odd_kernel(const struct host_facts *f)
{
	if (strncmp(f->uname.release, "6.18.", 5) || strcmp(f->uname.machine, "x86_64"))
		return "the host does not run Linux 6.18 on x86-64";
	if (!f->proc.there)
		return "no /proc, or one of other processes (PID namespace)";
	if (f->proc.soft_dirty)
		return "the host's kernel tracks soft-dirty pages, which VmFlags shows";
	if (f->addr.la57)
		return "the host uses five levels of page tables";
	if (f->zero.page == ZERO_PAGE_UNKNOWN)
		return "the host does not tell what reading untouched memory maps (pagemap)";
	if (f->addr.min_hint > LEAST_OF_MOST || f->addr.min_fixed >= LEAST_OF_MOST)
		return "the host's vm.mmap_min_addr is above 1 MiB";
	if (!f->addr.stack_gap || f->addr.stack_gap >= GAP_KNOWN)
		return "the host does not tell how wide the gap below a stack is";
	return NULL;
}

static const char *odd_setting(const struct host_facts *f)
{
	if (f->huge.shmem)
		return "the host's kernel places shared memory on huge pages";
	if (f->huge.thp_stays && !f->huge.no_thp)
		return "the host's transparent huge pages cannot be disabled (PR_SET_THP_DISABLE)";
	if (f->ksm_runs)
		return "the host merges equal pages (/sys/kernel/mm/ksm/run)";
	if (f->prot.no_write_exec)
		return "memory that is writable and executable is refused here";
	if (f->vm.max_map_count < 0 || f->vm.overcommit < 0)
		return "vm.max_map_count or vm.overcommit_memory cannot be read";
	if (f->vm.overcommit == 2 && f->vm.overcommit_kbytes > 0)
		return "vm.overcommit_kbytes is in use";
	return NULL;
}

static const char *odd_process(const struct host_facts *f)
{
	struct sysinfo info = { 0 };

	sysinfo(&info);
	if (f->process.file_limit / 2 < info.totalram * info.mem_unit)
		return "RLIMIT_FSIZE is less than the check's files need";
	if (f->process.nofile_limit < FILES_NEED)
		return "RLIMIT_NOFILE is less than the check needs";
	if (f->disk.error)
		return "no file of some megabytes can be made in /var/tmp";
	if (memcmp(f->disk.maps_dev, f->disk.stat_dev, sizeof(f->disk.maps_dev)) != 0)
		return "maps shows another device than stat(2) for files in /var/tmp";
	return NULL;
}

const char *facts_cannot_judge(const struct host_facts *facts)
{
	const char *why = facts->ended ? odd_kernel(facts) : "the host could not be measured";

	if (!why)
		why = odd_setting(facts);
	return why ? why : odd_process(facts);
}

static bool is_access(const struct wire_op *op)
{
	return op->nr == OP_LOAD || op->nr == OP_FETCH || op->nr == OP_READ || op->nr == OP_SURVEY;
}

bool op_touches(const struct wire_op *op)
{
	switch (op->nr) {
	case OP_TOUCH:
	case OP_STORE:
	case OP_PIN:
	case OP_POKE:
	case SYS_mlock:
	case SYS_mlock2:
	case SYS_mlockall:
	case SYS_remap_file_pages:
		return true;
	case SYS_mmap:
		return op->arg[3] & (MAP_POPULATE | MAP_LOCKED);
	case SYS_madvise:
		return op->arg[2] == 22 || op->arg[2] == 23; /* POPULATE_READ, POPULATE_WRITE */
	default:
		return is_access(op);
	}
}

const char *facts_cannot_judge_op(const struct host_facts *facts, const struct wire_op *op)
{
	const unsigned long *const a = op->arg;
	const unsigned long low = facts->addr.min_hint < facts->addr.min_fixed ?
					  facts->addr.min_hint :
					  facts->addr.min_fixed;
	const unsigned long high = facts->addr.min_hint + facts->addr.min_fixed - low;

	if (facts->addr.gate == GATE_READ && is_access(op) &&
	    (a[0] >= WIRE_GATE || a[1] > WIRE_GATE - a[0]))
		return "its vsyscall page can be read";
	if (op->nr != SYS_mmap)
		return NULL;
	if ((a[3] & MAP_HUGETLB) && facts->huge.hugetlb_odd)
		return "it grants huge pages, or knows none";
	if ((a[3] & (MAP_FIXED | NOREPLACE)) && a[0] < high && a[0] >= low)
		return "it has two least addresses";
	if ((a[3] & MAP_32BIT) && !(a[3] & (MAP_FIXED | NOREPLACE)) && facts->addr.random)
		return "addresses are random, since personality(2) is refused";
	return NULL;
}

static bool is_marked(struct samara_mm *mm, unsigned long start, unsigned long end)
{
	unsigned long long entry;

	for (; start < end; start += PAGE)
		if (samara_pagemap(mm, start, 1, &entry) || (entry & SAMARA_PM_UFFD_WP))
			return true;
	return false;
}

/*
 * MADV_GUARD_INSTALL zaps what is in its way until nothing is; the marker of a write-protected page
 * of a file's mapping stays, and Linux 6.18 tries for ever.
 */
static const char *over_marks(struct samara_mm *mm, const struct wire_op *op)
{
	struct samara_vma_info vma = { .end = op->arg[0] & -PAGE };
	const unsigned long start = vma.end, end = op->arg[0] + op->arg[1];

	while (!samara_vma_next(mm, vma.end, &vma) && vma.start < end)
		if (vma.ino && strcmp(vma.name, "/dev/zero") != 0 &&
		    is_marked(mm, vma.start > start ? vma.start : start,
			      vma.end < end ? vma.end : end))
			return "guards over write-protected pages of files, which never end";
	return NULL;
}

static const char *over_disk(struct samara_mm *mm, const struct wire_op *op)
{
	struct samara_vma_info vma = { .end = op->arg[0] };

	while (!samara_vma_next(mm, vma.end, &vma) && vma.start < op->arg[1])
		if (strstr(vma.name, "samara-check-"))
			return "what the host has read of the file on disk";
	return NULL;
}

const char *map_cannot_judge_op(struct samara_mm *mm, const struct wire_op *op)
{
	struct samara_vma_info vma;

	if (op->nr == SYS_madvise && op->arg[2] == 102 /* GUARD_INSTALL */)
		return over_marks(mm, op);
	if (op->nr == OP_SCAN)
		return over_disk(mm, op);
	/* Linux fills it before it tells what has moved, and no handler can fill meanwhile. */
	if (op->nr == SYS_mremap && op->arg[2] > op->arg[1] &&
	    !samara_vma_next(mm, op->arg[0], &vma) && (vma.flags & SAMARA_VM_LOCKED))
		return "locked memory that grows, whose pages come before its events";
	return NULL;
}

const char *answer_cannot_judge(const struct settings *set, const struct wire_op *op, long host,
				long ours)
{
	if (host == ours)
		return NULL;
	if ((op->nr == OP_FORK || op->nr == OP_FORK_STAY) && host == -EAGAIN)
		return "no further process is allowed here (RLIMIT_NPROC, a PIDs cgroup)";
	if (host == -ENOSYS)
		return "a call is not known here, or filtered";
	if (op->nr != OP_POKE && (host == -ENOSPC || host == -EDQUOT || host == -EIO))
		return "the file system of /var/tmp is full or broken";
	if (op->nr == OP_FILE_WRITE && host >= 0 && host < ours)
		return "the file system of /var/tmp is full";
	if (host == -EMFILE || host == -ENFILE)
		return "no further file can be opened";
	/* Other programs' promises come and go. */
	if (set->found.facts.vm.overcommit == 2 && !set->machine.commit_is_ours &&
	    set->machine.overcommit < 0 && (host == -ENOMEM || ours == -ENOMEM))
		return "in overcommit mode 2 it depends on what other programs were promised";
	return NULL;
}
