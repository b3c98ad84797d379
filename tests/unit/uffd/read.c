/* SPDX-License-Identifier: MIT */
/*
 * Reading messages, and the descriptor that says whether there is one.
 */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/mem.h"
#include "support/uffd_sleep.h"
#include "support/waits.h"

#define RW (PROT_READ | PROT_WRITE)
#define P MEM_PAGE
#define PAGES 8UL
#define NOWAIT (SAMARA_READ | SAMARA_NOWAIT)

static struct mem m;
static struct samara_uffd *uffd;
static unsigned long a;

static void open_one(int flags)
{
	uffd = uffd_open(m.mm, flags, UFFD_FEATURE_EVENT_UNMAP);
	a = mem_map(&m, PAGES, RW, MAP_PRIVATE, NULL);
	uffd_register_at(uffd, a, PAGES * P, MISSING);
}

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 1 << 20);
	open_one(O_NONBLOCK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_uffd_put(uffd);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

static void post(unsigned long page)
{
	unsigned char byte;

	assert_int_equal(samara_access(m.mm, a + page * P, &byte, 1, NOWAIT, NULL), -EAGAIN);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static long do_touch(void *arg)
{
	return samara_touch(m.mm, *(unsigned long *)arg, P, PROT_READ);
}

static void what_is_read_is_whole_messages_oldest_first(void **state)
{
	unsigned long at = a + 3 * P;
	struct uffd_msg msg[4];
	struct sleeping s;

	(void)state;
	assert_int_equal(samara_uffd_read(uffd, msg, 4), -EAGAIN);
	assert_int_equal(samara_uffd_read(uffd, msg, 0), -EINVAL);
	post(2);
	assert_true(sleeps(&s, uffd, 1, do_touch, &at));
	post(1);
	assert_int_equal(samara_uffd_read(uffd, msg, 2), 2 * sizeof(*msg));
	assert_int_equal(msg[0].arg.pagefault.address, a + 2 * P);
	assert_int_equal(msg[1].arg.pagefault.address, a + 3 * P);
	assert_int_equal(samara_uffd_read(uffd, msg, ULONG_MAX), sizeof(*msg));
	assert_int_equal(msg[0].arg.pagefault.address, a + P);
	assert_int_equal(uffd_zeropage_at(uffd, a, PAGES * P, 0, NULL), 0);
	assert_int_equal(woken(&s), 0);
}

static void nothing_is_read_before_the_handshake(void **state)
{
	struct samara_uffd *fresh;
	struct uffd_msg msg;

	(void)state;
	assert_int_equal(samara_uffd_create(m.mm, O_NONBLOCK, &fresh), 0);
	assert_int_equal(samara_uffd_read(fresh, &msg, 1), -EINVAL);
	samara_uffd_put(fresh);
}

static void the_descriptor_is_readable_while_a_message_waits(void **state)
{
	struct uffd_msg msg[2];
	int fd;

	(void)state;
	post(0); /* before there is one */
	fd = samara_uffd_fd(uffd);
	assert_true(fd >= 0);
	assert_int_equal(samara_uffd_fd(uffd), fd);
	assert_true(readable(fd));
	post(1);
	assert_int_equal(samara_uffd_read(uffd, msg, 1), sizeof(*msg));
	assert_true(readable(fd));
	assert_int_equal(samara_uffd_read(uffd, msg, 1), sizeof(*msg));
	assert_false(readable(fd));
	/* Not only reading takes messages away. */
	post(2);
	assert_true(readable(fd));
	assert_int_equal(uffd_wake_at(uffd, a, PAGES * P), 0);
	assert_false(readable(fd));
	post(2);
	assert_true(readable(fd));
	assert_int_equal(uffd_unregister_at(uffd, a, PAGES * P), 0);
	assert_false(readable(fd));
}

static void a_descriptor_may_be_refused(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(samara_uffd_fd(uffd), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(samara_uffd_fd(uffd) >= 0);
}

static long do_unmap(void *arg)
{
	(void)arg;
	return samara_munmap(m.mm, a, P);
}

static void faults_come_before_events(void **state)
{
	const int fd = samara_uffd_fd(uffd);
	struct uffd_msg msg[2];
	struct sleeping s = { .access = do_unmap };

	(void)state;
	assert_int_equal(pthread_create(&s.thread, NULL, sleeping_thread, &s), 0);
	while (!readable(fd))
		sched_yield();
	post(4);
	assert_int_equal(samara_uffd_read(uffd, &msg[0], 1), sizeof(*msg));
	assert_int_equal(msg[0].event, UFFD_EVENT_PAGEFAULT);
	assert_true(readable(fd));
	assert_int_equal(samara_uffd_read(uffd, &msg[0], 2), sizeof(*msg));
	assert_int_equal(msg[0].event, UFFD_EVENT_UNMAP);
	assert_false(readable(fd));
	assert_int_equal(woken(&s), 0);
}

/* blocking ------------------------------------------------------------------------- */

struct reader {
	struct uffd_msg msg;
	pid_t tid;
};

static long do_read(void *arg)
{
	struct reader *r = arg;

	return samara_uffd_read(uffd, &r->msg, 1);
}

static void start_reader(struct sleeping *s, struct reader *r)
{
	*s = (struct sleeping){ .access = do_read, .arg = r };
	assert_int_equal(pthread_create(&s->thread, NULL, sleeping_thread, s), 0);
	while (!smp_load_acquire(&s->tid))
		sched_yield();
	assert_true(comes_to_sleep(s->thread, (pid_t)s->tid));
}

static void reading_waits_for_a_message(void **state)
{
	struct sleeping s[2];
	struct reader r[2];

	(void)state;
	samara_uffd_put(uffd);
	open_one(0);
	for (int i = 0; i < 2; i++)
		start_reader(&s[i], &r[i]);
	post(3);
	post(4);
	for (int i = 0; i < 2; i++)
		assert_int_equal(woken(&s[i]), sizeof(struct uffd_msg));
	assert_int_equal(r[0].msg.arg.pagefault.address + r[1].msg.arg.pagefault.address,
			 2 * a + 7 * P);
}

static void closing_ends_reading(void **state)
{
	struct sleeping s[2];
	struct reader r[2];

	(void)state;
	samara_uffd_put(uffd);
	open_one(0);
	for (int i = 0; i < 2; i++)
		start_reader(&s[i], &r[i]);
	samara_uffd_put(uffd);
	for (int i = 0; i < 2; i++)
		assert_int_equal(woken(&s[i]), -EBADF);
	open_one(O_NONBLOCK);
}

/* load ----------------------------------------------------------------------------- */

#define ROUNDS 3000

static long do_touches(void *arg)
{
	(void)arg;
	for (unsigned long i = 0; i < ROUNDS; i++)
		if (samara_touch(m.mm, a + i % PAGES * P, P, PROT_READ))
			return -1;
	return 0;
}

/* Pages go as fast as they come: a wake-up that is lost would be a thread that sleeps for ever. */
static void no_wake_up_is_lost(void **state)
{
	struct sleeping s[3];
	unsigned long over = 0;
	struct uffd_msg msg;

	(void)state;
	for (int i = 0; i < 3; i++) {
		s[i] = (struct sleeping){ .access = do_touches };
		assert_int_equal(pthread_create(&s[i].thread, NULL, sleeping_thread, &s[i]), 0);
	}
	for (unsigned long i = 0; over < 3; i++) {
		if (samara_uffd_read(uffd, &msg, 1) == sizeof(msg)) {
			const int err =
				uffd_zeropage_at(uffd, msg.arg.pagefault.address, P, 0, NULL);

			assert_true(!err || err == -EEXIST);
			if (err)
				assert_int_equal(uffd_wake_at(uffd, msg.arg.pagefault.address, P),
						 0);
		}
		assert_int_equal(samara_madvise(m.mm, a + i % PAGES * P, P, MADV_DONTNEED), 0);
		over = 0;
		for (int j = 0; j < 3; j++)
			over += smp_load_acquire(&s[j].done);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(woken(&s[i]), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_read_is_whole_messages_oldest_first),
		TEST(nothing_is_read_before_the_handshake),
		TEST(the_descriptor_is_readable_while_a_message_waits),
		TEST(a_descriptor_may_be_refused),
		TEST(faults_come_before_events),
		TEST(reading_waits_for_a_message),
		TEST(closing_ends_reading),
		TEST(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
