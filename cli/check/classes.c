/* SPDX-License-Identifier: MIT */
/*
 * Sorts of arguments: what coverage is counted by. A call is of every class
 * whose test its arguments pass, so of several.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <samara/uffd_abi.h>

#include "check/cover.h"
#include "check/gen.h"

#define ALL ~UINT64_C(0)
#define OFFSET (PAGE - 1)
#define MANY ((1UL << 47) - PAGE) /* bytes: more addresses than there are */
#define TYPES (MAP_TYPE)

#define FLAG(name, call, arg, bits) \
	{ \
		name, call, TEST_EQUAL, arg, bits, bits \
	}
#define FIELD(name, call, arg, mask, value) \
	{ \
		name, call, TEST_EQUAL, arg, mask, value \
	}
#define IS(name, call, arg, value) \
	{ \
		name, call, TEST_EQUAL, arg, ALL, value \
	}
#define ANY(call) \
	{ \
		"any", call, TEST_EQUAL, 0, 0, 0 \
	}
#define ODD(name, call, arg) \
	{ \
		name, call, TEST_NOT_EQUAL, arg, OFFSET, 0 \
	}
/* What all calls on a range have. */
#define RANGED(call) \
	ANY(call), ODD("addr not on a page", call, 0), IS("len 0", call, 1, 0), \
		ODD("len not of whole pages", call, 1), \
	{ \
		"len beyond everything", call, TEST_AT_LEAST, 1, ALL, MANY \
	}

/* And requests of userfaultfds on one. */
#define REQUEST(call) \
	ANY(call), ODD("start not on a page", call, 1), IS("len 0", call, 2, 0), \
		ODD("len not of whole pages", call, 2)
#define NO_MODE(call, arg, least) \
	{ \
		"a mode that does not exist", call, TEST_AT_LEAST, arg, ALL, least \
	}

#define PROTS(call) \
	IS("PROT_NONE", call, 2, PROT_NONE), IS("PROT_READ", call, 2, PROT_READ), \
		IS("PROT_WRITE", call, 2, PROT_WRITE), IS("PROT_EXEC", call, 2, PROT_EXEC), \
		IS("PROT_READ|PROT_WRITE", call, 2, PROT_READ | PROT_WRITE), \
		IS("PROT_READ|PROT_EXEC", call, 2, PROT_READ | PROT_EXEC), \
		IS("PROT_READ|PROT_WRITE|PROT_EXEC", call, 2, PROT_READ | PROT_WRITE | PROT_EXEC)

#define ADVICE(name, number) IS(name, CALL_MADVISE, 2, number)

const struct arg_class arg_classes[] = {
	RANGED(CALL_MMAP),
	FIELD("MAP_PRIVATE", CALL_MMAP, 3, TYPES, MAP_PRIVATE),
	FIELD("MAP_SHARED", CALL_MMAP, 3, TYPES, MAP_SHARED),
	FIELD("MAP_SHARED_VALIDATE", CALL_MMAP, 3, TYPES, 3),
	FIELD("MAP_DROPPABLE", CALL_MMAP, 3, TYPES, 8),
	FIELD("no type", CALL_MMAP, 3, TYPES, 0),
	FLAG("MAP_ANONYMOUS", CALL_MMAP, 3, MAP_ANONYMOUS),
	IS("a memfd", CALL_MMAP, 4, WIRE_FD_FILE + FILE_MEMFD),
	IS("a file on disk", CALL_MMAP, 4, WIRE_FD_FILE + FILE_DISK),
	IS("a file opened read-only", CALL_MMAP, 4, WIRE_FD_FILE + FILE_READONLY),
	IS("/dev/zero", CALL_MMAP, 4, WIRE_FD_FILE + FILE_ZERO),
	ODD("offset not on a page", CALL_MMAP, 5),
	{ "offset near 2^63", CALL_MMAP, TEST_AT_LEAST, 5, ALL, 1UL << 62 },
	FLAG("MAP_FIXED", CALL_MMAP, 3, MAP_FIXED),
	FLAG("MAP_FIXED_NOREPLACE", CALL_MMAP, 3, 0x100000),
	FIELD("neither: a hint, or none", CALL_MMAP, 3, MAP_FIXED | 0x100000, 0),
	FIELD("len of whole 2 MiB", CALL_MMAP, 1, (1UL << 21) - 1, 0),
	{ "len of 1 TiB or more", CALL_MMAP, TEST_AT_LEAST, 1, ALL, TIB },
	PROTS(CALL_MMAP),
	FLAG("MAP_GROWSDOWN", CALL_MMAP, 3, MAP_GROWSDOWN),
	FLAG("MAP_STACK", CALL_MMAP, 3, MAP_STACK),
	FLAG("MAP_LOCKED", CALL_MMAP, 3, MAP_LOCKED),
	FLAG("MAP_POPULATE", CALL_MMAP, 3, MAP_POPULATE),
	FLAG("MAP_NONBLOCK", CALL_MMAP, 3, MAP_NONBLOCK),
	FLAG("MAP_NORESERVE", CALL_MMAP, 3, MAP_NORESERVE),
	FLAG("MAP_32BIT", CALL_MMAP, 3, 0x40),
	FLAG("MAP_SYNC", CALL_MMAP, 3, 0x80000),
	FLAG("MAP_HUGETLB", CALL_MMAP, 3, MAP_HUGETLB),
	{ "MAP_DENYWRITE, MAP_EXECUTABLE", CALL_MMAP, TEST_NOT_EQUAL, 3, 0x1800, 0 },
	{ "flags that do not exist", CALL_MMAP, TEST_NOT_EQUAL, 3, 0x40000480 | 0x200000, 0 },

	RANGED(CALL_MUNMAP),

	RANGED(CALL_MPROTECT),
	PROTS(CALL_MPROTECT),
	FLAG("PROT_GROWSDOWN", CALL_MPROTECT, 2, PROT_GROWSDOWN),
	FLAG("PROT_GROWSUP", CALL_MPROTECT, 2, PROT_GROWSUP),
	FLAG("PROT_SEM", CALL_MPROTECT, 2, 8),
	FLAG("a bit that does not exist", CALL_MPROTECT, 2, 0x40),

	RANGED(CALL_MREMAP),
	{ "to grow", CALL_MREMAP, TEST_MORE, 2, ALL, 1 },
	{ "to shrink", CALL_MREMAP, TEST_LESS, 2, ALL, 1 },
	{ "to move only", CALL_MREMAP, TEST_SAME, 2, ALL, 1 },
	IS("no flags", CALL_MREMAP, 3, 0),
	FLAG("MREMAP_MAYMOVE", CALL_MREMAP, 3, 1),
	FLAG("MREMAP_FIXED", CALL_MREMAP, 3, 2),
	FLAG("MREMAP_DONTUNMAP", CALL_MREMAP, 3, 4),
	FLAG("a flag that does not exist", CALL_MREMAP, 3, 8),

	RANGED(CALL_MADVISE),
	ADVICE("MADV_NORMAL", 0),
	ADVICE("MADV_RANDOM", 1),
	ADVICE("MADV_SEQUENTIAL", 2),
	ADVICE("MADV_WILLNEED", 3),
	ADVICE("MADV_DONTNEED", 4),
	ADVICE("MADV_FREE", 8),
	ADVICE("MADV_REMOVE", 9),
	ADVICE("MADV_DONTFORK", 10),
	ADVICE("MADV_DOFORK", 11),
	ADVICE("MADV_MERGEABLE", 12),
	ADVICE("MADV_UNMERGEABLE", 13),
	ADVICE("MADV_HUGEPAGE", 14),
	ADVICE("MADV_NOHUGEPAGE", 15),
	ADVICE("MADV_DONTDUMP", 16),
	ADVICE("MADV_DODUMP", 17),
	ADVICE("MADV_WIPEONFORK", 18),
	ADVICE("MADV_KEEPONFORK", 19),
	ADVICE("MADV_COLD", 20),
	ADVICE("MADV_PAGEOUT", 21),
	ADVICE("MADV_POPULATE_READ", 22),
	ADVICE("MADV_POPULATE_WRITE", 23),
	ADVICE("MADV_DONTNEED_LOCKED", 24),
	ADVICE("MADV_COLLAPSE", 25),
	ADVICE("MADV_HWPOISON", 100),
	ADVICE("MADV_SOFT_OFFLINE", 101),
	ADVICE("MADV_GUARD_INSTALL", 102),
	ADVICE("MADV_GUARD_REMOVE", 103),
	ADVICE("a number that does not exist", 99),

	ANY(CALL_TOUCH),
	ANY(CALL_READ),

	RANGED(CALL_MLOCK),
	RANGED(CALL_MLOCK2),
	IS("no flags", CALL_MLOCK2, 2, 0),
	IS("MLOCK_ONFAULT", CALL_MLOCK2, 2, 1),
	IS("a flag that does not exist", CALL_MLOCK2, 2, 2),
	RANGED(CALL_MUNLOCK),

	FLAG("MCL_CURRENT", CALL_MLOCKALL, 0, 1),
	FLAG("MCL_FUTURE", CALL_MLOCKALL, 0, 2),
	FLAG("MCL_ONFAULT", CALL_MLOCKALL, 0, 4),
	IS("no flags", CALL_MLOCKALL, 0, 0),
	FLAG("a flag that does not exist", CALL_MLOCKALL, 0, 8),
	ANY(CALL_MUNLOCKALL),

	RANGED(CALL_MSEAL),
	IS("a flag that does not exist", CALL_MSEAL, 2, 1),

	RANGED(CALL_MSYNC),
	FLAG("MS_ASYNC", CALL_MSYNC, 2, MS_ASYNC),
	FLAG("MS_INVALIDATE", CALL_MSYNC, 2, MS_INVALIDATE),
	FLAG("MS_SYNC", CALL_MSYNC, 2, MS_SYNC),
	FLAG("a flag that does not exist", CALL_MSYNC, 2, 8),

	RANGED(CALL_MINCORE),
	IS("a bad vector", CALL_MINCORE, 2, 0),

	RANGED(CALL_REMAP_FILE_PAGES),
	IS("prot 0", CALL_REMAP_FILE_PAGES, 2, 0),
	{ "prot not 0", CALL_REMAP_FILE_PAGES, TEST_NOT_EQUAL, 2, ALL, 0 },

	{ "at or above the heap's start", CALL_BRK, TEST_AT_LEAST, 0, ALL, WIRE_BRK },
	{ "below it", CALL_BRK, TEST_NOT_EQUAL, 0, WIRE_BRK, WIRE_BRK },

	IS("RLIMIT_DATA", CALL_RLIMIT, 0, 2),
	IS("RLIMIT_STACK", CALL_RLIMIT, 0, 3),
	IS("RLIMIT_MEMLOCK", CALL_RLIMIT, 0, 8),
	IS("RLIMIT_AS", CALL_RLIMIT, 0, 9),
	ANY(CALL_FORK),
	ANY(CALL_DROP_CAPS),
	ANY(CALL_CROWD), /* no call of Linux's, these two: they are in no table */
	ANY(CALL_STORE),
	ANY(CALL_LOAD),
	ANY(CALL_SURVEY),
	ANY(CALL_FETCH),
	ANY(CALL_FORK_STAY),
	ANY(CALL_SWITCH),
	ANY(CALL_TRUNCATE),
	ANY(CALL_FILE_WRITE),
	ANY(CALL_FILE_READ),
	ANY(CALL_SWAPON),
	ANY(CALL_SWAPOFF),

	ANY(CALL_PEEK),
	ANY(CALL_RESULT),
	IS("flags 0", CALL_UFFD_CREATE, 0, 0),
	{ "flags", CALL_UFFD_CREATE, TEST_NOT_EQUAL, 0, ALL, 0 },
	ANY(CALL_UFFD_CLOSE),
	ANY(CALL_UFFD_API),
	{ "another version", CALL_UFFD_API, TEST_NOT_EQUAL, 1, ALL, UFFD_API },
	IS("no feature", CALL_UFFD_API, 2, 0),
	{ "a feature that does not exist", CALL_UFFD_API, TEST_AT_LEAST, 2, ALL, 1UL << 17 },
	REQUEST(CALL_UFFD_REGISTER),
	IS("MISSING", CALL_UFFD_REGISTER, 3, 1),
	IS("WP", CALL_UFFD_REGISTER, 3, 2),
	IS("MINOR", CALL_UFFD_REGISTER, 3, 4),
	IS("MISSING|WP", CALL_UFFD_REGISTER, 3, 3),
	IS("MISSING|MINOR", CALL_UFFD_REGISTER, 3, 5),
	IS("WP|MINOR", CALL_UFFD_REGISTER, 3, 6),
	IS("MISSING|WP|MINOR", CALL_UFFD_REGISTER, 3, 7),
	IS("mode 0", CALL_UFFD_REGISTER, 3, 0),
	NO_MODE(CALL_UFFD_REGISTER, 3, 8),
	REQUEST(CALL_UFFD_UNREGISTER),
	REQUEST(CALL_UFFD_COPY),
	FLAG("DONTWAKE", CALL_UFFD_COPY, 4, 1),
	FLAG("WP", CALL_UFFD_COPY, 4, 2),
	NO_MODE(CALL_UFFD_COPY, 4, 4),
	{ "from memory of the program", CALL_UFFD_COPY, TEST_AT_LEAST, 3, ALL, WIRE_PATTERNS },
	REQUEST(CALL_UFFD_ZEROPAGE),
	FLAG("DONTWAKE", CALL_UFFD_ZEROPAGE, 3, 1),
	NO_MODE(CALL_UFFD_ZEROPAGE, 3, 2),
	REQUEST(CALL_UFFD_CONTINUE),
	FLAG("DONTWAKE", CALL_UFFD_CONTINUE, 3, 1),
	FLAG("WP", CALL_UFFD_CONTINUE, 3, 2),
	NO_MODE(CALL_UFFD_CONTINUE, 3, 4),
	REQUEST(CALL_UFFD_POISON),
	FLAG("DONTWAKE", CALL_UFFD_POISON, 3, 1),
	NO_MODE(CALL_UFFD_POISON, 3, 2),
	REQUEST(CALL_UFFD_MOVE),
	FLAG("DONTWAKE", CALL_UFFD_MOVE, 4, 1),
	FLAG("ALLOW_SRC_HOLES", CALL_UFFD_MOVE, 4, 2),
	REQUEST(CALL_UFFD_WRITEPROTECT),
	IS("off", CALL_UFFD_WRITEPROTECT, 3, 0),
	FLAG("WP", CALL_UFFD_WRITEPROTECT, 3, 1),
	FLAG("DONTWAKE", CALL_UFFD_WRITEPROTECT, 3, 2),
	NO_MODE(CALL_UFFD_WRITEPROTECT, 3, 4),
	REQUEST(CALL_UFFD_WAKE),
	IS("one message", CALL_UFFD_READ, 1, 1),
	{ "several", CALL_UFFD_READ, TEST_AT_LEAST, 1, ALL, 2 },
	IS("no room for one", CALL_UFFD_READ, 1, 0),
	ANY(CALL_SCAN),
	ODD("start not on a page", CALL_SCAN, 0),
	FLAG("WP_MATCHING", CALL_SCAN, 2, 1),
	FLAG("CHECK_WPASYNC", CALL_SCAN, 2, 2),
	NO_MODE(CALL_SCAN, 2, 4),
	IS("no regions", CALL_SCAN, 4, 0),
	IS("reads", CALL_PIN, 1, 0),
	IS("writes", CALL_PIN, 1, 1),
	IS("reads", CALL_POKE, 1, 0),
	IS("writes", CALL_POKE, 1, 1),
	{ .name = NULL },
};

bool is_of_class(const struct arg_class *class, const struct wire_op *op)
{
	const uint64_t arg = op->arg[class->arg] & class->mask;

	switch (class->test) {
	case TEST_EQUAL:
		return arg == class->value;
	case TEST_NOT_EQUAL:
		return arg != class->value;
	case TEST_AT_LEAST:
		return arg >= class->value;
	case TEST_MORE:
		return arg > op->arg[class->value];
	case TEST_LESS:
		return arg < op->arg[class->value];
	default:
		return arg == op->arg[class->value];
	}
}

const struct arg_class *classes_of(enum call_id call, int *n)
{
	static struct {
		int at, n;
	} index[CALLS];

	if (!index[0].n)
		for (int i = 0; arg_classes[i].name; i++) {
			const enum call_id of = arg_classes[i].call;

			if (!index[of].n++)
				index[of].at = i;
		}
	*n = index[call].n;
	return &arg_classes[index[call].at];
}
