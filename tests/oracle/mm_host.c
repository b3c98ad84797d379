/* SPDX-License-Identifier: MIT */
/*
 * The library against the running kernel: random memory calls, carried out by
 * a child process on the host and by a mirror of it here, compared after every
 * call on the answer and on all of /proc/self/maps, now and then on VmFlags and
 * totals too.
 *
 * Linux 6.18 on x86-64 is the referee; on another kernel nothing is compared,
 * and the test says so.
 *
 * Calls are aimed at a window that nobody else uses and at what the kernel
 * chose; the child's own program is never touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/host_mm.h"
#include "support/mm_calls.h"
#include "support/random.h"

#define LOG_MAX 2048
#define SHARED_ANON "/dev/zero (deleted)"

struct run {
	struct mm_gen gen;
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct host_mm host;
	char *text; /* ours */
	char log[LOG_MAX][MM_CALL_TEXT];
	unsigned int n_log;
	unsigned long compared;
};

static char **arguments;

/* comparing --------------------------------------------------------------- */

/* Where the inode stands in a line of maps: behind range, permissions, offset and device. */
static size_t inode_at(const char *line, size_t len)
{
	size_t at = 0;

	for (int spaces = 0; at < len && spaces < 4; at++)
		spaces += line[at] == ' ';
	return at;
}

/* The inode of fresh shared memory is not ours to know. */
static bool same_line(const char *a, const char *b, size_t len_a, size_t len_b)
{
	const size_t head = inode_at(a, len_a);

	if (len_a == len_b && !memcmp(a, b, len_a))
		return true;
	return memmem(a, len_a, SHARED_ANON, sizeof(SHARED_ANON) - 1) &&
	       memmem(b, len_b, SHARED_ANON, sizeof(SHARED_ANON) - 1) &&
	       head == inode_at(b, len_b) && !memcmp(a, b, head);
}

/* Bytes of the line at at. Not strcspn(): sanitizers measure the whole text with it. */
static size_t line_length(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return (size_t)((newline ? newline : end) - at);
}

/* The first line in which a and b differ, b's in other; NULL: none. */
static const char *first_difference(const char *a, const char *b, const char **other)
{
	const char *const end_a = a + strlen(a), *const end_b = b + strlen(b);

	while (a < end_a || b < end_b) {
		const size_t la = line_length(a, end_a), lb = line_length(b, end_b);

		if (!same_line(a, b, la, lb)) {
			*other = b;
			return a;
		}
		a += la + (a + la < end_a);
		b += lb + (b + lb < end_b);
	}
	return NULL;
}

/* Only the lines of smaps that we can know: the head of each VMA and its VmFlags. */
static void keep_known_lines(char *text)
{
	const char *const end = text + strlen(text);
	char *to = text, *at = text;

	while (at < end) {
		const size_t len = line_length(at, end) + 1;
		const bool head = memchr("0123456789abcdef", *at, 16) && at[len - 2] != 'B';

		if (head || (len > 8 && !memcmp(at, "VmFlags:", 8))) {
			memmove(to, at, len);
			to += len;
		}
		at += len;
	}
	*to = '\0';
}

static void print_log(const struct run *r)
{
	const unsigned int from = r->n_log > 40 ? r->n_log - 40 : 0;

	for (unsigned int i = from; i < r->n_log; i++)
		fprintf(stderr, "  %4u  %s\n", i, r->log[i]);
}

static void fail_with(struct run *r, const char *what, const char *host, const char *ours)
{
	fprintf(stderr, "%s differs after:\n", what);
	print_log(r);
	fprintf(stderr, "  host: %.*s\n  ours: %.*s\n", (int)strcspn(host, "\n"), host,
		(int)strcspn(ours, "\n"), ours);
	test_replay(test_seed());
	fail();
}

static void compare_text(struct run *r, const char *what)
{
	const char *ours = NULL;
	const char *host = first_difference(r->host.text, r->text, &ours);

	if (host)
		fail_with(r, what, host, ours);
}

static void compare_numbers(struct run *r, const char *what, long host, long ours)
{
	char a[64], b[64];

	if (host == ours)
		return;
	snprintf(a, sizeof(a), "%ld (%lx)", host, (unsigned long)host);
	snprintf(b, sizeof(b), "%ld (%lx)", ours, (unsigned long)ours);
	fail_with(r, what, a, b);
}

static void compare_totals(struct run *r)
{
	struct host_call show = { .nr = SYS_getppid, .show = "/proc/self/status" };
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	host_do(&r->host, &show);
	assert_int_equal(samara_mm_stats(r->mm, &stats), 0);
	compare_numbers(r, "VmSize", text_kb(r->host.text, "VmSize:"), (long)stats.total_vm * 4);
	compare_numbers(r, "VmLck", text_kb(r->host.text, "VmLck:"), (long)stats.locked_vm * 4);
	compare_numbers(r, "VmData", text_kb(r->host.text, "VmData:"), (long)stats.data_vm * 4);
	compare_numbers(r, "VmStk", text_kb(r->host.text, "VmStk:"), (long)stats.stack_vm * 4);
}

static void compare_flags(struct run *r)
{
	struct host_call show = { .nr = SYS_getppid, .show = "/proc/self/smaps" };

	host_do(&r->host, &show);
	assert_int_equal(mm_text(r->mm, samara_print_smaps, r->text), 0);
	keep_known_lines(r->host.text);
	keep_known_lines(r->text);
	compare_text(r, "smaps");
}

static void compare_maps(struct run *r)
{
	assert_int_equal(mm_text(r->mm, samara_print_maps, r->text), 0);
	compare_text(r, "maps");
}

/* one call ---------------------------------------------------------------- */

static void step(struct run *r)
{
	struct samara_report report;
	struct host_call call;
	long host, ours;

	mm_gen_next(&r->gen, &call);
	call.show = "/proc/self/maps";
	mm_call_text(&call, r->log[r->n_log++ % LOG_MAX], MM_CALL_TEXT);
	host = host_do(&r->host, &call);
	ours = mm_call_do(&r->gen, &r->mm, &call);
	compare_numbers(r, "the answer", host, ours);
	compare_maps(r);
	mm_gen_learn(&r->gen, &call, host);
	if (samara_mm_validate(r->mm, &report))
		fail_with(r, "the invariant", report.invariant, report.text);
	if (r->n_log % 10 == 0) {
		compare_totals(r);
		compare_flags(r);
	}
	r->compared++;
}

static unsigned long stats_pages(struct run *r)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	assert_int_equal(samara_mm_stats(r->mm, &stats), 0);
	return stats.total_vm;
}

/* Limits that bite, in some sequences. */
static void tighten(struct run *r)
{
	struct host_call call = { .nr = HOST_DROP_CAPS };
	const unsigned long mapped = stats_pages(r);
	const struct {
		int resource;
		unsigned long cur;
	} limits[] = {
		{ RLIMIT_AS, (mapped + rng_between(&r->gen.rng, 20, 2000)) * MM_PAGE },
		{ RLIMIT_DATA, rng_between(&r->gen.rng, 500, 3000) * MM_PAGE },
		{ RLIMIT_MEMLOCK, rng_between(&r->gen.rng, 0, 40) * MM_PAGE },
		{ RLIMIT_STACK, rng_between(&r->gen.rng, 1, 64) * MM_PAGE },
	};

	if (!rng_one_in(&r->gen.rng, 3))
		return;
	assert_int_equal(host_do(&r->host, &call), 0);
	samara_set_caps(r->mm, 0);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		call = (struct host_call){
			.nr = HOST_RLIMIT,
			.arg = { (unsigned long)limits[i].resource, limits[i].cur, limits[i].cur },
		};
		assert_int_equal(host_do(&r->host, &call), 0);
		assert_int_equal(samara_set_rlimit(r->mm, limits[i].resource, limits[i].cur,
						   limits[i].cur),
				 0);
	}
}

static void sequence(struct run *r, uint64_t seed, unsigned int ops)
{
	mm_gen_start(&r->gen, seed);
	r->n_log = 0;
	assert_int_equal(host_start(&r->host), 0);
	assert_int_equal(host_mirror(&r->host, r->machine, &r->mm), 0);
	r->gen.brk = samara_brk(r->mm, 0);
	tighten(r);
	while (ops--)
		step(r);
	host_stop(&r->host);
	samara_mm_exit(r->mm);
}

static void random_calls_answer_as_the_kernel_does(void **state)
{
	const char *why = host_cannot_judge();
	struct run *r = calloc(1, sizeof(*r));
	const unsigned long sequences = (test_full() ? 2000 : 200) / test_slowdown();

	(void)state;
	assert_non_null(r);
	if (why) {
		print_message("not compared: %s\n", why);
		free(r);
		skip();
	}
	r->text = malloc(HOST_TEXT);
	r->host.text = malloc(HOST_TEXT);
	assert_int_equal(host_machine(&r->machine), 0);
	assert_int_equal(mm_gen_open(&r->gen, r->machine), 0);
	for (unsigned long i = 0; i < sequences; i++)
		sequence(r, test_seed() + i, i % 10 ? 100 : 600);
	printf("%lu calls compared, seed %llu\n", r->compared, (unsigned long long)test_seed());
	mm_gen_print_coverage(&r->gen);
	mm_gen_close(&r->gen);
	samara_machine_destroy(r->machine);
	free(r->text);
	free(r->host.text);
	free(r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_calls_answer_as_the_kernel_does),
	};

	(void)argc;
	arguments = argv;
	host_no_randomisation(arguments);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
