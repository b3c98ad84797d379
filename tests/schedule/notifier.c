/* SPDX-License-Identifier: MIT */
/*
 * Mmu notifiers, used as <samara/notifier.h> says, against changes of the page tables.
 *
 *   pairs   Each end that a notifier is told of had its start, each start has had its end when
 *           samara_notifier_unregister() returns, and then none of both comes.
 *   second  A second page table that drops a page at start, and makes no translation between start
 *           and end, never leads to a frame that is another page's by now.
 *   exit    An mm exits: release comes last, and behind a change of everything.
 *   leaves  second and exit at once: as its mm exits, a second page table never leads to a frame
 *           that is another mm's by now.
 */
#include "schedule/world.h"

#include <samara/notifier.h>

#include "base/atomic.h"
#include "base/lock.h"

struct notifier_world {
	struct world w;
	struct samara_notifier *notifier;
	int open, dead, released; /* atomic */

	/* The second page table, of one page. */
	struct samara_spinlock lock; /* a leaf, for what follows */
	unsigned int changing;       /* starts without their end */
	unsigned long seq;           /* ends */
	const uint64_t *host;        /* where page 1 is; NULL: not known */
	struct samara_mm *other;
};

static void open_written(void *arg)
{
	struct notifier_world *n = arg;

	world_open(&n->w);
	world_map(n->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(n->w.mm, 1, 7);
}

static void close_world(void *arg)
{
	struct notifier_world *n = arg;

	world_close(&n->w);
}

/* pairs -------------------------------------------------------------------------------- */

static void count_start(const struct samara_notifier_range *range, void *priv)
{
	struct notifier_world *n = priv;

	schedule_require(range->mm == n->w.mm && !READ_ONCE(n->dead));
	atomic_inc(&n->open);
}

static void count_end(const struct samara_notifier_range *range, void *priv)
{
	struct notifier_world *n = priv;

	schedule_require(range->mm == n->w.mm && !READ_ONCE(n->dead));
	schedule_require(atomic_fetch_add_relaxed(&n->open, -1) > 0);
}

static void count_release(struct samara_mm *mm, void *priv)
{
	struct notifier_world *n = priv;

	schedule_require(mm == n->w.mm && !READ_ONCE(n->open));
	WRITE_ONCE(n->dead, 1);
	n->released++;
}

static const struct samara_notifier_ops counting = {
	.start = count_start,
	.end = count_end,
	.release = count_release,
};

static void watch(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(!samara_notifier_register(n->w.mm, &counting, n, &n->notifier));
	samara_notifier_unregister(n->notifier);
	schedule_require(!READ_ONCE(n->open));
	WRITE_ONCE(n->dead, 1);
}

static void change(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(!samara_madvise(n->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
	world_set(n->w.mm, 1, 5);
	world_unmap(n->w.mm, 1, 1);
}

static const struct scenario pairs = {
	.name = "pairs",
	.what = "a notifier is told of whole pairs, and of none once it is gone",
	.world_size = sizeof(struct notifier_world),
	.setup = open_written,
	.threads = { { "notifier", watch }, { "change", change } },
	.check = close_world,
};

/* second ------------------------------------------------------------------------------- */

static void second_start(const struct samara_notifier_range *range, void *priv)
{
	struct notifier_world *n = priv;

	schedule_require(range->start <= PG(1) && range->end > PG(1));
	spin_acquire(&n->lock);
	n->changing++;
	n->host = NULL;
	spin_release(&n->lock);
}

static void second_end(const struct samara_notifier_range *range, void *priv)
{
	struct notifier_world *n = priv;

	(void)range;
	spin_acquire(&n->lock);
	n->changing--;
	n->seq++;
	spin_release(&n->lock);
}

static const struct samara_notifier_ops second_table = {
	.start = second_start,
	.end = second_end,
};

static void open_second(void *arg)
{
	struct notifier_world *n = arg;

	open_written(arg);
	schedule_require(!samara_notifier_register(n->w.mm, &second_table, n, &n->notifier));
}

/* Find the page, and remember it if nothing has changed meanwhile. */
static void translate(struct notifier_world *n)
{
	struct samara_pin pin;
	unsigned long seq;

	spin_acquire(&n->lock);
	seq = n->seq;
	spin_release(&n->lock);
	schedule_require(samara_pin_pages(n->w.mm, PG(1), 1, 0, &pin) == 1);
	samara_unpin_pages(&pin, 1, 0);
	spin_acquire(&n->lock);
	if (!n->changing && n->seq == seq)
		n->host = pin.host;
	spin_release(&n->lock);
}

/* Page 1 is 7, or zero once it was thrown away. */
static void use_second(void *arg)
{
	struct notifier_world *n = arg;

	for (int i = 0; i < 2; i++) {
		translate(n);
		spin_acquire(&n->lock);
		if (n->host) {
			const uint64_t value = READ_ONCE(*n->host);

			schedule_require(value == 7 || !value);
		}
		spin_release(&n->lock);
	}
}

/* The frame of page 1 is the next one that this thread gets. */
static void throw_away_and_use(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(!samara_madvise(n->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
	world_map(n->w.mm, 5, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(n->w.mm, 5, 9);
}

static void changes_have_ended(void *arg)
{
	const struct notifier_world *n = arg;

	schedule_require(!n->changing && n->seq);
	close_world(arg);
}

static const struct scenario second = {
	.name = "second",
	.what = "a second page table that heeds its notifier leads to no frame that was given back",
	.world_size = sizeof(struct notifier_world),
	.setup = open_second,
	.threads = { { "second", use_second }, { "madvise", throw_away_and_use } },
	.check = changes_have_ended,
};

/* exit --------------------------------------------------------------------------------- */

static void open_shared(void *arg)
{
	struct notifier_world *n = arg;

	world_open(&n->w);
	world_shmem(&n->w, 1);
	world_map(n->w.mm, 1, 1, WORLD_RW, MAP_SHARED, n->w.file);
	world_set(n->w.mm, 1, 7);
	schedule_require(!samara_notifier_register(n->w.mm, &counting, n, &n->notifier));
}

static void exit_mm(void *arg)
{
	struct notifier_world *n = arg;

	samara_mm_exit(n->w.mm);
}

/* Another thread's truncation comes to the mm through the file. */
static void truncate_file(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(!samara_file_set_length(n->w.file, 0));
}

static void was_released(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(n->released == 1);
	n->w.mm = NULL;
	world_close(&n->w);
}

static const struct scenario exit_scenario = {
	.name = "exit",
	.what = "release is the last that a notifier is told of",
	.world_size = sizeof(struct notifier_world),
	.setup = open_shared,
	.threads = { { "exit", exit_mm }, { "truncate", truncate_file } },
	.check = was_released,
};

/* leaves ------------------------------------------------------------------------------- */

static void open_leaves(void *arg)
{
	struct notifier_world *n = arg;

	world_open(&n->w);
	world_shmem(&n->w, 1);
	world_map(n->w.mm, 1, 1, WORLD_RW, MAP_SHARED, n->w.file);
	world_set(n->w.mm, 1, 7);
	n->other = world_mm(&n->w);
	world_map(n->other, 5, 1, WORLD_RW, MAP_PRIVATE, NULL);
	schedule_require(!samara_notifier_register(n->w.mm, &second_table, n, &n->notifier));
	translate(n);
	schedule_require(n->host);
}

/* The frame of the file's page is the next one that this thread gets. */
static void truncate_and_use(void *arg)
{
	struct notifier_world *n = arg;

	truncate_file(arg);
	world_set(n->other, 5, 9);
}

static void use_host(void *arg)
{
	struct notifier_world *n = arg;

	for (int i = 0; i < 2; i++) {
		spin_acquire(&n->lock);
		schedule_require(!n->host || READ_ONCE(*n->host) != 9);
		spin_release(&n->lock);
	}
}

static void other_is_left(void *arg)
{
	struct notifier_world *n = arg;

	schedule_require(!n->host && world_value(n->other, 5) == 9);
	samara_mm_exit(n->other);
	n->w.mm = NULL;
	world_close(&n->w);
}

static const struct scenario leaves = {
	.name = "leaves",
	.what = "a second page table leads to no frame of another mm's as its own mm exits",
	.world_size = sizeof(struct notifier_world),
	.setup = open_leaves,
	.threads = { { "exit", exit_mm },
		     { "truncate", truncate_and_use },
		     { "second", use_host } },
	.check = other_is_left,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = { &pairs, &second, &exit_scenario, &leaves,
						      NULL };

	return schedule_main(argc, argv, all);
}
