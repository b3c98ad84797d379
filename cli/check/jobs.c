/* SPDX-License-Identifier: MIT */
/*
 * Sequences made, carried out and compared, by one process or several: process
 * j of n takes the sequences j, j + n, ... Each stops at its first difference; the
 * smallest number of all is what is told, so that more processes find the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <samara/uffd_abi.h>

#include "check/cover.h"
#include "check/gen.h"
#include "common.h"

#define MAX_JOBS 64
#define UFFD_FLAGS (SAMARA_VM_UFFD_MISSING | SAMARA_VM_UFFD_MINOR | SAMARA_VM_UFFD_WP)

struct job {
	struct result result;
	struct cover cover;
	struct seq seq;   /* the one being made: it outlives the process */
	unsigned long nr; /* its number */
};

void settings_find_out(struct settings *set)
{
	/* Answers of 400 calls with a full window; mlockall brings all of it into memory. */
	const bool small = set->plan.window <= 128 && set->plan.profile != PROFILE_CROWD;

	set->found.arena = small ? 8UL << 20 : 64UL << 20;
	if (has_pages(set->plan.profile))
		set->found.arena = 64UL << 20;
	host_probe(&set->found.facts);
	set->found.map_limit = set->found.facts.vm.max_map_count < 0 ?
				       65530 :
				       (unsigned long)set->found.facts.vm.max_map_count;
	if (set->machine.zero_page == ZERO_PAGE_UNKNOWN)
		set->machine.zero_page = set->found.facts.zero.page;
}

int side_open(struct side_by_side *s, const struct settings *set)
{
	*s = (struct side_by_side){ .host = { .pid = -1, .to = -1, .from = -1, .swap_lock = -1 } };
	return ours_open(&s->ours, set);
}

void side_close(struct side_by_side *s)
{
	host_stop(&s->host);
	ours_close(&s->ours);
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	z = (z ^ (z >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return z ^ (z >> 33);
}

/* No capabilities, and limits that bite. */
static unsigned int tighten(struct wire_op *op, uint64_t random, const struct side_by_side *s,
			    enum profile profile)
{
	const unsigned long window = s->ours.set.plan.window;
	unsigned long pages[4] = {
		s->ours.set.found.arena / PAGE + window / 2 + random % (window * 8),
		window * 8 + (random >> 8) % (window * 40),
		(random >> 16) % window,
		1 + (random >> 24) % window,
	};
	static const unsigned long resource[4] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK,
						   RLIMIT_STACK };

	/* There, addresses are the point. */
	if (profile == PROFILE_VAST || profile == PROFILE_FULL || profile == PROFILE_CROWD)
		pages[0] = 1UL << 40;
	op[0] = (struct wire_op){ .nr = OP_DROP_CAPS };
	/* Without capabilities pagemap shows no frames. */
	if (has_pages(profile))
		op[0] = (struct wire_op){ .nr = SYS_munlockall };
	for (int i = 0; i < 4; i++)
		op[i + 1] = (struct wire_op){
			.nr = OP_RLIMIT,
			.arg = { resource[i], pages[i] * PAGE },
		};
	return 5;
}

enum profile profile_of(const struct settings *set, unsigned long nr)
{
	static const enum profile turn[16] = {
		[1] = PROFILE_GUARDS, [3] = PROFILE_PAGES,  [5] = PROFILE_COLLAPSE,
		[9] = PROFILE_VAST,   [11] = PROFILE_PAGES, [13] = PROFILE_FULL,
	};

	return set->plan.profile == PROFILES ? turn[nr % ARRAY_SIZE(turn)] : set->plan.profile;
}

/* Calls after which pages are compared in any case. */
static bool changes_pages(const struct wire_op *op)
{
	switch (call_of(op->nr)) {
	case CALL_MREMAP:
	case CALL_FORK:
	case CALL_FORK_STAY:
	case CALL_TRUNCATE:
	case CALL_SURVEY:
	case CALL_SWAPOFF:
	case CALL_UFFD_COPY:
	case CALL_UFFD_ZEROPAGE:
	case CALL_UFFD_CONTINUE:
	case CALL_UFFD_POISON:
	case CALL_UFFD_MOVE:
	case CALL_UFFD_WRITEPROTECT:
	case CALL_UFFD_UNREGISTER:
	case CALL_UFFD_CLOSE:
	case CALL_POKE:
		return true;
	case CALL_SCAN:
		return op->arg[2] & PM_SCAN_WP_MATCHING;
	default:
		return false;
	}
}

/* What the host cannot judge becomes a call without effect. */
static void leave_out(const struct ours *o, struct wire_op *op, struct result *r)
{
	const char *why = facts_cannot_judge_op(&o->set.found.facts, op);

	if (!why && o->begin.lanes)
		why = map_cannot_judge_op(o->mm, op);
	if (!why)
		return;
	*op = (struct wire_op){ .nr = SYS_munmap, .arg = { WIRE_WINDOW } };
	if (!r)
		return;
	r->left_out++;
	snprintf(r->why_left_out, sizeof(r->why_left_out), "%s", why);
}

/* What is copied from must not wait for the handler, which is what copies. */
static void copy_from_what_is_there(struct samara_mm *mm, struct wire_op *op)
{
	const unsigned long end = op->arg[3] + op->arg[2];
	struct samara_vma_info vma = { .end = op->arg[3] };

	if (op->arg[3] < WIRE_PATTERNS)
		return;
	while (!samara_vma_next(mm, vma.end, &vma) && vma.start < end)
		if (vma.flags & (SAMARA_VM_UFFD_MISSING | SAMARA_VM_UFFD_MINOR))
			op->arg[3] = 1;
}

/*
 * A debugger's access waits for handlers in the library only, and lets stacks grow in Linux only:
 * there it becomes a pin.
 */
static void poke_what_is_there(struct samara_mm *mm, struct wire_op *op)
{
	struct samara_vma_info vma;

	if (samara_vma_next(mm, op->arg[0], &vma) || vma.start > op->arg[0] ||
	    (vma.flags & UFFD_FLAGS))
		op->nr = OP_PIN;
}

/*
 * Of an empty page that is not registered for write protection PAGE_IS_WRITTEN says that there is a
 * page table, and a fault on a file that fails leaves one only here: so there a scan is about pages
 * that are present.
 */
static void scan_what_is_known(struct samara_mm *mm, struct wire_op *op)
{
	const uint64_t present = PAGE_IS_PRESENT;
	struct samara_vma_info vma = { .end = op->arg[0] };
	bool known = true;

	while (!samara_vma_next(mm, vma.end, &vma) && vma.start < op->arg[1])
		known &= (vma.flags & SAMARA_VM_UFFD_WP) != 0;
	if (known)
		return;
	op->arg[3] &= ~(present << 16 * MASK_INVERTED);
	op->arg[3] |= present << 16 * MASK_ALL;
}

/* What is looked at after op, call number nr. */
static uint32_t looks(const struct settings *set, const struct wire_op *op, unsigned int nr,
		      enum profile profile)
{
	uint32_t look = op->look;

	if ((nr + 1) % set->look.every == 0 && profile != PROFILE_CROWD)
		look |= LOOK_FLAGS;
	if (has_pages(profile) &&
	    ((nr + 1) % set->look.pages == 0 || nr + 1 == set->plan.ops || changes_pages(op)))
		look |= LOOK_PAGES;
	return profile == PROFILE_SWAP ? look | LOOK_RSS : look;
}

/* It was, unless its lane slept. */
static bool was_made(const struct side_by_side *s, const struct wire_op *op, unsigned int nr)
{
	return !s->ours.begin.lanes || op->nr == OP_UFFD_MOVE || s->ours.seen[nr].ret != WIRE_BUSY;
}

int seq_make(struct side_by_side *s, struct seq *seq, unsigned long nr, struct result *r,
	     struct cover *cover)
{
	const struct settings *set = &s->ours.set;
	const uint64_t random = mix(set->plan.seed * UINT64_C(0x9e3779b97f4a7c15) + nr);
	const enum profile profile = profile_of(set, nr);
	unsigned int prefix = 0;
	struct gen gen;
	int err;

	s->ours.begin.lanes = profile == PROFILE_UFFD;
	err = ours_begin(&s->ours);
	gen_start(&gen, set, random, profile);
	if (set->plan.limits == LIMITS_TIGHT || (set->plan.limits == LIMITS_MIXED && nr % 3 == 2))
		prefix = tighten(seq->op, mix(random), s, profile);
	gen.uffd.unmap &= !prefix;
	for (seq->n = 0; !err && seq->n < set->plan.ops; seq->n++) {
		struct wire_op *op = &seq->op[seq->n];
		enum map_kind kind;

		if (profile == PROFILE_SWAP && seq->n + 1 == set->plan.ops)
			*op = (struct wire_op){ .nr = SYS_swapoff }; /* all is back */
		else if (seq->n >= prefix)
			gen_next(&gen, op);
		leave_out(&s->ours, op, r);
		if (op->nr == OP_UFFD_COPY)
			copy_from_what_is_there(ours_mm_of(&s->ours, op), op);
		if (op->nr == OP_SCAN)
			scan_what_is_known(s->ours.mm, op);
		if (op->nr == OP_POKE)
			poke_what_is_there(ours_mm_of(&s->ours, op), op);
		op->look = looks(set, op, seq->n, profile);
		kind = kind_at(profile == PROFILE_UFFD ? ours_mm_of(&s->ours, op) : s->ours.mm, op);
		err = ours_do(&s->ours, op, seq->n);
		gen_learn(&gen, op, s->ours.seen[seq->n].ret);
		gen_learn_uffd(&gen, op, &s->ours, &s->ours.seen[seq->n]);
		if (cover && was_made(s, op, seq->n))
			cover_count(cover, op, s->ours.seen[seq->n].ret, kind);
	}
	ours_end(&s->ours);
	if (err == -EUCLEAN)
		broken_invariant(s, seq->n - 1);
	return err;
}

static const char *work_through(struct side_by_side *s, struct job *job, int nr, int jobs, int tick)
{
	struct seq *seq = &job->seq;
	const struct settings *set = &s->ours.set;
	struct result *r = &job->result;

	for (unsigned long i = (unsigned long)nr; i < set->plan.seqs; i += (unsigned long)jobs) {
		int err;

		job->nr = i;
		if (!host_fresh(s, profile_of(set, i) == PROFILE_UFFD))
			break;
		err = seq_make(s, seq, i, r, &job->cover);
		if (err && err != -EUCLEAN)
			return strerror(-err);
		if (err || seq_compare(s, seq, &r->compared)) {
			r->differs = i;
			snprintf(r->how, sizeof(r->how), "call %u, %s: host %.40s, samara %.40s",
				 s->diff.at + 1, s->diff.what, s->diff.host, s->diff.ours);
			break;
		}
		if (s->error) {
			snprintf(r->error, sizeof(r->error), "sequence %lu: %s", i, s->error);
			r->failed = i;
			break;
		}
		r->cut_short += s->host.head->result.full;
		r->seqs++;
		if (write(tick, "", 1) != 1)
			break;
	}
	return s->error;
}

static __attribute__((noreturn)) void job_main(const struct settings *set, struct job *job, int nr,
					       int jobs, int tick)
{
	struct side_by_side s;
	const int err = side_open(&s, set);
	const char *why = err ? strerror(-err) : work_through(&s, job, nr, jobs, tick);

	if (why && !job->result.error[0])
		snprintf(job->result.error, sizeof(job->result.error), "%s", why);
	job->result.pages = *pages_counted();
	side_close(&s);
	_exit(0);
}

static void watch(int from, unsigned long seqs)
{
	struct progress bar;
	unsigned long done = 0;
	char ticks[256];
	ssize_t n;

	progress_begin(&bar, "checking", true);
	while ((n = read(from, ticks, sizeof(ticks))) > 0 || (n < 0 && errno == EINTR)) {
		done += n > 0 ? (unsigned long)n : 0;
		progress_at(&bar, (double)done / (double)seqs);
	}
	progress_end(&bar);
}

static void add_pages(struct page_counts *sum, const struct page_counts *part)
{
	unsigned long *to = &sum->pages;
	const unsigned long *from = &part->pages;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

/* What the library did not survive is kept. */
static void keep_ended(struct result *sum, const struct job *job, int status)
{
	snprintf(sum->error, sizeof(sum->error),
		 "a job ended with status %#x in sequence %lu, call %u", status, job->nr,
		 job->seq.n + 1);
	if (!sum->ended)
		sum->ended = malloc(sizeof(*sum->ended));
	if (!sum->ended)
		return;
	*sum->ended = job->seq;
	sum->ended->n += job->seq.n < MAX_OPS;
}

static void add(struct result *sum, const struct job *job, int status)
{
	const struct result *part = &job->result;

	sum->seqs += part->seqs;
	sum->compared += part->compared;
	sum->cut_short += part->cut_short;
	sum->left_out += part->left_out;
	if (part->left_out)
		memcpy(sum->why_left_out, part->why_left_out, sizeof(sum->why_left_out));
	add_pages(&sum->pages, &part->pages);
	if (part->differs < sum->differs) {
		sum->differs = part->differs;
		memcpy(sum->how, part->how, sizeof(sum->how));
	}
	if (part->failed < sum->failed)
		sum->failed = part->failed;
	if (part->error[0])
		memcpy(sum->error, part->error, sizeof(sum->error));
	else if (status)
		keep_ended(sum, job, status);
}

int jobs_run(const struct settings *set, int jobs, struct result *sum, struct cover *cover)
{
	const size_t size = sizeof(struct job) * (size_t)jobs;
	int tick[2], pid[MAX_JOBS], status;
	struct job *all;

	*sum = (struct result){ .differs = NONE, .failed = NONE };
	if (jobs > MAX_JOBS || pipe(tick))
		return jobs > MAX_JOBS ? -EINVAL : -errno;
	all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return -ENOMEM;
	fflush(stdout);
	for (int i = 0; i < jobs; i++) {
		all[i].result.differs = all[i].result.failed = NONE;
		pid[i] = fork();
		if (!pid[i]) {
			close(tick[0]);
			job_main(set, &all[i], i, jobs, tick[1]);
		}
	}
	close(tick[1]);
	watch(tick[0], set->plan.seqs);
	close(tick[0]);
	for (int i = 0; i < jobs; i++) {
		status = 0;
		if (pid[i] > 0)
			waitpid(pid[i], &status, 0);
		else
			snprintf(all[i].result.error, sizeof(all[i].result.error),
				 "no process for a job (RLIMIT_NPROC, a PIDs cgroup)");
		add(sum, &all[i], status);
		cover_add(cover, &all[i].cover);
	}
	munmap(all, size);
	return 0;
}
