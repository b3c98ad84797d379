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

#include "proc.h"

#define SIGNAL_CHILD 17
#define SET_MM 35
#define SET_MM_MAP 14
#define SET_DEATH_SIGNAL 1
#define INTERRUPTED (-4)

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
	long len = slurp(t->fd, to, (long)(HEAD->size - HEAD->text_at));

	if (len < 0)
		return -1;
	if (HEAD->crowd)
		len = without_crowd(to, len);
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

/* Pages in turn readable and not, so that none merges with the next. */
static long map_crowd(uint64_t at, uint64_t n)
{
	uint64_t args[6] = { at, 0x1000, 0, 0x32, ~0UL, 0 }; /* PRIVATE, ANONYMOUS, FIXED */
	long ret = 0;

	HEAD->crowd = 1;
	for (; n && ret >= 0; n--, args[0] += 0x1000) {
		args[2] = n & 1;
		ret = sys6(__NR_mmap, args);
	}
	return ret < 0 ? ret : 0;
}

static long count_vector(const struct wire_op *op)
{
	const unsigned char *vec = (const unsigned char *)op->arg[2];
	long pages = 0;

	for (uint64_t i = 0; i < (op->arg[1] + 0xfff) >> 12; i++)
		pages += vec[i] & 1;
	return pages;
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
	case OP_READ:
		return sys4(__NR_pwrite64, WIRE_FD_SINK, op->arg[0], 1, 0);
	case OP_CROWD:
		return map_crowd(op->arg[0], op->arg[1]);
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
		answer->vec = (op->look & LOOK_VEC) && !answer->ret ? count_vector(op) : 0;
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
