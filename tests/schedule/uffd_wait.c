/* SPDX-License-Identifier: MIT */
/*
 * Accesses that wait for a handler, beside what ends their wait. A wake-up that is lost is a
 * deadlock here.
 *
 *   answer      COPY beside the fault: the access ends with the bytes.
 *   told        The handler reads the message first.
 *   two         Two accesses, two readers: each message is read once, and all end.
 *   wake_early  WAKE beside queueing, without a page: the access asks again.
 *   unregister  The access ends without the handler.
 *   close       The same; a reader that is asleep ends too.
 *   interrupt   The access is interrupted exactly if the interruption says that it has met it.
 *   fill_close  COPY beside the close: it is over before its userfaultfd is freed.
 *   register_close  REGISTER beside the close: no mapping points to what is freed.
 *   post        An access that does not sleep succeeds once the handler has read and answered.
 *   protect     A write to a page whose protection is lifted.
 */
#include "schedule/world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <samara/uffd.h>

#include "base/atomic.h"
#include "uffd/uffd.h"

struct wait_world {
	struct world w;
	struct samara_uffd *uffd, *second;
	struct world_flag answered;
	unsigned long met; /* by samara_uffd_interrupt() */
	long guest;        /* what its access said */
	bool put;          /* uffd was closed */
	uint64_t source[WORLD_PAGE / sizeof(uint64_t)];
};

static void register_page(struct wait_world *u, unsigned long long mode)
{
	struct uffdio_register reg = { .range = { PG(1), WORLD_PAGE }, .mode = mode };

	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_REGISTER, &reg));
}

static void open_uffd(struct wait_world *u)
{
	struct uffdio_api api = { .api = UFFD_API };

	world_open(&u->w);
	world_map(u->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	u->source[0] = 7;
	schedule_require(!samara_uffd_create(u->w.mm, 0, &u->uffd));
	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_API, &api));
}

static void open_missing(void *arg)
{
	struct wait_world *u = arg;

	open_uffd(u);
	register_page(u, UFFDIO_REGISTER_MODE_MISSING);
}

static void close_all(void *arg)
{
	struct wait_world *u = arg;

	if (u->uffd) {
		schedule_require(list_empty(&u->uffd->q.pending) && list_empty(&u->uffd->q.told));
		samara_uffd_put(u->uffd);
	}
	world_check(&u->w);
	world_close(&u->w);
}

static int copy(struct wait_world *u)
{
	struct uffdio_copy ask = { .dst = PG(1), .src = (uintptr_t)u->source, .len = WORLD_PAGE };

	return samara_uffd_ioctl(u->uffd, UFFDIO_COPY, &ask);
}

static void load_seven(void *arg)
{
	struct wait_world *u = arg;

	schedule_require(world_value(u->w.mm, 1) == 7);
}

static void load_zero(void *arg)
{
	struct wait_world *u = arg;

	schedule_require(world_value(u->w.mm, 1) == 0);
}

static void do_copy(void *arg)
{
	schedule_require(!copy(arg));
}

static void read_and_copy(void *arg)
{
	struct wait_world *u = arg;
	struct uffd_msg msg;

	schedule_require(samara_uffd_read(u->uffd, &msg, 1) == sizeof(msg));
	schedule_require(msg.event == UFFD_EVENT_PAGEFAULT && msg.arg.pagefault.address == PG(1));
	do_copy(u);
}

static const struct scenario answer = {
	.name = "answer",
	.what = "an access beside its answer ends with the bytes",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_seven }, { "handler", do_copy } },
	.check = close_all,
};

static const struct scenario told = {
	.name = "told",
	.what = "a handler that reads is woken, and wakes",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_seven }, { "handler", read_and_copy } },
	.check = close_all,
};

static void read_or_not(void *arg)
{
	struct wait_world *u = arg;
	struct uffd_msg msg;
	const long n = samara_uffd_read(u->uffd, &msg, 1);
	int err;

	if (n == -EBADF)
		return;
	schedule_require(n == sizeof(msg));
	err = copy(u);
	/* The other reader was faster, or the closer. */
	schedule_require(!err || err == -EEXIST || err == -ENOENT);
}

static void open_kept(void *arg)
{
	struct wait_world *u = arg;

	open_missing(u);
	uffd_get(u->uffd); /* a call that begins late finds it closed, and not freed */
}

static void close_kept(void *arg)
{
	struct wait_world *u = arg;

	uffd_put(u->uffd);
	u->uffd = NULL;
	close_all(u);
}

static void do_close(void *arg)
{
	struct wait_world *u = arg;

	samara_uffd_put(u->uffd);
}

static void load_any(void *arg)
{
	struct wait_world *u = arg;
	const uint64_t value = world_value(u->w.mm, 1);

	schedule_require(value == 7 || value == 0);
}

static const struct scenario two = {
	.name = "two",
	.what = "two accesses, two readers and a close: all end",
	.world_size = sizeof(struct wait_world),
	.setup = open_kept,
	.threads = { { "guest", load_any },
		     { "other", load_any },
		     { "reader", read_or_not },
		     { "second", read_or_not },
		     { "closer", do_close } },
	.check = close_kept,
};

static void wake_then_copy(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_range range = { PG(1), WORLD_PAGE };

	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_WAKE, &range));
	do_copy(u);
}

static const struct scenario wake_early = {
	.name = "wake_early",
	.what = "a wake-up without a page beside queueing: the access asks again",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_seven },
		     { "other", load_seven },
		     { "handler", wake_then_copy } },
	.check = close_all,
};

static void do_unregister(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_range range = { PG(1), WORLD_PAGE };

	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_UNREGISTER, &range));
}

static const struct scenario unregister = {
	.name = "unregister",
	.what = "unregistering ends the wait",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_zero }, { "other", load_zero }, { "handler", do_unregister } },
	.check = close_all,
};

static const struct scenario closed = {
	.name = "close",
	.what = "closing ends waits, and reading",
	.world_size = sizeof(struct wait_world),
	.setup = open_kept,
	.threads = { { "guest", load_any }, { "reader", read_or_not }, { "closer", do_close } },
	.check = close_kept,
};

static void load_or_not(void *arg)
{
	struct wait_world *u = arg;
	uint64_t value = 0;

	u->guest = samara_read(u->w.mm, PG(1), &value, sizeof(value), NULL);
	schedule_require(u->guest == -EAGAIN || (u->guest == sizeof(value) && value == 7));
}

static void do_interrupt(void *arg)
{
	struct wait_world *u = arg;

	u->met = samara_uffd_interrupt(u->w.mm, 0);
}

static void met_or_answered(void *arg)
{
	struct wait_world *u = arg;

	/* One that found its page when it looked again was met, and says so, too. */
	schedule_require((u->guest == -EAGAIN) == u->met);
	close_all(u);
}

static const struct scenario interrupt = {
	.name = "interrupt",
	.what = "an access ends, interrupted exactly if an interruption has met it",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_or_not }, { "signal", do_interrupt }, { "handler", do_copy } },
	.check = met_or_answered,
};

static void close_if_open(void *arg)
{
	struct wait_world *u = arg;

	if (u->put)
		u->uffd = NULL;
	close_all(u);
}

/* Page 2 is what COPY reads, and has a handler of its own. */
static void open_source(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { PG(2), WORLD_PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };

	open_missing(u);
	world_map(u->w.mm, 2, 1, WORLD_RW, MAP_PRIVATE, NULL);
	schedule_require(!samara_uffd_create(u->w.mm, 0, &u->second));
	schedule_require(!samara_uffd_ioctl(u->second, UFFDIO_API, &api));
	schedule_require(!samara_uffd_ioctl(u->second, UFFDIO_REGISTER, &reg));
	samara_uffd_source(u->uffd, u->w.mm);
}

static void copy_or_closed(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_copy ask = { .dst = PG(1), .src = PG(2), .len = WORLD_PAGE };
	const int err = samara_uffd_ioctl(u->uffd, UFFDIO_COPY, &ask);

	schedule_require(!err || err == -ENOENT);
}

static void close_then_answer(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_zeropage zero = { .range = { PG(2), WORLD_PAGE } };
	struct uffd_msg msg;

	/* COPY is under way. */
	schedule_require(samara_uffd_read(u->second, &msg, 1) == sizeof(msg));
	samara_uffd_put(u->uffd);
	u->put = true;
	schedule_require(!samara_uffd_ioctl(u->second, UFFDIO_ZEROPAGE, &zero));
}

static void close_second(void *arg)
{
	struct wait_world *u = arg;

	samara_uffd_put(u->second);
	close_if_open(u);
}

static const struct scenario fill_close = {
	.name = "fill_close",
	.what = "COPY outlives the close by another thread",
	.world_size = sizeof(struct wait_world),
	.setup = open_source,
	.threads = { { "handler", copy_or_closed }, { "closer", close_then_answer } },
	.check = close_second,
};

/* A request that is under way has a reference of its own. */
static void close_beside(void *arg)
{
	struct wait_world *u = arg;

	if (refcount_read(&u->uffd->refs) == 1)
		return; /* it has not begun, or is over */
	samara_uffd_put(u->uffd);
	u->put = true;
}

static void register_or_closed(void *arg)
{
	struct wait_world *u = arg;
	struct uffdio_register reg = { .range = { PG(1), WORLD_PAGE },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	const int err = samara_uffd_ioctl(u->uffd, UFFDIO_REGISTER, &reg);

	schedule_require(!err || err == -EBADF);
}

static const struct scenario register_close = {
	.name = "register_close",
	.what = "no mapping is registered behind the close by another thread",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "handler", register_or_closed }, { "closer", close_beside } },
	.check = close_if_open,
};

static void load_nowait(void *arg)
{
	struct wait_world *u = arg;
	const unsigned int how = SAMARA_READ | SAMARA_NOWAIT;
	uint64_t value = 0;

	for (int i = 0; i < 2; i++)
		schedule_require(samara_access(u->w.mm, PG(1), &value, sizeof(value), how, NULL) ==
					 -EAGAIN ||
				 value == 7);
	world_await(&u->answered);
	schedule_require(samara_access(u->w.mm, PG(1), &value, sizeof(value), how, NULL) ==
			 sizeof(value));
	schedule_require(value == 7);
}

static void read_copy_raise(void *arg)
{
	struct wait_world *u = arg;

	read_and_copy(u);
	world_raise(&u->answered);
}

static const struct scenario post = {
	.name = "post",
	.what = "an access that does not sleep succeeds once its handler has answered",
	.world_size = sizeof(struct wait_world),
	.setup = open_missing,
	.threads = { { "guest", load_nowait }, { "handler", read_copy_raise } },
	.check = close_all,
};

static int protect(struct wait_world *u, unsigned long long mode)
{
	struct uffdio_writeprotect ask = { .range = { PG(1), WORLD_PAGE }, .mode = mode };

	return samara_uffd_ioctl(u->uffd, UFFDIO_WRITEPROTECT, &ask);
}

static void open_protected(void *arg)
{
	struct wait_world *u = arg;

	open_uffd(u);
	world_set(u->w.mm, 1, 7);
	register_page(u, UFFDIO_REGISTER_MODE_WP);
	schedule_require(!protect(u, UFFDIO_WRITEPROTECT_MODE_WP));
}

static void store_nine(void *arg)
{
	struct wait_world *u = arg;

	world_set(u->w.mm, 1, 9);
	schedule_require(world_value(u->w.mm, 1) == 9);
}

static void do_lift(void *arg)
{
	schedule_require(!protect(arg, 0));
}

static const struct scenario lifted = {
	.name = "protect",
	.what = "a write beside the end of its page's protection is made",
	.world_size = sizeof(struct wait_world),
	.setup = open_protected,
	.threads = { { "guest", store_nine }, { "handler", do_lift } },
	.check = close_all,
};

int main(int argc, char **argv)
{
	static const struct scenario *const scenarios[] = {
		&answer,     &told,           &two,  &wake_early, &unregister, &closed, &interrupt,
		&fill_close, &register_close, &post, &lifted,     NULL,
	};

	return schedule_main(argc, argv, scenarios);
}
