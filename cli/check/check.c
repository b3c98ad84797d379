/* SPDX-License-Identifier: MIT */
/*
 * samara check: the running kernel as referee.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check/cover.h"
#include "check/options.h"
#include "check/swap.h"
#include "common.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* a difference -------------------------------------------------------------- */

static int write_file(const char *path, const struct seq *seq, const struct side_by_side *s, bool c)
{
	FILE *to;
	int err;

	if (!path)
		return EXIT_SAME;
	if (c && seq_has_lanes(seq))
		return fail("check",
			    "%s: no program is written of sequences with userfaultfds "
			    "(--save writes a case)",
			    path);
	to = fopen(path, "w");
	if (!to)
		return fail("check", "%s: %s", path, strerror(errno));
	err = c ? repro_write(to, seq, &s->ours) :
		  case_write(to, seq, s ? &s->ours : NULL,
			     s ? " found by samara check; the answers are samara's" :
				 " the library did not survive this");
	if (fclose(to) || err)
		return fail("check", "%s: cannot write", path);
	return EXIT_SAME;
}

static void print_sequence(const struct side_by_side *s, const struct seq *seq)
{
	char call[CALL_TEXT], ours[64], host[64];

	printf("  %-72s %-18s %s\n", "call", "host", "samara");
	for (unsigned int i = 0; i < seq->n; i++) {
		op_text(&seq->op[i], call, sizeof(call));
		answer_text(s->ours.seen[i].ret, ours, sizeof(ours));
		answer_text(i < s->host.head->result.done ? host_answer(&s->host, i)->ret : 0, host,
			    sizeof(host));
		printf("  %-72s %-18s %s\n", call, host, ours);
	}
	printf("then %s differs:\n  host:   %s\n  samara: %s\n", s->diff.what, s->diff.host,
	       s->diff.ours);
}

static json_t *difference_json(const struct side_by_side *s, const struct seq *seq)
{
	json_t *list = json_array();
	char call[CALL_TEXT], ours[64], host[64];

	for (unsigned int i = 0; i < seq->n; i++) {
		op_text(&seq->op[i], call, sizeof(call));
		answer_text(s->ours.seen[i].ret, ours, sizeof(ours));
		answer_text(i < s->host.head->result.done ? host_answer(&s->host, i)->ret : 0, host,
			    sizeof(host));
		json_array_append_new(list, json_pack("{s:s s:s s:s}", "call", call, "host", host,
						      "samara", ours));
	}
	return json_pack("{s:s s:s s:s s:o}", "what", s->diff.what, "host", s->diff.host, "samara",
			 s->diff.ours, "sequence", list);
}

/* Make sequence nr again, shrink it and tell. */
static int tell_difference(const struct options *o, const struct result *r, json_t *out)
{
	const unsigned long nr = r->differs;
	struct seq *seq = calloc(1, sizeof(*seq));
	struct side_by_side s;
	int status = EXIT_DIFFERS, err = side_open(&s, &o->set);

	if (err || !seq || !host_fresh(&s, profile_of(&o->set, nr) == PROFILE_UFFD)) {
		status = fail("check", "%s", err ? strerror(-err) : "no host to ask");
		goto out;
	}
	err = seq_make(&s, seq, nr, NULL, NULL);
	if (!err && !seq_compare(&s, seq, NULL)) {
		status = fail(
			"check",
			"cannot judge: sequence %lu differed (%s), but not when made again%s%s", nr,
			r->how, s.error ? ": " : "", s.error ? s.error : "");
		goto out;
	}
	if (!o->json)
		printf("sequence %lu differs at call %u in %s: host %s, samara %s; shrinking\n", nr,
		       s.diff.at + 1, s.diff.what, s.diff.host, s.diff.ours);
	seq_shrink(&s, seq);
	if (o->json)
		json_object_set_new(out, "difference", difference_json(&s, seq));
	else
		print_sequence(&s, seq);
	if (write_file(o->repro, seq, &s, true) || write_file(o->save, seq, &s, false))
		status = EXIT_USAGE;
out:
	side_close(&s);
	free(seq);
	return status;
}

/* A sequence that the host did not survive, kept to be looked into. */
static void save_unanswered(const struct options *o, unsigned long nr)
{
	struct seq *seq = calloc(1, sizeof(*seq));
	struct side_by_side s;
	const int err = side_open(&s, &o->set);

	if (!err && seq && !seq_make(&s, seq, nr, NULL, NULL))
		(void)write_file(o->save, seq, &s, false);
	side_close(&s);
	free(seq);
}

/* summaries ----------------------------------------------------------------- */

static void print_summary(const struct options *o, const struct result *r, double seconds,
			  const struct cover *cover)
{
	const unsigned long *const signals = r->pages.faults;

	if (o->coverage)
		cover_print(cover, stdout);
	printf("%lu calls in %lu sequences compared in %.1f s (%.0f a second, %d job%s), "
	       "seed %lu\n",
	       r->compared, r->seqs, seconds, (double)r->compared / seconds, o->jobs,
	       o->jobs > 1 ? "s" : "", (unsigned long)o->set.plan.seed);
	if (r->pages.pages)
		printf("%lu pages compared: %lu present, %lu of them of zeros, %lu sharing a frame "
		       "with another\n"
		       "%lu signals: SEGV_MAPERR %lu, SEGV_ACCERR %lu, SI_KERNEL %lu, SIGBUS %lu\n",
		       r->pages.pages, r->pages.present, r->pages.zeros, r->pages.shared,
		       signals[0] + signals[1] + signals[2] + signals[3], signals[0], signals[1],
		       signals[2], signals[3]);
	if (r->pages.out || r->pages.out_here)
		printf("%lu of them in swap on the host, %lu here; %lu may have been dropped\n",
		       r->pages.out, r->pages.out_here, r->pages.doubted);
	if (r->pages.unframed)
		printf("the frames of %lu pages were not shown to this process, nor compared\n",
		       r->pages.unframed);
	if (r->left_out)
		printf("%lu calls were left out, which the host cannot judge: %s\n", r->left_out,
		       r->why_left_out);
	if (r->cut_short)
		printf("%lu sequences were cut short: no room for more maps\n", r->cut_short);
	if (r->differs == NONE && !r->error[0])
		puts("no difference");
}

static const char *const limit_names[] = { "default", "tight", "mixed" };

/* The command that makes these calls again; jobs do not matter. */
static void command_text(const struct options *o, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size,
				      "samara check --seqs=%lu --ops=%lu --seed=%lu --window=%lu",
				      o->set.plan.seqs, o->set.plan.ops,
				      (unsigned long)o->set.plan.seed, o->set.plan.window);

	if (o->set.plan.limits != LIMITS_MIXED && len < size)
		len += (size_t)snprintf(buf + len, size - len, " --limits=%s",
					limit_names[o->set.plan.limits]);
	if (o->set.plan.profile != PROFILES && len < size)
		len += (size_t)snprintf(buf + len, size - len, " --profile=%s",
					profile_names[o->set.plan.profile]);
	if (len < size)
		snprintf(buf + len, size - len, " --compat=%s", o->compat);
}

static json_t *summary_json(const struct options *o, const struct result *r, double seconds,
			    const struct cover *cover)
{
	json_t *list = json_array();

	for (const struct note *note = notes; note->call; note++)
		json_array_append_new(list, json_pack("{s:s s:s? s:s s:s}", "call", note->call,
						      "arguments", note->what, "verdict",
						      note->deviates ? "deviates" : "not asked",
						      "why", note->why));
	return json_pack("{s:I s:I s:I s:s s:s s:I s:I s:I s:I s:f s:n s:o s:o}", "seed",
			 (json_int_t)o->set.plan.seed, "ops", (json_int_t)o->set.plan.ops, "window",
			 (json_int_t)o->set.plan.window, "limits", limit_names[o->set.plan.limits],
			 "profile", profile_names[o->set.plan.profile], "sequences",
			 (json_int_t)r->seqs, "compared", (json_int_t)r->compared, "cut_short",
			 (json_int_t)r->cut_short, "pages", (json_int_t)r->pages.pages, "seconds",
			 seconds, "difference", "coverage", cover_json(cover), "notes", list);
}

static int write_compat(const struct options *o, const struct cover *cover)
{
	char command[256];
	int n;

	if (!o->compat)
		return EXIT_SAME;
	command_text(o, command, sizeof(command));
	n = compat_write(o->compat, cover, command, o->set.plan.profile == PROFILE_UFFD);
	if (n < 0)
		return fail("check", "%s: %s", o->compat, strerror(-n));
	if (n)
		fprintf(stderr, "%s: %d cells with a question mark\n", o->compat, n);
	return n ? EXIT_DIFFERS : EXIT_SAME;
}

/* NULL, or why nothing can be compared. */
static const char *host_reason(struct options *o)
{
	const char *why = host_settings_change(o->host_overcommit, o->host_max_map_count);
	struct side_by_side s;
	int err;

	if (why)
		return why;
	o->set.machine.commit_is_ours = o->host_overcommit == 2;
	settings_find_out(&o->set);
	why = facts_cannot_judge(&o->set.found.facts);
	if (!why && o->set.plan.profile == PROFILE_SWAP)
		why = host_swap_open((int)o->set.patience);
	if (!why && o->set.plan.profile == PROFILE_UFFD && o->set.found.facts.uffd.why[0])
		why = o->set.found.facts.uffd.why;
	if (why)
		return why;
	err = side_open(&s, &o->set);
	why = err ? strerror(-err) : canary_dies(&s, &o->set);
	side_close(&s);
	return why;
}

/* What came of the sequences: told, written where asked for, and the exit status. */
static int tell(const struct options *o, const struct result *r, double seconds,
		const struct cover *cover)
{
	json_t *out = o->json ? summary_json(o, r, seconds, cover) : NULL;
	int status;

	if (!out)
		print_summary(o, r, seconds, cover);
	if (r->differs != NONE)
		status = tell_difference(o, r, out);
	else if (r->error[0])
		status = fail("check", "%s: %s",
			      r->compared ? "cannot judge" : "nothing was compared", r->error);
	else
		status = write_compat(o, cover);
	if (r->failed != NONE)
		save_unanswered(o, r->failed);
	if (r->ended)
		(void)write_file(o->save, r->ended, NULL, false);
	if (out)
		json_dumpf(out, stdout, JSON_INDENT(2));
	if (out)
		putchar('\n');
	json_decref(out);
	return status;
}

static int run_random(struct options *o)
{
	struct cover *cover = calloc(1, sizeof(*cover));
	const char *reason = cover ? host_reason(o) : "out of memory";
	const double start = now();
	struct result r = { .ended = NULL };
	int status;

	if (reason)
		status = fail("check", "nothing was compared: %s", reason);
	else if (jobs_run(&o->set, o->jobs, &r, cover))
		status = fail("check", "cannot start %d jobs", o->jobs);
	else
		status = tell(o, &r, now() - start, cover);
	free(r.ended);
	free(cover);
	host_swap_close();
	host_settings_restore();
	return status;
}

static int run_cases(struct options *o, int argc, char **argv)
{
	const char *reason;
	json_t *out = o->json ? json_array() : NULL;
	struct side_by_side s;
	int status = EXIT_SAME, err;

	settings_find_out(&o->set);
	reason = facts_cannot_judge(&o->set.found.facts);
	err = side_open(&s, &o->set);
	if (err) {
		status = fail("check", "%s", strerror(-err));
		argc = 0;
	} else if (!reason) {
		reason = canary_dies(&s, &o->set);
	}
	for (int i = optind; i < argc; i++) {
		const int one = case_run(&s, argv[i], reason, o->save, out);

		status = one > status ? one : status;
	}
	if (reason && !out)
		printf("the host was not asked: %s\n", reason);
	if (out) {
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(out);
	side_close(&s);
	host_swap_close();
	return status;
}

static int run(int argc, char **argv)
{
	struct options o;
	const int status = options_parse(argc, argv, &o);
	const char *why;

	if (status || o.help)
		return status;
	why = caller_undo();
	if (why)
		return fail("check", "nothing was compared: %s", why);
	return o.cases ? run_cases(&o, argc, argv) : run_random(&o);
}

const struct command command_check = { "check", "compare with the running kernel, call by call",
				       run };
