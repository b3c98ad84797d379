/* SPDX-License-Identifier: MIT */
/*
 * The child's own accesses to memory: a fault's signal is caught, noted, and
 * the copy given up where it was. Part of child.c.
 */
#ifndef CLI_CHECK_CHILD_ACCESS_H
#define CLI_CHECK_CHILD_ACCESS_H

#include "../pattern.h"
#include "proc.h"

#define SIGNAL_BUS 7
#define SIGNAL_SEGV 11
#define WITH_INFO 0x4UL
#define WITH_RESTORER 0x04000000UL
#define NOT_BLOCKED 0x40000000UL
#define INFO_CODE 8 /* offsets in siginfo_t, and in struct ucontext */
#define INFO_ADDR 16
#define CONTEXT_RIP 168
#define FILE_CHUNK 4096UL

/* The stack that this runs on. */
static uint32_t my_stack(void)
{
	const uint64_t at = (uint64_t)__builtin_frame_address(0);

	return (uint32_t)((at - WIRE_ARENA - WIRE_STACKS_AT) / WIRE_STACK);
}

/* The buffer of the owner of that stack: others use theirs while it sleeps in an access. */
static char *buffer_of(uint32_t stack)
{
	return (char *)(WIRE_ARENA + WIRE_STACKS_AT) + stack * WIRE_STACK;
}

#define BUFFER buffer_of(my_stack())
#define ACCESS (HEAD->access[my_stack()])

static void *work_at(uint64_t offset)
{
	return at_offset(HEAD->asked.scratch_at + (uint32_t)(WIRE_SCRATCH + offset));
}

/* sigreturn wants the stack as the kernel left it. */
__asm__("come_back:\n\t"
	"mov $15, %eax\n\t"
	"syscall\n");
void come_back(void);

static void on_fault(int signo, const char *info, char *context)
{
	if (!ACCESS.recover)
		for (;;)
			sys3(__NR_exit_group, 3, 0, 0);
	ACCESS.fault.signo = signo;
	ACCESS.fault.code = *(const int32_t *)(info + INFO_CODE);
	ACCESS.fault.at = *(const uint64_t *)(info + INFO_ADDR);
	*(uint64_t *)(context + CONTEXT_RIP) = ACCESS.recover;
}

static long catch_faults(void)
{
	const uint64_t action[4] = { (uint64_t)on_fault, WITH_INFO | WITH_RESTORER | NOT_BLOCKED,
				     (uint64_t)come_back, 0 };
	const long ret = sys4(__NR_rt_sigaction, SIGNAL_SEGV, (uint64_t)action, 0, 8);

	return ret ? ret : sys4(__NR_rt_sigaction, SIGNAL_BUS, (uint64_t)action, 0, 8);
}

/* One run of bytes or, if words is set, of 8 bytes; what is left of n after a fault. */
static uint64_t copy_run(uint64_t *to, uint64_t *from, uint64_t n, int words)
{
	volatile uint64_t *const recover = &ACCESS.recover;

	if (words)
		__asm__ volatile("lea 1f(%%rip), %%rax\n\t"
				 "mov %%rax, %[recover]\n\t"
				 "rep movsq\n"
				 "1:"
				 : "+D"(*to), "+S"(*from), "+c"(n), [recover] "=m"(*recover)
				 :
				 : "rax", "memory");
	else
		__asm__ volatile("lea 1f(%%rip), %%rax\n\t"
				 "mov %%rax, %[recover]\n\t"
				 "rep movsb\n"
				 "1:"
				 : "+D"(*to), "+S"(*from), "+c"(n), [recover] "=m"(*recover)
				 :
				 : "rax", "memory");
	*recover = 0;
	return n;
}

/*
 * Both begin at the same place of a word: single bytes up to a whole word, then words,
 * then bytes, so that no access crosses a page. What is left after a fault.
 */
static uint64_t copy_guarded(uint64_t to, uint64_t from, uint64_t n)
{
	uint64_t head = -to & 7, rest;

	if (head > n)
		head = n;
	rest = copy_run(&to, &from, head, 0);
	if (rest)
		return n - head + rest;
	n -= head;
	rest = copy_run(&to, &from, n / 8, 1);
	if (rest)
		return n % 8 + rest * 8;
	return copy_run(&to, &from, n % 8, 0);
}

/* Up to the end of the page that at lies in. */
static uint64_t part_of_page(uint64_t at, uint64_t len)
{
	const uint64_t n = 4096 - (at & 4095);

	return n < len ? n : len;
}

static long store(const struct wire_op *op)
{
	uint64_t at = op->arg[0], left = op->arg[1];

	while (left) {
		const uint64_t n = part_of_page(at, left);
		char *const buf = BUFFER + (at & 7);
		uint64_t rest;

		pattern_fill(buf, at, n, op->arg[2]);
		rest = copy_guarded(at, (uint64_t)buf, n);
		left -= n - rest;
		if (rest)
			break;
		at += n;
	}
	return (long)(op->arg[1] - left);
}

/* The sum, of len bytes or fewer; the fault is in the head. */
static uint64_t load(uint64_t at, uint64_t len)
{
	uint64_t sum = 0, rest = 0;

	while (len && !rest) {
		const uint64_t n = part_of_page(at, len);
		char *const buf = BUFFER + (at & 7);

		rest = copy_guarded((uint64_t)buf, at, n);
		sum = sum_add(sum, buf, at, n - rest);
		at += n;
		len -= n;
	}
	return sum;
}

static long survey(const struct wire_op *op)
{
	uint64_t at = op->arg[0], left = op->arg[1], sum = 0;

	while (left) {
		const uint64_t n = part_of_page(at, left);
		uint64_t page;

		ACCESS.fault.signo = ACCESS.fault.code = 0;
		page = load(at, n);
		sum = survey_add(sum, page, ACCESS.fault.signo, ACCESS.fault.code);
		at += n;
		left -= n;
	}
	ACCESS.fault.signo = ACCESS.fault.code = 0;
	ACCESS.fault.at = 0;
	return sum_answer(sum);
}

/*
 * May at be executed, or would once a stack had grown there? Who knows what it would do. Of the
 * vsyscall page only the places of its calls are: there the kernel would return to whatever lies
 * on the stack.
 */
static int is_executable(uint64_t at)
{
	char *const text = work_at(WIRE_WORK_MAP);
	const long fd = open_file("/proc/self/maps");
	const long len = slurp(fd, text, WIRE_WORK - WIRE_WORK_MAP);
	const char *line = text;

	sys3(__NR_close, (uint64_t)fd, 0, 0);
	if (at >= WIRE_GATE)
		return is_gate_call(at);
	while (line < text + len) {
		const uint64_t end = (hex(&line), line++, hex(&line));

		if (at < end)
			return line[3] == 'x';
		while (line < text + len && *line++ != '\n')
			;
	}
	return len < 0;
}

static long fetch(uint64_t at)
{
	volatile uint64_t *const recover = &ACCESS.recover;

	if (is_executable(at)) {
		load(at, 1);
		return 0;
	}
	__asm__ volatile("lea 1f(%%rip), %%rax\n\t"
			 "mov %%rax, %[recover]\n\t"
			 "jmp *%[at]\n"
			 "1:"
			 : [recover] "=m"(*recover)
			 : [at] "r"(at)
			 : "rax", "memory");
	*recover = 0;
	return 0;
}

/* files ---------------------------------------------------------------------- */

/* In pieces that are no larger than a page, so that the kernel makes no large folios. */
static long file_write(const struct wire_op *op)
{
	uint64_t at = op->arg[1], left = op->arg[2];

	while (left) {
		const uint64_t n = part_of_page(at, left);
		char *const buf = BUFFER + (at & 7);
		long ret;

		pattern_fill(buf, at, n, op->arg[3]);
		ret = sys4(__NR_pwrite64, op->arg[0], (uint64_t)buf, n, at);
		if (ret < 0 && left == op->arg[2])
			return ret;
		if (ret <= 0)
			break;
		at += (uint64_t)ret;
		left -= (uint64_t)ret;
	}
	return (long)(op->arg[2] - left);
}

static long file_read(const struct wire_op *op)
{
	uint64_t at = op->arg[1], left = op->arg[2], sum = 0;

	while (left) {
		const uint64_t n = part_of_page(at, left);
		char *const buf = BUFFER + (at & 7);
		const long ret = sys4(__NR_pread64, op->arg[0], (uint64_t)buf, n, at);

		if (ret < 0 && left == op->arg[2])
			return ret;
		if (ret <= 0)
			break;
		sum = sum_add(sum, buf, at, (uint64_t)ret);
		at += (uint64_t)ret;
		left -= (uint64_t)ret;
	}
	return sum_answer(survey_add(sum, op->arg[2] - left, 0, 0));
}

#endif
