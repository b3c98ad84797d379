/* SPDX-License-Identifier: MIT */
/*
 * What stands in one argument of a traced call: numbers, sums of flags, fields
 * of structures, descriptors with their path, strings.
 *
 *	number := term (`|` term)*        flags; a comment may follow
 *	term   := factor (`*` factor | `<<` factor)*
 *	factor := digits | 0x.. | 0.. | -digits | NAME
 */
#include <errno.h>
#include <string.h>

#include "replay/strace_line.h"

bool slice_is(struct slice s, const char *word)
{
	return strlen(word) == s.len && memcmp(s.at, word, s.len) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Spaces and comments. */
static void skip_blank(struct slice *s)
{
	while (s->len) {
		if (*s->at == ' ' || *s->at == '\t') {
			s->at++;
			s->len--;
		} else if (s->len >= 2 && s->at[0] == '/' && s->at[1] == '*') {
			size_t i = 2;

			while (i + 1 < s->len && !(s->at[i] == '*' && s->at[i + 1] == '/'))
				i++;
			i = i + 2 < s->len ? i + 2 : s->len;
			s->at += i;
			s->len -= i;
		} else {
			break;
		}
	}
}

static int digit_of(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static int digits(struct slice word, unsigned long *out)
{
	unsigned long base = 10, value = 0;
	size_t i = 0;

	if (word.len > 2 && word.at[0] == '0' && (word.at[1] | 0x20) == 'x') {
		base = 16;
		i = 2;
	} else if (word.len > 1 && word.at[0] == '0') {
		base = 8;
		i = 1;
	}
	for (; i < word.len; i++) {
		unsigned long d = (unsigned long)digit_of(word.at[i]);

		if (d >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, d, &value))
			return -EINVAL;
	}
	*out = value;
	return 0;
}

static int factor(struct slice *s, unsigned long *out)
{
	struct slice word;
	bool minus = false;
	int err;

	skip_blank(s);
	if (s->len && *s->at == '-') {
		minus = true;
		s->at++;
		s->len--;
	}
	word.at = s->at;
	word.len = 0;
	while (word.len < s->len && is_word(word.at[word.len]))
		word.len++;
	if (!word.len)
		return -EINVAL;
	s->at += word.len;
	s->len -= word.len;
	if (is_digit(*word.at))
		err = digits(word, out);
	else if (slice_is(word, "NULL")) {
		*out = 0;
		err = 0;
	} else {
		err = trace_constant(word, out) ? -EINVAL : 0;
	}
	if (!err && minus)
		*out = -*out;
	skip_blank(s);
	return err;
}

static int term(struct slice *s, unsigned long *out)
{
	unsigned long next;
	int err = factor(s, out);

	while (!err && s->len) {
		if (*s->at == '*') {
			s->at++;
			s->len--;
			err = factor(s, &next);
			if (!err)
				*out *= next;
		} else if (s->len > 2 && s->at[0] == '<' && s->at[1] == '<') {
			s->at += 2;
			s->len -= 2;
			err = factor(s, &next);
			if (!err && next > 63)
				err = -EINVAL;
			if (!err)
				*out <<= next;
		} else {
			break;
		}
	}
	return err;
}

int trace_number(struct slice s, unsigned long *out)
{
	unsigned long next;
	int err = term(&s, out);

	while (!err && s.len && *s.at == '|') {
		s.at++;
		s.len--;
		err = term(&s, &next);
		if (!err)
			*out |= next;
	}
	return err ? err : s.len ? -EINVAL : 0;
}

int trace_field(struct slice s, const char *name, struct slice *out)
{
	size_t want = strlen(name), depth = 0, i = 0;

	for (; i < s.len; i++) {
		char c = s.at[i];

		if (c == '{' || c == '[' || c == '(')
			depth++;
		else if ((c == '}' || c == ']' || c == ')') && depth)
			depth--;
		if (depth > 1 || i + want >= s.len || memcmp(s.at + i, name, want) != 0)
			continue;
		if (s.at[i + want] != '=' || (i && is_word(s.at[i - 1])))
			continue;
		i += want + 1;
		out->at = s.at + i;
		for (depth = 0; i < s.len; i++) {
			c = s.at[i];
			if (c == '{' || c == '[' || c == '(')
				depth++;
			else if (depth == 0 && (c == ',' || c == '}' || c == ' '))
				break;
			else if ((c == '}' || c == ']' || c == ')') && depth)
				depth--;
		}
		out->len = (size_t)(s.at + i - out->at);
		return 0;
	}
	return -EINVAL;
}

/* One character after a backslash; s stands behind the backslash. */
static char unescape(const char *s, const char *end, size_t *used)
{
	static const char from[] = "nrtvfab\\\"", to[] = "\n\r\t\v\f\a\b\\\"";
	const char *hit;
	unsigned int value = 0;

	*used = 1;
	if (*s >= '0' && *s <= '7') {
		for (*used = 0; *used < 3 && s + *used < end; ++*used) {
			if (s[*used] < '0' || s[*used] > '7')
				break;
			value = value * 8 + (unsigned int)(s[*used] - '0');
		}
		return (char)value;
	}
	if (*s == 'x' && end - s >= 3 && digit_of(s[1]) < 16 && digit_of(s[2]) < 16) {
		*used = 3;
		return (char)(digit_of(s[1]) * 16 + digit_of(s[2]));
	}
	hit = memchr(from, *s, sizeof(from) - 1);
	return hit ? to[hit - from] : *s;
}

static void copy_unescaped(const char *s, const char *end, char *out, size_t size)
{
	size_t n = 0, used;

	while (s < end && n + 1 < size) {
		if (*s == '\\' && s + 1 < end) {
			out[n++] = unescape(s + 1, end, &used);
			s += 1 + used;
		} else {
			out[n++] = *s++;
		}
	}
	out[n] = '\0';
}

int trace_string(struct slice s, char *out, size_t size)
{
	size_t end = 1;

	if (s.len < 2 || *s.at != '"')
		return -EINVAL;
	while (end < s.len && s.at[end] != '"')
		end += s.at[end] == '\\' ? 2 : 1;
	if (end >= s.len)
		return -EINVAL;
	copy_unescaped(s.at + 1, s.at + end, out, size);
	return 0;
}

/* What -y wrote, </usr/lib/libc.so.6>, or -yy, </dev/null<char 1:3>>; behind it, or NULL. */
static const char *read_note(const char *at, const char *end, struct trace_fd *out)
{
	const char *stop = line_skip_note(at), *inner;

	if (!stop || stop > end)
		return NULL;
	/* A path's own < and > come escaped. */
	inner = memchr(at + 1, '<', (size_t)(stop - 1 - (at + 1)));
	copy_unescaped(at + 1, inner ? inner : stop - 1, out->path, sizeof(out->path));
	return stop;
}

int trace_fd(struct slice s, struct trace_fd *out)
{
	static const char deleted[] = "(deleted)";
	const char *at = s.at, *end = s.at + s.len;
	unsigned long value;

	out->path[0] = '\0';
	out->deleted = false;
	while (at < end && *at != '<' && *at != '[')
		at++;
	if (trace_number((struct slice){ s.at, (size_t)(at - s.at) }, &value))
		return -EINVAL;
	out->fd = (long)(int)value;
	while (at && at < end) {
		if (*at == ' ') {
			at++;
		} else if (*at == '<') {
			at = read_note(at, end, out);
		} else if (*at == '[') { /* --secontext */
			at = memchr(at, ']', (size_t)(end - at));
			at = at ? at + 1 : NULL;
		} else if ((size_t)(end - at) >= sizeof(deleted) - 1 &&
			   memcmp(at, deleted, sizeof(deleted) - 1) == 0) {
			out->deleted = true;
			at += sizeof(deleted) - 1;
		} else {
			return -EINVAL;
		}
	}
	return at ? 0 : -EINVAL;
}
