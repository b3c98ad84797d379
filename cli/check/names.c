/* SPDX-License-Identifier: MIT */
/*
 * The calls and the names of their constants.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <samara/uffd_abi.h>

#include "check/names.h"

const char *const file_names[FILES] = { "memfd", "disk", "readonly", "zero" };

const char *const profile_names[PROFILES + 1] = {
	"plain", "guards", "collapse", "vast", "full", "pages", "crowd", "swap", "uffd", "mixed",
};

const struct call_info calls[CALLS] = {
	[CALL_MMAP] = { "mmap",
			SYS_mmap,
			6,
			{ ARG_ADDR, ARG_NUM, ARG_PROT, ARG_MAP, ARG_FD, ARG_NUM },
			300 },
	[CALL_MUNMAP] = { "munmap", SYS_munmap, 2, { ARG_ADDR, ARG_NUM }, 120 },
	[CALL_MPROTECT] = { "mprotect", SYS_mprotect, 3, { ARG_ADDR, ARG_NUM, ARG_PROT }, 180 },
	[CALL_MREMAP] = { "mremap",
			  SYS_mremap,
			  5,
			  { ARG_ADDR, ARG_NUM, ARG_NUM, ARG_REMAP, ARG_ADDR },
			  120 },
	[CALL_MADVISE] = { "madvise", SYS_madvise, 3, { ARG_ADDR, ARG_NUM, ARG_ADVICE }, 110 },
	[CALL_TOUCH] = { "touch", OP_TOUCH, 1, { ARG_ADDR }, 70 },
	[CALL_READ] = { "read", OP_READ, 1, { ARG_ADDR }, 20 },
	[CALL_MLOCK] = { "mlock", SYS_mlock, 2, { ARG_ADDR, ARG_NUM }, 10 },
	[CALL_MLOCK2] = { "mlock2", SYS_mlock2, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 10 },
	[CALL_MUNLOCK] = { "munlock", SYS_munlock, 2, { ARG_ADDR, ARG_NUM }, 10 },
	[CALL_MLOCKALL] = { "mlockall", SYS_mlockall, 1, { ARG_NUM }, 3 },
	[CALL_MUNLOCKALL] = { "munlockall", SYS_munlockall, 0, { ARG_NONE }, 5 },
	[CALL_MSEAL] = { "mseal", SYS_mseal, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 7 },
	[CALL_MSYNC] = { "msync", SYS_msync, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 8 },
	[CALL_MINCORE] = { "mincore", SYS_mincore, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 8 },
	[CALL_REMAP_FILE_PAGES] = { "remap_file_pages",
				    SYS_remap_file_pages,
				    5,
				    { ARG_ADDR, ARG_NUM, ARG_PROT, ARG_NUM, ARG_NUM },
				    10 },
	[CALL_BRK] = { "brk", SYS_brk, 1, { ARG_ADDR }, 20 },
	[CALL_RLIMIT] = { "set_rlimit", OP_RLIMIT, 2, { ARG_RESOURCE, ARG_NUM }, 4 },
	[CALL_FORK] = { "fork", OP_FORK, 0, { ARG_NONE }, 5 },
	[CALL_DROP_CAPS] = { "drop_caps", OP_DROP_CAPS, 0, { ARG_NONE }, 0 },
	[CALL_CROWD] = { "map_crowd", OP_CROWD, 2, { ARG_ADDR, ARG_NUM }, 0 },
	[CALL_STORE] = { "store", OP_STORE, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 250 },
	[CALL_LOAD] = { "load", OP_LOAD, 2, { ARG_ADDR, ARG_NUM }, 100 },
	[CALL_SURVEY] = { "survey", OP_SURVEY, 2, { ARG_ADDR, ARG_NUM }, 6 },
	[CALL_FETCH] = { "fetch", OP_FETCH, 1, { ARG_ADDR }, 15 },
	[CALL_FORK_STAY] = { "fork_and_stay", OP_FORK_STAY, 0, { ARG_NONE }, 8 },
	[CALL_SWITCH] = { "switch_to", OP_SWITCH, 1, { ARG_NUM }, 40 },
	[CALL_TRUNCATE] = { "ftruncate", SYS_ftruncate, 2, { ARG_FD, ARG_NUM }, 12 },
	[CALL_FILE_WRITE] = { "file_write",
			      OP_FILE_WRITE,
			      4,
			      { ARG_FD, ARG_NUM, ARG_NUM, ARG_NUM },
			      15 },
	[CALL_FILE_READ] = { "file_read", OP_FILE_READ, 3, { ARG_FD, ARG_NUM, ARG_NUM }, 6 },
	[CALL_SWAPON] = { "swapon", SYS_swapon, 1, { ARG_NUM }, 3 },
	[CALL_SWAPOFF] = { "swapoff", SYS_swapoff, 0, { ARG_NONE }, 6 },
	[CALL_PEEK] = { "peek", OP_PEEK, 1, { ARG_ADDR }, 30 },
	[CALL_RESULT] = { "result_of", OP_RESULT, 1, { ARG_NUM }, 8 },
	[CALL_UFFD_CREATE] = { "uffd_create", OP_UFFD_CREATE, 1, { ARG_NUM }, 6 },
	[CALL_UFFD_CLOSE] = { "uffd_close", OP_UFFD_CLOSE, 1, { ARG_NUM }, 8 },
	[CALL_UFFD_API] = { "uffd_api", OP_UFFD_API, 3, { ARG_NUM, ARG_NUM, ARG_FEATURES }, 4 },
	[CALL_UFFD_REGISTER] = { "uffd_register",
				 OP_UFFD_REGISTER,
				 4,
				 { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_REGISTER },
				 90 },
	[CALL_UFFD_UNREGISTER] = { "uffd_unregister",
				   OP_UFFD_UNREGISTER,
				   3,
				   { ARG_NUM, ARG_ADDR, ARG_NUM },
				   20 },
	[CALL_UFFD_COPY] = { "uffd_copy",
			     OP_UFFD_COPY,
			     5,
			     { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_ADDR, ARG_NUM },
			     60 },
	[CALL_UFFD_ZEROPAGE] = { "uffd_zeropage",
				 OP_UFFD_ZEROPAGE,
				 4,
				 { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_NUM },
				 40 },
	[CALL_UFFD_CONTINUE] = { "uffd_continue",
				 OP_UFFD_CONTINUE,
				 4,
				 { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_NUM },
				 40 },
	[CALL_UFFD_POISON] = { "uffd_poison",
			       OP_UFFD_POISON,
			       4,
			       { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_NUM },
			       20 },
	[CALL_UFFD_MOVE] = { "uffd_move",
			     OP_UFFD_MOVE,
			     5,
			     { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_ADDR, ARG_NUM },
			     40 },
	[CALL_UFFD_WRITEPROTECT] = { "uffd_writeprotect",
				     OP_UFFD_WRITEPROTECT,
				     4,
				     { ARG_NUM, ARG_ADDR, ARG_NUM, ARG_NUM },
				     80 },
	[CALL_UFFD_WAKE] = { "uffd_wake", OP_UFFD_WAKE, 3, { ARG_NUM, ARG_ADDR, ARG_NUM }, 15 },
	[CALL_UFFD_READ] = { "uffd_read", OP_UFFD_READ, 2, { ARG_NUM, ARG_NUM }, 40 },
	[CALL_SCAN] = { "pagemap_scan",
			OP_SCAN,
			6,
			{ ARG_ADDR, ARG_ADDR, ARG_NUM, ARG_NUM, ARG_NUM, ARG_NUM },
			60 },
	[CALL_PIN] = { "pin", OP_PIN, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 40 },
	[CALL_POKE] = { "poke", OP_POKE, 3, { ARG_ADDR, ARG_NUM, ARG_NUM }, 20 },
};

enum call_id call_of(int32_t nr)
{
	int id = 0;

	while (id < CALLS - 1 && calls[id].nr != nr)
		id++;
	return (enum call_id)id;
}

static const struct flag_name prots[] = {
	{ "READ", PROT_READ, "PROT_READ" },
	{ "WRITE", PROT_WRITE, "PROT_WRITE" },
	{ "EXEC", PROT_EXEC, "PROT_EXEC" },
	{ "GROWSDOWN", PROT_GROWSDOWN, "PROT_GROWSDOWN" },
	{ "GROWSUP", PROT_GROWSUP, "PROT_GROWSUP" },
	{ NULL, 0, NULL },
};

/* The type is the low four bits, so its names come first, the widest before its parts. */
static const struct flag_name maps[] = {
	{ "SHARED_VALIDATE", 3, "MAP_SHARED | MAP_PRIVATE" },
	{ "DROPPABLE", 8, "8" },
	{ "SHARED", MAP_SHARED, "MAP_SHARED" },
	{ "PRIVATE", MAP_PRIVATE, "MAP_PRIVATE" },
	{ "FIXED", MAP_FIXED, "MAP_FIXED" },
	{ "ANONYMOUS", MAP_ANONYMOUS, "MAP_ANONYMOUS" },
	{ "32BIT", 0x40, "0x40" },
	{ "GROWSDOWN", MAP_GROWSDOWN, "MAP_GROWSDOWN" },
	{ "LOCKED", MAP_LOCKED, "MAP_LOCKED" },
	{ "NORESERVE", MAP_NORESERVE, "MAP_NORESERVE" },
	{ "POPULATE", MAP_POPULATE, "MAP_POPULATE" },
	{ "NONBLOCK", MAP_NONBLOCK, "MAP_NONBLOCK" },
	{ "STACK", MAP_STACK, "MAP_STACK" },
	{ "HUGETLB", MAP_HUGETLB, "MAP_HUGETLB" },
	{ "SYNC", 0x80000, "0x80000" },
	{ "FIXED_NOREPLACE", 0x100000, "0x100000" },
	{ NULL, 0, NULL },
};

static const struct flag_name remaps[] = {
	{ "MAYMOVE", MREMAP_MAYMOVE, "MREMAP_MAYMOVE" },
	{ "FIXED", MREMAP_FIXED, "MREMAP_FIXED" },
	{ "DONTUNMAP", 4, "4" },
	{ NULL, 0, NULL },
};

static const struct flag_name advice[] = {
	{ "NORMAL", 0, "0" },           { "RANDOM", 1, "1" },
	{ "SEQUENTIAL", 2, "2" },       { "WILLNEED", 3, "3" },
	{ "DONTNEED", 4, "4" },         { "FREE", 8, "8" },
	{ "REMOVE", 9, "9" },           { "DONTFORK", 10, "10" },
	{ "DOFORK", 11, "11" },         { "MERGEABLE", 12, "12" },
	{ "UNMERGEABLE", 13, "13" },    { "HUGEPAGE", 14, "14" },
	{ "NOHUGEPAGE", 15, "15" },     { "DONTDUMP", 16, "16" },
	{ "DODUMP", 17, "17" },         { "WIPEONFORK", 18, "18" },
	{ "KEEPONFORK", 19, "19" },     { "COLD", 20, "20" },
	{ "PAGEOUT", 21, "21" },        { "POPULATE_READ", 22, "22" },
	{ "POPULATE_WRITE", 23, "23" }, { "DONTNEED_LOCKED", 24, "24" },
	{ "COLLAPSE", 25, "25" },       { "GUARD_INSTALL", 102, "102" },
	{ "GUARD_REMOVE", 103, "103" }, { NULL, 0, NULL },
};

#define FLAG(name) \
	{ \
#name, UFFD_FEATURE_##name, "UFFD_FEATURE_" #name \
	}
static const struct flag_name features[] = {
	FLAG(PAGEFAULT_FLAG_WP),
	FLAG(EVENT_FORK),
	FLAG(EVENT_REMAP),
	FLAG(EVENT_REMOVE),
	FLAG(MISSING_HUGETLBFS),
	FLAG(MISSING_SHMEM),
	FLAG(EVENT_UNMAP),
	FLAG(SIGBUS),
	FLAG(THREAD_ID),
	FLAG(MINOR_HUGETLBFS),
	FLAG(MINOR_SHMEM),
	FLAG(EXACT_ADDRESS),
	FLAG(WP_HUGETLBFS_SHMEM),
	FLAG(WP_UNPOPULATED),
	FLAG(POISON),
	FLAG(WP_ASYNC),
	FLAG(MOVE),
	{ NULL, 0, NULL },
};

static const struct flag_name register_modes[] = {
	{ "MISSING", 1, "UFFDIO_REGISTER_MODE_MISSING" },
	{ "WP", 2, "UFFDIO_REGISTER_MODE_WP" },
	{ "MINOR", 4, "UFFDIO_REGISTER_MODE_MINOR" },
	{ NULL, 0, NULL },
};

static const struct flag_name resources[] = {
	{ "AS", RLIMIT_AS, "RLIMIT_AS" },
	{ "DATA", RLIMIT_DATA, "RLIMIT_DATA" },
	{ "STACK", RLIMIT_STACK, "RLIMIT_STACK" },
	{ "MEMLOCK", RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK" },
	{ NULL, 0, NULL },
};

const struct flag_name *names_of(enum arg_kind kind)
{
	switch (kind) {
	case ARG_PROT:
		return prots;
	case ARG_MAP:
		return maps;
	case ARG_REMAP:
		return remaps;
	case ARG_ADVICE:
		return advice;
	case ARG_RESOURCE:
		return resources;
	case ARG_FEATURES:
		return features;
	case ARG_REGISTER:
		return register_modes;
	default:
		return NULL;
	}
}

bool is_one_of(enum arg_kind kind)
{
	return kind == ARG_ADVICE || kind == ARG_RESOURCE;
}

/* EXXX for a number that these calls can give, NULL for others. */
const char *error_name(long err)
{
	return err > 0 && err < ERRORS ? strerrorname_np((int)err) : NULL;
}
