/* SPDX-License-Identifier: MIT */
/*
 * Threads of this process by name. In a header alone, as programs that load the library use it too.
 */
#ifndef SAMARA_TEST_OWN_THREADS_H
#define SAMARA_TEST_OWN_THREADS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How many have a name that begins so. */
static inline int own_threads(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	int found = 0;

	while (tasks && (task = readdir(tasks))) {
		char path[300], is[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		f = fopen(path, "re");
		if (f && fgets(is, sizeof(is), f))
			found += !strncmp(is, name, strlen(name));
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

/* Waits until there are n. A thread names itself, and is listed for a moment when it was joined. */
static inline bool own_threads_become(const char *name, int n)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int i = 0; i < 10000; i++) {
		if (own_threads(name) == n)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

#endif
