/* SPDX-License-Identifier: MIT */
/*
 * samara check: what its parts share.
 *
 *   gen.c      random calls --> struct seq;  gen_map.c  mappings, stacks, beginnings;
 *              gen_pages.c  accesses, files, processes;  gen_swap.c  pages that leave;
 *              gen_uffd.c  userfaultfds, and what their handlers do;  gen_lanes.c  in which lane
 *   ours.c     a struct seq carried out by the library --> answers and maps;
 *              ours_machine.c  on which machine;  ours_pages.c  accesses and pages;
 *              ours_swap.c  pages that leave memory;  doubt.c  those that may be lost;
 *              ours_lanes.c, lane_look.c  threads in which calls sleep;  ours_uffd.c
 *              userfaultfds;  ours_scan.c  PAGEMAP_SCAN, pins
 *   host.c     the same by the running kernel (child/child.c)
 *   facts.h    what kind of kernel that is: probe.c measures, judge.c says if it can be the
 *              referee;  canary.c  calls that it may refuse;  caller.c  what is inherited
 *   compare.c  both, side by side;  compare_pages.c  contents, pagemap, frames;
 *              compare_swap.c  the same, where pages may have left;
 *              compare_uffd.c  messages, requests' output, calls that slept
 *   files.c    what both map
 *   shrink.c   the shortest sequence that still differs
 *   text.c     calls as text and back;  case.c  files of them;  repro.c  as a C program
 *   cover.c    what was tried;  classes.c  by which arguments;  notes.c  what is not, and why
 *   compat.c   docs/compatibility.md from it
 *   sysctl.c   settings of the host for the time of a run;  swap.c  its swap area
 *   keeper.c   puts them back
 *   jobs.c     sequences, in so many processes;  options.c;  check.c  the summary
 */
#ifndef CLI_CHECK_CHECK_H
#define CLI_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <samara/access.h>
#include <samara/mm.h>

#include "check/calls.h"
#include "check/doubt.h"
#include "check/facts.h"
#include "check/wire.h"

/* random -------------------------------------------------------------------- */

/* What a sequence is about. */
enum profile {
	PROFILE_PLAIN,
	PROFILE_GUARDS,   /* nothing is accessed: guard pages, mincore's contents */
	PROFILE_COLLAPSE, /* nothing is accessed: MADV_COLLAPSE */
	PROFILE_VAST,     /* reservations of terabytes */
	PROFILE_FULL,     /* nearly all addresses are taken */
	PROFILE_PAGES,    /* contents, signals, pagemap, several processes */
	PROFILES_MIXED,
	PROFILE_CROWD = PROFILES_MIXED, /* near max_map_count: slow, so only when asked for */
	PROFILE_SWAP,                   /* as pages, which leave and come back: wants root */
	PROFILE_UFFD,                   /* as pages, with userfaultfds: wants root */
	PROFILES
};
extern const char *const profile_names[PROFILES + 1]; /* the last: mixed */

/* Bytes are written and read, processes stay, pages are compared. */
static inline bool has_pages(enum profile profile)
{
	return profile == PROFILE_PAGES || profile == PROFILE_SWAP || profile == PROFILE_UFFD;
}

#define SWAP_BACKENDS 3 /* of the library's swap area: swapon()'s argument */

struct settings {
	/* The sequences to make. */
	struct {
		uint64_t seed;
		unsigned long seqs, ops, window; /* sequences; calls in each; pages */
		int weight[MIXES];
		enum { LIMITS_DEFAULT, LIMITS_TIGHT, LIMITS_MIXED } limits;
		enum profile profile; /* PROFILES: mixed */
	} plan;
	/* What is compared after every so many calls. */
	struct {
		unsigned long every; /* VmFlags and totals */
		unsigned long pages; /* contents, pagemap, frames */
	} look;
	unsigned long patience; /* seconds without a call done on the host, or a turn to swap */
	/* What the library assumes. -1: what the host has. */
	struct {
		int overcommit, max_map_count;
		int zero_page;       /* enum zero_page */
		bool commit_is_ours; /* in overcommit mode 2 the host's limit was set for the run */
	} machine;
	/* What settings_find_out() fills in. */
	struct {
		struct host_facts facts;
		unsigned long arena;     /* bytes of it */
		unsigned long map_limit; /* the host's max_map_count */
	} found;
};

/* the library --------------------------------------------------------------- */

struct files {
	int fd[FILES];                   /* the child's */
	int own[FILES];                  /* the library's, */
	struct samara_file *file[FILES]; /* during a sequence */
};

/* What one call came to. */
struct seen {
	long ret;
	size_t text_at, text_len;
	size_t flags_at, flags_len; /* len 0: not asked for */
	long total[TOTALS];
	long vec; /* the sum of what mincore said of pages */
	struct samara_fault fault;
	size_t pages_at, n_pages; /* struct wire_page, in the text */
	/* Pages that leave memory. */
	struct {
		long rss;        /* anonymous memory, there or in swap (kB); 0: not asked for */
		bool may;        /* some may have left: MADV_PAGEOUT or swapon came before */
		bool area;       /* the swap area is on */
		bool dropped;    /* some may have been dropped */
		bool unsure_rss; /* of this process */
		bool unsure_ret; /* the answer is about bytes of such */
	} left;
	/* As struct wire_uffd; what is listed is in the text. */
	struct {
		int32_t nr;     /* the request, or 0 */
		bool any_order; /* of what was read */
		uint32_t readable;
		int64_t out[2];
		size_t msgs_at, n_msgs, late_at, n_late;
	} uffd;
};

/* One process of a sequence. */
struct proc {
	struct samara_mm *mm;
	bool dropped; /* its capabilities */
	struct doubt doubt;
};

struct lanes;
struct ours {
	struct settings set;
	struct samara_machine *machine;
	struct files files;
	/* What a sequence begins with. */
	struct {
		unsigned int caps;
		/* The layout, as in struct host. */
		bool bottom_up;
		unsigned long base;
		char *map;  /* NULL: the child's usual one */
		bool lanes; /* seq_has_lanes() */
	} begin;
	struct samara_mm *mm; /* of the process whose turn it is */
	/* All processes of the sequence. */
	struct {
		struct proc at[WIRE_FORKS + 1];
		unsigned int n, now;
		struct lanes *lanes; /* NULL: no sequence has had any yet */
	} procs;
	/* Pages leave memory: ours_swap.c. */
	struct {
		struct samara_swap *area; /* NULL: off */
		int fd;                   /* its file; -1: none yet */
		bool may, dropped;        /* as in struct seen */
	} swap;
	struct samara_fault fault; /* of the access under way */
	bool crowd;                /* mappings from WIRE_CROWD on are not shown */
	struct seen *seen;         /* MAX_OPS */
	/* What struct seen has offsets into. */
	struct {
		char *at;
		size_t len, size;
		int fd; /* maps are printed there before they are read into the text */
	} text;
	struct samara_report broken; /* an invariant, after the last call */
};

/* Resources whose limits a sequence begins with, on both sides. */
extern const int start_limits[4];
struct rlimit;
/* This process's own, which cannot be raised everywhere. */
unsigned long hard_limit(int resource);
void start_limit(int resource, struct rlimit *out);

/* An empty file in /var/tmp without a name, or -1 and errno. */
int file_on_disk(void);
int files_open(struct files *f);
void files_close(struct files *f);
/* Nothing is in the files: the host's; the library's, opened anew. 0 or -errno. */
int files_reset_host(const struct files *f);
int files_reset(struct ours *o);
void files_put(struct files *f);
int ours_open(struct ours *o, const struct settings *set);
void ours_close(struct ours *o);
/* o->machine, as o->set says. 0 or -errno. */
int ours_build_machine(struct ours *o);
/* Where addresses are chosen. */
void ours_places(const struct ours *o, struct samara_layout *layout);
/* Between sequences: from now on on a machine with or without a page of zeros. 0 or -errno. */
int ours_other_machine(struct ours *o, enum zero_page zero_page);
int ours_begin(struct ours *o);
void ours_end(struct ours *o);
struct samara_file *ours_file(const struct ours *o, uint64_t fd);
/* len bytes behind o->text, or NULL. */
char *ours_room(struct ours *o, size_t len);
/* Calls that read or write; -ENOSYS: op is none. */
long ours_access(struct ours *o, const struct wire_op *op);
/* Process nr becomes the one that calls are made in: 0 or -ESRCH. */
long ours_switch_to(struct ours *o, uint64_t nr);

/* swapon and swapoff. */
long ours_swapon(struct ours *o, unsigned int backend);
long ours_swapoff(struct ours *o);
void ours_swap_off(struct ours *o);
void ours_swap_close(struct ours *o);
/* Before op, and after it: what may have left, and is not known any more. */
void ours_leave(struct ours *o, const struct wire_op *op);
int ours_keep_left(struct ours *o, const struct wire_op *op, struct seen *seen);
/* 0 or -ENOMEM. */
int ours_keep_pages(struct ours *o, struct seen *seen);
/*
 * One call: by this thread (perform), or by the lane that it names (ours_lanes.c), which may sleep
 * on. seen: what came of it and of those that slept before. 0 or -errno: out of memory.
 */
long ours_perform(struct ours *o, const struct wire_op *op, int64_t *vec);
int ours_lanes_begin(struct ours *o);
int ours_lanes_do(struct ours *o, struct wire_op *op, struct seen *seen);
void ours_lanes_end(struct ours *o);
/* Of the process that makes op. */
struct samara_mm *ours_mm_of(const struct ours *o, const struct wire_op *op);
/* Cells (wire.h) that sleep: bits. */
uint32_t ours_asleep(const struct ours *o);
void ours_lanes_close(struct ours *o);
/*
 * Carry out op as call number i and remember what came of it. 0; -EUCLEAN: broken; else -errno. op
 * becomes one that reads more messages where those to be read are in any order.
 */
int ours_do(struct ours *o, struct wire_op *op, unsigned int i);

/* the host ------------------------------------------------------------------ */

struct host {
	int pid, to, from;
	struct wire_head *head;
	size_t size;
	int patience; /* seconds */
	const struct files *files;
	/* What a sequence begins with. */
	struct {
		char map[1024];     /* two lines, and the gate's */
		bool bottom_up;     /* addresses are chosen upwards */
		unsigned long base; /* from here on */
		bool lanes;         /* which program it is */
	} begin;
	int swap_lock;   /* swap.h */
	bool other_swap; /* the host has swap areas besides the check's */
};

/* The number behind name in path; 0: not there. */
unsigned long host_counter(const char *path, const char *name);
/* NULL, or why it could not be started. */
const char *host_start(struct host *h, const struct files *files, const struct settings *set,
		       bool lanes);
void host_stop(struct host *h);
/*
 * The host's processes have huge pages disabled (PR_SET_THP_DISABLE), but where MADV_COLLAPSE,
 * which would be refused, is asked for.
 */
bool seq_may_have_huge_pages(const struct seq *seq);
/* Calls may sleep while others are made: there are userfaultfds (wire.h). */
bool seq_has_lanes(const struct seq *seq);
/* The lane that makes op. */
unsigned int op_lane(const struct wire_op *op);
/* NULL, or what went wrong; head->done answers are there. */
const char *host_run(struct host *h, const struct seq *seq);
const struct wire_answer *host_answer(const struct host *h, unsigned int i);
const char *host_text(const struct host *h, unsigned int i, size_t *len);

/* comparing ----------------------------------------------------------------- */

struct difference {
	unsigned int at; /* the call */
	char what[64], host[320], ours[320];
};

enum { FAULT_NOTHING, FAULT_ACCESS, FAULT_KERNEL, FAULT_BUS, FAULTS };

/* What was found equal by this process so far. */
/* In an entry of the library's: it may have been dropped on one side only. */
#define PM_DOUBT (1ULL << 59)

struct page_counts {
	unsigned long pages, present;
	unsigned long shared;         /* with a page that came before, maybe of another process */
	unsigned long zeros;          /* the page of zeros */
	unsigned long unframed;       /* present, but which frame was not shown */
	unsigned long out, out_here;  /* in swap: the host's, the library's */
	unsigned long doubted;        /* old or zeros */
	unsigned long faults[FAULTS]; /* SEGV_MAPERR, SEGV_ACCERR, SI_KERNEL, SIGBUS */
};
const struct page_counts *pages_counted(void);
/*
 * Of a poisoned page the host says BUS_MCEERR_AR only with MEMORY_FAILURE configured, else
 * BUS_ADRERR; the library always the former.
 */
bool same_code(int signo, int host, int ours);
/* The fault of call i, and the pages after it. */
bool same_fault(const struct wire_answer *a, const struct seen *b, struct difference *d);
bool same_pages(const struct host *h, const struct ours *o, unsigned int i, struct difference *d);
/* Messages that may come in any order, in one order: the faults, which are first. */
void sort_faults(struct wire_msg *m, size_t n);
/* Messages, what requests wrote, calls that slept. */
bool same_uffd(const struct host *h, const struct ours *o, unsigned int i, struct difference *d);
/*
 * Why the host's answer to op, where ours is another, says nothing of the kernel's memory
 * management; or NULL.
 */
const char *answer_cannot_judge(const struct settings *set, const struct wire_op *op, long host,
				long ours);
/* Call i on both sides. False: they differ, and how. */
bool same_answer(const struct host *h, const struct ours *o, unsigned int i, struct difference *d);

struct side_by_side {
	struct ours ours;
	struct host host;
	struct difference diff;
	const char *error; /* the host could not be asked */
};

/* The child runs, that for sequences with lanes or the other; else s->error says why not. */
bool host_fresh(struct side_by_side *s, bool lanes);
/* s->diff becomes what s->ours.broken says, seen after call at. */
void broken_invariant(struct side_by_side *s, unsigned int at);
/* Carry seq out on the host, and compare with what the library did. True when they differ. */
bool seq_compare(struct side_by_side *s, const struct seq *seq, unsigned long *compared);
/* Carry seq out on both sides. True when they differ. */
bool seq_differs(struct side_by_side *s, struct seq *seq);
/* Shorten seq while it differs. s->diff is the difference of the result. */
void seq_shrink(struct side_by_side *s, struct seq *seq);

/* text ---------------------------------------------------------------------- */

void answer_text(long ret, char *buf, size_t size);
#define ERRORS 136 /* errno is below this */
/* NAME of errno, or NULL. */
const char *error_name(long err);
void op_text(const struct wire_op *op, char *buf, size_t size);
/* What stands behind ` = '. */
struct answer {
	bool known; /* something does */
	long ret;
	char detail[DETAIL]; /* as seen_text() has it */
};
/* NULL, or what is wrong. */
const char *op_parse(char *line, struct wire_op *op, struct answer *answer);
/* `SIGSEGV 2 W+0x1000': signal, si_code, address; nothing for none. */
void fault_text(const struct samara_fault *fault, char *buf, size_t size);
/* The fault of call i, or messages, or what a request wrote; nothing for none. */
void seen_text(const struct ours *o, unsigned int i, char *buf, size_t size);
void number_text(unsigned long value, char *buf, size_t size);
bool number_parse(const char *text, unsigned long *out);

/* o: NULL for no answers. */
int case_write(FILE *to, const struct seq *seq, const struct ours *o, const char *title);
/* The exit status. host_reason: why the host is not asked, or NULL; save_to, out: may be NULL. */
int case_run(struct side_by_side *s, const char *path, const char *host_reason, const char *save_to,
	     json_t *out);
int repro_write(FILE *to, const struct seq *seq, const struct ours *o);

/* What the caller made of this process is undone as far as it is in the way. NULL, or why not. */
const char *caller_undo(void);

/* sequences and jobs --------------------------------------------------------- */

struct result {
	unsigned long seqs, compared, cut_short;
	unsigned long differs;  /* the first sequence that does; NONE */
	char how[200];          /* it differs */
	char error[160];        /* the host could not be asked */
	unsigned long failed;   /* in this sequence; NONE */
	unsigned long left_out; /* calls that the host cannot judge, */
	char why_left_out[80];  /* the last of them */
	struct page_counts pages;
	struct seq *ended; /* the library ended the process in its last call; or NULL */
};

struct cover;
/* What set leaves to the host. */
void settings_find_out(struct settings *set);
enum profile profile_of(const struct settings *set, unsigned long nr);
int side_open(struct side_by_side *s, const struct settings *set);
void side_close(struct side_by_side *s);
/* NULL, or why the host cannot be the referee: set's calls are refused, or no child runs. */
const char *canary_dies(struct side_by_side *s, const struct settings *set);
/* Make sequence nr and carry it out in the library. 0, -EUCLEAN or -errno. r, cover: or NULL. */
int seq_make(struct side_by_side *s, struct seq *seq, unsigned long nr, struct result *r,
	     struct cover *cover);
/* All sequences, in so many processes. 0 or -errno. */
int jobs_run(const struct settings *set, int jobs, struct result *sum, struct cover *cover);

/* settings of the host -------------------------------------------------------- */

/* The number in path, or -1. */
long host_setting(const char *path);
/* Until host_settings_restore(), or until this process ends in whatever way. NULL, or why not. */
const char *host_settings_change(int overcommit, int max_map_count);
void host_settings_restore(void);

#endif
