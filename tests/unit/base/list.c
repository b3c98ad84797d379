/* SPDX-License-Identifier: MIT */
/* The intrusive list (base/list.h). */
#include "support/cmocka_all.h"

#include "base/list.h"

struct item {
	int value;
	struct list_head link;
};

/* The list holds exactly these values, in both directions. */
static void expect(struct list_head *head, size_t n, const int *values)
{
	struct item *item;
	size_t i = 0;

	list_for_each_entry(item, head, link) {
		assert_true(i < n);
		assert_int_equal(item->value, values[i++]);
	}
	assert_int_equal(i, n);
	list_for_each_entry_reverse(item, head, link)
		assert_int_equal(item->value, values[--i]);
	assert_int_equal(i, 0);
	assert_int_equal(list_empty(head), n == 0);
	assert_int_equal(list_is_singular(head), n == 1);
}
#define EXPECT(head, ...) \
	expect(head, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

static struct item a, b, c, d;

static int fresh_items(void **state)
{
	a = (struct item){ .value = 1 };
	b = (struct item){ .value = 2 };
	c = (struct item){ .value = 3 };
	d = (struct item){ .value = 4 };
	return 0;
}

static void add_puts_first_and_add_tail_last(void **state)
{
	LIST_HEAD(head);

	expect(&head, 0, NULL);
	list_add(&b.link, &head);
	EXPECT(&head, 2);
	list_add(&a.link, &head);
	list_add_tail(&c.link, &head);
	EXPECT(&head, 1, 2, 3);
	assert_ptr_equal(list_first_entry(&head, struct item, link), &a);
	assert_ptr_equal(list_last_entry(&head, struct item, link), &c);
	assert_ptr_equal(list_next_entry(&a, link), &b);
	assert_ptr_equal(list_prev_entry(&c, link), &b);
	assert_true(list_is_last(&c.link, &head));
	assert_false(list_is_last(&b.link, &head));
}

static void del_unlinks_and_forgets(void **state)
{
	LIST_HEAD(head);

	list_add_tail(&a.link, &head);
	list_add_tail(&b.link, &head);
	list_add_tail(&c.link, &head);
	list_del(&b.link);
	assert_null(b.link.next);
	EXPECT(&head, 1, 3);
	list_del_init(&a.link);
	assert_true(list_empty(&a.link));
	list_del(&c.link);
	expect(&head, 0, NULL);
	assert_null(list_first_entry_or_null(&head, struct item, link));
}

static void move_and_replace(void **state)
{
	LIST_HEAD(head);
	LIST_HEAD(other);

	list_add_tail(&a.link, &head);
	list_add_tail(&b.link, &head);
	list_move(&b.link, &head);
	EXPECT(&head, 2, 1);
	list_move_tail(&b.link, &other);
	EXPECT(&head, 1);
	EXPECT(&other, 2);
	list_replace(&b.link, &c.link);
	EXPECT(&other, 3);
}

static void splice_keeps_order_and_empties_the_source(void **state)
{
	LIST_HEAD(head);
	LIST_HEAD(from);

	list_splice_init(&from, &head);
	expect(&head, 0, NULL);
	list_add_tail(&a.link, &head);
	list_add_tail(&b.link, &from);
	list_add_tail(&c.link, &from);
	list_splice_init(&from, &head);
	EXPECT(&head, 2, 3, 1);
	expect(&from, 0, NULL);
	list_add_tail(&d.link, &from);
	list_splice_tail_init(&from, &head);
	EXPECT(&head, 2, 3, 1, 4);
	expect(&from, 0, NULL);
}

static void safe_iteration_may_remove(void **state)
{
	struct item *item, *next;
	LIST_HEAD(head);

	list_add_tail(&a.link, &head);
	list_add_tail(&b.link, &head);
	list_add_tail(&c.link, &head);
	list_for_each_entry_safe(item, next, &head, link) {
		if (item->value != 2)
			list_del(&item->link);
	}
	EXPECT(&head, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(add_puts_first_and_add_tail_last, fresh_items),
		cmocka_unit_test_setup(del_unlinks_and_forgets, fresh_items),
		cmocka_unit_test_setup(move_and_replace, fresh_items),
		cmocka_unit_test_setup(splice_keeps_order_and_empties_the_source, fresh_items),
		cmocka_unit_test_setup(safe_iteration_may_remove, fresh_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
