/* SPDX-License-Identifier: MIT */
/*
 * A parser that is given lines by hand, and what it has read last.
 */
#ifndef TESTS_UNIT_CLI_PARSED_H
#define TESTS_UNIT_CLI_PARSED_H

#include <errno.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "replay/call.h"

struct fixture {
	struct trace_parser *p;
	struct trace_event ev;
	struct call call;
	char why[120];
};

static inline int setup(void **state)
{
	static struct fixture f;

	f.p = trace_parser_new();
	*state = &f;
	return f.p ? 0 : -1;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	trace_parser_free(f->p);
	return 0;
}

static inline int parse(struct fixture *f, const char *line)
{
	f->why[0] = '\0';
	return trace_parse(f->p, line, 0, &f->ev, f->why);
}

static inline void parse_call(struct fixture *f, const char *line)
{
	if (parse(f, line))
		fail_msg("%s: %s", line, f->why);
	assert_int_equal(f->ev.kind, TRACE_CALL);
	if (call_decode(&f->ev, &f->call, f->why))
		fail_msg("%s: %s", line, f->why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
