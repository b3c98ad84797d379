/* SPDX-License-Identifier: MIT */
/*
 * The parser of strace's output, on anything. The input is split into lines;
 * each is undressed, parsed and, where it is a call, decoded; what stands behind
 * a call is parsed in its turn. What comes out must point into what went in,
 * which the sanitizers see when every byte is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "replay/arch.h"
#include "replay/input.h"

static volatile unsigned int sum;

static void read_all(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.at[i];
}

static void one_call(const struct trace_event *ev)
{
	static struct call call;
	unsigned long recorded = ev->result.value;
	bool in_pages = false;
	char text[64], why[120] = "";

	if (call_decode(ev, &call, why) == 0) {
		sum += (unsigned int)strlen(call.source.file.path) +
		       (unsigned int)strlen(call.left_out);
		for (int arch = 0; arch < ARCH_NR; arch++)
			arch_settle((enum arch)arch, &call, &recorded, &in_pages);
	} else if (!why[0]) {
		abort();
	}
	if (ev->call.nr_args && trace_string(ev->call.args[0], text, sizeof(text)) == 0)
		sum += (unsigned int)strlen(text);
}

/* The clean form has nothing in it that a terminal obeys. */
static void print(const char *text)
{
	char *out = clean_copy(text);

	for (const unsigned char *c = (unsigned char *)out; c && *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			abort();
	free(out);
}

/* One event; a copy of what stands behind it, or NULL. */
static char *one_event(struct trace_parser *p, const char *line)
{
	struct trace_event ev;
	char why[120] = "";

	if (trace_parse(p, line, 0, &ev, why)) {
		struct tally names = { .nr = 0 };

		if (!why[0])
			abort(); /* a refusal without a reason */
		print(why);
		call_mentions(line, &names);
		return NULL;
	}
	read_all(ev.call.name);
	if (ev.call.nr_args > TRACE_MAX_ARGS)
		abort();
	for (unsigned int i = 0; i < ev.call.nr_args; i++)
		read_all(ev.call.args[i]);
	if (ev.kind == TRACE_CALL || ev.kind == TRACE_ENTRY)
		one_call(&ev);
	return ev.rest ? strdup(ev.rest) : NULL;
}

static void one_line(struct trace_parser *p, char *line)
{
	char *text = line_undress(line), *held = NULL;

	print(text);
	for (int i = 0; text && i < 64; i++) {
		text = one_event(p, text);
		free(held);
		held = text;
	}
	free(held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_parser *p = trace_parser_new();
	char *text = malloc(size + 1), *line, *next;

	if (p && text) {
		memcpy(text, data, size);
		text[size] = '\0';
		sum += arch_of_text(text, size, -1);
		for (line = text; line; line = next) {
			char *copy;

			next = strchr(line, '\n');
			if (next)
				*next++ = '\0';
			copy = strdup(line); /* of its own size: an overrun shows */
			if (copy)
				one_line(p, copy);
			free(copy);
		}
	}
	free(text);
	trace_parser_free(p);
	return 0;
}
