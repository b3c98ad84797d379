/* SPDX-License-Identifier: MIT */
/*
 * Events of a userfaultfd beside what reads, fills and closes.
 *
 *   unmap_told   munmap goes on when its event is read, or the userfaultfd closed, and not before.
 *   unmap_many   Two calls at once, a handler: each event comes once, and each call ends.
 *   remove_fill  Behind MADV_DONTNEED there is no page of a fill that has begun before it.
 *   toggle       samara_uffd_events_wait() beside MADV_DONTNEED: a call that does not wait has
 *                removed the pages before it tells.
 *   fork_close   A fork ends when its event is read or the parent's closes; no one is left behind.
 *   forked_read  Two readers, two forks: each child's is taken once.
 */
#include "schedule/world.h"

#include <errno.h>
#include <fcntl.h>

#include <samara/uffd.h>

#include "base/atomic.h"
#include "mmu/table.h"
#include "uffd/uffd.h"

#define EVENTS \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
	 UFFD_FEATURE_EVENT_UNMAP)

struct uffd_world {
	struct world w;
	struct samara_uffd *uffd, *forked[2];
	struct samara_mm *child[2];
	unsigned int reads; /* atomic: messages that were about to be read */
	int err;
};

static void register_pages(struct uffd_world *u, unsigned long page, unsigned long pages)
{
	struct uffdio_register reg = {
		.range = { PG(page), pages * WORLD_PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_REGISTER, &reg));
}

/* Pages 1 to 3 hold 1 and are registered. */
static void open_registered(void *arg)
{
	struct uffd_world *u = arg;
	struct uffdio_api api = { .api = UFFD_API, .features = EVENTS };

	world_open(&u->w);
	world_map(u->w.mm, 1, 3, WORLD_RW, MAP_PRIVATE, NULL);
	for (unsigned long page = 1; page <= 3; page++)
		world_set(u->w.mm, page, 1);
	schedule_require(!samara_uffd_create(u->w.mm, 0, &u->uffd));
	schedule_require(!samara_uffd_ioctl(u->uffd, UFFDIO_API, &api));
	register_pages(u, 1, 3);
}

static void close_all(void *arg)
{
	struct uffd_world *u = arg;

	world_check(&u->w);
	if (u->uffd)
		schedule_require(!READ_ONCE(u->uffd->changing));
	samara_uffd_put(u->uffd);
	for (int i = 0; i < 2; i++) {
		samara_uffd_put(u->forked[i]);
		samara_mm_exit(u->child[i]);
	}
	world_close(&u->w);
}

/* Waits for a message, which must come. */
static void read_one(struct uffd_world *u, struct uffd_msg *msg)
{
	atomic_add_return_relaxed(&u->reads, 1);
	schedule_require(samara_uffd_read(u->uffd, msg, 1) == sizeof(*msg));
}

/* unmap_told, unmap_many --------------------------------------------------------------- */

static void unmap(struct uffd_world *u, unsigned long page)
{
	schedule_require(!samara_munmap(u->w.mm, PG(page), WORLD_PAGE));
}

static void unmap_two(void *arg)
{
	struct uffd_world *u = arg;

	unmap(u, 1);
	schedule_require(READ_ONCE(u->reads) == 1);
	unmap(u, 2);
}

static void read_and_close(void *arg)
{
	struct uffd_world *u = arg;
	struct uffd_msg msg;

	read_one(u, &msg);
	schedule_require(msg.event == UFFD_EVENT_UNMAP && msg.arg.remove.start == PG(1));
	samara_uffd_put(u->uffd);
	u->uffd = NULL;
}

static const struct scenario unmap_told = {
	.name = "unmap_told",
	.what = "munmap goes on when its event was read, or its userfaultfd is closed",
	.world_size = sizeof(struct uffd_world),
	.setup = open_registered,
	.threads = { { "munmap", unmap_two }, { "handler", read_and_close } },
	.check = close_all,
};

static void unmap_first(void *arg)
{
	unmap(arg, 1);
}

static void unmap_second(void *arg)
{
	unmap(arg, 2);
}

static void read_two(void *arg)
{
	struct uffd_world *u = arg;
	struct uffd_msg one, two;

	read_one(u, &one);
	read_one(u, &two);
	schedule_require(one.arg.remove.start + two.arg.remove.start == PG(1) + PG(2));
}

static const struct scenario unmap_many = {
	.name = "unmap_many",
	.what = "two calls tell a handler, each once, and end",
	.world_size = sizeof(struct uffd_world),
	.setup = open_registered,
	.threads = { { "first", unmap_first },
		     { "second", unmap_second },
		     { "handler", read_two } },
	.check = close_all,
};

/* remove_fill -------------------------------------------------------------------------- */

/* As above, but page 1 is empty, 5 has a page that may move there, and calls do not wait. */
static void open_to_fill(void *arg)
{
	struct uffd_world *u = arg;

	open_registered(arg);
	samara_uffd_events_wait(u->w.mm, 0);
	unmap(u, 1);
	world_map(u->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_map(u->w.mm, 5, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(u->w.mm, 5, 5);
	register_pages(u, 1, 1);
	read_one(u, &(struct uffd_msg){ 0 });
}

static void discard(void *arg)
{
	struct uffd_world *u = arg;

	schedule_require(!samara_madvise(u->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
}

static void fill(void *arg)
{
	struct uffd_world *u = arg;
	struct uffdio_move move = { PG(1), PG(5), WORLD_PAGE, 0, 0 };

	u->err = samara_uffd_ioctl(u->uffd, UFFDIO_MOVE, &move);
	schedule_require(!u->err || u->err == -EAGAIN);
}

static void page_is_gone(void *arg)
{
	struct uffd_world *u = arg;
	struct table *leaf = table_find(u->w.mm, PG(1));
	struct uffd_msg msg;

	schedule_require(!leaf || pte_none(pte_read(table_pte(u->w.mm, leaf, PG(1)))));
	/* It came, and went; or stayed. */
	schedule_require(world_frames(&u->w) == 2 + !!u->err);
	read_one(u, &msg);
	schedule_require(msg.event == UFFD_EVENT_REMOVE);
	close_all(arg);
}

static const struct scenario remove_fill = {
	.name = "remove_fill",
	.what = "no page of a fill comes behind a call that has discarded it",
	.world_size = sizeof(struct uffd_world),
	.setup = open_to_fill,
	.threads = { { "madvise", discard }, { "fill", fill } },
	.check = page_is_gone,
};

/* toggle ------------------------------------------------------------------------------- */

static void discard_two(void *arg)
{
	struct uffd_world *u = arg;

	schedule_require(!samara_madvise(u->w.mm, PG(2), WORLD_PAGE, MADV_DONTNEED));
	schedule_require(!samara_madvise(u->w.mm, PG(3), WORLD_PAGE, MADV_DONTNEED));
}

static void wait_no_more(void *arg)
{
	struct uffd_world *u = arg;

	samara_uffd_events_wait(u->w.mm, 0);
}

static bool page_is_there(struct uffd_world *u, unsigned long page)
{
	struct table *leaf = table_find(u->w.mm, PG(page));

	return leaf && !pte_none(pte_read(table_pte(u->w.mm, leaf, PG(page))));
}

/* The oldest event that was not read: a call that waits for it has its pages. */
static void look_at_event(struct uffd_world *u, unsigned long page)
{
	struct list_head *events = &u->uffd->q.events;
	bool seen, waited = false;

	spin_lock(&u->uffd->q.lock, RANK_EVENT);
	seen = !list_empty(events);
	if (seen)
		waited = list_first_entry(events, struct uffd_event, in)->waited;
	spin_unlock(&u->uffd->q.lock);
	schedule_require(!seen || waited == page_is_there(u, page));
}

static void read_removals(void *arg)
{
	struct uffd_world *u = arg;
	struct uffd_msg msg;

	for (unsigned long page = 2; page <= 3; page++) {
		look_at_event(u, page);
		read_one(u, &msg);
		schedule_require(msg.arg.remove.start == PG(page));
	}
}

static const struct scenario toggle = {
	.name = "toggle",
	.what = "REMOVE is waited for, or comes when the pages have gone",
	.world_size = sizeof(struct uffd_world),
	.setup = open_registered,
	.threads = { { "madvise", discard_two },
		     { "toggle", wait_no_more },
		     { "handler", read_removals } },
	.check = close_all,
};

/* fork_close --------------------------------------------------------------------------- */

static void fork_first(void *arg)
{
	struct uffd_world *u = arg;

	schedule_require(!samara_fork(u->w.mm, &u->child[0]));
}

static void fork_second(void *arg)
{
	struct uffd_world *u = arg;

	schedule_require(!samara_fork(u->w.mm, &u->child[1]));
}

static void close_it(void *arg)
{
	struct uffd_world *u = arg;

	samara_uffd_put(u->uffd);
	u->uffd = NULL;
}

/* Its FORK was not read. */
static void child_is_not_registered(void *arg)
{
	struct uffd_world *u = arg;

	schedule_require(list_empty(&u->child[0]->watch.uffds.head));
	schedule_require(world_value(u->child[0], 1) == 1);
	world_set(u->child[0], 1, 2);
	schedule_require(world_value(u->w.mm, 1) == 1);
	close_all(arg);
}

static const struct scenario fork_close = {
	.name = "fork_close",
	.what = "a fork whose parent's userfaultfd closes ends, and its child's is closed too",
	.world_size = sizeof(struct uffd_world),
	.setup = open_registered,
	.threads = { { "fork", fork_first }, { "close", close_it } },
	.check = child_is_not_registered,
};

/* forked_read -------------------------------------------------------------------------- */

static void read_fork(struct uffd_world *u, int i)
{
	struct uffd_msg msg;

	read_one(u, &msg);
	schedule_require(msg.event == UFFD_EVENT_FORK);
	schedule_require(!samara_uffd_forked(u->uffd, &msg, &u->forked[i]));
	schedule_require(samara_uffd_forked(u->uffd, &msg, &u->forked[i]) == -ENOENT);
}

static void read_fork_0(void *arg)
{
	read_fork(arg, 0);
}

static void read_fork_1(void *arg)
{
	read_fork(arg, 1);
}

static void each_is_taken(void *arg)
{
	struct uffd_world *u = arg;
	const struct samara_mm *a = u->forked[0]->mm, *b = u->forked[1]->mm;

	schedule_require((a == u->child[0] && b == u->child[1]) ||
			 (a == u->child[1] && b == u->child[0]));
	close_all(arg);
}

static const struct scenario forked_read = {
	.name = "forked_read",
	.what = "each fork's child is taken by one of two readers",
	.world_size = sizeof(struct uffd_world),
	.setup = open_registered,
	.threads = { { "fork_1", fork_first },
		     { "fork_2", fork_second },
		     { "reader_1", read_fork_0 },
		     { "reader_2", read_fork_1 } },
	.check = each_is_taken,
};

int main(int argc, char **argv)
{
	static const struct scenario *const scenarios[] = {
		&unmap_told, &unmap_many, &remove_fill, &toggle, &fork_close, &forked_read, NULL,
	};

	return schedule_main(argc, argv, scenarios);
}
