/* SPDX-License-Identifier: MIT */
/*
 * The agent of a guest: how it is made, what its batches do, how it ends.
 */
#include "unit/cli/run_world.h"

/* The line of /proc/PID/maps for addr: its range's start, or 0. */
static unsigned long mapped(pid_t pid, unsigned long addr, char prot[5])
{
	unsigned long start = 0, end = 0;
	char path[32], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, prot) == 3 && addr >= start &&
		    addr < end)
			break;
	if (maps)
		fclose(maps);
	return addr >= start && addr < end ? start : 0;
}

static void a_guest_runs_with_an_agent_beside_it(void **state)
{
	const unsigned long at = agent_windows[0];
	struct world w;
	char prot[5], link[64], path[64];
	ssize_t n;

	(void)state;
	world_start(&w);
	assert_int_equal(mapped(w.pid[0], at, prot), at);
	assert_string_equal(prot, "r-xs");
	assert_int_equal(mapped(w.pid[0], at + PAGE, prot), at + PAGE);
	assert_string_equal(prot, "r--s");
	assert_int_equal(mapped(w.pid[0], at + 2 * PAGE, prot), at + 2 * PAGE);
	assert_string_equal(prot, "rw-s");
	/* It has its own session, and none of the program's descriptors but its own eight. */
	assert_int_equal(getsid(w.agent[0].pid), w.agent[0].pid);
	for (int fd = 0; fd < 32; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.agent[0].pid, fd);
		n = readlink(path, link, sizeof(link));
		assert_int_equal(n > 0, fd < AGENT_FD_DEV && fd != AGENT_FD_FILE);
	}
	assert_true(w.notified > 0); /* the program's own calls are, the agent's are not */
	world_end(&w);
}

static void step(struct batch *b, long nr, unsigned long x, unsigned long y, unsigned long z)
{
	const unsigned long arg[6] = { x, y, z };

	batch_call(b, nr, arg);
}

static struct batch_map ram_map(unsigned long start, unsigned long pages, int prot)
{
	return (struct batch_map){
		start, start + pages * PAGE, prot, MAP_SHARED, AGENT_FD_RAM, 16
	};
}

/* An access gets a signal, and nothing comes of it. */
static void assert_signal(struct world *w, enum ask what, unsigned long addr, int sig, int code)
{
	assert_int_equal(ask(w, 0, what, (long)addr, 1), -EFAULT);
	assert_int_equal(w->control[0].sig, sig);
	assert_int_equal(w->control[0].code, code);
	assert_ptr_equal(w->control[0].addr, (void *)addr); // NOLINT
}

static void zero_page(struct world *w, int uffd, const struct uffd_msg *msg)
{
	struct uffdio_zeropage zero = { .range = { msg->arg.pagefault.address & -PAGE, PAGE } };

	w->control[2].ret++; /* how often */
	ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
}

static void each_kind_of_step_changes_the_hosts_map(void **state)
{
	const unsigned long at = WINDOW;
	struct batch_map map = ram_map(at, 8, PROT_NONE);
	struct world w;
	struct batch b;
	char prot[5];

	(void)state;
	world_start(&w);
	w.fault = zero_page;
	batch_begin(&b, &w.agent[0]);
	batch_mmap(&b, &map);
	batch_register(&b, at, at + 8 * PAGE, ALL_MODES);
	assert_int_equal(batch_end(&b), 0);
	assert_signal(&w, ASK_STORE, at, SIGSEGV, SEGV_ACCERR);
	batch_begin(&b, &w.agent[0]);
	batch_mprotect(&b, at, at + 4 * PAGE, PROT_READ | PROT_WRITE);
	batch_mprotect(&b, at + 4 * PAGE, at + 8 * PAGE, PROT_READ);
	assert_int_equal(batch_end(&b), 0);
	assert_int_equal(mapped(w.pid[0], at, prot), at);
	assert_string_equal(prot, "rw-s");
	assert_int_equal(mapped(w.pid[0], at + 7 * PAGE, prot), at + 4 * PAGE);
	assert_string_equal(prot, "r--s");
	/* A first touch asks; the bytes are the file's. */
	assert_int_equal(ask(&w, 0, ASK_STORE, (long)at + 8, 0x1234), 0);
	assert_int_equal(w.control[2].ret, 1);
	assert_int_equal(*(long *)(w.ram + 16 * PAGE + 8), 0x1234);
	batch_begin(&b, &w.agent[0]);
	batch_madvise(&b, at, at + PAGE, MADV_DONTNEED);
	assert_int_equal(batch_end(&b), 0);
	w.control[2].ret = 0;
	w.fault = NULL;
	begin(&w, 0, ASK_LOAD, (long)at + 8, 0);
	for (int i = 0; i < 20; i++)
		serve(&w); /* it asks again, and waits */
	assert_false(is_done(&w.control[0]));
	batch_begin(&b, &w.agent[0]);
	batch_munmap(&b, at, at + 8 * PAGE);
	assert_int_equal(batch_end(&b), 0);
	ioctl(w.agent[0].uffd, UFFDIO_WAKE, &(struct uffdio_range){ at, 8 * PAGE });
	while (!is_done(&w.control[0]))
		serve(&w);
	assert_int_equal(w.control[0].sig, SIGSEGV); /* refused by being true */
	assert_int_equal(w.control[0].code, SEGV_MAPERR);
	assert_int_equal(mapped(w.pid[0], at, prot), 0);
	world_end(&w);
}

static void a_batch_stops_at_the_step_that_the_kernel_refuses(void **state)
{
	struct batch_map map = ram_map(WINDOW, 4, PROT_NONE);
	struct world w;
	struct batch b;
	char prot[5];

	(void)state;
	world_start(&w);
	for (unsigned int before = 0; before < 70; before += 33) {
		batch_begin(&b, &w.agent[0]);
		for (unsigned int i = 0; i < before; i++)
			step(&b, SYS_getppid, 0, 0, 0);
		batch_mmap(&b, &map);
		step(&b, SYS_munmap, WINDOW, 0, 0); /* no length */
		batch_mprotect(&b, WINDOW, WINDOW + PAGE, PROT_READ);
		for (unsigned int i = 0; i < before; i++)
			batch_mprotect(&b, WINDOW, WINDOW + PAGE, PROT_READ);
		assert_int_equal(batch_end(&b), -EINVAL);
		assert_int_equal(b.ran, before + 1);
		assert_int_equal(mapped(w.pid[0], WINDOW, prot), WINDOW);
		assert_string_equal(prot, "---s");
	}
	world_end(&w);
}

static void a_killed_agent_is_noticed(void **state)
{
	struct world w;
	struct batch b;

	(void)state;
	world_start(&w);
	/* The program may do it, as it may kill itself. */
	assert_int_equal(ask_call(&w, 0, SYS_kill, w.agent[0].pid, SIGKILL, 0), 0);
	batch_begin(&b, &w.agent[0]);
	batch_munmap(&b, WINDOW, WINDOW + PAGE);
	assert_int_equal(batch_end(&b), -ESRCH);
	batch_begin(&b, &w.agent[0]);
	batch_munmap(&b, WINDOW, WINDOW + PAGE);
	assert_int_equal(batch_end(&b), -ESRCH);
	while (!atomic_load(&w.agents_dead))
		serve(&w);
	world_end(&w);
}

static void *kills_later(void *arg)
{
	usleep(20000);
	agent_kill(arg);
	return NULL;
}

static void an_agent_that_hangs_can_be_killed_by_another_thread(void **state)
{
	pthread_t killer;
	struct world w;
	struct batch b;

	(void)state;
	world_start(&w);
	assert_int_equal(pthread_create(&killer, NULL, kills_later, &w.agent[0]), 0);
	batch_begin(&b, &w.agent[0]);
	step(&b, SYS_pause, 0, 0, 0);
	assert_int_equal(batch_end(&b), -ESRCH);
	pthread_join(killer, NULL);
	world_end(&w);
}

static void a_stopped_program_does_not_stop_its_agent(void **state)
{
	struct world w;
	struct batch b;
	int stops;

	(void)state;
	world_start(&w);
	stops = atomic_load(&w.stops);
	assert_int_equal(ask_call(&w, 0, SYS_kill, w.agent[0].pid, SIGSTOP, 0), 0);
	assert_int_equal(ask_call(&w, 0, SYS_kill, w.agent[0].pid, SIGTERM, 0), 0);
	kill(w.pid[0], SIGSTOP);
	batch_begin(&b, &w.agent[0]);
	for (int i = 0; i < 1000; i++)
		step(&b, SYS_getppid, 0, 0, 0);
	assert_int_equal(batch_end(&b), 0);
	while (atomic_load(&w.stops) == stops)
		usleep(200); /* it was stopped, and let go on */
	assert_int_equal(batch_end(&b), 0);
	world_end(&w);
}

/* The program can write to the said page only. With the help of a call it can change the others. */
static void a_program_that_writes_to_the_agents_pages_harms_itself(void **state)
{
	const unsigned long code = agent_windows[0], asks = code + PAGE, said = asks + PAGE;
	struct world w;
	struct batch b;

	(void)state;
	world_start(&w);
	assert_signal(&w, ASK_STORE, code, SIGSEGV, SEGV_ACCERR);
	assert_signal(&w, ASK_STORE, asks, SIGSEGV, SEGV_ACCERR);
	for (unsigned long at = said; at < said + PAGE; at += 8)
		assert_int_equal(ask(&w, 0, ASK_STORE, (long)at, -1), 0);
	batch_begin(&b, &w.agent[0]);
	for (int i = 0; i < 100; i++)
		step(&b, SYS_getppid, 0, 0, 0);
	assert_int_equal(batch_end(&b), 0);
	assert_int_equal(ask_call(&w, 0, SYS_mprotect, (long)asks, PAGE, PROT_READ | PROT_WRITE),
			 0);
	for (unsigned long i = 0; i <= RING_STEPS; i++)
		assert_int_equal(ask(&w, 0, ASK_STORE,
				     (long)(asks + offsetof(struct ring_ask, tally) + 8 * i), 99),
				 0);
	batch_begin(&b, &w.agent[0]);
	step(&b, SYS_getppid, 0, 0, 0);
	assert_int_equal(batch_end(&b), -EUCLEAN);
	world_end(&w);
}

static void shown_bytes_can_be_read_and_not_written(void **state)
{
	const long bytes[2] = { 11, 22 };
	struct world w;
	unsigned long at;

	(void)state;
	world_start(&w);
	at = agent_show(&w.agent[0], bytes, sizeof(bytes));
	assert_int_equal(ask(&w, 0, ASK_LOAD, (long)at, 0), 11);
	assert_int_equal(ask(&w, 0, ASK_LOAD, (long)at + 8, 0), 22);
	assert_signal(&w, ASK_STORE, at, SIGSEGV, SEGV_ACCERR);
	assert_int_equal(agent_show(&w.agent[0], bytes, PAGE), 0);
	world_end(&w);
}

static void code_and_ring_move_out_of_the_programs_way(void **state)
{
	const unsigned long from = agent_windows[0], to = from + 8 * PAGE;
	struct batch_map map = ram_map(to + 2 * PAGE, 1, PROT_READ);
	struct world w;
	struct batch b;
	char prot[5];

	(void)state;
	world_start(&w);
	/* Something is in the way of its third page. */
	batch_begin(&b, &w.agent[0]);
	batch_mmap(&b, &map);
	assert_int_equal(batch_end(&b), 0);
	assert_int_equal(agent_move(&w.agent[0], to), -EEXIST);
	assert_int_equal(mapped(w.pid[0], to, prot), 0);
	assert_int_equal(mapped(w.pid[0], to + 2 * PAGE, prot), to + 2 * PAGE);
	batch_begin(&b, &w.agent[0]);
	batch_munmap(&b, map.start, map.end);
	assert_int_equal(batch_end(&b), 0);
	for (int i = 0; i < 5; i++) {
		const unsigned long at = i & 1 ? from : to, other = i & 1 ? to : from;

		assert_int_equal(agent_move(&w.agent[0], at), 0);
		for (unsigned long page = 0; page < 3; page++) {
			assert_int_equal(mapped(w.pid[0], at + page * PAGE, prot),
					 at + page * PAGE);
			assert_int_equal(mapped(w.pid[0], other + page * PAGE, prot), 0);
		}
		map = ram_map(WINDOW, 2, PROT_READ | PROT_WRITE);
		batch_begin(&b, &w.agent[0]);
		batch_mmap(&b, &map);
		batch_register(&b, WINDOW, WINDOW + 2 * PAGE, ALL_MODES);
		batch_munmap(&b, WINDOW, WINDOW + 2 * PAGE);
		assert_int_equal(batch_end(&b), 0);
	}
	world_end(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_runs_with_an_agent_beside_it),
		cmocka_unit_test(each_kind_of_step_changes_the_hosts_map),
		cmocka_unit_test(a_batch_stops_at_the_step_that_the_kernel_refuses),
		cmocka_unit_test(a_killed_agent_is_noticed),
		cmocka_unit_test(an_agent_that_hangs_can_be_killed_by_another_thread),
		cmocka_unit_test(a_stopped_program_does_not_stop_its_agent),
		cmocka_unit_test(a_program_that_writes_to_the_agents_pages_harms_itself),
		cmocka_unit_test(code_and_ring_move_out_of_the_programs_way),
		cmocka_unit_test(shown_bytes_can_be_read_and_not_written),
	};

	guest_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
