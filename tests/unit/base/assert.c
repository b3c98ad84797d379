/* SPDX-License-Identifier: MIT */
/* Assertions (base/assert.h) and reports (base/report.h). */
#include "support/cmocka_all.h"
#include "support/forked.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/assert.h"
#include "base/report.h"

static void break_it(void *arg)
{
	BUG_ON(arg == NULL);
}

static void bug_on_ends_the_process_and_says_where(void **state)
{
	struct forked child;

	run_forked(break_it, NULL, &child);
	assert_true(child.signal == SIGABRT || child.status);
	assert_non_null(strstr(child.text, "samara: BUG: arg == NULL"));
	assert_non_null(strstr(child.text, "assert.c:"));
}

static void say_and_end(void *arg)
{
	(void)arg;
	assert_bug_text("%d of %s", 7, "nine");
}

static void a_text_of_ones_own_is_one_line(void **state)
{
	struct forked child;

	(void)state;
	run_forked(say_and_end, NULL, &child);
	assert_true(child.signal == SIGABRT || child.status);
	assert_string_equal(child.text, "samara: BUG: 7 of nine\n");
}

static void bug_on_lets_a_false_condition_pass(void **state)
{
	struct forked child;

	run_forked(break_it, &child, &child);
	assert_int_equal(child.signal, 0);
	assert_int_equal(child.status, 0);
	assert_string_equal(child.text, "");
}

static void warn_and_exit(void *arg)
{
	unsigned long before = samara_warnings();
	bool hit;

	unsetenv("SAMARA_FATAL_WARNINGS");
	hit = VM_WARN_ON(arg == NULL);
	_Exit((int)(samara_warnings() - before) * 2 + hit);
}

static void warnings_are_counted_in_debug_builds(void **state)
{
	struct forked child;

	run_forked(warn_and_exit, NULL, &child);
#ifdef SAMARA_DEBUG
	assert_int_equal(child.status, 3);
	assert_non_null(strstr(child.text, "samara: WARN: arg == NULL"));
#else
	assert_int_equal(child.status, 0);
	assert_string_equal(child.text, "");
#endif
	run_forked(warn_and_exit, &child, &child);
	assert_int_equal(child.status, 0);
}

static void warn_fatally(void *arg)
{
	setenv("SAMARA_FATAL_WARNINGS", "1", 1);
	(void)VM_WARN_ON(arg == NULL);
}

static void warnings_end_a_test(void **state)
{
	struct forked child;

	run_forked(warn_fatally, NULL, &child);
#ifdef SAMARA_DEBUG
	assert_true(child.signal || child.status);
#else
	assert_int_equal(child.signal, 0);
#endif
}

static void *fail_an_assertion(void *arg)
{
	assert_null(arg);
	return NULL;
}

static void wait_for_a_thread_that_fails(void *barrier)
{
	pthread_t thread;

	pthread_barrier_init(barrier, NULL, 2);
	if (!pthread_create(&thread, NULL, fail_an_assertion, barrier))
		pthread_barrier_wait(barrier);
}

static void *wait_at_barrier(void *barrier)
{
	pthread_barrier_wait(barrier);
	return NULL;
}

static void fail_while_a_thread_waits(void *barrier)
{
	pthread_t thread;

	pthread_barrier_init(barrier, NULL, 2);
	if (!pthread_create(&thread, NULL, wait_at_barrier, barrier))
		assert_null(barrier);
	pthread_join(thread, NULL);
}

/* support/cmocka_all.h: no thread of a test waits for one that an assertion has stopped. */
static void a_failed_assertion_ends_the_program(void **state)
{
	pthread_barrier_t barrier;
	struct forked child;

	if (!forked_may_have_threads())
		skip();
	run_forked(wait_for_a_thread_that_fails, &barrier, &child);
	assert_int_equal(child.signal, SIGABRT);
	assert_non_null(strstr(child.text, "assert.c:"));
	run_forked(fail_while_a_thread_waits, &barrier, &child);
	assert_int_equal(child.signal, SIGABRT);
	assert_non_null(strstr(child.text, "assert.c:"));
}

static void report_keeps_the_first_finding(void **state)
{
	struct samara_report report = { 0 };

	assert_int_equal(report_broken(&report, "order", "%d after %d", 3, 5), -EUCLEAN);
	assert_int_equal(report_broken(&report, "links", "never seen"), -EUCLEAN);
	assert_string_equal(report.invariant, "order");
	assert_string_equal(report.text, "3 after 5");
}

static void report_may_be_absent(void **state)
{
	assert_int_equal(report_broken(NULL, "order", "x"), -EUCLEAN);
}

static void report_cuts_a_long_text(void **state)
{
	struct samara_report report = { 0 };

	assert_int_equal(report_broken(&report, "order", "%0500d", 7), -EUCLEAN);
	assert_int_equal(strlen(report.text), sizeof(report.text) - 1);
}

/* No character has that code, which vsnprintf(3) finds when it has written some. */
static void report_has_no_half_text(void **state)
{
	struct samara_report report = { 0 };

	assert_int_equal(report_broken(&report, "order", "half %lc", (wint_t)0x7fffffff), -EUCLEAN);
	assert_string_equal(report.invariant, "order");
	assert_string_equal(report.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bug_on_ends_the_process_and_says_where),
		cmocka_unit_test(a_text_of_ones_own_is_one_line),
		cmocka_unit_test(bug_on_lets_a_false_condition_pass),
		cmocka_unit_test(warnings_are_counted_in_debug_builds),
		cmocka_unit_test(warnings_end_a_test),
		cmocka_unit_test(a_failed_assertion_ends_the_program),
		cmocka_unit_test(report_keeps_the_first_finding),
		cmocka_unit_test(report_may_be_absent),
		cmocka_unit_test(report_has_no_half_text),
		cmocka_unit_test(report_cuts_a_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
