/* SPDX-License-Identifier: MIT */
/*
 * What kind of kernel the host runs, and what this process may do there.
 *
 *   probe.c   measures it, in processes of its own;  probe_uffd.c  userfaultfds
 *   judge.c   says why such a host cannot be the referee, wholly or of one call
 *   ours.c    makes the library's machine the same
 *
 * Settings that are text in /proc are believed only where no program can see what they do.
 */
#ifndef CLI_CHECK_FACTS_H
#define CLI_CHECK_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "check/wire.h"

struct samara_mm;

/* What reading untouched anonymous memory maps. */
enum zero_page {
	ZERO_PAGE_UNKNOWN = -1,
	ZERO_PAGE_NONE,  /* a page of one's own */
	ZERO_PAGE_SHARED /* the page of zeros */
};

/* The vsyscall page in maps. */
enum gate { GATE_NONE, GATE_EXEC, GATE_READ };

struct host_facts {
	bool ended; /* the measuring process came to its end */
	/* uname(2) without personalities. */
	struct {
		char release[65], machine[65];
	} uname;
	/* What /proc shows. */
	struct {
		bool there;      /* /proc is mounted, and is that of this PID namespace */
		bool soft_dirty; /* VmFlags shows it */
		bool frames;     /* pagemap shows frame numbers */
	} proc;
	struct {
		bool no_thp;       /* the kernel has no transparent huge pages */
		bool thp_stays;    /* they cannot be disabled for a process */
		bool shmem;        /* shared memory gets huge pages, or places for them */
		bool hugetlb_odd;  /* MAP_HUGETLB is granted, or not known */
		bool no_gibibytes; /* MAP_HUGETLB of 1 GiB is not known */
	} huge;
	/* Why userfaultfds cannot be asked; empty: they can. */
	struct {
		char why[120];
	} uffd;
	bool ksm_runs; /* equal pages are merged */
	/* The page of zeros. */
	struct {
		enum zero_page page;
		unsigned long frame; /* that pagemap shows; NONE: there is no such frame */
	} zero;
	/* Where mappings can lie. */
	struct {
		bool la57;               /* there are addresses above 47 bits */
		bool random;             /* addresses are random: personality(2) is refused */
		unsigned long min_hint;  /* where a hint of one page goes */
		unsigned long min_fixed; /* the least for MAP_FIXED without CAP_SYS_RAWIO */
		unsigned long stack_gap; /* bytes kept free below a stack; 0: unknown */
		enum gate gate;
	} addr;
	struct {
		bool pkeys;         /* PROT_EXEC alone takes a protection key */
		bool no_write_exec; /* memory that is writable and executable is refused */
	} prot;
	/* The sysctls of these names; -1: cannot be read. */
	struct {
		long overcommit, overcommit_ratio, overcommit_kbytes, max_map_count;
	} vm;
	/* What this process may do. */
	struct {
		unsigned int caps;          /* enum samara_caps, by what they allow */
		unsigned long file_limit;   /* hard limits: RLIMIT_FSIZE, */
		unsigned long nofile_limit; /* RLIMIT_NOFILE */
	} process;
	/* A file of some MiB in /var/tmp. */
	struct {
		int error;                /* errno: it cannot be made */
		unsigned int maps_dev[2]; /* its device in maps, */
		unsigned int stat_dev[2]; /* and in stat(2) */
	} disk;
};

void host_probe(struct host_facts *facts);
/* A part of it: facts->uffd. */
void probe_uffd(struct host_facts *facts);

/* Why such a host cannot be the referee, or NULL. */
const char *facts_cannot_judge(const struct host_facts *facts);
/* Whether op may bring pages in. */
bool op_touches(const struct wire_op *op);
/* Why it cannot judge op, or NULL. */
const char *facts_cannot_judge_op(const struct host_facts *facts, const struct wire_op *op);
/* The same of what is mapped, where pages may be write-protected by userfaultfds. */
const char *map_cannot_judge_op(struct samara_mm *mm, const struct wire_op *op);

#endif
