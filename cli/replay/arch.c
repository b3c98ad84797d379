/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of other machines, and how a trace shows which one it is.
 *
 * Sources: Documentation/arch/x86/x86_64/mm.rst, Documentation/arch/arm64/memory.rst,
 * personality(2), strace(1); the sizes were seen in /proc/PID/maps of such systems.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/arch.h"
#include "replay/input.h"
#include "replay/strace_line.h"

#define LINE_ROOM 1024 /* of a line in the beginning; what is longer is cut */
#define LOW_32 0xffffffffUL
#define GIB (1UL << 30)

/*
 * A table has 512 entries on each level. PAE has 4 in the first, which is no
 * difference below 4 GiB. No mapping of a 32-bit program is moved to suit huge
 * pages: huge_shift is beyond its space. 32-bit programs have no MAP_32BIT.
 */
#define COMMON_32 \
	.size = sizeof(struct samara_geometry), .page_shift = 12, .huge_shift = 33, .levels = 3, \
	.level_bits = 9, .map_min_addr = 65536, .stack_gap = 256 * 4096
#define COMMON_ARM \
	.size = sizeof(struct samara_geometry), .page_shift = 12, .huge_shift = 21, \
	.level_bits = 9, .map_min_addr = 4096, .stack_gap = 256 * 4096

static const struct samara_geometry geometries[ARCH_NR] = {
	[ARCH_I386] = { COMMON_32, .task_size = 0xffffe000, .map_window = 0xffffe000 },
	[ARCH_I386_3G] = { COMMON_32, .task_size = 0xc0000000, .map_window = 0xc0000000 },
	[ARCH_AARCH64] = { COMMON_ARM, .levels = 4, .task_size = 1UL << 48,
			   .map_window = 1UL << 48 },
	[ARCH_AARCH64_39] = { COMMON_ARM, .levels = 3, .task_size = 1UL << 39,
			      .map_window = 1UL << 39 },
};

static const char *const names[ARCH_NR] = { "x86_64", "i386", "i386-3g", "aarch64", "aarch64-39" };

const struct samara_geometry *arch_geometry(enum arch arch)
{
	return arch == ARCH_X86_64 ? samara_geometry_x86_64() : &geometries[arch];
}

const char *arch_name(enum arch arch)
{
	return names[arch];
}

int arch_by_name(const char *name, enum arch *out)
{
	for (int i = 0; i < ARCH_NR; i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum arch)i;
			return 0;
		}
	}
	return -ENOENT;
}

bool arch_is_32(enum arch arch)
{
	return arch == ARCH_I386 || arch == ARCH_I386_3G;
}

static bool is_call_of_32(struct slice name)
{
	static const char *const calls[] = { "mmap2",           "old_mmap",       "set_thread_area",
					     "get_thread_area", "fstat64",        "stat64",
					     "lstat64",         "fstatat64",      "fcntl64",
					     "_llseek",         "ugetrlimit",     "getuid32",
					     "geteuid32",       "getgid32",       "getegid32",
					     "futex_time64",    "clock_gettime64" };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (slice_is(name, calls[i]))
			return true;
	return false;
}

/* The sign of a 32-bit address was extended. */
static bool has_sign(unsigned long value)
{
	return value >> 31 == ~0UL >> 31;
}

/* What is known of a trace from its beginning. */
struct clues {
	struct trace_parser *parser;
	bool said_32, said_64; /* by a message of strace, or by a call */
	unsigned long chosen;  /* the highest address that the kernel chose itself */
	unsigned long highest; /* of all results that are addresses */
};

static void read_call(const struct trace_event *ev, struct clues *c)
{
	bool is_mmap = slice_is(ev->call.name, "mmap") || slice_is(ev->call.name, "mmap2") ||
		       slice_is(ev->call.name, "old_mmap");
	unsigned long hint;

	if (is_call_of_32(ev->call.name) && !c->said_64)
		c->said_32 = true;
	if (ev->result.kind != RESULT_VALUE || (!is_mmap && !slice_is(ev->call.name, "brk")))
		return;
	if (has_sign(ev->result.value)) {
		c->said_32 |= !c->said_64;
		return;
	}
	c->highest = ev->result.value > c->highest ? ev->result.value : c->highest;
	if (is_mmap && ev->call.nr_args && trace_number(ev->call.args[0], &hint) == 0 && !hint &&
	    ev->result.value > c->chosen)
		c->chosen = ev->result.value;
}

static void read_line(const char *line, struct clues *c)
{
	struct trace_event ev;
	char why[120];

	if (trace_parse(c->parser, line, 0, &ev, why))
		return;
	if (ev.kind == TRACE_MODE && !c->said_32 && !c->said_64) {
		/* What went before was of the other kind. */
		c->said_64 = ev.mode != MODE_64;
		c->said_32 = ev.mode == MODE_64;
	} else if (ev.kind == TRACE_CALL) {
		read_call(&ev, c);
	}
}

static enum arch size_of_32(unsigned long highest)
{
	return (highest & LOW_32) >= 0xc0000000 ? ARCH_I386 : ARCH_I386_3G;
}

enum arch arch_of_text(const char *text, size_t len, int wanted)
{
	struct clues c = { .parser = trace_parser_new() };
	bool any = wanted < 0;

	while (c.parser && len) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) : len;
		char line[LINE_ROOM];

		if (n < sizeof(line) && newline) {
			memcpy(line, text, n);
			line[n] = '\0';
			read_line(line_undress(line), &c);
		}
		text += newline ? n + 1 : n;
		len -= newline ? n + 1 : n;
	}
	trace_parser_free(c.parser);
	if (wanted == ARCH_I386 || (any && c.said_32))
		return c.highest ? size_of_32(c.highest) : ARCH_I386;
	if (wanted == ARCH_AARCH64 || (any && !c.said_64 && c.highest >= 1UL << 47))
		return c.highest && c.highest < 1UL << 39 ? ARCH_AARCH64_39 : ARCH_AARCH64;
	if (any && !c.said_64 && c.chosen >= 64 * GIB && c.chosen < 1UL << 39)
		return ARCH_AARCH64_39;
	return any ? ARCH_X86_64 : (enum arch)wanted;
}

enum arch arch_of_map(const struct snapshot *s, enum arch now)
{
	/* The stack is at the top of the space; code and heap may be low on every machine. */
	unsigned long top = s->layout.mmap_base > s->layout.start_stack ? s->layout.mmap_base :
									  s->layout.start_stack;

	for (size_t i = 0; i < s->lines.nr; i++) {
		if (strcmp(s->lines.at[i].name, "[vsyscall]") == 0)
			return ARCH_X86_64;
		if (strcmp(s->lines.at[i].name, "[stack]") == 0 && s->lines.at[i].end > top)
			top = s->lines.at[i].end;
	}
	if (!top)
		return now;
	if (top <= 0xc0000000)
		return arch_is_32(now) ? now : ARCH_I386_3G;
	if (top <= 1UL << 32)
		return ARCH_I386;
	if (top <= 1UL << 39)
		return ARCH_AARCH64_39;
	if (top >= 1UL << 47)
		return ARCH_AARCH64;
	return arch_is_32(now) || now == ARCH_AARCH64_39 ? ARCH_X86_64 : now;
}

enum arch arch_of_call(const struct trace_event *ev, enum arch now)
{
	if (is_call_of_32(ev->call.name))
		return arch_is_32(now) ? now : ARCH_I386;
	if (ev->result.kind != RESULT_VALUE || has_sign(ev->result.value) ||
	    (!slice_is(ev->call.name, "mmap") && !slice_is(ev->call.name, "brk")))
		return now;
	if (ev->result.value >= 1UL << 47)
		return ARCH_AARCH64;
	return arch_is_32(now) && ev->result.value > LOW_32 ? ARCH_X86_64 : now;
}

enum arch arch_of_mode(enum trace_mode mode, enum arch now)
{
	if (mode == MODE_64)
		return arch_is_32(now) ? ARCH_X86_64 : now;
	return arch_is_32(now) ? now : ARCH_I386; /* x32 has the same space */
}

void arch_settle(enum arch arch, struct call *c, unsigned long *recorded, bool *in_pages)
{
	if (c->source.page_offset && c->source.offset & 4095)
		*in_pages = true;
	if (c->source.page_offset && *in_pages)
		c->source.offset <<= 12;
	if (!arch_is_32(arch))
		return;
	c->addr &= LOW_32;
	c->len &= LOW_32;
	c->to.len &= LOW_32;
	c->to.addr &= LOW_32;
	if (!SAMARA_IS_ERR_VALUE(*recorded))
		*recorded &= LOW_32;
	if (c->kind == CALL_RLIMIT) { /* RLIM_INFINITY of 32 bits */
		c->limit.cur = c->limit.cur == LOW_32 ? ~0UL : c->limit.cur;
		c->limit.max = c->limit.max == LOW_32 ? ~0UL : c->limit.max;
	}
}
