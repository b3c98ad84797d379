/* SPDX-License-Identifier: MIT */
/*
 * What is known to differ from Linux and what is not asked, with the reason.
 * Notes of no kind of mapping stand alone; the others explain empty cells.
 */
#include "check/cover.h"

#define ALL_KINDS ((1U << KINDS) - 1)
#define KIND(kind) (1U << KIND_##kind)

const struct note notes[] = {
	/* what differs */
	{ "mmap", "MAP_HUGETLB with MAP_NORESERVE", 0, true,
	  "Linux maps it even where no huge page was set aside, and a first access gives SIGBUS; "
	  "here it is refused with ENOMEM as all MAP_HUGETLB is: there are no huge pages yet" },
	{ "mmap", "MAP_FIXED below 64 KiB without CAP_SYS_RAWIO", 0, true,
	  "Linux has two least addresses, vm.mmap_min_addr for who may and a security module's for "
	  "where hints and searches go; here they are one (map_min_addr), and -EPERM below it" },
	{ "touch, read", "a stack without charge that grows (MAP_NORESERVE)", 0, true,
	  "Linux charges the growth and never gives the charge back; here it is asked for and "
	  "given back at once. Seen only near the commit limit" },
	{ "pagemap_scan", "PAGE_IS_WRITTEN of empty pages where write protection is not registered",
	  0, true,
	  "it tells where Linux has page tables. A fault on a file that fails leaves one here" },
	{ "poke", "memory that is registered with a userfaultfd", 0, true,
	  "in Linux /proc/PID/mem is refused where the handler would have to be waited for; "
	  "here a debugger's access waits as any other" },
	{ "poke", "below a stack", 0, true,
	  "in Linux /proc/PID/mem lets it grow; here only the program's own accesses do" },
	{ "all", "soft-dirty, [anon:NAME], memory policies", 0, true,
	  "in Linux they keep mappings apart; here they do not exist" },
	/* what is not asked */
	{ "mmap", "a file of a driver, of hugetlbfs, a sealed memfd, a swap file", 0, false,
	  "the check has four files: a memfd, one on disk, one opened read-only, /dev/zero" },
	{ "pkey_alloc, pkey_free, pkey_mprotect", "all", 0, false,
	  "not offered: the referee's CPU has no protection keys to compare with. Where there are "
	  "keys, PROT_EXEC alone takes one; the check then leaves PROT_EXEC alone out" },
	{ "all", "contents, signals, pagemap, shared frames, several processes", 0, false,
	  "not in these tables; compared by --profile=pages" },
	{ "all", "userfaultfds", 0, false,
	  "in a section of their own; compared by --profile=uffd: requests, messages, what sleeps "
	  "and what ends its sleep, PAGEMAP_SCAN, pins" },
	{ "mincore", "the vector, where memory was accessed", 0, false,
	  "compared by --profile=guards (nothing is accessed) and --profile=pages, there where the "
	  "file on disk is not mapped: what the host has of it in memory is not known" },
	{ "touch, read", "guard pages", 0, false, "compared by --profile=pages" },
	{ "madvise", "MADV_PAGEOUT where memory was accessed", 0, false,
	  "not in these tables: what leaves memory is not the same each time. Compared by "
	  "--profile=swap: answers, contents, RssAnon + VmSwap, and after each swapoff pages" },
	{ "all", "huge pages", 0, false,
	  "there are none here yet: the host's processes have them disabled (PR_SET_THP_DISABLE), "
	  "but in sequences with MADV_COLLAPSE, which access nothing. So memory that may have huge "
	  "pages (madvise or always) is compared as memory without them" },
	{ "fetch", "running code", 0, false,
	  "the child cannot run what is mapped and go on: it reads there. Where nothing can be "
	  "run it jumps, and the signals are compared (--profile=pages)" },
	{ "madvise", "MADV_COLLAPSE of memory that was accessed", 0, false,
	  "it depends on the pages; where nothing was accessed (--profile=collapse) it is "
	  "compared" },
	{ "all", "vm.max_map_count reached", 0, false,
	  "too slow for these tables; compared by --profile=crowd" },
	{ "all", "overcommit modes 1 and 2", 0, false,
	  "they are settings of the whole host; compared by --overcommit=1 and --overcommit=2" },
	{ "mlock, mlock2, mlockall, MAP_LOCKED, MAP_POPULATE, MADV_POPULATE_*, remap_file_pages",
	  "reservations of terabytes", 0, false, "the host would fill them" },
	{ "madvise", "MADV_MERGEABLE, MADV_UNMERGEABLE of terabytes", 0, false,
	  "the host looks at each page" },
	{ "munmap, mprotect, ...", "the child's own program and arena", 0, false,
	  "nothing is aimed at them, and nothing at ranges that reach across them" },

	/* empty cells */
	{ "madvise", "MADV_HWPOISON", ALL_KINDS, false,
	  "it breaks the host's memory; here EPERM without SAMARA_CAP_SYS_ADMIN" },
	{ "madvise", "MADV_SOFT_OFFLINE", ALL_KINDS, false,
	  "it takes pages from the host; here EPERM without SAMARA_CAP_SYS_ADMIN" },
	{ "*", "len 0", KIND(SEVERAL), false, "a range without length reaches no second mapping" },
	{ "*", "len beyond everything", KIND(SEVERAL), false,
	  "it wraps around, so it counts by what lies at its address" },
	{ "touch", "any", KIND(SEVERAL), false, "an access is to one byte" },
	{ "read", "any", KIND(SEVERAL), false, "an access is to one byte" },
	{ "mmap", "MAP_HUGETLB", KIND(HEAP), false,
	  "a huge page where the heap is would reach the child's own program" },
	{ "madvise", "MADV_GUARD_INSTALL", KIND(LOCKED), false,
	  "sequences with guards lock nothing; those of --profile=pages do" },
	{ "madvise", "MADV_GUARD_REMOVE", KIND(LOCKED), false,
	  "sequences with guards lock nothing; those of --profile=pages do" },
	{ "madvise", "MADV_COLLAPSE", KIND(LOCKED), false,
	  "sequences with MADV_COLLAPSE lock nothing: locking brings pages in" },
	{ .call = NULL },
};
