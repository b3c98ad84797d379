/* SPDX-License-Identifier: MIT */
/*
 * A sequence as a C program that needs nothing but a C compiler: it makes the
 * same system calls at the same addresses and says what the kernel answers and
 * what the library had answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>

#include "check/embed.h"
#include "check/names.h"

static void c_flags(FILE *to, const struct flag_name *table, bool one, unsigned long value)
{
	bool any = false;

	for (; table->text; table++) {
		if (one ? value != table->value :
			  !table->value || (value & table->value) != table->value)
			continue;
		fprintf(to, "%s%s", any ? " | " : "", table->c);
		value &= ~table->value;
		any = true;
		if (one)
			return;
	}
	if (value || !any)
		fprintf(to, "%s%#lx", any ? " | " : "", value);
}

static void c_argument(FILE *to, const struct wire_op *op, int i)
{
	const enum arg_kind kind = calls[call_of(op->nr)].kind[i];
	const uint64_t value = op->arg[i];

	if (op->nr == SYS_mincore && i == 2)
		fputs(value ? "vec" : "NULL", to);
	else if (kind == ARG_FD && value - WIRE_FD_FILE < FILES)
		fputs(file_names[value - WIRE_FD_FILE], to);
	else if (kind == ARG_FD)
		fputs("-1", to);
	else if (names_of(kind))
		c_flags(to, names_of(kind), is_one_of(kind), value);
	else
		fprintf(to, "%#lxUL", (unsigned long)value);
}

static void c_call(FILE *to, const struct wire_op *op)
{
	const int n = calls[call_of(op->nr)].args;

	switch (op->nr) {
	case OP_TOUCH:
		fputs("touch(", to);
		break;
	case OP_READ:
		fputs("read_byte(", to);
		break;
	case OP_CROWD:
		fputs("map_crowd(", to);
		break;
	case OP_FORK:
		fputs("fork_and_go_on(1", to);
		break;
	case OP_FORK_STAY:
		fputs("fork_and_go_on(0", to);
		break;
	case SYS_swapon:
	case SYS_swapoff:
	case OP_SWITCH:
	case OP_STORE:
	case OP_LOAD:
	case OP_SURVEY:
	case OP_FETCH:
	case OP_FILE_WRITE:
	case OP_FILE_READ:
		fprintf(to, "%s(", calls[call_of(op->nr)].name);
		break;
	case OP_DROP_CAPS:
		fputs("drop_caps(", to);
		break;
	case OP_RLIMIT:
		fputs("soft_limit(", to);
		break;
	default:
		/* By number: headers may be older than the call. */
		fprintf(to, "syscall(%d /* %s */%s", op->nr, calls[call_of(op->nr)].name,
			n ? ", " : "");
	}
	for (int i = 0; i < n; i++) {
		c_argument(to, op, i);
		fputs(i + 1 < n ? ", " : "", to);
	}
	fputc(')', to);
}

int repro_write(FILE *to, const struct seq *seq, const struct ours *o)
{
	char text[CALL_TEXT], ret[64], detail[DETAIL];

	fputs("/* Written by samara check --repro: cc -o repro THIS.c && ./repro */\n", to);
	fwrite(check_repro, 1, check_repro_size(), to);
	fputs("\nstatic long step(int nr)\n{\n\tswitch (nr) {\n", to);
	for (unsigned int i = 0; i < seq->n; i++) {
		fprintf(to, "\tcase %u:\n\t\treturn ", i);
		c_call(to, &seq->op[i]);
		fputs(";\n", to);
	}
	fputs("\tdefault:\n\t\treturn 0;\n\t}\n}\n\nstatic const struct said said[] = {\n", to);
	for (unsigned int i = 0; i < seq->n; i++) {
		op_text(&seq->op[i], text, sizeof(text));
		answer_text(o->seen[i].ret, ret, sizeof(ret));
		seen_text(o, i, detail, sizeof(detail));
		fprintf(to, "\t{ \"%s\",\n\t  \"%s%s%s\" },\n", text, ret, *detail ? " " : "",
			detail);
	}
	fputs("};\n\nint main(int argc, char **argv)\n{\n\t(void)argc;\n", to);
	if (!seq_may_have_huge_pages(seq))
		fputs("\tprctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);\n", to);
	fputs("\treturn make_calls(argv, step, said, sizeof(said) / sizeof(said[0]));\n}\n", to);
	return ferror(to) ? -EIO : 0;
}
