/* SPDX-License-Identifier: MIT */
/*
 * What samara check makes of pages that may have left memory on one side: which differences are
 * none, and which are; and of which pages the bytes are not known.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "check/compare_pages.h"

#define AT WIRE_WINDOW
#define PRESENT SAMARA_PM_PRESENT
#define OWN SAMARA_PM_MMAP_EXCLUSIVE
#define FILE_PAGE SAMARA_PM_FILE
#define SWAP SAMARA_PM_SWAP
#define GUARD (SAMARA_PM_SWAP | SAMARA_PM_GUARD)

static const struct seen on = { .left = { .may = true, .area = true } };
static const struct seen off = { .left = { .may = true } };
static const struct seen dropped = { .left = { .may = true, .dropped = true } };

/* Two pages on each side, all bytes alike: an entry 0 is none that is told of. */
struct sides {
	uint64_t host[2], ours[2];
};

static size_t list(struct wire_page *to, const uint64_t entry[2])
{
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (entry[i])
			to[n++] = (struct wire_page){
				.at = AT + i * PAGE,
				.entry = entry[i],
				.sum = entry[i] & PRESENT ? 100 + i : 0,
			};
	return n;
}

static struct page_lists lists_of(const struct sides *s, struct wire_page page[2][2])
{
	static struct frames host, ours;

	host.round++;
	ours.round++;
	return (struct page_lists){
		.host = { page[0], list(page[0], s->host) },
		.ours = { page[1], list(page[1], s->ours) },
		.frames = { &host, &ours },
		.framed = true,
	};
}

static bool same(const struct sides *s, const struct seen *seen)
{
	struct wire_page page[2][2];
	struct page_lists lists = lists_of(s, page);
	struct difference d;

	return same_left_pages(&lists, seen, false, &d);
}

static void what_has_left_is_there_too(void **state)
{
	const struct sides left = { { PRESENT | OWN | 5, SWAP | 7 },
				    { SWAP | 3, PRESENT | OWN | 9 } };
	const struct sides gone = { { PRESENT | OWN | 5, SWAP | 7 }, { SWAP | 3 } };
	const struct sides guard = { { SWAP | 7 }, { GUARD } };
	const struct sides ours_left = { { PRESENT | OWN | 5 }, { SWAP | 7 } };
	const struct sides host_left = { { SWAP | 5 }, { PRESENT | OWN | 7 } };

	(void)state;
	assert_true(same(&left, &on));
	assert_false(same(&gone, &on));
	assert_false(same(&guard, &on));
	/* After swapoff nothing has left. */
	assert_false(same(&ours_left, &off));
	assert_true(same(&host_left, &off)); /* it is in another area */
}

static void a_files_page_may_be_mapped_on_one_side_only(void **state)
{
	const struct sides one = { { PRESENT | FILE_PAGE | 5 }, { 0 } };
	const struct sides other = { { 0 }, { PRESENT | FILE_PAGE | 5 } };
	const struct sides copied = { { PRESENT | FILE_PAGE | 5 }, { PRESENT | OWN | 5 } };
	const struct sides anonymous = { { PRESENT | OWN | 5 }, { 0 } };

	(void)state;
	assert_true(same(&one, &on));
	assert_true(same(&one, &off));
	assert_true(same(&other, &off));
	assert_false(same(&copied, &on));
	assert_false(same(&anonymous, &on));
	assert_false(same(&anonymous, &off));
}

static void sharing_is_compared_once_nothing_is_out(void **state)
{
	const struct sides shared = { { PRESENT | 5, PRESENT | 5 }, { PRESENT | 6, PRESENT | 7 } };
	const struct sides alike = { { PRESENT | 5, PRESENT | 5 }, { PRESENT | 9, PRESENT | 9 } };
	const struct sides own = { { PRESENT | OWN | 5 }, { PRESENT | 5 } };
	const struct sides file = { { PRESENT | FILE_PAGE | OWN | 5 },
				    { PRESENT | FILE_PAGE | 5 } };

	(void)state;
	assert_true(same(&shared, &on));
	assert_false(same(&shared, &off));
	assert_true(same(&shared, &dropped));
	assert_true(same(&alike, &off));
	assert_false(same(&own, &off));
	assert_true(same(&file, &off)); /* another mapping may have been taken away */
}

static void bytes_differ_unless_they_are_doubted(void **state)
{
	const struct sides both = { { PRESENT | OWN | 5 }, { PRESENT | OWN | 5 } };
	struct wire_page page[2][2];
	struct page_lists lists = lists_of(&both, page);
	struct difference d;

	(void)state;
	page[1][0].sum++;
	assert_false(same_left_pages(&lists, &on, false, &d));
	assert_false(same_left_pages(&lists, &dropped, false, &d));
	page[1][0].entry |= PM_DOUBT;
	assert_true(same_left_pages(&lists, &dropped, false, &d));
	page[1][0].entry = PM_DOUBT;
	assert_true(same_left_pages(&lists, &dropped, false, &d));
}

static void doubt_goes_with_whole_pages_only(void **state)
{
	struct doubt d = { .n = 0 };

	(void)state;
	doubt_add(&d, AT, AT + 4 * PAGE);
	assert_true(doubt_of(&d, AT + 3 * PAGE, AT + 4 * PAGE));
	assert_false(doubt_of(&d, AT + 4 * PAGE, AT + 5 * PAGE));
	doubt_remove(&d, AT + PAGE - 8, AT + 3 * PAGE - 8);
	assert_true(doubt_of(&d, AT, AT + PAGE));
	assert_false(doubt_of(&d, AT + PAGE, AT + 2 * PAGE));
	assert_true(doubt_of(&d, AT + 2 * PAGE, AT + 3 * PAGE));
	/* Rounded up, this would begin at 0. */
	doubt_remove(&d, -8UL, -8UL);
	doubt_remove(&d, -8UL, ~0UL);
	assert_true(doubt_of(&d, AT, AT + PAGE));
	doubt_copy(&d, AT + 2 * PAGE, 2 * PAGE, AT + 10 * PAGE);
	assert_true(doubt_of(&d, AT + 11 * PAGE, AT + 12 * PAGE));
	assert_false(doubt_of(&d, AT + 12 * PAGE, AT + 13 * PAGE));
}

static void more_doubts_than_can_be_kept_are_about_all(void **state)
{
	struct doubt d = { .n = 0 };

	(void)state;
	for (unsigned long i = 0; i < DOUBTS; i++)
		doubt_add(&d, AT + 2 * i * PAGE, AT + (2 * i + 1) * PAGE);
	assert_false(doubt_of(&d, AT + PAGE, AT + 2 * PAGE));
	doubt_add(&d, AT + 1000 * PAGE, AT + 1001 * PAGE);
	assert_true(doubt_of(&d, AT + PAGE, AT + 2 * PAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_left_is_there_too),
		cmocka_unit_test(a_files_page_may_be_mapped_on_one_side_only),
		cmocka_unit_test(sharing_is_compared_once_nothing_is_out),
		cmocka_unit_test(bytes_differ_unless_they_are_doubted),
		cmocka_unit_test(doubt_goes_with_whole_pages_only),
		cmocka_unit_test(more_doubts_than_can_be_kept_are_about_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
