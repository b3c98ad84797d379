/* SPDX-License-Identifier: MIT */
/*
 * Fewer operations that still fail; see tree_ops.h.
 *
 * Every try runs in a child process: a wrong answer, a failed assertion, a
 * crash and a hang all count as a failure. Pieces of half the length, a
 * quarter, and so on are left out for as long as that keeps it failing.
 */
#include "tree_ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_SECONDS 20u
#define TRIES_MAX 4000u

size_t tree_run_ops(const struct tree_ops *ops, unsigned int flags, FILE *log, char *text,
		    size_t room)
{
	struct tree_run run;
	size_t i;
	int err = 0;

	tree_run_init(&run, flags);
	run.log = log;
	for (i = 0; i < ops->n && !err; i++) {
		err = tree_op_apply(&run, &ops->op[i]);
		if (!err && (ops->n <= 1000 || i + 1 == ops->n || i % 64 == 0))
			err = tree_run_check(&run);
	}
	if (err) {
		snprintf(text, room, "%s", run.text);
		return i - 1; /* a broken tree is left alone */
	}
	tree_run_free(&run);
	return ops->n;
}

static bool fails(const struct tree_ops *ops, unsigned int flags, FILE *log)
{
	char text[512];
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return false;
	if (!pid) {
		struct rlimit none = { 0, 0 };
		size_t at;

		setrlimit(RLIMIT_CORE, &none);
		if (!log && !freopen("/dev/null", "w", stderr))
			_exit(3);
		alarm(HANG_SECONDS);
		at = tree_run_ops(ops, flags, log, text, sizeof(text));
		if (at == ops->n)
			_exit(0);
		if (log)
			fprintf(log, "\t/* here: %s */\n", text);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (log && WIFSIGNALED(status))
		fprintf(log, "\t/* here: %s */\n", strsignal(WTERMSIG(status)));
	return status != 0;
}

/* Is it still a failure without n operations from i on? Then they are gone. */
static bool drop(struct tree_ops *ops, size_t i, size_t n, unsigned int flags)
{
	struct tree_ops rest = { NULL, ops->n - n };
	bool gone;

	rest.op = malloc((rest.n + 1) * sizeof(*rest.op));
	if (!rest.op)
		return false;
	memcpy(rest.op, ops->op, i * sizeof(*rest.op));
	memcpy(rest.op + i, ops->op + i + n, (rest.n - i) * sizeof(*rest.op));
	gone = fails(&rest, flags, NULL);
	if (gone) {
		memcpy(ops->op, rest.op, rest.n * sizeof(*rest.op));
		ops->n = rest.n;
	}
	free(rest.op);
	return gone;
}

size_t tree_shrink(struct tree_ops *ops, unsigned int flags)
{
	size_t piece, tries = 0;

	if (!fails(ops, flags, NULL)) {
		fprintf(stderr, "the failure did not come back on a fresh tree\n");
		return 0;
	}
	for (piece = (ops->n + 1) / 2; piece; piece = piece == 1 ? 0 : (piece + 1) / 2) {
		size_t end = ops->n;

		/* from the end: what comes last matters most and shortens every later try */
		while (end && tries++ < TRIES_MAX) {
			size_t n = piece < end ? piece : end;

			(void)drop(ops, end - n, n, flags);
			end -= n;
		}
	}
	fprintf(stderr, "%zu operations are left of the failing sequence:\n", ops->n);
	fprintf(stderr,
		"\tstruct maple_tree mt = MTREE_INIT(mt, %#x);\n\tMA_STATE(mas, &mt, 0, 0);\n",
		flags);
	(void)fails(ops, flags, stderr);
	return ops->n;
}
