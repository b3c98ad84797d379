/* SPDX-License-Identifier: MIT */
/*
 * How an agent is made in a new program and in a child of fork, and what of the task stays as it
 * was.
 */
#include <sys/resource.h>
#include <sys/uio.h>

#include "unit/cli/run_world.h"

/* A number, in hexadecimal, of /proc/PID/status. */
static unsigned long status_of(pid_t pid, const char *key)
{
	unsigned long value = ~0UL;
	char path[32], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoul(line + strlen(key), NULL, 16);
	if (file)
		fclose(file);
	return value;
}

static bool is_mapped(pid_t pid, unsigned long addr)
{
	char byte;
	const struct iovec to = { &byte, 1 }, from = { (void *)addr, 1 }; // NOLINT

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == 1;
}

static int map_pages(struct agent *a, unsigned long start, unsigned long pages, unsigned long first)
{
	const struct batch_map map = { start,      start + pages * PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED, AGENT_FD_RAM,         first };
	struct batch b;

	batch_begin(&b, a);
	batch_mmap(&b, &map);
	batch_register(&b, start, start + pages * PAGE, ALL_MODES);
	return batch_end(&b);
}

static void a_births_task_goes_on_as_if_nothing_had_been(void **state)
{
	struct user_regs_struct *was;
	struct rlimit files, now;
	struct world w;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &files);
	world_start_stopped(&w);
	was = &w.birth[0].was.regs;
	assert_int_equal(was->rax, 0); /* as execve(2) returns */
	assert_int_equal(was->orig_rax, SYS_execve);
	assert_int_equal(status_of(w.pid[0], "SigBlk:"), 0);
	assert_int_equal(status_of(w.pid[0], "SigIgn:"), status_of(getpid(), "SigIgn:"));
	assert_int_equal(status_of(w.pid[0], "SigCgt:"), 0);
	assert_int_equal(prlimit(w.pid[0], RLIMIT_NOFILE, NULL, &now), 0);
	assert_int_equal(now.rlim_cur, files.rlim_cur);
	assert_int_equal(now.rlim_max, files.rlim_max);
	assert_int_equal(open_agent(&w, 0), 0);
	/* The birth's descriptors are closed: the lowest is free as before. */
	await_guest(&w, 0);
	assert_int_equal(ask_call(&w, 0, SYS_dup, 0, 0, 0), w.agents.ram);
	world_end(&w);
}

static void sends(struct world *w, int i, int sig)
{
	while (atomic_load(&w->born[i]) == 0)
		;
	kill(w->pid[i], sig);
}

static void execve_makes_another_agent_and_the_dead_one_is_reaped(void **state)
{
	struct rlimit full, now;
	struct world w;
	struct batch b;
	pid_t dead;

	(void)state;
	world_start(&w);
	assert_int_equal(map_pages(&w.agent[0], WINDOW, 4, 0), 0);
	dead = w.agent[0].pid;
	agent_kill(&w.agent[0]);
	while (!atomic_load(&w.agents_dead))
		serve(&w);
	assert_int_equal(kill(dead, 0), 0); /* the program's zombie */
	init_agent(&w, 2);
	w.birth[2].reap = dead;
	w.exec_nr = 2;
	/* No descriptor is free for it. */
	while (ask_call(&w, 0, SYS_dup, 0, 0, 0) < 4)
		;
	getrlimit(RLIMIT_NOFILE, &full);
	full.rlim_cur = 5;
	assert_int_equal(prlimit(w.pid[0], RLIMIT_NOFILE, &full, NULL), 0);
	begin(&w, 0, ASK_EXEC, w.control_fd, 2);
	sends(&w, 2, SIGCONT); /* does nothing, but comes between */
	assert_int_equal(await_birth(&w, 2), 0);
	assert_int_equal(open_agent(&w, 2), 0);
	assert_int_equal(kill(dead, 0), -1);
	full.rlim_cur = full.rlim_max; /* for the loader */
	assert_int_equal(prlimit(w.pid[0], RLIMIT_NOFILE, &full, &now), 0);
	assert_int_equal(now.rlim_cur, 5);
	await_guest(&w, 2);
	assert_false(is_mapped(w.pid[0], WINDOW));
	assert_int_equal(map_pages(&w.agent[2], WINDOW, 4, 0), 0);
	batch_begin(&b, &w.agent[2]);
	batch_munmap(&b, WINDOW, WINDOW + 4 * PAGE);
	assert_int_equal(batch_end(&b), 0);
	world_end(&w);
}

static void fork_child(struct world *w)
{
	struct control *c;

	init_agent(w, 1);
	assert_int_equal(agent_fork(&w->agent[0], &w->agent[1]), 0);
	c = begin(w, 0, ASK_FORK, 0, 0);
	while (!is_done(c))
		serve(w);
	assert_true(c->ret > 0);
	assert_int_equal(await_birth(w, 1), 0);
	assert_int_equal(w->pid[1], c->ret);
	assert_int_equal(agent_forked(&w->agent[0], &w->agent[1]), 0);
	w->control[2].arg[0] = w->agent[1].uffd;
	assert_int_equal(open_agent(w, 1), 0);
	await_guest(w, 1);
}

static void a_child_of_fork_gets_an_agent_and_a_registered_map(void **state)
{
	const unsigned long page = WINDOW, code = agent_windows[0];
	struct uffdio_continue both = { .range = { page, PAGE } };
	struct uffdio_writeprotect wp = { { page, PAGE }, UFFDIO_WRITEPROTECT_MODE_WP };
	struct world w;

	(void)state;
	world_start(&w);
	assert_int_equal(map_pages(&w.agent[0], page, 4, 0), 0);
	memcpy(w.ram, "page", 4);
	assert_int_equal(ioctl(w.agent[0].uffd, UFFDIO_CONTINUE, &both), 0);
	assert_int_equal(ioctl(w.agent[0].uffd, UFFDIO_WRITEPROTECT, &wp), 0);
	fork_child(&w);
	assert_true(w.control[2].arg[0] > 0); /* EVENT_FORK's descriptor */
	/* Each has its own ring, and none the other's. */
	for (int i = 0; i < 2; i++) {
		assert_true(is_mapped(w.pid[i], code));
		assert_true(is_mapped(w.pid[i], code + (1 + 2 * w.agent[i].slot) * PAGE));
		assert_true(is_mapped(w.pid[i], code + (2 + 2 * w.agent[i].slot) * PAGE));
		assert_false(is_mapped(w.pid[i], code + (1 + 2 * w.agent[!i].slot) * PAGE));
		assert_false(is_mapped(w.pid[i], code + (2 + 2 * w.agent[!i].slot) * PAGE));
	}
	/* The page is there in both, protected: the child's agent gives it another one. */
	assert_int_equal(ask(&w, 1, ASK_LOAD, (long)page, 0) & 0xff, 'p');
	memcpy(w.ram + 9 * PAGE, w.ram, PAGE);
	assert_int_equal(map_pages(&w.agent[1], page, 1, 9), 0);
	assert_int_equal(ioctl(w.agent[1].uffd, UFFDIO_CONTINUE, &both), 0);
	assert_int_equal(ask(&w, 1, ASK_STORE, (long)page, 'c'), 0);
	assert_int_equal(ask(&w, 0, ASK_LOAD, (long)page, 0) & 0xff, 'p');
	assert_int_equal(w.ram[9 * PAGE], 'c');
	/* The death of one space leaves the other. */
	kill(w.pid[1], SIGKILL);
	agent_kill(&w.agent[1]);
	while (!atomic_load(&w.agents_dead))
		serve(&w);
	assert_int_equal(map_pages(&w.agent[0], page, 4, 4), 0);
	world_end(&w);
}

static void a_fork_that_fails_leaves_the_parent_as_it_was(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	for (int i = 0; i < 3; i++) {
		init_agent(&w, 1);
		assert_int_equal(agent_fork(&w.agent[0], &w.agent[1]), 0);
		assert_int_equal(agent_forked(&w.agent[0], &w.agent[1]), 0);
		assert_false(is_mapped(w.pid[0], agent_windows[0] + 3 * PAGE));
		pthread_mutex_lock(&w.lock);
		agent_free(&w.agent[1]);
		w.agent[1].all = NULL;
		pthread_mutex_unlock(&w.lock);
	}
	fork_child(&w);
	/* Nothing was registered, so no EVENT_FORK came, and the child's agent made its own. */
	assert_int_equal(w.control[2].arg[0], -1);
	assert_int_equal(map_pages(&w.agent[1], WINDOW, 4, 0), 0);
	world_end(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_births_task_goes_on_as_if_nothing_had_been),
		cmocka_unit_test(execve_makes_another_agent_and_the_dead_one_is_reaped),
		cmocka_unit_test(a_child_of_fork_gets_an_agent_and_a_registered_map),
		cmocka_unit_test(a_fork_that_fails_leaves_the_parent_as_it_was),
	};

	guest_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
