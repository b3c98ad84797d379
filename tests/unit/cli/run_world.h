/* SPDX-License-Identifier: MIT */
/*
 * The tests' side of a guest (run_guest.h): it is started, asked, served, and ended.
 */
#ifndef TESTS_RUN_WORLD_H
#define TESTS_RUN_WORLD_H

#include "unit/cli/run_guest.h"

#define WINDOW 0x550100000000UL /* where tests change the guest's map */
#define ALL_MODES \
	(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP)

static inline void serve_notified(struct world *w)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked))
		return;
	for (int i = 0; i < GUESTS; i++)
		if (w->agent[i].all && (birth_notify(&w->birth[i], w->listener, &asked) ||
					agent_notify(&w->agent[i], w->listener, &asked)))
			return;
	w->notified++;
	answer.id = asked.id;
	if (asked.data.nr == (int)AGENT_CALL_FD) {
		answer.flags = 0;
		answer.error = -ENOSYS;
	}
	ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static inline void serve_uffd(struct world *w, int uffd)
{
	struct uffd_msg msg;

	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return;
	if (msg.event == UFFD_EVENT_FORK)
		w->agent[1].uffd = (int)msg.arg.fork.ufd;
	else if (w->fault)
		w->fault(w, uffd, &msg);
}

/* Answers what there is, and waits a moment if there is nothing. */
static inline void serve(void *priv)
{
	struct world *w = priv;
	struct pollfd fds[1 + GUESTS] = { { .fd = w->listener, .events = POLLIN } };

	if (atomic_load(&w->ended))
		fail_msg("the guest has ended");
	for (int i = 0; i < GUESTS; i++)
		fds[1 + i] = (struct pollfd){ .fd = w->agent[i].all ? w->agent[i].uffd : -1,
					      .events = POLLIN };
	poll(fds, 1 + GUESTS, 1);
	if (fds[0].revents & POLLIN)
		serve_notified(w);
	for (int i = 0; i < GUESTS; i++)
		if (fds[1 + i].revents & POLLIN)
			serve_uffd(w, fds[1 + i].fd);
}

static inline void init_agent(struct world *w, int i)
{
	pthread_mutex_lock(&w->lock);
	assert_int_equal(agent_init(&w->agent[i], &w->agents, agent_windows[0]), 0);
	pthread_mutex_unlock(&w->lock);
}

static inline struct agent_serve serving(struct world *w)
{
	return (struct agent_serve){ w->listener, serve, w };
}

static inline int open_agent(struct world *w, int i)
{
	const struct agent_serve how = serving(w);

	return agent_open(&w->agent[i], &how);
}

/* asking --------------------------------------------------------------------------------- */

static struct control *begin(struct world *w, int which, enum ask ask, long x, long y)
{
	struct control *c = w->control + which;

	c->ask = ask;
	c->arg[0] = x;
	c->arg[1] = y;
	word_set(&c->go, c->done);
	return c;
}

static inline bool is_done(const struct control *c)
{
	return __atomic_load_n(&c->done, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&c->go, __ATOMIC_ACQUIRE) + 1;
}

static inline long ask(struct world *w, int which, enum ask what, long x, long y)
{
	struct control *c = begin(w, which, what, x, y);

	while (!is_done(c))
		serve(w);
	return c->ret;
}

/* A system call by the guest itself. */
static inline long ask_call(struct world *w, int which, long nr, long x, long y, long z)
{
	struct control *c = w->control + which;

	c->arg[2] = y;
	c->arg[3] = z;
	return ask(w, which, ASK_CALL, nr, x);
}

/* births --------------------------------------------------------------------------------- */

/* The birth is over: 0, or what it failed with. */
static inline int await_birth(struct world *w, int i)
{
	int born;

	while ((born = atomic_load(&w->born[i])) == 0 || born == 1)
		serve(w);
	return born == 2 ? 0 : born;
}

static inline void await_guest(struct world *w, int i)
{
	atomic_store(&w->go[i], 1);
	while (!__atomic_load_n(&w->control[i].done, __ATOMIC_ACQUIRE))
		serve(w);
}

/* Why a guest cannot be had on this host, or NULL; it prints that. */
static inline const char *world_lacks(void)
{
	const int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_MINOR_SHMEM |
					      UFFD_FEATURE_WP_HUGETLBFS_SHMEM };
	const char *lacks = NULL;
	struct agents none;

	if (fd < 0 && dev < 0)
		lacks = "no right to userfaultfd(2) and /dev/userfaultfd";
	else if (fd >= 0 && ioctl(fd, UFFDIO_API, &api))
		lacks = "userfaultfd has not the features, or EVENT_FORK needs rights";
	else if (agents_init(&none) == -ENOSYS)
		lacks = "no stub for this machine";
	else
		agents_destroy(&none);
	close(dev);
	close(fd);
	if (lacks)
		print_message("skipped: %s\n", lacks);
	return lacks;
}

static inline int ram_file(unsigned long pages)
{
	const int fd = memfd_create("tests-ram", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE)), 0);
	return fd;
}

/* The guest is stopped behind execve(2), with an agent that has not been opened. */
static inline void world_start_stopped(struct world *w)
{
#if defined(__SANITIZE_THREAD__)
	print_message("skipped: ThreadSanitizer starts no threads behind a fork of several\n");
	skip();
#endif
	if (world_lacks())
		skip();
	memset(w, 0, sizeof(*w));
	w->agents.ram = ram_file(RAM_PAGES);
	w->agents.empty = ram_file(0);
	w->agents.ask = ram_file(1UL << 35);
	w->agents.dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	w->agents.features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_MINOR_SHMEM |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
	w->ram = mmap(NULL, RAM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->agents.ram, 0);
	w->control_fd = memfd_create("tests-control", 0);
	assert_int_equal(ftruncate(w->control_fd, PAGE), 0);
	w->control = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->control_fd, 0);
	assert_int_equal(agents_init(&w->agents), 0);
	pthread_mutex_init(&w->lock, NULL);
	init_agent(w, 0);
	areas_init(&w->areas, &w->agent[0], 65530);
	assert_int_equal(pthread_create(&w->tracer, NULL, trace, w), 0);
	while (!atomic_load(&w->listener))
		usleep(100);
	if (w->listener < 0) {
		print_message("skipped: no ptrace, or no listener of a filter\n");
		pthread_join(w->tracer, NULL);
		skip();
	}
	assert_int_equal(await_birth(w, 0), 0);
}

static inline void world_start(struct world *w)
{
	world_start_stopped(w);
	assert_int_equal(open_agent(w, 0), 0);
	await_guest(w, 0);
}

static inline void world_end(struct world *w)
{
	for (int i = 0; i < GUESTS; i++) {
		if (w->pid[i])
			kill(w->pid[i], SIGKILL);
		if (w->agent[i].all)
			agent_kill(&w->agent[i]);
	}
	pthread_join(w->tracer, NULL);
	for (int i = 0; i < GUESTS; i++)
		if (w->agent[i].all)
			agent_free(&w->agent[i]);
	areas_destroy(&w->areas);
	agents_destroy(&w->agents);
	munmap(w->ram, RAM_PAGES * PAGE);
	munmap(w->control, PAGE);
	close(w->control_fd);
	close(w->listener);
	close(w->agents.ram);
	close(w->agents.empty);
	close(w->agents.ask);
	close(w->agents.dev);
}

#endif
