/* SPDX-License-Identifier: MIT */
/*
 * Lines without what others have put on them, and text made fit for a terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "clean.h"
#include "replay/input.h"

static void lines_are_undressed(void **state)
{
	static const struct {
		const char *line, *want;
	} cases[] = {
		{ "7  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		{ "7  brk(NULL) = 0x1000\r", "7  brk(NULL) = 0x1000" },
		{ "7  brk(NULL) = 0x1000 \t\r\r", "7  brk(NULL) = 0x1000" },
		{ "> 7  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		{ ">> > 7  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		{ " > /lib/libc.so.6(mmap+0x8) [0x20ca3]",
		  " > /lib/libc.so.6(mmap+0x8) [0x20ca3]" },
		{ "\033[1;31m7\033[0m  brk\033[K(NULL) = 0x1000\033[m", "7  brk(NULL) = 0x1000" },
		{ "\033[38;5;12m\033[4:3m7\033[?25h  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		{ "\033]0;title\a7  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		{ "\033]8;;http://x\033\\7\033]8;;\033\\  brk(NULL) = 0x1000",
		  "7  brk(NULL) = 0x1000" },
		{ "\033(B7  brk(NULL) = 0x1000", "7  brk(NULL) = 0x1000" },
		/* a sequence that does not end hides nothing */
		{ "\033]0;7  brk(NULL) = 0x1000", "0;7  brk(NULL) = 0x1000" },
		{ "7  brk(NULL) = 0x1000\033", "7  brk(NULL) = 0x1000" },
		{ "7  brk(NULL) = 0x1000\033[", "7  brk(NULL) = 0x1000" },
		{ "\033\033[1m", "" },
		{ "", "" },
		{ ">", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *copy = strdup(cases[i].line); /* of its own size: an overrun shows */

		assert_non_null(copy);
		assert_string_equal(line_undress(copy), cases[i].want);
		free(copy);
	}
}

static void only_what_prints_reaches_a_terminal(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "plain \\ \"text\" ~", "plain \\ \"text\" ~" },
		{ "\033[31mred", "\\033[31mred" },
		{ "a\nb\tc\x7f", "a\\012b\\011c\\177" },
		{ "caf\303\251 \342\202\254 \360\237\230\200",
		  "caf\303\251 \342\202\254 \360\237\230\200" },
		{ "\302\2331m", "\\302\\2331m" },        /* C1's CSI, in UTF-8 */
		{ "\2331m", "\\2331m" },                 /* and in Latin-1 */
		{ "\342\200\256x", "\\342\\200\\256x" }, /* right-to-left override */
		{ "\301\200\355\240\200", "\\301\\200\\355\\240\\200" }, /* overlong, surrogate */
		{ "\364\220\200\200", "\\364\\220\\200\\200" },          /* above U+10FFFF */
		{ "x\303", "x\\303" },                                   /* cut off */
	};
	char out[100], *copy;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *want = cases[i].want;

		assert_string_equal(clean(cases[i].text, out, sizeof(out)), want);
		copy = clean_copy(cases[i].text);
		assert_non_null(copy);
		assert_string_equal(copy, want);
		free(copy);
	}
}

static void no_byte_passes_that_could_begin_a_sequence(void **state)
{
	char text[256], out[1100];
	size_t n;

	(void)state;
	for (int i = 0; i < 256; i++)
		text[i] = (char)i;
	n = clean_text(text, sizeof(text), out, sizeof(out));
	assert_int_equal(n, strlen(out));
	for (size_t i = 0; i < n; i++)
		assert_in_range((unsigned char)out[i], 0x20, 0x7e);
}

static void a_cut_is_between_characters(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(clean_text("abcdef\303\251", 8, out, sizeof(out)), 6);
	assert_string_equal(out, "abcdef");
	assert_int_equal(clean_text("abcd\033", 5, out, sizeof(out)), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(clean_text("abc\033", 4, out, sizeof(out)), 7);
	assert_string_equal(out, "abc\\033");
	assert_int_equal(clean_text("abc", 3, out, 1), 0);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_undressed),
		cmocka_unit_test(only_what_prints_reaches_a_terminal),
		cmocka_unit_test(no_byte_passes_that_could_begin_a_sequence),
		cmocka_unit_test(a_cut_is_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
