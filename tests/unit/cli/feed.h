/* SPDX-License-Identifier: MIT */
/*
 * A replay that is fed lines by hand. Processes begin with an unknown map, so every
 * call's answer is judged but no map. One program has one replay.
 */
#ifndef TESTS_UNIT_CLI_FEED_H
#define TESTS_UNIT_CLI_FEED_H

#include <string.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#include "replay/engine.h"

#define RW "PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0"

static struct replay r;
static unsigned long line_number;

static inline int setup(void **state)
{
	char why[160];

	(void)state;
	r = (struct replay){ .how.place = PLACE_RECORDED };
	line_number = 0;
	return replay_begin(&r, NULL, why);
}

static inline int teardown(void **state)
{
	(void)state;
	replay_end(&r);
	return 0;
}

/* As setup(), beside these recorded maps. */
static inline void begin_beside(const char *maps, enum placing place)
{
	char path[] = "/tmp/samara-maps-XXXXXX", why[160] = "";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, maps, strlen(maps)), strlen(maps));
	close(fd);
	r = (struct replay){ .how.place = place };
	line_number = 0;
	assert_int_equal(replay_begin(&r, path, why), 0);
	unlink(path);
}

static inline void feed(const char *text)
{
	char why[160] = "";

	if (replay_line(&r, "test", ++line_number, text, 0, why))
		fail_msg("line %lu: %s", line_number, why);
}

static inline void feed_all(const char *const *lines)
{
	for (; *lines; lines++)
		feed(*lines);
}

static inline unsigned long mappings(int pid)
{
	struct process *p = world_process(&r.world, pid);
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	assert_non_null(p);
	assert_int_equal(samara_mm_stats(p->space->mm, &stats), 0);
	return stats.map_count;
}

#endif
