/* SPDX-License-Identifier: MIT */
/*
 * The check's child: a program without C library, stack, vdso or writable data
 * of its own, linked at 0x400000 and embedded into `samara`.
 *
 * It moves its stack into the arena (wire.h), unmaps what execve(2) gave it,
 * sets its break, and then forks once for each sequence. Processes share the
 * arena, so each runs on a stack of its own there. One of a sequence's processes
 * has its turn (head->now), the others wait for theirs; all end together.
 *
 * With LANES it is another program, for sequences with userfaultfds: lanes.h.
 */
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#include "pages.h"

#define SIGNAL_CHILD 17
#define NO_HUGE_PAGES 41
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define NO_HANG 1
#define NOBODY (~0U)
#define GIVEN_AWAY (1L << 62) /* not an answer: another process has the turn and will answer */
#define FIRST_STACK 1         /* of the sequence's first process; serve() has the one before it */
#define SET_MM 35
#define SET_MM_MAP 14
#define SET_DEATH_SIGNAL 1
#define SET_PTRACER 0x59616d61 /* where Yama restricts it: who may read the memory */
#define ANYBODY (~0UL)
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

/* A new process or thread that runs fn. Returns its number, in the old one. */
static long spawn_on(uint64_t stack, uint64_t flags, void (*fn)(void))
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
			 : "a"(__NR_clone), "D"(flags), "S"(stack), "d"(0L), "r"(r10),
			   "r"(r8), [fn] "b"(fn)
			 : "rcx", "r11", "memory");
	return ret;
}

/* A new process that runs fn on the stack of process nr. */
static long spawn(uint32_t nr, void (*fn)(void))
{
	HEAD->procs.parent[nr] = (int32_t)sys3(__NR_getpid, 0, 0, 0);
	return spawn_on(stack_top(FIRST_STACK + nr), SIGNAL_CHILD, fn);
}

/* Waits for pid; its status as wait4(2) gives it. */
static int wait_for(long pid)
{
	int status = 0;

	while (sys4(__NR_wait4, (uint64_t)pid, (uint64_t)&status, 0, 0) == INTERRUPTED)
		;
	return status;
}

/*
 * Killed with its parent. One whose parent was killed before ends here: it would never have a turn,
 * and keeps the pipes open that samara check reads.
 */
static void end_with_parent(uint32_t me)
{
	sys3(__NR_prctl, SET_DEATH_SIGNAL, 9, 0);
	if (sys3(__NR_getppid, 0, 0, 0) != HEAD->procs.parent[me])
		leave(1);
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

/* The map, through fd, into the arena. 0, or -1 when it is full. */
static int show_map(long fd, struct wire_answer *answer)
{
	char *const to = at_offset(HEAD->text.at);
	long len = slurp(fd, to, (long)(HEAD->size - HEAD->text.at));

	if (len < 0)
		return -1;
	if (HEAD->text.crowd)
		len = without_crowd(to, len);
	if ((uint32_t)len == HEAD->text.last_len &&
	    same_text(to, at_offset(HEAD->text.last_at), HEAD->text.last_len)) {
		answer->map.at = HEAD->text.last_at;
		answer->map.len = WIRE_SAME;
		return 0;
	}
	answer->map.at = HEAD->text.last_at = HEAD->text.at;
	answer->map.len = HEAD->text.last_len = (uint32_t)len;
	HEAD->text.at += ((uint32_t)len + 7) & ~7U;
	return 0;
}

static int show_flags(struct wire_answer *answer)
{
	char *const to = at_offset(HEAD->text.at);
	const long len = slurp_lines(open_of_now("smaps"), "VmFlags: ", to,
				     (long)(HEAD->size - HEAD->text.at));

	if (len < 0)
		return -1;
	answer->flags.at = HEAD->text.at;
	answer->flags.len = (uint32_t)len;
	HEAD->text.at += ((uint32_t)len + 7) & ~7U;
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

/* processes ------------------------------------------------------------------ */

static void run(void);
static long fork_with_lanes(void);

static void give_turn(uint32_t to)
{
	HEAD->procs.carried = 1;
	HEAD->procs.now = to;
	sys3(__NR_futex, (uint64_t)&HEAD->procs.now, FUTEX_WAKE, ~0U >> 1);
}

/* All is over, for all of the sequence's processes; each waits for its own children. */
static __attribute__((noreturn)) void finish(int bad)
{
	int status = 0;
	long pid;

	HEAD->procs.over = 1;
	give_turn(NOBODY);
	do {
		pid = sys4(__NR_wait4, ~0UL, (uint64_t)&status, 0, 0);
		bad |= pid > 0 && status;
	} while (pid > 0 || pid == INTERRUPTED);
	leave(bad);
}

static void await_turn(uint32_t me)
{
	const uint64_t patience[2] = { 0, 200000000 };
	uint32_t now;
	int status;

	while ((now = HEAD->procs.now) != me) {
		if (HEAD->procs.over)
			finish(0);
		sys4(__NR_futex, (uint64_t)&HEAD->procs.now, FUTEX_WAIT, now, (uint64_t)patience);
		if (!HEAD->procs.over &&
		    sys4(__NR_wait4, ~0UL, (uint64_t)&status, NO_HANG, 0) > 0 && status)
			finish(1); /* a child died */
	}
}

/* A new process; whether it goes on, or this one. */
static long fork_and_go_on(int as_child)
{
	const uint32_t nr = HEAD->procs.forks + 1;
	long pid;

	if (nr > WIRE_FORKS)
		return -11;
	pid = spawn(nr, run);
	if (pid < 0)
		return pid;
	HEAD->procs.forks = nr;
	HEAD->procs.pid[nr] = (int32_t)pid;
	if (as_child)
		give_turn(nr);
	return as_child ? GIVEN_AWAY : 0;
}

static long switch_to(uint64_t nr)
{
	if (nr > HEAD->procs.forks)
		return -3;
	if (nr == HEAD->procs.now)
		return 0;
	give_turn((uint32_t)nr);
	return GIVEN_AWAY;
}

/* Pages in turn readable and not, so that none merges with the next. */
static long map_crowd(uint64_t at, uint64_t n)
{
	uint64_t args[6] = { at, 0x1000, 0, 0x32, ~0UL, 0 }; /* PRIVATE, ANONYMOUS, FIXED */
	long ret = 0;

	HEAD->text.crowd = 1;
	for (; n && ret >= 0; n--, args[0] += 0x1000) {
		args[2] = n & 1;
		ret = sys6(__NR_mmap, args);
	}
	return ret < 0 ? ret : 0;
}

/*
 * The kernel reads a byte. It holds no lock meanwhile, as write(2) does of a file: the access may
 * sleep for a handler, and others follow.
 */
static long read_byte(uint64_t addr)
{
	const long ret = sys3(__NR_sched_setaffinity, (uint64_t)(int64_t)-1, 1, addr);

	return ret == -3 /* ESRCH: it has read the mask */ ? 1 : ret;
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
	case OP_FORK_STAY:
		return LANES ? fork_with_lanes() : fork_and_go_on(op->nr == OP_FORK);
	case OP_SWITCH:
		return switch_to(op->arg[0]);
	case OP_STORE:
		return store(op);
	case OP_LOAD:
		return sum_answer(load(op->arg[0], op->arg[1]));
	case OP_SURVEY:
		return survey(op);
	case OP_FETCH:
		return fetch(op->arg[0]);
	case OP_PEEK:
		load(op->arg[0], 1);
		return 0;
	case OP_FILE_WRITE:
		return file_write(op);
	case OP_FILE_READ:
		return file_read(op);
	case OP_READ:
		return read_byte(op->arg[0]);
	case OP_CROWD:
		return map_crowd(op->arg[0], op->arg[1]);
	default:
		return sys6(op->nr, op->arg);
	}
}

/* What op has come to, once it is done. 0, or -1: no more room. */
static int show(long maps, const struct wire_op *op, struct wire_answer *answer)
{
	answer->flags.len = answer->pages.n = answer->pages.unseen = answer->pages.unread = 0;
	answer->vec = answer->rss = 0;
	if ((op->look & LOOK_VEC) && !answer->ret)
		answer->vec = sum_of_vector((const unsigned char *)op->arg[2],
					    (op->arg[1] + 0xfff) >> 12);
	if (show_map(maps, answer))
		return -1;
	if ((op->look & LOOK_FLAGS) && show_flags(answer))
		return -1;
	if (op->look & LOOK_RSS)
		read_rss(answer);
	return op->look & LOOK_PAGES ? show_pages(answer) : 0;
}

/* The next call. 0, or -1 when the sequence goes no further. */
static int step(long maps)
{
	const struct wire_op *const op =
		(struct wire_op *)at_offset(WIRE_OPS_AT) + HEAD->result.done;
	struct wire_answer *const answer =
		(struct wire_answer *)at_offset(HEAD->asked.answers_at) + HEAD->result.done;
	long ret;

	if (HEAD->result.done == HEAD->asked.n_ops)
		return -1;
	ACCESS.fault.signo = ACCESS.fault.code = 0;
	ACCESS.fault.at = 0;
	ret = HEAD->procs.carried ? 0 : perform(op);
	if (ret == GIVEN_AWAY)
		return 0;
	answer->ret = ret;
	answer->fault.signo = ACCESS.fault.signo;
	answer->fault.code = ACCESS.fault.code;
	answer->fault.at = ACCESS.fault.at;
	answer->uffd.out[0] = answer->uffd.out[1] = 0;
	answer->uffd.msgs.len = answer->uffd.late.len = answer->uffd.readable = 0;
	HEAD->procs.carried = 0;
	if (show(maps, op, answer)) {
		HEAD->result.full = 1;
		return -1;
	}
	HEAD->result.done++;
	return 0;
}

/* A process of the sequence; which one its stack tells. */
static void run(void)
{
	const uint64_t stack = (uint64_t)__builtin_frame_address(0) - stack_top(0);
	const uint32_t me = (uint32_t)(stack / WIRE_STACK);
	const long maps = open_file("/proc/self/maps");

	end_with_parent(me);
	sys3(__NR_prctl, SET_PTRACER, ANYBODY, 0);
	if (me == 0) {
		HEAD->procs.pid[0] = (int32_t)sys3(__NR_getpid, 0, 0, 0);
		if (HEAD->asked.no_huge)
			sys4(__NR_prctl, NO_HUGE_PAGES, 1, 0, 0);
	}
	do
		await_turn(me);
	while (!step(maps));
	finish(0);
}

#include "lanes.h"

/* set-up -------------------------------------------------------------------- */

/* All goes but the text and the arena. */
static void unmap_the_rest(void)
{
	char *const text = at_offset(HEAD->asked.scratch_at);
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
	const uint64_t end = WIRE_TEXT + (LANES ? WIRE_LANES_TEXT_SIZE : WIRE_TEXT_SIZE);
	const struct {
		uint64_t code[2], data[2], brk[2], stack, arg[2], env[2], auxv;
		uint32_t auxv_size, exe_fd;
	} map = {
		.code = { WIRE_TEXT, end },
		.data = { end, end + 1 },
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
	HEAD->result.broken = set_break() ? 1 : catch_faults() ? 2 : 0;
	while (sys3(__NR_write, WIRE_FD_TO, (uint64_t)&byte, 1) == 1 &&
	       sys3(__NR_read, WIRE_FD_FROM, (uint64_t)&byte, 1) == 1) {
		const long pid = spawn(0, LANES ? run_director : run);

		HEAD->result.status = pid < 0 ? -1 : wait_for(pid);
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
