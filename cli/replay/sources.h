/* SPDX-License-Identifier: MIT */
/*
 * The file or files of one trace.
 *
 * strace -f writes one file. strace -ff writes NAME.PID for each thread; they
 * are read beside each other: by their time stamps when they have any, else
 * line by line in turn, no thread before the line that makes it. Without
 * stamps the order of threads that share a map is not known; a call that does
 * not fit waits for the others then.
 */
#ifndef CLI_REPLAY_SOURCES_H
#define CLI_REPLAY_SOURCES_H

#include "replay/engine.h"

struct sources;

/*
 * Open what path names: a file; a folder with trace.strace.zst or the like in
 * it; or, when there is no such file, the set path.PID. 0, or -errno with the
 * file in name (to be freed) and a sentence in why.
 */
int sources_open(const char *path, struct sources **out, char **name, char why[160]);
void sources_close(struct sources *s);

size_t sources_count(const struct sources *s);
bool sources_timed(const struct sources *s); /* several files with time stamps */
/* The recorded maps that belong to it: beside a single file; "" for none. */
const char *sources_maps(const struct sources *s);
/* arch_of_text() of what has been read of the first file. */
enum arch sources_arch(const struct sources *s, int wanted);

/*
 * The next line for r: 1; 0 at the end; -errno with the file in *name (not to
 * be freed) and why.
 */
struct source_line {
	const char *text, *path;
	unsigned long number;
	int tid; /* from the file's name; 0 for a single file */
};
int sources_next(struct sources *s, struct replay *r, struct source_line *out, const char **name,
		 char why[160]);
double sources_progress(const struct sources *s);

#endif
