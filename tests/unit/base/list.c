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
	for (struct list_head *at = head->prev; at != head; at = at->prev) {
		assert_true(i > 0);
		assert_int_equal(container_of(at, struct item, link)->value, values[--i]);
	}
	assert_int_equal(i, 0);
}
#define EXPECT(head, ...) \
	expect(head, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

static struct item a, b, c;

static int fresh_items(void **state)
{
	a = (struct item){ .value = 1 };
	b = (struct item){ .value = 2 };
	c = (struct item){ .value = 3 };
	return 0;
}

static void add_tail_keeps_order(void **state)
{
	LIST_HEAD(head);

	expect(&head, 0, NULL);
	list_add_tail(&b.link, &head);
	EXPECT(&head, 2);
	list_add_tail(&a.link, &head);
	list_add_tail(&c.link, &head);
	EXPECT(&head, 2, 1, 3);
}

static void del_unlinks_and_forgets(void **state)
{
	LIST_HEAD(head);

	list_add_tail(&a.link, &head);
	list_add_tail(&b.link, &head);
	list_add_tail(&c.link, &head);
	list_del(&b.link);
	assert_null(b.link.next);
	assert_null(b.link.prev);
	EXPECT(&head, 1, 3);
	list_del(&a.link);
	EXPECT(&head, 3);
	list_del(&c.link);
	expect(&head, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(add_tail_keeps_order, fresh_items),
		cmocka_unit_test_setup(del_unlinks_and_forgets, fresh_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
