/* SPDX-License-Identifier: MIT */
/*
 * The agent of a guest: how it is made, what its batches do, how it ends.
 */
#include "unit/cli/run_world.h"

/* The line of /proc/PID/maps for addr: its range's start, or 0. */
static unsigned long mapped(pid_t pid, unsigned long addr, char prot[5])
{
	unsigned long start = 0, end = 0;
	char path[32], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, prot) == 3 && addr >= start &&
		    addr < end)
			break;
	if (maps)
		fclose(maps);
	return addr >= start && addr < end ? start : 0;
}

static void a_guest_runs_with_an_agent_beside_it(void **state)
{
	const unsigned long at = agent_windows[0];
	struct world w;
	char prot[5], link[64], path[64];
	ssize_t n;

	(void)state;
	world_start(&w);
	assert_int_equal(mapped(w.pid[0], at, prot), at);
	assert_string_equal(prot, "r-xs");
	assert_int_equal(mapped(w.pid[0], at + PAGE, prot), at + PAGE);
	assert_string_equal(prot, "r--s");
	assert_int_equal(mapped(w.pid[0], at + 2 * PAGE, prot), at + 2 * PAGE);
	assert_string_equal(prot, "rw-s");
	/* It has its own session, and none of the program's descriptors but its own eight. */
	assert_int_equal(getsid(w.agent[0].pid), w.agent[0].pid);
	for (int fd = 0; fd < 32; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.agent[0].pid, fd);
		n = readlink(path, link, sizeof(link));
		assert_int_equal(n > 0, fd < AGENT_FD_DEV && fd != AGENT_FD_FILE);
	}
	assert_true(w.notified > 0); /* the program's own calls are, the agent's are not */
	world_end(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_runs_with_an_agent_beside_it),
	};

	guest_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
