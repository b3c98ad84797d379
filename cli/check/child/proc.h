/* SPDX-License-Identifier: MIT */
/*
 * The child's system calls, and what it reads in /proc: its map, VmFlags and
 * totals, into the arena. Part of child.c, which is one program of one file.
 */
#ifndef CLI_CHECK_CHILD_PROC_H
#define CLI_CHECK_CHILD_PROC_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire.h"

#ifndef LANES
#define LANES 0 /* 1: of this program's processes each has several (lanes.h) */
#endif

#define HEAD ((volatile struct wire_head *)WIRE_ARENA)

static long sys6(long nr, const uint64_t *a)
{
	register uint64_t r10 __asm__("r10") = a[3];
	register uint64_t r8 __asm__("r8") = a[4];
	register uint64_t r9 __asm__("r9") = a[5];
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static long sys4(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const uint64_t args[6] = { a, b, c, d, 0, 0 };

	return sys6(nr, args);
}

static long sys3(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	return sys4(nr, a, b, c, 0);
}

/* reading /proc ------------------------------------------------------------ */

static long open_file(const char *path)
{
	return sys3(__NR_open, (uint64_t)path, 0, 0);
}

static int begins_with(const char *at, const char *end, const char *word)
{
	for (; *word; word++, at++)
		if (at >= end || *at != *word)
			return 0;
	return 1;
}

/* Nothing follows the gate in a map: spares the read that would only say so. */
static int ends_with_gate(const char *text, long len)
{
	return len > 11 && begins_with(text + len - 11, text + len, "[vsyscall]");
}

/* All of fd from its start. Bytes, or -1 when it does not fit size. */
static long slurp(long fd, char *to, long size)
{
	long len = 0, n;

	while (!ends_with_gate(to, len)) {
		n = sys4(__NR_pread64, (uint64_t)fd, (uint64_t)(to + len), (uint64_t)(size - len),
			 (uint64_t)len);
		if (n <= 0)
			return n < 0 || len == size ? -1 : len;
		len += n;
	}
	return len;
}

static void *at_offset(uint32_t offset)
{
	return (void *)(WIRE_ARENA + offset);
}

/* /proc/PID/leaf, opened. */
static long open_of(int32_t pid, const char *leaf)
{
	char path[40] = "/proc/", digits[12], *to = path + 6;
	int n = 0;

	for (; pid; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n)
		*to++ = digits[--n];
	*to++ = '/';
	while ((*to++ = *leaf++))
		;
	return open_file(path);
}

/* Of the process whose turn it is. */
static long open_of_now(const char *leaf)
{
	return open_of(HEAD->procs.pid[HEAD->procs.now], leaf);
}

/*
 * The rest of each line that begins with word goes to to, through the scratch memory. fd is closed.
 */
static long slurp_lines(long fd, const char *word, char *to, long size)
{
	char *const scratch = at_offset(HEAD->asked.scratch_at);
	long have = 0, out = 0, n;

	while ((n = sys3(__NR_read, (uint64_t)fd, (uint64_t)(scratch + have),
			 WIRE_SCRATCH - (uint64_t)have)) > 0) {
		char *line = scratch, *const end = scratch + have + n;

		for (char *at = line; at < end; at++) {
			if (*at != '\n')
				continue;
			if (begins_with(line, end, word)) {
				for (line += 9; line <= at && out < size; line++)
					to[out++] = *line;
			}
			line = at + 1;
		}
		have = end - line;
		for (long i = 0; i < have; i++)
			scratch[i] = line[i];
	}
	sys3(__NR_close, (uint64_t)fd, 0, 0);
	return out < size ? out : -1;
}

static int64_t number_behind(const char *text, const char *end, const char *word)
{
	int64_t value = 0;

	for (; text < end; text++) {
		if (*text != *word || !begins_with(text, end, word))
			continue;
		while (text < end && (*text < '0' || *text > '9'))
			text++;
		for (; text < end && *text >= '0' && *text <= '9'; text++)
			value = value * 10 + (*text - '0');
		return value;
	}
	return -1;
}

/* To scratch memory. Bytes. */
static long read_status(char *text)
{
	const long fd = open_of_now("status");
	const long len = slurp(fd, text, WIRE_SCRATCH);

	sys3(__NR_close, (uint64_t)fd, 0, 0);
	return len;
}

static void read_rss(struct wire_answer *answer)
{
	char *const text = at_offset(HEAD->asked.scratch_at);
	const long len = read_status(text);

	answer->rss = number_behind(text, text + len, "RssAnon:") +
		      number_behind(text, text + len, "VmSwap:");
}

static void read_totals(struct wire_answer *answer)
{
	char *const text = at_offset(HEAD->asked.scratch_at);
	const long len = read_status(text);

	answer->total[TOTAL_SIZE] = number_behind(text, text + len, "VmSize:");
	answer->total[TOTAL_LCK] = number_behind(text, text + len, "VmLck:");
	answer->total[TOTAL_DATA] = number_behind(text, text + len, "VmData:");
	answer->total[TOTAL_STK] = number_behind(text, text + len, "VmStk:");
	answer->total[TOTAL_EXEC] = number_behind(text, text + len, "VmExe:") +
				    number_behind(text, text + len, "VmLib:");
}

static uint64_t hex(const char **at)
{
	uint64_t value = 0;

	for (;; (*at)++) {
		const char c = **at;

		if (c >= '0' && c <= '9')
			value = value * 16 + (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (uint64_t)(c - 'a' + 10);
		else
			return value;
	}
}

/* Lines of mappings in the crowd taken out of a map. The length that is left. */
static long without_crowd(char *text, long len)
{
	const char *at = text, *const end = text + len;
	char *to = text;

	while (at < end) {
		const char *line = at;
		const uint64_t start = hex(&at);
		const int keep = start < WIRE_CROWD || start >= WIRE_CROWD_END;

		while (at < end && *at++ != '\n')
			;
		while (keep && line < at)
			*to++ = *line++;
	}
	return to - text;
}

#endif
