/* SPDX-License-Identifier: MIT */
/*
 * Sixty-four words looked at together (base/words.h) are what each of them is alone.
 */
#include "support/cmocka_all.h"

#include "base/words.h"
#include "support/random.h"

static uint64_t word[WORDS + 3];
static bool passed;

static struct words one_by_one(const uint64_t *at, unsigned int mask, unsigned int bit)
{
	struct words look = { .all = mask };

	for (unsigned int i = 0; i < WORDS; i++) {
		look.any |= at[i] & mask;
		look.all &= at[i] & mask;
		look.set |= (at[i] & mask) >> bit & 1 ? 1ULL << i : 0;
	}
	return look;
}

static void assert_looks(const uint64_t *at, unsigned int mask, unsigned int bit)
{
	const struct words is = words_look(at, mask, bit), want = one_by_one(at, mask, bit);

	assert_int_equal(is.set, want.set);
	assert_int_equal(is.any, want.any);
	assert_int_equal(is.all, want.all);
}

static void each_bit_of_each_word_is_found(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 15; bit++) {
		for (unsigned int i = 0; i < WORDS; i++) {
			word[i] = 1ULL << bit;
			assert_looks(word, 1U << bit, bit);
			assert_looks(word, 0x7fff, bit);
			word[i] = 0;
		}
	}
}

static void a_bit_that_one_word_lacks_is_not_in_all(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < WORDS; i++)
		word[i] = ~0ULL;
	for (unsigned int i = 0; i < WORDS; i++) {
		word[i] = ~0x10ULL;
		assert_looks(word, 0xa11, 4);
		assert_looks(word, 0x7fff, 11);
		word[i] = ~0ULL;
	}
}

/* At every distance from a multiple of 16 bytes, and whatever the bits are that nobody asks for. */
static void random_words_are_as_one_by_one(void **state)
{
	struct rng random;

	(void)state;
	rng_init(&random, test_seed());
	for (int round = 0; round < 2000; round++) {
		const unsigned int bit = (unsigned int)rng_below(&random, 15);
		const unsigned int mask = (unsigned int)rng_below(&random, 1 << 15);
		const uint64_t same = rng_next(&random);

		for (unsigned int i = 0; i < WORDS + 3; i++)
			word[i] = rng_below(&random, 4) ? same : rng_next(&random);
		assert_looks(word + rng_below(&random, 4), mask | 1U << bit, bit);
	}
	passed = true;
}

static int tell(void **state)
{
	(void)state;
	if (!passed)
		test_replay(test_seed());
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bit_of_each_word_is_found),
		cmocka_unit_test(a_bit_that_one_word_lacks_is_not_in_all),
		cmocka_unit_test_teardown(random_words_are_as_one_by_one, tell),
	};

	return cmocka_run_group_tests_name("unit/base/words", tests, NULL, NULL);
}
