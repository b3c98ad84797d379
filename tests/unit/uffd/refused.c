/* SPDX-License-Identifier: MIT */
/*
 * Calls on registered memory with each allocation refused in turn. One that fails tells nothing and
 * leaves the map as it was, no page is kept from being filled, and a fork leaves nothing of a
 * child. One that succeeds in spite of it tells what it always tells.
 */
#include "told.h"

#include "support/inject_matrix.h"
#include "support/mm_text.h"

struct op {
	const char *name;
	int (*call)(struct fixture *f);
	const char *events; /* NULL: addresses differ */
	bool in_parts;      /* what is done before the failure stays done, and is told */
};

static struct samara_uffd *uffd[2];
static struct samara_mm *child;
static char before[MM_TEXT], after[MM_TEXT];

static int unmap_middle(struct fixture *f)
{
	return samara_munmap(f->mm, AT(1), PAGE);
}

static int unmap_several(struct fixture *f)
{
	return samara_munmap(f->mm, AT(2), 12 * PAGE);
}

static int map_over(struct fixture *f)
{
	return (int)err_of(samara_mmap(f->mm, AT(2), 8 * PAGE, RW,
				       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0));
}

static int map_file_over(struct fixture *f)
{
	return (int)err_of(
		samara_mmap(f->mm, AT(2), 8 * PAGE, RW, MAP_FIXED | MAP_SHARED, f->file, 0));
}

static int remap(struct fixture *f, unsigned long old_pages, unsigned long pages, int flags,
		 unsigned long to)
{
	return (int)err_of(
		samara_mremap(f->mm, AT(0), old_pages * PAGE, pages * PAGE, flags, AT(to)));
}

static int move(struct fixture *f)
{
	return remap(f, 3, 3, MREMAP_MAYMOVE | MREMAP_FIXED, 1000);
}

static int move_and_grow(struct fixture *f)
{
	return remap(f, 4, 40, MREMAP_MAYMOVE, 0);
}

static int move_over(struct fixture *f)
{
	return remap(f, 3, 3, MREMAP_MAYMOVE | MREMAP_FIXED, 7);
}

static int shrink(struct fixture *f)
{
	return remap(f, 6, 1, 0, 0);
}

static int shrink_and_move_over(struct fixture *f)
{
	return remap(f, 6, 1, MREMAP_MAYMOVE | MREMAP_FIXED, 13);
}

static int second_mapping(struct fixture *f)
{
	return (int)err_of(
		samara_mremap(f->mm, AT(12), 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(1000)));
}

static int dontneed(struct fixture *f)
{
	return samara_madvise(f->mm, AT(1), 11 * PAGE, MADV_DONTNEED);
}

static int hole(struct fixture *f)
{
	return samara_madvise(f->mm, AT(13), PAGE, MADV_REMOVE);
}

static int make_fork(struct fixture *f)
{
	return samara_fork(f->mm, &child);
}

#define OP(call_, ...) \
	{ \
		.name = #call_, .call = call_, .events = __VA_ARGS__ \
	}

static const struct op ops[] = {
	OP(unmap_middle, "a: unmap 1-2"),
	OP(unmap_several, "a: unmap 2-14, b: unmap 2-14"),
	OP(map_over, "a: unmap 2-10, b: unmap 2-10"),
	OP(map_file_over, "a: unmap 2-10, b: unmap 2-10"),
	OP(move, "a: remap 0>1000 len 3, a: unmap 0-3"),
	OP(move_and_grow, NULL),
	OP(move_over, "a: unmap 7-10, a: remap 0>7 len 3, a: unmap 0-3, b: unmap 7-10"),
	OP(shrink, "a: unmap 1-6, b: unmap 1-6"),
	OP(shrink_and_move_over,
	   "a: unmap 13-14, a: remap 0>13 len 1, a: unmap 1-6, a: unmap 0-1, b: unmap 1-6"),
	OP(second_mapping, "a: remap 12>1000 len 0"),
	OP(dontneed, "a: remove 1-4, a: remove 8-12, b: remove 4-8", .in_parts = true),
	OP(hole, "a: remove 13-14"),
	OP(make_fork, "a: fork, b: fork"),
};

/*
 * 0..4 a, 4..8 b, 8..12 a, which are private and written; 12..16 a, shared. Calls do not wait, so
 * the order holds for each userfaultfd.
 */
static void scene_up(struct fixture *f)
{
	for (int i = 0; i < 2; i++)
		uffd[i] = open_with(f->mm, EVENTS);
	samara_uffd_events_wait(f->mm, 0);
	map_pages(f->mm, 0, 12, RW, 0);
	map_file(f, 12, 16, RW, MAP_SHARED, 20);
	write_pages(f->mm, 0, 16);
	do_register(uffd[0], 0, 4);
	do_register(uffd[1], 4, 8);
	do_register(uffd[0], 8, 16);
}

static void scene_down(struct fixture *f)
{
	samara_mm_exit(child);
	child = NULL;
	for (int i = 0; i < 2; i++)
		samara_uffd_put(uffd[i]);
	samara_mm_exit(f->mm);
	assert_int_equal(samara_mm_create(f->machine, &f->mm), 0);
}

static void assert_told(const char *events)
{
	char text[512] = "", one[80];
	struct uffd_msg msg;

	for (int i = 0; i < 2; i++) {
		while (next_message(uffd[i], &msg)) {
			message_text(&msg, one, sizeof(one));
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%c: %s",
				 *text ? ", " : "", 'a' + i, one);
		}
		assert_false(uffd_changing(uffd[i]));
	}
	if (events)
		assert_string_equal(text, events);
}

static void failed(struct fixture *f, const struct op *op, unsigned long live)
{
	assert_int_equal(mm_text(f->mm, samara_print_smaps, after), 0);
	if (op->in_parts)
		assert_told(NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(unread(uffd[i]), 0);
		assert_false(uffd_changing(uffd[i]));
	}
	if (op->in_parts)
		return;
	assert_string_equal(after, before);
	assert_null(child);
	/* mremap keeps page tables that it has made. */
	assert_true(op->call != make_fork || samara_live_objects() == live);
}

/* Returns how many allocations it asked for. */
static unsigned long try(struct fixture *f, const struct op *op, enum inject_how how,
			 unsigned long nth)
{
	unsigned long asked, live;
	int err;

	scene_up(f);
	assert_int_equal(mm_text(f->mm, samara_print_smaps, before), 0);
	live = samara_live_objects();
	inject_arm(how, nth);
	err = op->call(f);
	asked = inject_disarm(err ? INJECT_FAILED : INJECT_SUCCEEDED);
	if (err) {
		assert_int_equal(err, -ENOMEM);
		failed(f, op, live);
		assert_int_equal(op->call(f), 0);
	}
	assert_told(op->events);
	scene_down(f);
	return asked;
}

static void each_allocation_in_turn(void **state)
{
	const struct op *op = *state;
	struct fixture *f;
	void *fixture;

	assert_int_equal(fixture_up(&fixture), 0);
	f = fixture;
	for (int how = INJECT_ONCE; how <= INJECT_ON; how++) {
		unsigned long nth = 1;

		while (try(f, op, how, nth) >= nth)
			nth++;
		assert_true(nth > 1);
	}
	assert_int_equal(fixture_down(&fixture), 0);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(ops)];

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		tests[i] = (struct CMUnitTest){ .name = ops[i].name,
						.test_func = each_allocation_in_turn,
						.initial_state = (void *)&ops[i] };
	return inject_matrix("unit/uffd/refused",
			     cmocka_run_group_tests_name("unit/uffd/refused", tests, NULL, NULL));
}
