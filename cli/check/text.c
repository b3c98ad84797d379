/* SPDX-License-Identifier: MIT */
/*
 * Calls as text and back:
 *
 *   mmap(W+0x3000, 0x1000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W+0x3000
 *   munmap(W+0x3000, 0xfff) = -EINVAL
 *   store(W+0x3ffe, 4, 1) = 2 SIGSEGV 1 W+0x4000
 *   1: peek(W) = asleep
 *
 * W is where the window of addresses begins (0x400000000000). Numbers are
 * decimal or 0x...; flags are names joined with |, a rest as a number. An access
 * that was stopped tells signal, si_code and address behind its answer, a request of a userfaultfd
 * what it wrote, a read the messages. A number with a colon is the lane that makes the call (0).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "check/names.h"

void fault_text(const struct samara_fault *fault, char *buf, size_t size)
{
	char addr[32];

	number_text(fault->addr, addr, sizeof(addr));
	if (!fault->signo && !fault->code)
		snprintf(buf, size, "%s", "");
	else if (fault->signo)
		snprintf(buf, size, "SIG%s %d %s", sigabbrev_np(fault->signo), fault->code, addr);
	else
		snprintf(buf, size, "no memory %s", addr);
}

void number_text(unsigned long value, char *buf, size_t size)
{
	const unsigned long window = value - WIRE_WINDOW;

	if (value == ~0UL)
		snprintf(buf, size, "-1");
	else if (window == 0)
		snprintf(buf, size, "W");
	else if (window < MAX_WINDOW * PAGE)
		snprintf(buf, size, "W+%#lx", window);
	else
		snprintf(buf, size, value < 10 ? "%lu" : "%#lx", value);
}

bool number_parse(const char *text, unsigned long *out)
{
	unsigned long base = 0;
	char *end;

	if (*text == 'W') {
		base = WIRE_WINDOW;
		if (!*++text) {
			*out = base;
			return true;
		}
		if (*text++ != '+' || *text == '-')
			return false;
	}
	errno = 0;
	*out = strtoul(text, &end, 0) + base;
	return !errno && end != text && !*end;
}

void answer_text(long ret, char *buf, size_t size)
{
	const char *name = SAMARA_IS_ERR_VALUE(ret) ? error_name(-ret) : NULL;

	if (ret == WIRE_ASLEEP)
		snprintf(buf, size, "asleep");
	else if (name)
		snprintf(buf, size, "-%s", name);
	else
		number_text((unsigned long)ret, buf, size);
}

static void flags_text(const struct flag_name *table, unsigned long value, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (const struct flag_name *f = table; f->text && len < size; f++) {
		if (!f->value || (value & f->value) != f->value)
			continue;
		value &= ~f->value;
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? "|" : "", f->text);
	}
	if ((value || !len) && len < size)
		snprintf(buf + len, size - len, len ? "|%#lx" : "%lu", value);
}

static void arg_text(enum arg_kind kind, unsigned long value, char *buf, size_t size)
{
	const struct flag_name *table = names_of(kind);

	if (kind == ARG_FD && value - WIRE_FD_FILE < FILES) {
		snprintf(buf, size, "%s", file_names[value - WIRE_FD_FILE]);
		return;
	}
	if (table && !is_one_of(kind)) {
		flags_text(table, value, buf, size);
		return;
	}
	for (; table && table->text; table++)
		if (table->value == value) {
			snprintf(buf, size, "%s", table->text);
			return;
		}
	number_text(value, buf, size);
}

void op_text(const struct wire_op *op, char *buf, size_t size)
{
	const struct call_info *call = &calls[call_of(op->nr)];
	const unsigned int lane = op_lane(op);
	size_t len = lane ? (size_t)snprintf(buf, size, "%u: ", lane) : 0;
	char arg[400];

	len += (size_t)snprintf(buf + len, size - len, "%s(", call->name);
	for (int i = 0; i < call->args && len < size; i++) {
		arg_text(call->kind[i], op->arg[i], arg, sizeof(arg));
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", arg);
	}
	if (len < size)
		snprintf(buf + len, size - len, ")");
}

static bool flag_parse(const struct flag_name *table, const char *word, unsigned long *out)
{
	for (; table && table->text; table++)
		if (!strcmp(table->text, word)) {
			*out |= table->value;
			return true;
		}
	return false;
}

static bool arg_parse(enum arg_kind kind, char *text, unsigned long *out)
{
	const struct flag_name *table = names_of(kind);
	char *rest = text, *word;

	for (unsigned long i = 0; kind == ARG_FD && i < FILES; i++)
		if (!strcmp(text, file_names[i])) {
			*out = WIRE_FD_FILE + i;
			return true;
		}
	*out = 0;
	if (!strcmp(text, "-1")) {
		*out = ~0UL;
		return true;
	}
	while ((word = strsep(&rest, "|"))) {
		unsigned long number;

		if (flag_parse(table, word, out))
			continue;
		if (!number_parse(word, &number))
			return false;
		*out |= number;
	}
	return true;
}

static bool answer_parse(const char *text, long *ret)
{
	unsigned long value;

	if (!strcmp(text, "asleep")) {
		*ret = WIRE_ASLEEP;
		return true;
	}
	for (long err = 1; *text == '-' && err < ERRORS; err++) {
		const char *name = error_name(err);

		if (name && !strcmp(name, text + 1)) {
			*ret = -err;
			return true;
		}
	}
	if (!number_parse(text, &value))
		return false;
	*ret = (long)value;
	return true;
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

static const char *args_parse(const struct call_info *call, char *args, struct wire_op *op)
{
	char *rest = *trim(args) ? args : NULL, *word;
	int n = 0;

	while ((word = strsep(&rest, ","))) {
		unsigned long value = 0;

		if (n == call->args)
			return "too many arguments";
		if (!arg_parse(call->kind[n], trim(word), &value))
			return "an argument that is neither number nor name";
		op->arg[n++] = value;
	}
	return n < call->args ? "too few arguments" : NULL;
}

static void answer_split(char *text, struct answer *answer, char **ret)
{
	*ret = trim(text);
	text = *ret + strcspn(*ret, " ");
	if (!*text)
		return;
	*text++ = '\0';
	snprintf(answer->detail, sizeof(answer->detail), "%s", trim(text));
}

/*
 * What is walked through here, not by the kernel or the library, and so has no end but
 * this: bytes of an access, or mappings of a crowd.
 */
#define BYTES_MOST (16UL << 20)
#define CROWD_MOST (1UL << 20)

/* NULL, or why op would cost too much. */
static const char *too_much(const struct wire_op *op)
{
	switch (op->nr) {
	case OP_STORE:
	case OP_LOAD:
	case OP_SURVEY:
		return op->arg[1] > BYTES_MOST ? "more than 16 MiB at once" : NULL;
	case OP_FILE_WRITE:
	case OP_FILE_READ:
		return op->arg[2] > BYTES_MOST ? "more than 16 MiB at once" : NULL;
	case OP_UFFD_COPY:
		return op->arg[2] > WIRE_COPY && op->arg[2] < 1UL << 46 ?
			       "more than 32 KiB to copy" :
			       NULL;
	case OP_CROWD:
		return op->arg[1] > CROWD_MOST ? "more than 2^20 mappings at once" : NULL;
	default:
		return NULL;
	}
}

const char *op_parse(char *line, struct wire_op *op, struct answer *answer)
{
	char *open = strchr(line, '('), *close = strrchr(line, ')'), *equals, *text;
	const char *why;
	uint32_t lane = 0;
	int id = 0;

	*answer = (struct answer){ 0 };
	if (!open || !close || close < open)
		return "not a call";
	equals = strchr(close, '=');
	answer->known = equals != NULL;
	*open = *close = '\0';
	if (equals)
		answer_split(equals + 1, answer, &text);
	if (equals && !answer_parse(text, &answer->ret))
		return "no answer behind the =";
	line = trim(line);
	if (line[0] >= '0' && line[0] < '0' + (char)WIRE_LANES && line[1] == ':') {
		lane = (uint32_t)(line[0] - '0');
		line = trim(line + 2);
	}
	while (id < CALLS && strcmp(calls[id].name, line) != 0)
		id++;
	if (id == CALLS)
		return "no call of that name";
	*op = (struct wire_op){ .nr = calls[id].nr, .look = lane << LOOK_LANE_SHIFT };
	why = args_parse(&calls[id], open + 1, op);
	return why ? why : too_much(op);
}
