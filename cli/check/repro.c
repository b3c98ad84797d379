/* SPDX-License-Identifier: MIT */
/*
 * A sequence as a C program that needs nothing but a C compiler: it makes the
 * same system calls at the same addresses and says what the kernel answers and
 * what the library had answered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>

#include "check/names.h"

static const char head[] =
	"/* Written by samara check --repro: cc -o repro THIS.c && ./repro */\n"
	"#define _GNU_SOURCE\n"
	"#include <errno.h>\n#include <fcntl.h>\n#include <linux/capability.h>\n"
	"#include <stdio.h>\n#include <stdlib.h>\n#include <sys/mman.h>\n"
	"#include <sys/personality.h>\n#include <sys/resource.h>\n#include <sys/syscall.h>\n"
	"#include <sys/wait.h>\n#include <unistd.h>\n\n"
	"static int memfd, disk, readonly, zero, sink;\n"
	"static __attribute__((unused)) unsigned char vec[65536];\n\n"
	"static void say(const char *call, long ret, const char *samara)\n{\n"
	"\tif (ret == -1)\n\t\tprintf(\"%s = -1 (%m); samara: %s\\n\", call, samara);\n"
	"\telse\n\t\tprintf(\"%s = %#lx; samara: %s\\n\", call, ret, samara);\n"
	"\tfflush(stdout);\n}\n\n"
	"/* Writes a byte through the kernel: EFAULT in place of a signal. */\n"
	"static __attribute__((unused)) long touch(unsigned long addr)\n{\n"
	"\treturn syscall(SYS_pread64, zero, addr, 1, 0);\n}\n\n"
	"static __attribute__((unused)) long read_byte(unsigned long addr)\n{\n"
	"\treturn syscall(SYS_pwrite64, sink, addr, 1, 0);\n}\n\n"
	"static __attribute__((unused)) long map_crowd(unsigned long at, unsigned long n)\n{\n"
	"\tlong ret = 0;\n\n\tfor (; n && ret != -1; n--, at += 4096)\n"
	"\t\tret = syscall(SYS_mmap, at, 4096, n & 1, MAP_PRIVATE | MAP_ANONYMOUS | "
	"MAP_FIXED,\n\t\t\t      -1, 0);\n\treturn ret == -1 ? -1 : 0;\n}\n\n"
	"static __attribute__((unused)) long go_on_as_child(void)\n{\n"
	"\tlong pid = fork();\n\n\tif (pid <= 0)\n\t\treturn pid;\n"
	"\twaitpid((pid_t)pid, NULL, 0);\n\texit(0);\n}\n\n"
	"static __attribute__((unused)) long soft_limit(int resource, unsigned long soft)\n{\n"
	"\tstruct rlimit limit;\n\n\tgetrlimit(resource, &limit);\n"
	"\tlimit.rlim_cur = soft;\n\treturn setrlimit(resource, &limit);\n}\n\n"
	"static __attribute__((unused)) long drop_caps(void)\n{\n"
	"\tstruct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };\n"
	"\tstruct __user_cap_data_struct none[2] = { { 0 } };\n\n"
	"\treturn syscall(SYS_capset, &h, none);\n}\n\n"
	"static void show_map(void)\n{\n\tchar line[512];\n"
	"\tFILE *f = fopen(\"/proc/self/maps\", \"r\");\n\n"
	"\twhile (f && fgets(line, sizeof(line), f))\n\t\tprintf(\"  %s\", line);\n"
	"\tif (f)\n\t\tfclose(f);\n}\n\n"
	"int main(int argc, char **argv)\n{\n"
	"\tchar name[] = \"/var/tmp/repro-XXXXXX\", path[64];\n\n"
	"\t(void)argc;\n"
	"\tif (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) &&\n"
	"\t    personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE) >= 0)\n"
	"\t\texecv(\"/proc/self/exe\", argv);\n"
	"\tsetvbuf(stdout, NULL, _IOLBF, 0);\n"
	"\tsink = memfd_create(\"sink\", 0);\n"
	"\tmemfd = memfd_create(\"window\", 0);\n\tdisk = mkstemp(name);\n\tunlink(name);\n"
	"\tsnprintf(path, sizeof(path), \"/proc/self/fd/%d\", memfd);\n"
	"\treadonly = open(path, O_RDONLY);\n\tzero = open(\"/dev/zero\", O_RDWR);\n"
	"\tif (ftruncate(memfd, 256 * 4096) || ftruncate(disk, 256 * 4096) || readonly < 0)\n"
	"\t\treturn 2;\n";

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
		fputs(value ? "vec" : "1UL << 63", to);
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
		fputs("go_on_as_child(", to);
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
	char text[CALL_TEXT], ret[64];

	fputs(head, to);
	for (unsigned int i = 0; i < seq->n; i++) {
		op_text(&seq->op[i], text, sizeof(text));
		answer_text(o->seen[i].ret, ret, sizeof(ret));
		fprintf(to, "\tsay(\"%s\",\n\t    ", text);
		c_call(to, &seq->op[i]);
		fprintf(to, ", \"%s\");\n", ret);
	}
	fputs("\tshow_map();\n\treturn 0;\n}\n", to);
	return ferror(to) ? -EIO : 0;
}
