/* SPDX-License-Identifier: MIT */
#include "facts.h"

#include <sys/wait.h>

const char *swap_file;

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "api", group_api },       { "register", group_register },
	{ "ioctls", group_ioctls }, { "partial", group_partial },
	{ "events", group_events }, { "sleepers", group_sleepers },
	{ "fork", group_fork },     { "move", group_move },
	{ "poison", group_poison }, { "marks", group_marks },
	{ "scan", group_scan },     { "modes", group_modes },
	{ "more", group_more },     { "swap", group_swap },
	{ "bits", group_bits },
	{ "told", group_told },
};

static void run(const char *name, void (*group)(void))
{
	int status;
	pid_t pid;

	printf("\n## %s\n\n| question | answer |\n|---|---|\n", name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(20);
		group();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		printf("| (the group ended) | status %#x |\n", status);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		bool wanted = true;

		for (int a = 1; a < argc; a++) {
			if (!strncmp(argv[a], "--swap=", 7)) {
				swap_file = argv[a] + 7;
				continue;
			}
			wanted = false;
			if (!strcmp(argv[a], groups[i].name)) {
				wanted = true;
				break;
			}
		}
		if (wanted)
			run(groups[i].name, groups[i].run);
	}
	return 0;
}
