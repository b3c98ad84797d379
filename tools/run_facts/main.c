/* SPDX-License-Identifier: MIT */
#include "facts.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "truth", group_truth }, { "ends", group_ends },     { "life", group_life },
	{ "span", group_span },   { "notify", group_notify }, { "fault", group_fault },
	{ "agent", group_agent }, { "fork", group_fork },     { "stops", group_stops },
};

static bool pinned;

void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (pinned)
		sched_setaffinity(0, sizeof(set), &set);
}

static void run(const char *name, void (*group)(void))
{
	int status;
	pid_t pid;

	printf("\n## %s\n\n| question | answer |\n|---|---|\n", name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		alarm(30);
		pin();
		group();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		printf("| (the group ended) | status %#x |\n", (unsigned int)status);
}

int main(int argc, char **argv)
{
	int first = 1;

	if (argc > 1 && !strcmp(argv[1], "--pin")) {
		pinned = true;
		first = 2;
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		bool wanted = first == argc;

		for (int a = first; a < argc; a++)
			wanted |= !strcmp(argv[a], groups[i].name);
		if (wanted)
			run(groups[i].name, groups[i].run);
	}
	return 0;
}
