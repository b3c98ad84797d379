/* SPDX-License-Identifier: MIT */
/*
 * Batches and their rounds. A thread plays the agent, honest or not: what it says through the said
 * page is believed as far as an errno goes, and what no agent can say ends it.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/agent.h"
#include "support/cmocka_all.h"

/* A player's process, for its pidfd: it is killed when the agent would be. */
struct player {
	struct agents agents;
	struct agent agent;
	pthread_t thread;
	pid_t pid;
	unsigned long fails_at; /* this step of all, with ... */
	int64_t result;         /* ... this result, and more is said to have run: */
	uint64_t more;
	atomic_ulong rounds, steps;
	atomic_int over;
};

static uint64_t plays_round(struct player *p, const struct ring_ask *ask, struct ring_said *said)
{
	uint64_t done;

	for (done = 0; done < ask->count; done++) {
		if (atomic_load(&p->steps) == p->fails_at) {
			said->result = p->result;
			break;
		}
		atomic_fetch_add(&p->steps, 1);
	}
	return done + 1 + p->more;
}

static void *plays(void *arg)
{
	struct player *p = arg;
	struct ring_ask *ask = ring_ask(&p->agents.rings, (unsigned int)p->agent.ring);
	struct ring_said *said = ring_said(&p->agents.rings, (unsigned int)p->agent.ring);
	uint64_t tally;

	for (uint32_t round = 0;; round++) {
		while (__atomic_load_n(&ask->word, __ATOMIC_ACQUIRE) == round)
			syscall(SYS_futex, &ask->word, FUTEX_WAIT, round, NULL, NULL, 0);
		if (atomic_load(&p->over))
			return NULL;
		tally = plays_round(p, ask, said);
		atomic_fetch_add(&p->rounds, 1);
		if (write(p->agent.bell, &tally, sizeof(tally)) < 0)
			return NULL;
	}
}

static void player_start(struct player *p, unsigned long fails_at, int64_t result, uint64_t more)
{
	int err;

	*p = (struct player){ .fails_at = fails_at, .result = result, .more = more };
	p->agents = (struct agents){ .ram = -1, .empty = -1, .ask = -1, .dev = -1 };
	err = agents_init(&p->agents);
	if (err == -ENOSYS) {
		print_message("skipped: no stub for this machine\n");
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(agent_init(&p->agent, &p->agents, agent_windows[0]), 0);
	p->pid = fork();
	if (!p->pid)
		for (;;)
			pause();
	p->agent.pid = p->pid;
	p->agent.pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	assert_true(p->agent.pidfd >= 0);
	assert_int_equal(pthread_create(&p->thread, NULL, plays, p), 0);
}

static void player_end(struct player *p)
{
	struct ring_ask *ask = ring_ask(&p->agents.rings, (unsigned int)p->agent.ring);

	atomic_store(&p->over, 1);
	__atomic_fetch_add(&ask->word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &ask->word, FUTEX_WAKE, 1, NULL, NULL, 0);
	pthread_join(p->thread, NULL);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	agent_free(&p->agent);
	agents_destroy(&p->agents);
}

static int run(struct player *p, struct batch *b, unsigned int steps)
{
	batch_begin(b, &p->agent);
	for (unsigned int i = 0; i < steps; i++)
		batch_munmap(b, i * 4096UL, (i + 1) * 4096UL);
	return batch_end(b);
}

static void a_batch_of_any_length_runs_in_rounds(void **state)
{
	static const unsigned int lengths[] = { 0, 1, 31, 32, 33, 64, 100 };
	struct player p;
	struct batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		player_start(&p, ~0UL, 0, 0);
		assert_int_equal(run(&p, &b, lengths[i]), 0);
		assert_int_equal(b.ran, lengths[i]);
		assert_int_equal(atomic_load(&p.steps), lengths[i]);
		assert_int_equal(atomic_load(&p.rounds), (lengths[i] + 31) / 32);
		player_end(&p);
	}
}

static void nothing_runs_behind_a_step_that_failed(void **state)
{
	struct player p;
	struct batch b;

	(void)state;
	for (unsigned int at = 0; at < 70; at += 23) {
		player_start(&p, at, -EINVAL, 0);
		assert_int_equal(run(&p, &b, 100), -EINVAL);
		assert_int_equal(b.ran, at);
		assert_int_equal(atomic_load(&p.rounds), at / 32 + 1);
		/* The next batch runs: the agent is well. */
		p.fails_at = ~0UL;
		assert_int_equal(run(&p, &b, 3), 0);
		assert_false(waitpid(p.pid, NULL, WNOHANG));
		player_end(&p);
	}
}

static void what_no_agent_can_say_ends_it(void **state)
{
	static const struct {
		int64_t result;
		uint64_t more;
	} lies[] = {
		{ 0, 0 },
		{ 5, 0 },
		{ -134, 0 },
		{ -4095, 0 },
		{ INT64_MIN, 0 },
		{ -ENOMEM, 1000 },
		{ -ENOMEM, 1UL << 60 },
	};
	struct player p;
	struct batch b;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		player_start(&p, 2, lies[i].result, lies[i].more);
		assert_int_equal(run(&p, &b, 5), -EUCLEAN);
		assert_true(b.ran <= 5);
		assert_int_equal(waitpid(p.pid, NULL, 0), p.pid); /* killed */
		assert_int_equal(run(&p, &b, 1), -ESRCH);
		player_end(&p);
	}
}

static void an_agent_that_dies_in_a_round_is_noticed(void **state)
{
	struct player p;
	struct batch b;

	(void)state;
	player_start(&p, ~0UL, 0, 0);
	atomic_store(&p.over, 1); /* it hears the round, and does not ring */
	kill(p.pid, SIGKILL);
	assert_int_equal(run(&p, &b, 40), -ESRCH);
	assert_int_equal(b.ran, 0);
	assert_int_equal(run(&p, &b, 1), -ESRCH);
	player_end(&p);
}

static void rings_are_used_again_and_are_zeros(void **state)
{
	struct rings rings;
	int nr[70];

	(void)state;
	assert_int_equal(rings_init(&rings, 70), 0);
	for (int i = 0; i < 70; i++) {
		nr[i] = ring_take(&rings);
		assert_int_equal(nr[i], i);
	}
	assert_int_equal(ring_take(&rings), -ENOSPC);
	ring_said(&rings, 66)->result = 7;
	ring_ask(&rings, 66)->word = 7;
	ring_give(&rings, 66);
	assert_int_equal(ring_take(&rings), 66);
	assert_int_equal(ring_said(&rings, 66)->result, 0);
	assert_int_equal(ring_ask(&rings, 66)->word, 0);
	assert_int_equal(ring_take(&rings), -ENOSPC);
	rings_destroy(&rings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_of_any_length_runs_in_rounds),
		cmocka_unit_test(nothing_runs_behind_a_step_that_failed),
		cmocka_unit_test(what_no_agent_can_say_ends_it),
		cmocka_unit_test(an_agent_that_dies_in_a_round_is_noticed),
		cmocka_unit_test(rings_are_used_again_and_are_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
