/* SPDX-License-Identifier: MIT */
/*
 * Running a piece of a test in a forked child.
 */
#include "support/forked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

static void child(void (*fn)(void *arg), void *arg, int fd)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	dup2(fd, STDERR_FILENO);
	fn(arg);
	fflush(stderr);
	_exit(0);
}

void run_forked(void (*fn)(void *arg), void *arg, struct forked *out)
{
	size_t have = 0;
	char more[512];
	int status, fd[2];
	ssize_t got;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	fflush(NULL);
	if (pipe(fd) || (pid = fork()) < 0) {
		perror("run_forked");
		exit(1);
	}
	if (!pid)
		child(fn, arg, fd[1]);
	close(fd[1]);
	while ((got = read(fd[0], more, sizeof(more))) > 0) {
		size_t some = min((size_t)got, sizeof(out->text) - 1 - have);

		memcpy(out->text + have, more, some);
		have += some;
	}
	close(fd[0]);
	waitpid(pid, &status, 0);
	out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

bool forked_may_have_threads(void)
{
	return !SAMARA_TSAN;
}
