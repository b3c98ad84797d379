/* SPDX-License-Identifier: MIT */
/*
 * How a guest's bytes are moved (base/bytes.h): by which steps, so that no aligned word is torn;
 * that all of them arrive, and none beside them.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "base/bytes.h"

#define AREA 512
#define FROM 64 /* where a range begins at the lowest */
#define MOST 200

static unsigned char guest[AREA] __aligned(64), other[AREA] __aligned(64), want[AREA];

/* The largest power of two that is aligned there and fits. */
static size_t step_at(size_t at, size_t n)
{
	size_t step = 8;

	while (at % step || step > n)
		step /= 2;
	return step;
}

static void fill(void)
{
	for (size_t i = 0; i < AREA; i++) {
		guest[i] = (unsigned char)(i * 7 + 1);
		other[i] = (unsigned char)(i * 13 + 5);
	}
}

static void a_step_is_the_largest_aligned_word_that_fits(void **state)
{
	(void)state;
	for (size_t at = 0; at < 32; at++) {
		for (size_t n = 1; n <= 20; n++) {
			/* The buffer's own address is any. */
			for (size_t buffer = 0; buffer < 9; buffer++) {
				void *g = guest + FROM + at, *b = other + FROM + buffer;

				fill();
				assert_int_equal(bytes_step(b, g, n, BYTES_FROM_GUEST),
						 step_at(at, n));
				assert_memory_equal(b, g, step_at(at, n));
				fill();
				assert_int_equal(bytes_step(g, b, n, BYTES_TO_GUEST),
						 step_at(at, n));
				assert_memory_equal(g, b, step_at(at, n));
			}
			fill();
			assert_int_equal(bytes_step(other + FROM + at, guest + FROM + at, n,
						    BYTES_BOTH),
					 step_at(at, n));
		}
	}
}

static void all_bytes_arrive_and_none_beside_them(void **state)
{
	(void)state;
	for (size_t at = FROM; at < FROM + 17; at++) {
		for (size_t n = 0; n < MOST; n++) {
			const size_t buffer = FROM + (at * 5 + n) % 19;

			fill();
			memcpy(want, other, AREA);
			memcpy(want + buffer, guest + at, n);
			bytes_load(other + buffer, guest + at, n);
			assert_memory_equal(other, want, AREA);

			fill();
			memcpy(want, guest, AREA);
			memcpy(want + at, other + buffer, n);
			bytes_store(guest + at, other + buffer, n);
			assert_memory_equal(guest, want, AREA);

			fill();
			memcpy(want, other, AREA);
			memcpy(want + at + 32, guest + at, n);
			bytes_copy(other + at + 32, guest + at, n);
			assert_memory_equal(other, want, AREA);

			fill();
			memcpy(want, guest, AREA);
			memset(want + at, 0, n);
			bytes_zero(guest + at, n);
			assert_memory_equal(guest, want, AREA);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_the_largest_aligned_word_that_fits),
		cmocka_unit_test(all_bytes_arrive_and_none_beside_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
