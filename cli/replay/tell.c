/* SPDX-License-Identifier: MIT */
/*
 * What the replay says of differences.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "clean.h"
#include "replay/steps.h"

void replay_tell(struct replay *r, const char *fmt, ...)
{
	va_list args;

	if (!r->tell.out || r->tell.told >= MAX_TOLD)
		return;
	r->tell.told++;
	va_start(args, fmt);
	vfprintf(r->tell.out, fmt, args);
	va_end(args);
	if (r->tell.told == MAX_TOLD)
		fprintf(r->tell.out, "(further differences are counted and not shown)\n");
}

void replay_left_out(struct replay *r, const char *name, size_t len)
{
	tally_add(&r->left_out, name, len);
}

void replay_bad_call(struct replay *r, const char *path, unsigned long line,
		     const struct trace_event *ev, const char *reason)
{
	tally_add(&r->unread, ev->call.name.at, ev->call.name.len);
	replay_bad_line(r, path, line, reason);
}

void replay_bad_line(struct replay *r, const char *path, unsigned long line, const char *reason)
{
	char where[200], text[280];

	r->stats.malformed++;
	if (!r->tell.malformed || r->tell.told_malformed >= MAX_TOLD)
		return;
	clean(path, where, sizeof(where));
	clean(reason, text, sizeof(text));
	if (r->stats.events == 0) { /* it may be no trace at all; see replay_line() */
		snprintf(r->tell.early[r->tell.told_malformed], sizeof(r->tell.early[0]),
			 "%s:%lu: %s", where, line, text);
	} else {
		replay_tell_early(r);
		fprintf(r->tell.malformed, "%s:%lu: %s\n", where, line, text);
	}
	if (++r->tell.told_malformed == MAX_TOLD && r->stats.events)
		fprintf(r->tell.malformed, "(further malformed lines are counted and not shown)\n");
}

void replay_tell_early(struct replay *r)
{
	for (size_t i = 0; r->tell.malformed && i < MAX_TOLD && r->tell.early[i][0]; i++) {
		fprintf(r->tell.malformed, "%s\n", r->tell.early[i]);
		r->tell.early[i][0] = '\0';
	}
}

static void answer_text(unsigned long answer, char *out, size_t size)
{
	if (SAMARA_IS_ERR_VALUE(answer)) {
		const char *name = strerrorname_np((int)-(long)answer);

		snprintf(out, size, "-1 %s", name ? name : "(an unknown error)");
	} else {
		snprintf(out, size, answer < 4096 ? "%lu" : "%#lx", answer);
	}
}

void replay_tell_call(struct replay *r, const struct step *st, const struct process *p,
		      unsigned long got, enum told what)
{
	static const char *const sentence[] = {
		[TOLD_ANSWER] = "another answer",
		[TOLD_ADDRESS] = "another chosen address",
		[TOLD_REFUSED] = "refused by the recording",
	};
	char call[400], ours[40], kernel[40], path[200], command[200];
	size_t n;
	unsigned long recorded = st->ev.result.kind == RESULT_ERROR ?
					 (unsigned long)-(long)st->ev.result.err :
					 st->ev.result.value;

	n = clean_text(st->ev.call.name.at, st->ev.call.name.len, call, sizeof(call));
	n += clean_text("(", 1, call + n, sizeof(call) - n);
	for (unsigned int i = 0; i < st->ev.call.nr_args; i++) {
		n += clean_text(", ", i ? 2 : 0, call + n, sizeof(call) - n);
		n += clean_text(st->ev.call.args[i].at, st->ev.call.args[i].len, call + n,
				sizeof(call) - n);
	}
	answer_text(got, ours, sizeof(ours));
	answer_text(recorded, kernel, sizeof(kernel));
	replay_tell(r, "%s:%lu: %d %s: %s\n    %s)\n    %-24s | %s\n    %-24s | %s\n",
		    clean(st->path, path, sizeof(path)), st->line, p->pid,
		    clean(p->command, command, sizeof(command)), sentence[what], call, "ours",
		    "kernel's", ours, kernel);
}

int replay_compare(struct replay *r, struct process *p, const struct step *st)
{
	const struct snapshot *s = st->snapshot;
	struct map_diff diff;
	int ret;

	if (!p->space->known.map) /* compared only from a known beginning on */
		return 0;
	compare_settle(p->space, s);
	if (s->kind == SNAPSHOT_TOUCH)
		return 0;
	ret = compare_maps(p->space, s, &diff);
	if (ret < 0)
		return ret;
	touch_again(&r->world, p, s);
	r->stats.maps++;
	p->count.maps++;
	if (s->kind == SNAPSHOT_EXIT)
		p->end_compared = true;
	if (ret == 0)
		return 0;
	r->stats.map_diffs++;
	if (p->count.map_diffs++ == 0 && r->tell.out && r->tell.told < MAX_TOLD) {
		char path[200], command[200];

		replay_tell(r,
			    "%s:%lu: %d %s: the map differs (%s snapshot), first at mapping %zu\n",
			    clean(st->path, path, sizeof(path)), st->line, p->pid,
			    clean(p->command, command, sizeof(command)),
			    snapshot_kind_name(s->kind), diff.at + 1);
		compare_print(p->space, s, &diff, r->tell.out);
	}
	return 0;
}
