/* SPDX-License-Identifier: MIT */
/*
 * Looking at a tree: dumps, Graphviz, statistics, the BUG and WARN macros. What
 * goes to stderr is caught in a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "support/tree_model.h"

#define A ((void *)0xabc000)

static char caught[1 << 16];

/* Run fn(arg) in a child, its stderr and exit status for us. */
static int catch (void (*fn)(void *), void *arg)
{
	FILE *file = tmpfile();
	size_t n;
	int status;
	pid_t pid;

	assert_non_null(file);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (dup2(fileno(file), 2) < 0)
			_exit(99);
		fn(arg);
		fflush(stderr);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rewind(file);
	n = fread(caught, 1, sizeof(caught) - 1, file);
	caught[n] = '\0';
	fclose(file);
	return status;
}

static void expect_text(const char *what)
{
	if (!strstr(caught, what))
		fail_msg("no \"%s\" in:\n%s", what, caught);
}

static void grow(struct maple_tree *mt, unsigned int flags, unsigned long n)
{
	unsigned long i;

	mt_init_flags(mt, flags);
	for (i = 0; i < n; i++)
		assert_int_equal(mtree_store_range(mt, 4096 * i, 4096 * i + 255, A, GFP_KERNEL), 0);
}

static void dump_hex(void *arg)
{
	struct maple_tree *mt = arg;

	mtree_lock(mt);
	mt_dump(mt, mt_dump_hex);
	mtree_unlock(mt);
}

static void dump_dec(void *arg)
{
	struct maple_tree *mt = arg;

	mtree_lock(mt);
	mt_dump(mt, mt_dump_dec);
	mtree_unlock(mt);
}

static void dump_names_every_range_and_entry(void **state)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt;

		grow(&mt, flags, 60);
		assert_int_equal(catch (dump_hex, &mt), 0);
		expect_text("3b000");
		expect_text("3b0ff");
		expect_text("abc000");
		assert_int_equal(catch (dump_dec, &mt), 0);
		expect_text("241664"); /* 0x3b000 */
		expect_text("241919");
		mtree_destroy(&mt);
	}
}

static void dump_of_small_trees(void **state)
{
	struct maple_tree mt = MTREE_INIT(mt, 0);

	assert_int_equal(catch (dump_hex, &mt), 0);
	assert_true(strlen(caught) > 0);
	assert_int_equal(mtree_store(&mt, 0, A, GFP_KERNEL), 0);
	assert_int_equal(catch (dump_hex, &mt), 0);
	expect_text("abc000");
	mtree_destroy(&mt);
}

static void dump_cursor(void *arg)
{
	mas_dump(arg);
}

static void mas_dump_says_where_the_cursor_is(void **state)
{
	struct maple_tree mt;
	MA_STATE(mas, &mt, 0x5010, 0x5010);

	grow(&mt, 0, 60);
	mtree_lock(&mt);
	assert_ptr_equal(mas_walk(&mas), A);
	mtree_unlock(&mt);
	assert_int_equal(catch (dump_cursor, &mas), 0);
	expect_text("5000");
	expect_text("50ff");
	mtree_destroy(&mt);
}

static void print_dot(void *arg)
{
	struct maple_tree *mt = arg;

	mtree_lock(mt);
	if (samara_mtree_print_dot(mt, 2))
		_exit(9);
	mtree_unlock(mt);
}

static void dot_output_is_a_graph(void **state)
{
	struct maple_tree mt;
	size_t n, i, open = 0, close = 0;

	grow(&mt, MT_FLAGS_ALLOC_RANGE, 60);
	assert_int_equal(catch (print_dot, &mt), 0);
	expect_text("digraph");
	expect_text("->");
	for (i = 0, n = strlen(caught); i < n; i++) {
		open += caught[i] == '{';
		close += caught[i] == '}';
	}
	assert_true(open > 0 && open == close);
	mtree_destroy(&mt);
	assert_int_equal(catch (print_dot, &mt), 0);
	expect_text("digraph");
}

static void stats_count_what_is_there(void **state)
{
	struct samara_tree_stats stats;
	unsigned int flags;
	unsigned long i;

	for (flags = 0; flags < 4; flags++) {
		struct maple_tree mt;

		grow(&mt, flags, 3000);
		mtree_lock(&mt);
		samara_mtree_stats(&mt, &stats);
		mtree_unlock(&mt);
		assert_int_equal(stats.entries, 3000);
		assert_int_equal(stats.erased, 0);
		assert_int_equal(stats.levels, mt_height(&mt));
		assert_true(stats.leaves >= 3000 / SAMARA_MAPLE_SLOTS && stats.leaves < 3000);
		assert_true(stats.nodes > stats.leaves);
		assert_true(stats.bytes >= stats.nodes * 3 * SAMARA_MAPLE_SLOTS * sizeof(long));
		for (i = 0; i < 3000; i += 2)
			assert_ptr_equal(mtree_erase(&mt, 4096 * i), A);
		mtree_lock(&mt);
		samara_mtree_stats(&mt, &stats);
		mtree_unlock(&mt);
		assert_int_equal(stats.entries, 1500);
		assert_true(stats.erased <= 1500);
		mtree_destroy(&mt);
	}
}

static void bug(void *arg)
{
	struct ma_state *mas = arg;

	MT_BUG_ON(mas->tree, 1 > 2);
	MAS_BUG_ON(mas, mas->index == 0x5010);
}

static void warn(void *arg)
{
	struct ma_state *mas = arg;

	if (MT_WARN_ON(mas->tree, 0) || MAS_WARN_ON(mas, 0))
		_exit(1);
	if (!MT_WARN_ON(mas->tree, mas->last == 0x5010))
		_exit(2);
	if (!MAS_WARN_ON(mas, mas->last == 0x5010))
		_exit(3);
}

static void bug_macros_say_what_and_stop(void **state)
{
	struct maple_tree mt;
	MA_STATE(mas, &mt, 0x5010, 0x5010);
	int status;

	grow(&mt, 0, 10);
	status = catch (bug, &mas);
	assert_true(WIFSIGNALED(status));
	expect_text("mas->index == 0x5010");
	expect_text("inspect.c");
	assert_null(strstr(caught, "1 > 2"));
	status = catch (warn, &mas);
	assert_int_equal(status, 0);
	expect_text("mas->last == 0x5010");
	mtree_destroy(&mt);
}

static void cache_shrink_is_harmless(void **state)
{
	struct maple_tree mt;

	grow(&mt, MT_FLAGS_USE_RCU, 2000);
	mt_cache_shrink();
	assert_ptr_equal(mtree_load(&mt, 4096), A);
	mtree_destroy(&mt);
	mt_cache_shrink();
	mt_cache_shrink();
	grow(&mt, 0, 100);
	mtree_destroy(&mt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dump_names_every_range_and_entry),
		cmocka_unit_test(dump_of_small_trees),
		cmocka_unit_test(mas_dump_says_where_the_cursor_is),
		cmocka_unit_test(dot_output_is_a_graph),
		cmocka_unit_test(stats_count_what_is_there),
		cmocka_unit_test(bug_macros_say_what_and_stop),
		cmocka_unit_test(cache_shrink_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
