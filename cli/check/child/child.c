/* SPDX-License-Identifier: MIT */
/*
 * The check's child: a program without C library, stack, vdso or writable data
 * of its own, linked at 0x400000 and embedded into `samara`.
 *
 * It moves its stack into the arena (wire.h), unmaps what execve(2) gave it,
 * sets its break, and then forks once for each sequence. Processes share the
 * arena, so each runs on a stack of its own there, and a process that has
 * forked only waits until it may go.
 */
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire.h"

#define HEAD ((volatile struct wire_head *)WIRE_ARENA)
#define SIGNAL_CHILD 17
#define SET_MM 35
#define SET_MM_MAP 14
#define SET_DEATH_SIGNAL 1
#define INTERRUPTED (-4)

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

static __attribute__((noreturn)) void leave(long status)
{
	for (;;)
		sys3(__NR_exit_group, (uint64_t)status, 0, 0);
}

static uint64_t stack_top(unsigned int nr)
{
	return WIRE_ARENA + WIRE_STACKS_AT + (nr + 1) * WIRE_STACK;
}

/* A new process that runs fn on its own stack. Returns its number, in the old one. */
static long spawn(unsigned int stack, void (*fn)(void))
{
	register uint64_t r10 __asm__("r10") = 0;
	register uint64_t r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%[fn]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(__NR_clone), "D"((long)SIGNAL_CHILD), "S"(stack_top(stack)), "d"(0L),
			   "r"(r10), "r"(r8), [fn] "b"(fn)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Waits for pid; its status as wait4(2) gives it. */
static int wait_for(long pid)
{
	int status = 0;

	while (sys4(__NR_wait4, (uint64_t)pid, (uint64_t)&status, 0, 0) == INTERRUPTED)
		;
	return status;
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

/* The rest of each line that begins with word goes to to, through the scratch memory. */
static long slurp_lines(const char *path, const char *word, char *to, long size)
{
	char *const scratch = at_offset(HEAD->scratch_at);
	const long fd = open_file(path);
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

static void read_totals(struct wire_answer *answer)
{
	char *const text = at_offset(HEAD->scratch_at);
	const long fd = open_file("/proc/self/status");
	const long len = slurp(fd, text, WIRE_SCRATCH);

	sys3(__NR_close, (uint64_t)fd, 0, 0);
	answer->total[TOTAL_SIZE] = number_behind(text, text + len, "VmSize:");
	answer->total[TOTAL_LCK] = number_behind(text, text + len, "VmLck:");
	answer->total[TOTAL_DATA] = number_behind(text, text + len, "VmData:");
	answer->total[TOTAL_STK] = number_behind(text, text + len, "VmStk:");
	answer->total[TOTAL_EXEC] = number_behind(text, text + len, "VmExe:") +
				    number_behind(text, text + len, "VmLib:");
}

/* the sequence -------------------------------------------------------------- */

static int same_text(const char *a, const char *b, uint32_t len)
{
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8)
		if (*(const uint64_t *)(a + i) != *(const uint64_t *)(b + i))
			return 0;
	for (; i < len; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

struct texts {
	long fd;                 /* /proc/self/maps of this process */
	uint32_t last, last_len; /* the text before */
};

/* The map into the arena. 0, or -1 when it is full. */
static int show_map(struct texts *t, struct wire_answer *answer)
{
	char *const to = at_offset(HEAD->text_at);
	const long len = slurp(t->fd, to, (long)(HEAD->size - HEAD->text_at));

	if (len < 0)
		return -1;
	if ((uint32_t)len == t->last_len && same_text(to, at_offset(t->last), t->last_len)) {
		answer->text_at = t->last;
		answer->text_len = WIRE_SAME;
		return 0;
	}
	answer->text_at = t->last = HEAD->text_at;
	answer->text_len = t->last_len = (uint32_t)len;
	HEAD->text_at += ((uint32_t)len + 7) & ~7U;
	return 0;
}

static int show_flags(struct wire_answer *answer)
{
	char *const to = at_offset(HEAD->text_at);
	const long len = slurp_lines("/proc/self/smaps", "VmFlags: ", to,
				     (long)(HEAD->size - HEAD->text_at));

	if (len < 0)
		return -1;
	answer->flags_at = HEAD->text_at;
	answer->flags_len = (uint32_t)len;
	HEAD->text_at += ((uint32_t)len + 7) & ~7U;
	read_totals(answer);
	return 0;
}

static long drop_caps(void)
{
	uint32_t head[2] = { 0x20080522, 0 }, none[6] = { 0 };

	return sys3(__NR_capset, (uint64_t)head, (uint64_t)none, 0);
}

static long set_soft_limit(uint64_t resource, uint64_t soft)
{
	uint64_t limit[2];
	long ret = sys4(__NR_prlimit64, 0, resource, 0, (uint64_t)limit);

	limit[0] = soft;
	return ret ? ret : sys4(__NR_prlimit64, 0, resource, (uint64_t)limit, 0);
}

static void run_rest(void);

/* The new process goes on with the sequence. Returns only when there is none. */
static long fork_and_wait(void)
{
	const unsigned int stack = 2 + ++HEAD->forks;
	long pid;

	if (HEAD->forks > WIRE_FORKS)
		return -11;
	pid = spawn(stack, run_rest);
	if (pid < 0)
		return pid;
	leave(wait_for(pid) ? 1 : 0);
}

static long perform(const struct wire_op *op)
{
	switch (op->nr) {
	case OP_TOUCH:
		return sys4(__NR_pread64, WIRE_FD_ZERO, op->arg[0], 1, 0);
	case OP_DROP_CAPS:
		return drop_caps();
	case OP_RLIMIT:
		return set_soft_limit(op->arg[0], op->arg[1]);
	case OP_FORK:
		return fork_and_wait();
	default:
		return sys6(op->nr, op->arg);
	}
}

static __attribute__((noreturn)) void run_from(int forked)
{
	const struct wire_op *const ops = at_offset(WIRE_OPS_AT);
	struct wire_answer *const answers = at_offset(HEAD->answers_at);
	struct texts t = { .fd = open_file("/proc/self/maps") };

	sys3(__NR_prctl, SET_DEATH_SIGNAL, 9, 0);
	while (HEAD->done < HEAD->n_ops) {
		const struct wire_op *op = &ops[HEAD->done];
		struct wire_answer *answer = &answers[HEAD->done];

		answer->ret = forked ? 0 : perform(op);
		forked = 0;
		answer->flags_len = 0;
		if (show_map(&t, answer) || ((op->look & LOOK_FLAGS) && show_flags(answer))) {
			HEAD->full = 1;
			break;
		}
		HEAD->done++;
	}
	leave(0);
}

static void run_rest(void)
{
	run_from(1);
}

static void run_all(void)
{
	run_from(0);
}

/* set-up -------------------------------------------------------------------- */

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

/* All goes but the text and the arena. */
static void unmap_the_rest(void)
{
	char *const text = at_offset(HEAD->scratch_at);
	const long fd = open_file("/proc/self/maps");
	const long len = slurp(fd, text, WIRE_SCRATCH);
	const char *at = text;

	sys3(__NR_close, (uint64_t)fd, 0, 0);
	while (len > 0 && at < text + len) {
		const uint64_t start = hex(&at);
		const uint64_t end = (at++, hex(&at));

		if (start < (1UL << 47) && start != WIRE_ARENA &&
		    (start < WIRE_TEXT || start >= WIRE_ARENA))
			sys3(__NR_munmap, start, end - start, 0);
		while (at < text + len && *at++ != '\n')
			;
	}
}

static long set_break(void)
{
	const struct {
		uint64_t code[2], data[2], brk[2], stack, arg[2], env[2], auxv;
		uint32_t auxv_size, exe_fd;
	} map = {
		.code = { WIRE_TEXT, WIRE_TEXT + 0x1000 },
		.data = { WIRE_TEXT + 0x1000, WIRE_TEXT + 0x1001 },
		.brk = { WIRE_BRK, WIRE_BRK },
		.stack = 0x7ffffffde000,
		.arg = { 0x7ffffffde000, 0x7ffffffde000 },
		.env = { 0x7ffffffde000, 0x7ffffffde000 },
		.exe_fd = ~0U,
	};

	return sys4(__NR_prctl, SET_MM, SET_MM_MAP, (uint64_t)&map, sizeof(map));
}

static __attribute__((noreturn, used)) void serve(void)
{
	char byte = 0;

	sys3(__NR_prctl, SET_DEATH_SIGNAL, 9, 0);
	unmap_the_rest();
	HEAD->broken = set_break() ? 1 : 0;
	while (sys3(__NR_write, WIRE_FD_TO, (uint64_t)&byte, 1) == 1 &&
	       sys3(__NR_read, WIRE_FD_FROM, (uint64_t)&byte, 1) == 1) {
		const long pid = spawn(1, run_all);

		HEAD->status = pid < 0 ? -1 : wait_for(pid);
	}
	leave(0);
}

/* On the stack of execve(2), for the only time. */
__attribute__((noreturn, used)) void start_here(void)
{
	/* PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED; the arena begins with its size. */
	uint64_t args[6] = { WIRE_ARENA, 0x1000, 3, 0x11, WIRE_FD_ARENA, 0 };

	if (sys6(__NR_mmap, args) != (long)WIRE_ARENA)
		leave(2);
	args[1] = HEAD->size;
	if (sys6(__NR_mmap, args) != (long)WIRE_ARENA)
		leave(2);
	sys3(__NR_close, WIRE_FD_ARENA, 0, 0);
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call serve\n\t"
			 "ud2"
			 :
			 : "r"(stack_top(0))
			 : "memory");
	__builtin_unreachable();
}

__asm__(".globl _start\n"
	"_start:\n\t"
	"and $-16, %rsp\n\t"
	"call start_here\n");
