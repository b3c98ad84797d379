/* SPDX-License-Identifier: MIT */
/*
 * Settings of the host for the time of a run. A keeper (keeper.h) puts back what they were when the
 * run's last process has ended, in whatever way.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "check/check.h"
#include "check/keeper.h"

/* In overcommit mode 2: more than all programs have in memory. Only reservations meet it. */
#define COMMIT_LIMIT (160ULL << 40)

enum { SET_RATIO, SET_MODE, SET_MAPS, SETTINGS };

static const char *const paths[SETTINGS] = {
	"/proc/sys/vm/overcommit_ratio",
	"/proc/sys/vm/overcommit_memory",
	"/proc/sys/vm/max_map_count",
};

static struct {
	long was[SETTINGS], wanted[SETTINGS]; /* wanted -1: as it is */
	struct keeper keeper;
} change = { .keeper = KEEPER_INIT };

long host_setting(const char *path)
{
	FILE *f = fopen(path, "r");
	long value = -1;

	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

static bool write_setting(int which, long value)
{
	char text[32];
	const int len = snprintf(text, sizeof(text), "%ld\n", value);
	const int fd = open(paths[which], O_WRONLY | O_CLOEXEC);
	const bool done = fd >= 0 && write(fd, text, (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return done;
}

static void put_back(void)
{
	for (int i = SETTINGS - 1; i >= 0; i--)
		if (change.wanted[i] >= 0)
			(void)write_setting(i, change.was[i]);
}

/* Per cent of this machine's memory. */
static long ratio_for_limit(void)
{
	struct sysinfo info;

	sysinfo(&info);
	return (long)(COMMIT_LIMIT / (info.totalram * info.mem_unit / 100));
}

const char *host_settings_change(int overcommit, int max_map_count)
{
	const char *why;

	change.wanted[SET_RATIO] = overcommit == 2 ? ratio_for_limit() : -1;
	change.wanted[SET_MODE] = overcommit;
	change.wanted[SET_MAPS] = max_map_count;
	if (overcommit < 0 && max_map_count < 0)
		return NULL;
	if (host_setting("/proc/sys/vm/overcommit_kbytes") > 0)
		return "vm.overcommit_kbytes is in use, which could not be put back";
	for (int i = 0; i < SETTINGS; i++) {
		change.was[i] = host_setting(paths[i]);
		if (change.was[i] < 0)
			return "the host's settings cannot be read";
	}
	why = keeper_start(&change.keeper, put_back);
	for (int i = 0; !why && i < SETTINGS; i++)
		if (change.wanted[i] >= 0 && !write_setting(i, change.wanted[i]))
			why = "the host's settings cannot be changed";
	return why;
}

void host_settings_restore(void)
{
	keeper_end(&change.keeper);
}
