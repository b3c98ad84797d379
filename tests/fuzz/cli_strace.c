/* SPDX-License-Identifier: MIT */
/*
 * The parser of strace's output, on anything. The input is split into lines;
 * each is parsed and, where it is a call, decoded. What comes out must point
 * into what went in, which the sanitizers see when every byte is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "replay/call.h"

static volatile unsigned int sum;

static void read_all(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.at[i];
}

static void one_line(struct trace_parser *p, const char *line)
{
	static struct call call;
	struct trace_event ev;
	char why[120] = "";

	if (trace_parse(p, line, 0, &ev, why)) {
		if (!why[0])
			abort(); /* a refusal without a reason */
		return;
	}
	read_all(ev.call);
	if (ev.nr_args > TRACE_MAX_ARGS)
		abort();
	for (unsigned int i = 0; i < ev.nr_args; i++)
		read_all(ev.args[i]);
	if (ev.kind == TRACE_CALL || ev.kind == TRACE_ENTRY) {
		char text[64];

		if (call_decode(&ev, &call, why) == 0)
			sum += (unsigned int)strlen(call.file.path);
		if (ev.nr_args && trace_string(ev.args[0], text, sizeof(text)) == 0)
			sum += (unsigned int)strlen(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_parser *p = trace_parser_new();
	char *text = malloc(size + 1), *line, *next;

	if (p && text) {
		memcpy(text, data, size);
		text[size] = '\0';
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
