/* SPDX-License-Identifier: MIT */
/*
 * The `samara` command: which of its commands is meant.
 */
#include <string.h>

#include "common.h"

static const struct command *const commands[] = {
	&command_bench,
	&command_check,
	&command_replay,
	&command_show,
	&command_torture,
};

static void help(FILE *to)
{
	fputs("usage: samara COMMAND [OPTION]... [ARGUMENT]...\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  samara COMMAND --help     the command's options\n"
	      "  samara --version\n\n"
	      "Exit status: 0 all is well, 1 what was checked differs, 2 bad usage or\n"
	      "unreadable input.\n",
	      to);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout);
		return EXIT_SAME;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("samara " SAMARA_VERSION);
		return EXIT_SAME;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i]->name) == 0) {
			int status = commands[i]->run(argc - 1, argv + 1);

			if (fflush(stdout) || ferror(stdout))
				return fail(argv[1], "cannot write the result");
			return status;
		}
	}
	fprintf(stderr, "samara: unknown command %s; see samara --help\n", argv[1]);
	return EXIT_USAGE;
}
