/* SPDX-License-Identifier: MIT */
/* The hooks around a fork(2) of the host: each once, in parent and child, in their order. */
#include "support/cmocka_all.h"
#include "support/forked.h"

#include <string.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/rcu.h"

static unsigned int prepared, in_parent, in_child, more_prepared;

static void prepare(void)
{
	prepared++;
}

static void parent(void)
{
	in_parent++;
}

static void child(void)
{
	in_child++;
}

static void prepare_more(void)
{
	more_prepared++;
}

static void no_work(void *arg) {}

static struct fork_hook hook = { .prepare = prepare, .parent = parent, .child = child };
static struct fork_hook more = { .prepare = prepare_more };

/* All locks around the hooks are free in the child: it adds one, has a mark, and forks itself. */
static void add_and_fork(void *arg)
{
	struct forked grandchild;
	unsigned long mark;

	alarm(20);
	if (prepared != 1 || in_parent || in_child != 1)
		_exit(1);
	fork_hook_add(&hook);
	fork_hook_add(&more);
	if (fork_mark(&mark) || mark == *(unsigned long *)arg || !fork_mark_is_own(mark))
		_exit(2);
	run_forked(no_work, NULL, &grandchild);
	if (grandchild.signal || grandchild.status)
		_exit(3);
	if (prepared != 2 || in_parent != 1 || in_child != 1 || more_prepared != 1)
		_exit(4);
}

static void a_child_is_as_good_as_its_parent(void **state)
{
	struct forked forked;
	unsigned long mark;

	fork_hook_add(&hook);
	fork_hook_add(&hook);
	assert_int_equal(fork_mark(&mark), 0);
	run_forked(add_and_fork, &mark, &forked);
	assert_int_equal(forked.signal, 0);
	assert_int_equal(forked.status, 0);
	assert_int_equal(prepared, 1);
	assert_int_equal(in_parent, 1);
	assert_int_equal(in_child, 0);
	fork_hook_add(&more);
	assert_true(fork_mark_is_own(mark));
}

/* order ------------------------------------------------------------------- */

static char seen[16];

static void see(char what)
{
	seen[strlen(seen)] = what;
}

static void take_room(void)
{
	see('R');
}
static void give_room(void)
{
	see('r');
}
static void take_pools(void)
{
	see('P');
}
static void give_pools(void)
{
	see('p');
}
static void adopted(struct rcu_cb *cb)
{
	see('q');
}

/* Where objects are adopted RCU works again: callbacks can be waited for. */
static void adopt(void)
{
	static struct rcu_cb cb;

	see('o');
	rcu_defer(&cb, adopted);
	rcu_barrier();
}

static struct fork_hook room = {
	.order = FORK_ROOMS,
	.prepare = take_room,
	.parent = give_room,
	.child = give_room,
};
static struct fork_hook objects = { .order = FORK_OBJECTS, .child = adopt };
static struct fork_hook pools = {
	.order = FORK_POOLS,
	.prepare = take_pools,
	.parent = give_pools,
	.child = give_pools,
};

static void look_at_order(void *arg)
{
	alarm(20);
	_exit(strcmp(seen, "RPpoqr") ? 1 : 0);
}

static void hooks_nest_in_their_order_whichever_came_first(void **state)
{
	struct forked forked;

	fork_hook_add(&pools);
	fork_hook_add(&room);
	fork_hook_add(&objects);
	run_forked(look_at_order, NULL, &forked);
	assert_int_equal(forked.signal, 0);
	assert_int_equal(forked.status, 0);
	assert_string_equal(seen, "RPpr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_is_as_good_as_its_parent),
		cmocka_unit_test(hooks_nest_in_their_order_whichever_came_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
