/* SPDX-License-Identifier: MIT */
/*
 * Replaying one whole trace.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/run.h"
#include "replay/sources.h"

static int run_lines(struct replay *r, struct sources *s, const struct run_options *o)
{
	struct progress bar;
	struct source_line line;
	const char *name;
	char why[160];
	int got, err = 0;

	progress_begin(&bar, "replaying", o->progress);
	while ((got = sources_next(s, r, &line, &name, why)) > 0) {
		err = replay_line(r, line.path, line.number, line.text, line.tid, why);
		if (err)
			break;
		if (r->stats.lines == o->stop_line)
			break;
		if (r->stats.lines % 1024 == 0)
			progress_at(&bar, sources_progress(s));
	}
	progress_end(&bar);
	if (got < 0)
		return fail(o->command, "%s: line %lu: %s", name, r->stats.lines + 1, why);
	if (err)
		return fail(o->command, "%s: line %lu: %s", line.path, line.number, why);
	if (r->stats.events == 0)
		return fail(o->command, "%s: not strace output: none of its %lu lines can be read",
			    name, r->stats.lines);
	if (o->stop_line)
		return 0; /* what is alive stays for the caller to look at */
	err = replay_finish(r);
	return err ? fail(o->command, "%s: %s", name, strerror(-err)) : 0;
}

int run_arch(const char *command, const char *name, int *out)
{
	enum arch arch;

	if (arch_by_name(name, &arch))
		return fail(command,
			    "--arch is x86_64, i386, i386-3g, aarch64 or aarch64-39, not %s", name);
	*out = (int)arch;
	return 0;
}

int run_trace(struct replay *r, const char *path, const struct run_options *o)
{
	struct sources *s = NULL;
	const char *maps;
	char why[160] = "out of memory", *name = NULL;
	int err;

	*r = (struct replay){ .how.place = o->place, .tell.malformed = stderr };
	r->tell.out = o->quiet ? NULL : stdout;
	r->watch.step = o->watch;
	r->watch.ctx = o->ctx;
	err = sources_open(path, &s, &name, why);
	if (err) {
		err = fail(o->command, "%s: %s", name ? name : path, why);
		free(name);
		return err;
	}
	maps = o->maps ? o->maps : sources_maps(s);
	r->how.unordered = sources_count(s) > 1 && !sources_timed(s);
	r->how.arch = sources_arch(s, o->arch);
	err = replay_begin(r, *maps ? maps : NULL, why);
	r->world.arch.given = o->arch >= 0;
	if (err) {
		err = fail(o->command, "%s: %s", *maps ? maps : path, why);
	} else {
		r->world.ending.call = o->ending;
		r->world.ending.ctx = o->ctx;
		err = run_lines(r, s, o);
	}
	sources_close(s);
	return err;
}
