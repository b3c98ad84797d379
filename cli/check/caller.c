/* SPDX-License-Identifier: MIT */
/*
 * What a process inherits from its caller and the check cannot do with: low soft limits, ignored
 * and blocked signals, closed standard descriptors (whose numbers an arena would get, and with it
 * what is printed).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check/gen.h"

static void raise_limits(void)
{
	static const int resources[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE,
					 RLIMIT_NPROC };

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const __rlimit_resource_t resource = (__rlimit_resource_t)resources[i];
		struct rlimit limit;

		if (getrlimit(resource, &limit))
			continue;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(resource, &limit);
	}
}

const char *caller_undo(void)
{
	sigset_t none;
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return "/dev/null cannot be opened";
	close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	/* Errors instead: a file too long, a child that is gone. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	return NULL;
}
