/* SPDX-License-Identifier: MIT */
/*
 * FORK: the child's userfaultfd, from the fork until the handler has it or closes the parent's. As
 * tools/uffd_facts saw it on Linux 6.18, but for what happens on close before FORK is read (there
 * the fork sleeps for ever).
 */
#include "told.h"

#include "support/fork_steps.h"

static unsigned int userfaultfds(struct samara_mm *mm)
{
	const struct samara_uffd *uffd;
	unsigned int n = 0;

	spin_lock(&mm->watch.uffds.lock, RANK_MMS);
	list_for_each_entry(uffd, &mm->watch.uffds.head, in_mm)
		n++;
	spin_unlock(&mm->watch.uffds.lock);
	return n;
}

static void validate(struct samara_mm *mm)
{
	struct samara_report report = { 0 };

	if (samara_mm_validate(mm, &report))
		fail_msg("%s: %s", report.invariant, report.text);
}

static void a_fork_tells_and_the_child_has_its_own(void **state)
{
	struct fixture *f = *state;
	struct uffdio_api api = { .api = UFFD_API };
	struct samara_uffd *child;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	map_told(f->mm, t.handler[0], 6, 8);
	call_tells(&t, NULL, 0, "fork");
	assert_int_equal(samara_uffd_forked(t.handler[0], &t.last, &child), 0);
	assert_ptr_equal(child->mm, t.child);
	assert_true(child->flags & O_NONBLOCK);
	assert_int_equal(uffd_features(child), uffd_features(t.handler[0]));
	assert_int_equal(samara_uffd_ioctl(child, UFFDIO_API, &api), -EINVAL);
	assert_true(registered(t.child, 0) && registered(t.child, 6));
	assert_true(registered(f->mm, 0));
	assert_int_equal(userfaultfds(t.child), 1);
	validate(t.child);
	validate(f->mm);
	/* Each is about its own. */
	samara_uffd_put(t.handler[0]);
	assert_false(registered(f->mm, 0));
	assert_true(registered(t.child, 0));
	t.handler[0] = child;
	samara_uffd_put(child);
	assert_false(registered(t.child, 0));
	samara_mm_exit(t.child);
}

static void a_message_is_taken_once_and_where_it_was_read(void **state)
{
	struct fixture *f = *state;
	struct uffd_msg other = { .event = UFFD_EVENT_UNMAP };
	struct samara_uffd *child, *second;
	struct uffd_msg first;
	struct told t;

	told_open(&t, f);
	second = open_with(f->mm, EVENTS);
	map_told(f->mm, t.handler[0], 0, 4);
	call_tells(&t, NULL, 0, "fork");
	assert_int_equal(samara_uffd_forked(t.handler[0], &other, &child), -EINVAL);
	assert_int_equal(samara_uffd_forked(second, &t.last, &child), -ENOENT);
	first = t.last;
	samara_mm_exit(t.child);
	call_tells(&t, NULL, 0, "fork");
	assert_int_not_equal(first.arg.fork.ufd, t.last.arg.fork.ufd);
	assert_int_equal(samara_uffd_forked(t.handler[0], &t.last, &child), 0);
	assert_ptr_equal(child->mm, t.child);
	assert_int_equal(samara_uffd_forked(t.handler[0], &t.last, &child), -ENOENT);
	samara_uffd_put(child);
	/* The mm of the first has ended; the userfaultfd has not. */
	assert_int_equal(samara_uffd_forked(t.handler[0], &first, &child), 0);
	samara_uffd_put(child);
	samara_mm_exit(t.child);
	samara_uffd_put(second);
	told_close(&t);
}

static void handlers_are_told_in_the_order_of_addresses(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	t.handler[1] = open_with(f->mm, EVENTS);
	t.handler[2] = open_with(f->mm, EVENTS);
	map_told(f->mm, t.handler[1], 0, 2);
	map_told(f->mm, t.handler[0], 2, 4);
	map_told(f->mm, t.handler[0], 4, 6);
	map_told(f->mm, t.handler[2], 6, 8);
	assert_int_equal(samara_madvise(f->mm, AT(4), 2 * PAGE, MADV_WIPEONFORK), 0);
	assert_int_equal(samara_madvise(f->mm, AT(6), 2 * PAGE, MADV_DONTFORK), 0);
	call_tells(&t, NULL, 0, "b: fork, a: fork");
	assert_map(t.child, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	for (unsigned long n = 0; n < 6; n++)
		assert_true(registered(t.child, n));
	assert_int_equal(userfaultfds(t.child), 2);
	told_close(&t);
	assert_int_equal(userfaultfds(t.child), 0);
	for (unsigned long n = 0; n < 6; n++)
		assert_false(registered(t.child, n));
	samara_mm_exit(t.child);
}

static void without_the_feature_the_child_is_not_registered(void **state)
{
	struct fixture *f = *state;
	struct told t = { .f = f };

	t.handler[0] = open_with(f->mm, EVENTS & ~UFFD_FEATURE_EVENT_FORK);
	map_told(f->mm, t.handler[0], 0, 4);
	call_tells(&t, NULL, 0, "");
	assert_false(registered(t.child, 0));
	assert_int_equal(userfaultfds(t.child), 0);
	samara_mm_exit(t.child);
	told_close(&t);
}

static void closing_before_it_is_read_lets_the_fork_go_on(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	assert_true(call_begins(&t, NULL));
	samara_uffd_put(t.handler[0]);
	call_returns(&t.in_thread);
	assert_int_equal(t.ret, 0);
	assert_false(registered(t.child, 0));
	assert_int_equal(userfaultfds(t.child), 0);
	validate(t.child);
	samara_mm_exit(t.child);
}

static void closing_before_it_is_taken_closes_the_childs(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	call_tells(&t, NULL, 0, "fork");
	assert_true(registered(t.child, 0));
	told_close(&t);
	assert_false(registered(t.child, 0));
	samara_mm_exit(t.child);
}

/* Descendants wait in each other's queues. */
static void closing_goes_down_the_generations(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);
	struct samara_mm *mm[4] = { f->mm };

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 4);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(samara_fork(mm[i - 1], &mm[i]), 0);
		assert_int_equal(samara_munmap(mm[i], AT(i), PAGE), 0);
		assert_true(registered(mm[i], 0));
	}
	samara_mm_exit(mm[2]);
	samara_uffd_put(uffd);
	for (int i = 1; i < 4; i += 2) {
		assert_false(registered(mm[i], 0));
		validate(mm[i]);
		samara_mm_exit(mm[i]);
	}
}

static void a_child_that_exits_before_it_is_read_leaves_its_handle(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS), *child;
	struct uffdio_range range = { AT(0), PAGE };
	struct uffd_msg msg;
	struct samara_mm *mm;

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 4);
	assert_int_equal(samara_fork(f->mm, &mm), 0);
	samara_mm_exit(mm);
	assert_true(next_message(uffd, &msg));
	assert_int_equal(samara_uffd_forked(uffd, &msg, &child), 0);
	assert_int_equal(samara_uffd_ioctl(child, UFFDIO_UNREGISTER, &range), -ENOMEM);
	samara_uffd_put(uffd);
	samara_uffd_put(child);
}

static void list_is_empty_until_it_is_live(enum fork_step step, struct samara_mm *parent,
					   struct samara_mm *child)
{
	(void)parent, (void)step;
	assert_int_equal(userfaultfds(child), 0);
}

/* Interrupting, closing and exit walk the list; a fork may still fail. */
static void the_childs_is_in_no_list_before_it_is_live(void **state)
{
	struct fixture *f = *state;
	struct told t;

	wants_steps();
	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	at_fork_steps(list_is_empty_until_it_is_live);
	call_tells(&t, NULL, 0, "fork");
	at_fork_steps_end();
	assert_int_equal(userfaultfds(t.child), 1);
	told_close(&t);
	samara_mm_exit(t.child);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_fork_tells_and_the_child_has_its_own),
		T(a_message_is_taken_once_and_where_it_was_read),
		T(handlers_are_told_in_the_order_of_addresses),
		T(without_the_feature_the_child_is_not_registered),
		T(closing_before_it_is_read_lets_the_fork_go_on),
		T(closing_before_it_is_taken_closes_the_childs),
		T(closing_goes_down_the_generations),
		T(a_child_that_exits_before_it_is_read_leaves_its_handle),
		T(the_childs_is_in_no_list_before_it_is_live),
	};

	return cmocka_run_group_tests_name("unit/uffd/fork", tests, NULL, NULL);
}
