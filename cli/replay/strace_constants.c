/* SPDX-License-Identifier: MIT */
/*
 * The names that strace writes for flags of memory calls and of calls which
 * make and end processes, with Linux's values (x86, arm64). Numbers stand here
 * where the host's headers may be older than the trace.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/strace.h"

struct constant {
	const char *name;
	unsigned long value;
};

/* Sorted by name, as strcmp sees it; tests/unit/cli/constants.c holds it. */
static const struct constant constants[] = {
	{ "CLONE_CHILD_CLEARTID", 0x200000 },
	{ "CLONE_CHILD_SETTID", 0x1000000 },
	{ "CLONE_CLEAR_SIGHAND", 0x100000000 },
	{ "CLONE_DETACHED", 0x400000 },
	{ "CLONE_FILES", 0x400 },
	{ "CLONE_FS", 0x200 },
	{ "CLONE_INTO_CGROUP", 0x200000000 },
	{ "CLONE_IO", 0x80000000 },
	{ "CLONE_NEWCGROUP", 0x2000000 },
	{ "CLONE_NEWIPC", 0x8000000 },
	{ "CLONE_NEWNET", 0x40000000 },
	{ "CLONE_NEWNS", 0x20000 },
	{ "CLONE_NEWPID", 0x20000000 },
	{ "CLONE_NEWTIME", 0x80 },
	{ "CLONE_NEWUSER", 0x10000000 },
	{ "CLONE_NEWUTS", 0x4000000 },
	{ "CLONE_PARENT", 0x8000 },
	{ "CLONE_PARENT_SETTID", 0x100000 },
	{ "CLONE_PIDFD", 0x1000 },
	{ "CLONE_PTRACE", 0x2000 },
	{ "CLONE_SETTLS", 0x80000 },
	{ "CLONE_SIGHAND", 0x800 },
	{ "CLONE_SYSVSEM", 0x40000 },
	{ "CLONE_THREAD", 0x10000 },
	{ "CLONE_UNTRACED", 0x800000 },
	{ "CLONE_VFORK", 0x4000 },
	{ "CLONE_VM", 0x100 },
	{ "IPC_CREAT", 01000 },
	{ "IPC_EXCL", 02000 },
	{ "IPC_PRIVATE", 0 },
	{ "MADV_COLD", 20 },
	{ "MADV_COLLAPSE", 25 },
	{ "MADV_DODUMP", 17 },
	{ "MADV_DOFORK", 11 },
	{ "MADV_DONTDUMP", 16 },
	{ "MADV_DONTFORK", 10 },
	{ "MADV_DONTNEED", 4 },
	{ "MADV_DONTNEED_LOCKED", 24 },
	{ "MADV_FREE", 8 },
	{ "MADV_GUARD_INSTALL", 102 },
	{ "MADV_GUARD_REMOVE", 103 },
	{ "MADV_HUGEPAGE", 14 },
	{ "MADV_HWPOISON", 100 },
	{ "MADV_KEEPONFORK", 19 },
	{ "MADV_MERGEABLE", 12 },
	{ "MADV_NOHUGEPAGE", 15 },
	{ "MADV_NORMAL", 0 },
	{ "MADV_PAGEOUT", 21 },
	{ "MADV_POPULATE_READ", 22 },
	{ "MADV_POPULATE_WRITE", 23 },
	{ "MADV_RANDOM", 1 },
	{ "MADV_REMOVE", 9 },
	{ "MADV_SEQUENTIAL", 2 },
	{ "MADV_SOFT_OFFLINE", 101 },
	{ "MADV_UNMERGEABLE", 13 },
	{ "MADV_WILLNEED", 3 },
	{ "MADV_WIPEONFORK", 18 },
	{ "MAP_32BIT", 0x40 },
	{ "MAP_ABOVE4G", 0x80 },
	{ "MAP_ANON", 0x20 },
	{ "MAP_ANONYMOUS", 0x20 },
	{ "MAP_DENYWRITE", 0x800 },
	{ "MAP_DROPPABLE", 0x8 },
	{ "MAP_EXECUTABLE", 0x1000 },
	{ "MAP_FILE", 0 },
	{ "MAP_FIXED", 0x10 },
	{ "MAP_FIXED_NOREPLACE", 0x100000 },
	{ "MAP_GROWSDOWN", 0x100 },
	{ "MAP_HUGETLB", 0x40000 },
	{ "MAP_HUGE_SHIFT", 26 },
	{ "MAP_LOCKED", 0x2000 },
	{ "MAP_NONBLOCK", 0x10000 },
	{ "MAP_NORESERVE", 0x4000 },
	{ "MAP_POPULATE", 0x8000 },
	{ "MAP_PRIVATE", 0x2 },
	{ "MAP_SHARED", 0x1 },
	{ "MAP_SHARED_VALIDATE", 0x3 },
	{ "MAP_STACK", 0x20000 },
	{ "MAP_SYNC", 0x80000 },
	{ "MAP_UNINITIALIZED", 0x4000000 },
	{ "MCL_CURRENT", 1 },
	{ "MCL_FUTURE", 2 },
	{ "MCL_ONFAULT", 4 },
	{ "MLOCK_ONFAULT", 1 },
	{ "MREMAP_DONTUNMAP", 4 },
	{ "MREMAP_FIXED", 2 },
	{ "MREMAP_MAYMOVE", 1 },
	{ "MS_ASYNC", 1 },
	{ "MS_INVALIDATE", 2 },
	{ "MS_SYNC", 4 },
	{ "PROT_BTI", 0x10 },
	{ "PROT_EXEC", 0x4 },
	{ "PROT_GROWSDOWN", 0x1000000 },
	{ "PROT_GROWSUP", 0x2000000 },
	{ "PROT_MTE", 0x20 },
	{ "PROT_NONE", 0 },
	{ "PROT_READ", 0x1 },
	{ "PROT_SEM", 0x8 },
	{ "PROT_WRITE", 0x2 },
	{ "PR_SET_MM", 35 },
	{ "PR_SET_VMA", 0x53564d41 },
	{ "PR_SET_VMA_ANON_NAME", 0 },
	{ "RLIM64_INFINITY", ~0UL },
	{ "RLIMIT_AS", 9 },
	{ "RLIMIT_CORE", 4 },
	{ "RLIMIT_CPU", 0 },
	{ "RLIMIT_DATA", 2 },
	{ "RLIMIT_FSIZE", 1 },
	{ "RLIMIT_LOCKS", 10 },
	{ "RLIMIT_MEMLOCK", 8 },
	{ "RLIMIT_MSGQUEUE", 12 },
	{ "RLIMIT_NICE", 13 },
	{ "RLIMIT_NOFILE", 7 },
	{ "RLIMIT_NPROC", 6 },
	{ "RLIMIT_RSS", 5 },
	{ "RLIMIT_RTPRIO", 14 },
	{ "RLIMIT_RTTIME", 15 },
	{ "RLIMIT_SIGPENDING", 11 },
	{ "RLIMIT_STACK", 3 },
	{ "RLIM_INFINITY", ~0UL },
	{ "SHM_EXEC", 0100000 },
	{ "SHM_HUGETLB", 04000 },
	{ "SHM_NORESERVE", 010000 },
	{ "SHM_RDONLY", 010000 },
	{ "SHM_REMAP", 040000 },
	{ "SHM_RND", 020000 },
};

int trace_constant(struct slice name, unsigned long *out)
{
	size_t low = 0, high = sizeof(constants) / sizeof(constants[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;
		const char *have = constants[mid].name;
		int order = strncmp(name.at, have, name.len);

		if (order == 0 && have[name.len] == '\0') {
			*out = constants[mid].value;
			return 0;
		}
		if (order > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -ENOENT;
}
