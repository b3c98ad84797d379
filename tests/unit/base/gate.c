/* SPDX-License-Identifier: MIT */
/* The list of CPUs in which a call finds out whether its thread is inside a section. */
#include "support/cmocka_all.h"

#include "base/gate.h"
#include "support/waits.h"

struct caller {
	struct call_gate gate;
	struct samara_cpu own, others;
	unsigned int listed, go_on;
	int err;
};

/* The list that CPUs are in. */
static struct gate_list *find_list(struct call_gate *gate)
{
	for (unsigned int i = 0; i < GATE_LISTS; i++)
		if (gate->list[i].first)
			return &gate->list[i];
	return NULL;
}

static void only_the_own_section_counts(void **state)
{
	static struct caller c;

	assert_int_equal(gate_init(&c.gate), 0);
	gate_add_cpu(&c.gate, &c.own);
	c.own.inside = 1;
	assert_int_equal(gate_check(&c.gate), -EDEADLK);
	c.own.inside = 2;
	assert_int_equal(gate_check(&c.gate), 0);
	c.own.inside = 3;
	c.own.thread = &c;
	assert_int_equal(gate_check(&c.gate), 0);
	c.own.thread = &gate_runs_cpus;
	gate_remove_cpu(&c.gate, &c.own);
	assert_int_equal(gate_check(&c.gate), 0);
}

static void add_both_and_check(void *arg)
{
	struct caller *c = arg;

	gate_add_cpu(&c->gate, &c->own);
	gate_add_cpu(&c->gate, &c->others);
	c->own.inside = 1;
	c->others.thread = c;
	__atomic_store_n(&c->listed, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&c->go_on, __ATOMIC_ACQUIRE))
		sched_yield();
	c->err = gate_check(&c->gate);
}

/* Another thread's CPU leaves the list while the call waits for the lock. */
static void the_list_is_read_with_the_lock(void **state)
{
	static struct caller c;
	struct waiting_call call = { .call = add_both_and_check, .arg = &c };
	struct samara_cpu *first;
	struct gate_list *list;

	assert_int_equal(gate_init(&c.gate), 0);
	assert_int_equal(pthread_create(&call.thread, NULL, waiting_call_thread, &call), 0);
	while (!__atomic_load_n(&c.listed, __ATOMIC_ACQUIRE))
		sched_yield();
	list = find_list(&c.gate);
	spin_acquire(&list->lock);
	__atomic_store_n(&c.go_on, 1, __ATOMIC_RELEASE);
	while (!spinlock_waited(&list->lock) && !__atomic_load_n(&call.done, __ATOMIC_ACQUIRE))
		sched_yield();
	first = list->first;
	list->first = first->next_of_thread;
	first->next_of_thread = NULL;
	spin_release(&list->lock);
	call_returns(&call);
	assert_ptr_equal(first, &c.others);
	assert_int_equal(c.err, -EDEADLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_own_section_counts),
		cmocka_unit_test(the_list_is_read_with_the_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
