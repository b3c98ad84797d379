/* SPDX-License-Identifier: MIT */
/*
 * The running kernel's side of the check: the child process and its arena.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check.h"
#include "check/embed.h"
#include "check/swap.h"

#define GLANCE 500 /* milliseconds between looks at how far it is */
#define SET_MEMORY_MERGE 67
#define MAY_RUN 0x10U /* MFD_EXEC */

unsigned long host_counter(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	unsigned long value = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoul(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/* The descriptors in their places, which may be those of others: first all out of the way. */
static bool place_descriptors(const int *fd, const int *place, int n)
{
	int safe[16];

	for (int i = 0; i < n; i++)
		if ((safe[i] = fcntl(fd[i], F_DUPFD, WIRE_FD_END)) < 0)
			return false;
	for (int i = 0; i < n; i++)
		if (dup2(safe[i], place[i]) < 0)
			return false;
	for (int i = 0; i < n; i++)
		close(safe[i]);
	return true;
}

/*
 * What the caller has made of this process, and caller_undo() has left: personalities, memory that
 * is given to KSM. Where addresses are random all the same (a filter may refuse personality(2)) the
 * layout that is measured tells.
 */
static void forget_the_caller(void)
{
	prctl(SET_MEMORY_MERGE, 0, 0, 0, 0);
	personality(ADDR_NO_RANDOMIZE);
}

static __attribute__((noreturn)) void become_child(const int *fd, const int *place, int n, int exe)
{
	static char *const argv[] = { (char *)"samara-check", NULL };
	static char *const none[] = { NULL };
	struct rlimit limit;

	exe = fcntl(exe, F_DUPFD_CLOEXEC, WIRE_FD_END);
	for (size_t i = 0; i < sizeof(start_limits) / sizeof(start_limits[0]); i++) {
		start_limit(start_limits[i], &limit);
		setrlimit((__rlimit_resource_t)start_limits[i], &limit);
	}
	forget_the_caller();
	if (exe >= 0 && place_descriptors(fd, place, n))
		syscall(SYS_execveat, exe, "", argv, none, AT_EMPTY_PATH);
	_exit(127);
}

/* The same file, not open for writing: such a one cannot be run. */
static int reopened(int fd)
{
	char path[40];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = fchmod(fd, 0700) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return again;
}

/* In memory; where vm.memfd_noexec forbids that, on disk. */
static int program_file(bool lanes)
{
	size_t size;
	const char *const program = check_program(lanes, &size);
	int fd = memfd_create("samara-check", MFD_CLOEXEC | MAY_RUN);
	const bool on_disk = fd < 0 && errno == EACCES;

	if (fd < 0)
		fd = on_disk ? file_on_disk() : memfd_create("samara-check", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, program, size) == (ssize_t)size)
		return on_disk ? reopened(fd) : fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * The child is ready, or has done a sequence. On a busy host a long sequence takes minutes: it is
 * given up only when no call is completed any more.
 */
static bool await(struct host *h)
{
	struct pollfd poll_fd = { .fd = h->from, .events = POLLIN };
	uint32_t done = h->head->result.done;
	int waited = 0, n;
	char byte;

	while ((n = poll(&poll_fd, 1, GLANCE)) <= 0 && waited < h->patience * 1000) {
		if (n < 0 && errno != EINTR)
			return false;
		waited = done == h->head->result.done ? waited + GLANCE : 0;
		done = h->head->result.done;
	}
	return poll_fd.revents & POLLIN && read(h->from, &byte, 1) == 1;
}

/* Where it has addresses chosen: two mappings, each of which goes beside what is there. */
static void learn_layout(struct host *h)
{
	const unsigned long first = (unsigned long)host_answer(h, 1)->ret;
	const unsigned long second = (unsigned long)host_answer(h, 2)->ret;

	h->begin.bottom_up = second > first;
	h->begin.base = h->begin.bottom_up ? first : first + PAGE;
}

/* Its own mappings and its layout, for the mirror: asked of it as a sequence. */
static const char *learn_map(struct host *h)
{
	static struct seq seq;
	const char *why, *text;
	size_t len;

	seq.n = 3;
	seq.op[0] = (struct wire_op){ .nr = SYS_getppid };
	for (int i = 1; i < 3; i++)
		seq.op[i] = (struct wire_op){
			.nr = SYS_mmap,
			.arg = { 0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, ~0UL },
		};
	why = host_run(h, &seq);
	if (why)
		return why;
	text = host_text(h, 0, &len);
	if (h->head->result.done != 3 || len >= sizeof(h->begin.map) || host_answer(h, 2)->ret < 0)
		return "the host's child did not tell its map";
	memcpy(h->begin.map, text, len);
	h->begin.map[len] = '\0';
	learn_layout(h);
	if (strtoul(strchr(h->begin.map, '-') + 1, NULL, 16) !=
	    WIRE_TEXT + (h->begin.lanes ? WIRE_LANES_TEXT_SIZE : WIRE_TEXT_SIZE))
		return "the host's child is not as long as WIRE_TEXT_SIZE says";
	return h->head->result.broken ? "the host does not let the child set its break" : NULL;
}

static const char *launch(struct host *h, const struct files *files, int arena, int exe)
{
	int fd[5 + FILES], place[5 + FILES], down[2], up[2];
	const int zero = files->fd[FILE_ZERO];

	if (pipe2(down, O_CLOEXEC))
		return "no pipe";
	if (pipe2(up, O_CLOEXEC)) {
		close(down[0]);
		close(down[1]);
		return "no pipe";
	}
	fd[0] = arena, place[0] = WIRE_FD_ARENA;
	fd[1] = down[0], place[1] = WIRE_FD_FROM;
	fd[2] = up[1], place[2] = WIRE_FD_TO;
	fd[3] = zero, place[3] = WIRE_FD_ZERO;
	fd[4] = h->swap_lock < 0 ? zero : h->swap_lock, place[4] = WIRE_FD_LOCK;
	for (int i = 0; i < FILES; i++)
		fd[5 + i] = files->fd[i], place[5 + i] = WIRE_FD_FILE + i;
	h->to = down[1];
	h->from = up[0];
	h->pid = fork();
	if (!h->pid)
		become_child(fd, place, 5 + FILES, exe);
	close(down[0]);
	close(up[1]);
	if (h->pid < 0 || !await(h))
		return "the host's child does not start";
	return learn_map(h);
}

const char *host_start(struct host *h, const struct files *files, const struct settings *set,
		       bool lanes)
{
	const int fd = memfd_create("samara-arena", MFD_CLOEXEC), exe = program_file(lanes);
	const char *why = exe < 0 ? "no file for the host's child, which may be run" :
				    "no memory for the host's child";
	const size_t arena = set->found.arena;

	*h = (struct host){
		.pid = -1,
		.to = -1,
		.from = -1,
		.begin.lanes = lanes,
		.size = arena,
		.patience = (int)set->patience,
		.files = files,
		.swap_lock = host_swap_lock_file(),
	};
	if (fd < 0 || exe < 0 || ftruncate(fd, (off_t)arena))
		goto out;
	h->head = mmap(NULL, arena, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h->head == MAP_FAILED) {
		h->head = NULL;
		goto out;
	}
	h->head->size = arena;
	h->head->asked.scratch_at = WIRE_OPS_AT; /* for its set-up */
	why = launch(h, files, fd, exe);
out:
	if (fd >= 0)
		close(fd);
	if (exe >= 0)
		close(exe);
	return why;
}

void host_stop(struct host *h)
{
	if (h->to >= 0)
		close(h->to);
	if (h->from >= 0)
		close(h->from);
	if (h->swap_lock >= 0)
		close(h->swap_lock);
	if (h->pid > 0) {
		kill(h->pid, SIGKILL); /* it may be stuck; only this one */
		waitpid(h->pid, NULL, 0);
	}
	if (h->head)
		munmap(h->head, h->size);
	*h = (struct host){ .pid = -1, .to = -1, .from = -1, .swap_lock = -1 };
}

static uint32_t round_up(uint32_t offset)
{
	return (offset + 63) & ~63U;
}

/* The child itself, by whatever signal it ended. */
static bool has_ended(struct host *h)
{
	if (waitpid(h->pid, NULL, WNOHANG) != h->pid)
		return false;
	h->pid = -1;
	return true;
}

/* A process of the sequence, by its status for wait4(2); -1: there was none. */
static const char *how_it_ended(int status)
{
	static char text[80];

	if (status == -1)
		return "the host's child cannot fork";
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "a process of the sequence was killed by signal %d%s",
			 WTERMSIG(status), WTERMSIG(status) == SIGKILL ? " (out of memory?)" : "");
	else
		snprintf(text, sizeof(text), "a process of the sequence ended with status %d",
			 WEXITSTATUS(status));
	return text;
}

bool seq_may_have_huge_pages(const struct seq *seq)
{
	for (unsigned int i = 0; i < seq->n; i++)
		if (seq->op[i].nr == SYS_madvise && seq->op[i].arg[2] == 25 /* COLLAPSE */)
			return true;
	return false;
}

unsigned int op_lane(const struct wire_op *op)
{
	return (op->look >> LOOK_LANE_SHIFT) % WIRE_LANES;
}

bool seq_has_lanes(const struct seq *seq)
{
	for (unsigned int i = 0; i < seq->n; i++)
		if (seq->op[i].nr <= OP_RESULT || op_lane(&seq->op[i]))
			return true;
	return false;
}

/* What the child has to know of its own to make the call. */
static void adapt(const struct wire_head *head, struct wire_op *op)
{
	/* 0: one that cannot be written to. NULL may be, where page 0 is mapped. */
	if (op->nr == SYS_mincore)
		op->arg[2] = op->arg[2] ? WIRE_ARENA + head->asked.scratch_at : WIRE_TEXT;
	if (op->nr == SYS_swapon || op->nr == SYS_swapoff) {
		op->arg[0] = WIRE_ARENA + offsetof(struct wire_head, asked.swap);
		op->arg[1] = SWAP_FLAGS;
	}
}

static void ask(struct host *h, const struct seq *seq)
{
	struct wire_head *head = h->head;

	head->asked.n_ops = seq->n;
	head->result.done = head->result.full = head->procs.forks = head->text.crowd = 0;
	head->procs.now = head->procs.over = head->procs.carried = 0;
	head->text.last_at = head->text.last_len = 0;
	head->asked.answers_at = round_up(WIRE_OPS_AT + seq->n * (uint32_t)sizeof(struct wire_op));
	head->asked.scratch_at =
		round_up(head->asked.answers_at + seq->n * (uint32_t)sizeof(struct wire_answer));
	head->text.at = head->asked.scratch_at + WIRE_SCRATCH + WIRE_WORK + WIRE_COPY;
	memcpy((char *)head + WIRE_OPS_AT, seq->op, seq->n * sizeof(struct wire_op));
	for (unsigned int i = 0; i < seq->n; i++)
		adapt(head, (struct wire_op *)((char *)head + WIRE_OPS_AT) + i);
	head->asked.no_huge = !seq_may_have_huge_pages(seq);
	snprintf(head->asked.swap, sizeof(head->asked.swap), "%s", host_swap_path());
}

const char *host_run(struct host *h, const struct seq *seq)
{
	const bool swaps = seq_swaps(seq);
	const char *why = swaps ? host_swap_lock(h->swap_lock, h->patience, &h->other_swap) : NULL;
	char byte = 0;

	h->head->result.done = 0;
	if (why)
		return why;
	ask(h, seq);
	if (files_reset_host(h->files))
		why = "the host's files cannot be emptied";
	else if (write(h->to, &byte, 1) != 1 || !await(h))
		why = has_ended(h) ? "the host's child was killed" :
				     "the host's child does not answer";
	else if (h->head->result.status)
		why = how_it_ended(h->head->result.status);
	if (swaps)
		host_swap_unlock(h->swap_lock);
	return why;
}

const struct wire_answer *host_answer(const struct host *h, unsigned int i)
{
	return (const struct wire_answer *)((const char *)h->head + h->head->asked.answers_at) + i;
}

const char *host_text(const struct host *h, unsigned int i, size_t *len)
{
	const struct wire_answer *a = host_answer(h, i);

	while (a->map.len == WIRE_SAME)
		a--;
	*len = a->map.len;
	return (const char *)h->head + a->map.at;
}
