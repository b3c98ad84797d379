/* SPDX-License-Identifier: MIT */
/*
 * The process that puts the host back as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/keeper.h"

/* Nothing but the end of the pipe ends it; and it holds no pipe open that others wait for. */
static __attribute__((noreturn)) void keep(int from, void (*put_back)(void))
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	while (read(from, &byte, 1) < 0 && errno == EINTR)
		;
	put_back();
	_exit(0);
}

const char *keeper_start(struct keeper *keeper, void (*put_back)(void))
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return "no pipe";
	fflush(stdout);
	keeper->pid = fork();
	if (!keeper->pid) {
		close(ends[1]);
		keep(ends[0], put_back);
	}
	close(ends[0]);
	keeper->pipe = ends[1];
	return keeper->pid > 0 ? NULL : "no process to put the host back as it was";
}

void keeper_end(struct keeper *keeper)
{
	if (keeper->pipe < 0)
		return;
	close(keeper->pipe);
	keeper->pipe = -1;
	if (keeper->pid > 0)
		waitpid(keeper->pid, NULL, 0);
}
