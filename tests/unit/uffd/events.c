/* SPDX-License-Identifier: MIT */
/*
 * Events that no thread reads for a while: what ends the wait, and calls that do not wait.
 */
#include "told.h"

#include <poll.h>

#define MOST UFFD_EVENTS_MOST

static long unmap_0(struct fixture *f)
{
	return samara_munmap(f->mm, AT(0), PAGE);
}

static void closing_lets_the_call_go_on(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	assert_true(call_begins(&t, unmap_0));
	assert_true(uffd_changing(t.handler[0]));
	samara_uffd_put(t.handler[0]);
	call_returns(&t.in_thread);
	assert_int_equal(t.ret, 0);
	assert_map(f->mm, "1-4 rw-p");
	assert_false(registered(f->mm, 1));
}

static long move_over(struct fixture *f)
{
	return err_of(samara_mremap(f->mm, AT(0), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				    AT(2)));
}

/* Several events of one call, the first of them queued, when its userfaultfd closes. */
static void closing_ends_what_is_not_queued_yet(void **state)
{
	struct fixture *f = *state;
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	assert_true(call_begins(&t, move_over));
	samara_uffd_put(t.handler[0]);
	call_returns(&t.in_thread);
	assert_int_equal(t.ret, 0);
}

/* Other calls on the mm go on, and registering does; only filling is told to wait. */
static void no_lock_is_held_while_it_waits(void **state)
{
	struct fixture *f = *state;
	struct uffdio_range range = { AT(2), PAGE };
	struct told t;

	told_open(&t, f);
	map_told(f->mm, t.handler[0], 0, 4);
	assert_true(call_begins(&t, unmap_0));
	assert_int_equal(samara_mprotect(f->mm, AT(1), PAGE, PROT_READ), 0);
	assert_int_equal(samara_uffd_ioctl(t.handler[0], UFFDIO_UNREGISTER, &range), 0);
	do_register(t.handler[0], 2, 3);
	assert_true(uffd_changing(t.handler[0]));
	call_ends(&t);
	assert_string_equal(t.text, "unmap 0-1");
	told_close(&t);
}

static void a_message_outlives_its_mm(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd;
	struct samara_mm *mm;
	struct uffd_msg msg;

	assert_int_equal(samara_mm_create(f->machine, &mm), 0);
	samara_uffd_events_wait(mm, 0);
	uffd = open_with(mm, EVENTS);
	map_told(mm, uffd, 0, 4);
	assert_int_equal(samara_munmap(mm, AT(0), PAGE), 0);
	samara_mm_exit(mm);
	assert_true(next_message(uffd, &msg));
	assert_int_equal(msg.event, UFFD_EVENT_UNMAP);
	assert_false(next_message(uffd, &msg));
	assert_false(uffd_changing(uffd));
	samara_uffd_put(uffd);
}

/* calls that do not wait ----------------------------------------------------------- */

static void order_stays_and_filling_waits(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);
	static const char *const texts[] = { "unmap 0-1", "remove 1-2", "remap 2>40 len 2",
					     "unmap 2-4", "remove 8-9", "remove 9-10" };
	struct uffd_msg msg;
	char text[80];

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 12);
	assert_int_equal(samara_mprotect(f->mm, AT(9), PAGE, PROT_READ), 0);
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	assert_int_equal(samara_madvise(f->mm, AT(1), PAGE, MADV_DONTNEED), 0);
	assert_int_equal(err_of(samara_mremap(f->mm, AT(2), 2 * PAGE, 2 * PAGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, AT(40))),
			 0);
	assert_int_equal(samara_madvise(f->mm, AT(8), 2 * PAGE, MADV_DONTNEED), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(uffd_changing(uffd));
		assert_true(next_message(uffd, &msg));
		message_text(&msg, text, sizeof(text));
		assert_string_equal(text, texts[i]);
	}
	assert_false(uffd_changing(uffd));
	assert_false(next_message(uffd, &msg));
	samara_uffd_put(uffd);
}

static bool readable(struct samara_uffd *uffd)
{
	struct pollfd p = { .fd = samara_uffd_fd(uffd), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void the_descriptor_is_readable_while_one_is_unread(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);
	struct uffd_msg msg[3];

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 4);
	assert_false(readable(uffd));
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	assert_true(readable(uffd));
	assert_int_equal(samara_munmap(f->mm, AT(1), PAGE), 0);
	assert_map(f->mm, "2-4 rw-p");
	assert_true(next_message(uffd, &msg[0]));
	assert_true(readable(uffd));
	assert_true(next_message(uffd, &msg[0]));
	assert_false(readable(uffd));
	for (int i = 2; i < 4; i++)
		assert_int_equal(samara_munmap(f->mm, AT(i), PAGE), 0);
	assert_int_equal(samara_uffd_read(uffd, msg, 3), 2 * sizeof(msg[0]));
	assert_false(readable(uffd));
	samara_uffd_put(uffd);
}

static void one_too_many_is_refused_and_nothing_changes(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);
	struct samara_mm *child = NULL;
	struct uffd_msg msg;

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 8);
	for (unsigned int i = 0; i < MOST; i++)
		assert_int_equal(samara_madvise(f->mm, AT(0), PAGE, MADV_DONTNEED), 0);
	assert_int_equal(samara_madvise(f->mm, AT(1), PAGE, MADV_DONTNEED), -ENOMEM);
	assert_int_equal(samara_munmap(f->mm, AT(1), PAGE), -ENOMEM);
	assert_int_equal(err_of(samara_mremap(f->mm, AT(2), 2 * PAGE, 2 * PAGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, AT(40))),
			 -ENOMEM);
	assert_int_equal(err_of(samara_mmap(f->mm, AT(2), PAGE, RW,
					    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0)),
			 -ENOMEM);
	assert_int_equal(samara_fork(f->mm, &child), -ENOMEM);
	assert_map(f->mm, "0-8 rw-p");
	assert_int_equal(unread(uffd), MOST);
	/* mremap tells two. */
	assert_true(next_message(uffd, &msg));
	assert_int_equal(err_of(samara_mremap(f->mm, AT(2), 2 * PAGE, 2 * PAGE,
					      MREMAP_MAYMOVE | MREMAP_FIXED, AT(40))),
			 -ENOMEM);
	assert_map(f->mm, "0-8 rw-p");
	assert_int_equal(samara_munmap(f->mm, AT(1), PAGE), 0);
	assert_int_equal(unread(uffd), MOST);
	samara_uffd_put(uffd);
}

static void assert_broken(struct samara_mm *mm, const char *invariant)
{
	struct samara_report report = { 0 };

	assert_int_not_equal(samara_mm_validate(mm, &report), 0);
	assert_string_equal(report.invariant, invariant);
}

static void the_validator_counts_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);
	struct uffd_event *event;

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 4);
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	uffd->changing--;
	assert_broken(f->mm, "uffd_changing");
	uffd->changing++;
	event = list_first_entry(&uffd->q.events, struct uffd_event, in);
	event->msg.event = UFFD_EVENT_FORK;
	assert_broken(f->mm, "uffd_event");
	event->msg.event = UFFD_EVENT_UNMAP;
	uffd->changing++;
	assert_broken(f->mm, "uffd_changing");
	uffd->changing--;
	uffd->closing = true;
	assert_broken(f->mm, "uffd_vma");
	uffd->closing = false;
	uffd->q.closed = true;
	assert_broken(f->mm, "uffd_vma");
	uffd->q.closed = false;
	assert_map(f->mm, "1-4 rw-p");
	samara_uffd_put(uffd);
}

static void what_is_closed_has_nothing_to_read(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd = open_with(f->mm, EVENTS);

	samara_uffd_events_wait(f->mm, 0);
	map_told(f->mm, uffd, 0, 4);
	assert_int_equal(samara_munmap(f->mm, AT(0), PAGE), 0);
	assert_true(uffd->q.readable);
	uffd_get(uffd);
	samara_uffd_put(uffd);
	assert_false(uffd->q.readable);
	uffd_put(uffd);
}

static void a_child_does_as_its_parent(void **state)
{
	struct fixture *f = *state;
	struct samara_uffd *uffd;
	struct samara_mm *child;

	samara_uffd_events_wait(f->mm, 0);
	assert_int_equal(samara_fork(f->mm, &child), 0);
	uffd = open_with(child, EVENTS);
	map_told(child, uffd, 0, 4);
	assert_int_equal(samara_munmap(child, AT(0), PAGE), 0);
	assert_int_equal(unread(uffd), 1);
	samara_uffd_put(uffd);
	samara_mm_exit(child);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(closing_lets_the_call_go_on),
		T(closing_ends_what_is_not_queued_yet),
		T(no_lock_is_held_while_it_waits),
		T(a_message_outlives_its_mm),
		T(order_stays_and_filling_waits),
		T(the_descriptor_is_readable_while_one_is_unread),
		T(one_too_many_is_refused_and_nothing_changes),
		T(the_validator_counts_what_is_queued),
		T(what_is_closed_has_nothing_to_read),
		T(a_child_does_as_its_parent),
	};

	return cmocka_run_group_tests_name("unit/uffd/events", tests, NULL, NULL);
}
