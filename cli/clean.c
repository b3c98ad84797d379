/* SPDX-License-Identifier: MIT */
/*
 * Foreign text made fit for a terminal.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"

#define CLEAN_MAX 16 /* what one character becomes at most: four bytes as \ooo */

/* The bytes of the UTF-8 character at s and its number; 0: it is none. */
static size_t decode(const unsigned char *s, size_t len, unsigned int *out)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80     ? 1 :
		   s[0] >> 5 == 6  ? 2 :
		   s[0] >> 4 == 14 ? 3 :
		   s[0] >> 3 == 30 ? 4 :
				     0;

	if (!n || n > len)
		return 0;
	*out = n == 1 ? s[0] : s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		*out = *out << 6 | (s[i] & 0x3f);
	}
	if (*out < least[n] || *out > 0x10ffff || (*out >= 0xd800 && *out < 0xe000))
		return 0;
	return n;
}

static bool is_harmless(unsigned int c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	/* line and paragraph separators, and the marks of direction */
	return !((c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
		 c == 0x200f || c == 0x61c || c == 0xfeff);
}

/* The clean form of the first character into out; how many bytes of s it was. */
static size_t clean_one(const unsigned char *s, size_t len, char out[CLEAN_MAX], size_t *used)
{
	unsigned int c = 0;
	size_t n = decode(s, len, &c);

	if (n && is_harmless(c)) {
		memcpy(out, s, n);
		*used = n;
		return n;
	}
	n = n ? n : 1;
	*used = 0;
	for (size_t i = 0; i < n; i++) {
		out[(*used)++] = '\\';
		out[(*used)++] = (char)('0' + (s[i] >> 6));
		out[(*used)++] = (char)('0' + (s[i] >> 3 & 7));
		out[(*used)++] = (char)('0' + (s[i] & 7));
	}
	return n;
}

size_t clean_text(const char *text, size_t len, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	char one[CLEAN_MAX];
	size_t n = 0, used;

	if (!size)
		return 0;
	while (len) {
		size_t took = clean_one(s, len, one, &used);

		if (n + used >= size)
			break;
		memcpy(out + n, one, used);
		n += used;
		s += took;
		len -= took;
	}
	out[n] = '\0';
	return n;
}

const char *clean(const char *text, char *out, size_t size)
{
	clean_text(text, strlen(text), out, size);
	return out;
}

char *clean_copy(const char *text)
{
	size_t len = strlen(text), size = 4 * len + 1;
	char *out = malloc(size);

	if (out)
		clean_text(text, len, out, size);
	return out;
}

void clean_put(const char *text, size_t len, FILE *to)
{
	const unsigned char *s = (const unsigned char *)text;
	char one[CLEAN_MAX];
	size_t used;

	while (len) {
		size_t took = clean_one(s, len, one, &used);

		fwrite(one, 1, used, to);
		s += took;
		len -= took;
	}
}
