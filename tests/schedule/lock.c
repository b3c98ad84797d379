/* SPDX-License-Identifier: MIT */
/*
 * The locks by themselves. What they protect is changed plainly, so that a missing order is a race;
 * a lost wake-up is a thread that never goes on.
 *
 *   spin       Three threads: a spinlock has one holder at a time.
 *   handover   A writer, a reader and a writer of an rwsem: the writers have it alone, readers see
 *              what writers have done.
 *   readers    Two readers queued behind a writer get the lock together.
 *   downgrade  No writer comes between a writer and the reader that it becomes.
 *   folio      Three threads: a folio's lock has one holder, while its counts change.
 *   frames     Two threads take the only frame of a RAM and give it back, from each other's shards.
 *   enough     Two threads need one frame each at a time, of two: none finds none.
 */
#include "schedule/schedule.h"

#include <samara/inject.h>

#include "base/lock.h"
#include "frame/frame.h"

struct lock_world {
	struct samara_spinlock spin;
	struct rwsem sem;
	struct ram *ram;
	struct folio *folio;
	unsigned long count, copy; /* what the lock is for */
	unsigned long live;
};

/* spin --------------------------------------------------------------------------------- */

static void spin_once(void *arg)
{
	struct lock_world *l = arg;

	spin_lock(&l->spin, RANK_TLB);
	l->count++;
	spin_unlock(&l->spin);
}

static void spin_twice(void *arg)
{
	spin_once(arg);
	spin_once(arg);
}

static void counted_four(void *arg)
{
	const struct lock_world *l = arg;

	schedule_require(l->count == 4 && !spin_is_locked(&l->spin));
}

static const struct scenario spin = {
	.name = "spin",
	.what = "a spinlock has one holder, and its waiters are woken",
	.world_size = sizeof(struct lock_world),
	.threads = { { "one", spin_once }, { "two", spin_once }, { "three", spin_twice } },
	.check = counted_four,
};

/* rwsem -------------------------------------------------------------------------------- */

static void open_sem(void *arg)
{
	struct lock_world *l = arg;

	rwsem_init(&l->sem, RANK_MMAP);
}

static void write_once(void *arg)
{
	struct lock_world *l = arg;

	down_write(&l->sem);
	l->count++;
	schedule_require(l->copy == l->count - 1);
	l->copy++;
	up_write(&l->sem);
}

static void write_twice(void *arg)
{
	write_once(arg);
	write_once(arg);
}

static void read_once(void *arg)
{
	struct lock_world *l = arg;

	down_read(&l->sem);
	schedule_require(l->copy == l->count);
	up_read(&l->sem);
}

static void read_twice(void *arg)
{
	read_once(arg);
	read_once(arg);
}

static void downgrade(void *arg)
{
	struct lock_world *l = arg;
	unsigned long count;

	down_write(&l->sem);
	count = ++l->count;
	l->copy++;
	downgrade_write(&l->sem);
	schedule_require(l->count == count && l->copy == count);
	up_read(&l->sem);
}

static void sem_is_free(void *arg)
{
	const struct lock_world *l = arg;

	schedule_require(!READ_ONCE(l->sem.state) && !l->sem.first && l->count == l->copy);
}

static const struct scenario handover = {
	.name = "handover",
	.what = "writers have an rwsem alone, and its waiters are woken",
	.world_size = sizeof(struct lock_world),
	.setup = open_sem,
	.threads = { { "writer", write_twice },
		     { "reader", read_twice },
		     { "writer2", write_once } },
	.check = sem_is_free,
};

static const struct scenario readers = {
	.name = "readers",
	.what = "readers queued behind a writer are let in together",
	.world_size = sizeof(struct lock_world),
	.setup = open_sem,
	.threads = { { "reader", read_twice },
		     { "writer", write_once },
		     { "reader2", read_twice } },
	.check = sem_is_free,
};

static const struct scenario downgrade_scenario = {
	.name = "downgrade",
	.what = "no writer comes between a writer and the reader that it becomes",
	.world_size = sizeof(struct lock_world),
	.setup = open_sem,
	.threads = { { "downgrade", downgrade },
		     { "writer", write_once },
		     { "reader", read_once } },
	.check = sem_is_free,
};

/* folio -------------------------------------------------------------------------------- */

static void open_ram(struct lock_world *l, unsigned long frames)
{
	const struct ram_config config = { .bytes = frames << 12, .page_shift = 12 };

	l->live = samara_live_objects();
	schedule_require(!ram_create(&config, &l->ram));
}

static void close_ram(struct lock_world *l)
{
	struct samara_report report = { 0 };

	if (ram_validate(l->ram, &report))
		schedule_require_(false, report.text, __FILE__, __LINE__);
	ram_destroy(l->ram);
	schedule_require(samara_live_objects() == l->live);
}

static void open_folio(void *arg)
{
	struct lock_world *l = arg;

	open_ram(l, 4);
	l->folio = folio_alloc(l->ram, 0, FOLIO_ZEROED);
	schedule_require(l->folio);
}

static void lock_folio(void *arg)
{
	struct lock_world *l = arg;

	schedule_require(folio_try_get(l->folio));
	folio_lock(l->folio);
	l->count++;
	folio_unlock(l->folio);
	folio_put(l->ram, l->folio);
}

static void lock_folio_twice(void *arg)
{
	lock_folio(arg);
	lock_folio(arg);
}

static void close_folio(void *arg)
{
	struct lock_world *l = arg;

	schedule_require(l->count == 4 && folio_state(l->folio) == FOLIO_REF_ONE);
	folio_put(l->ram, l->folio);
	close_ram(l);
}

static const struct scenario folio = {
	.name = "folio",
	.what = "a folio's lock has one holder, and its waiters are woken",
	.world_size = sizeof(struct lock_world),
	.setup = open_folio,
	.threads = { { "one", lock_folio }, { "two", lock_folio }, { "three", lock_folio_twice } },
	.check = close_folio,
};

/* frames ------------------------------------------------------------------------------- */

static void open_frames(void *arg)
{
	open_ram(arg, 2);
}

/* One frame, besides the zero frame. Each thread drains what the other has kept. */
static void take_and_give(void *arg)
{
	struct lock_world *l = arg;
	struct folio *got[2];

	for (int i = 0; i < 2; i++)
		got[i] = folio_alloc(l->ram, 0, FOLIO_RAW);
	for (int i = 0; i < 2; i++) {
		if (!got[i])
			continue;
		schedule_require(folio_count(got[i]) == 1 && folio_pfn(l->ram, got[i]) == 1);
		folio_put(l->ram, got[i]);
	}
}

static void all_frames_are_free(void *arg)
{
	struct lock_world *l = arg;
	struct ram_stats stats;

	ram_stats(l->ram, &stats);
	schedule_require(stats.free + stats.cached == stats.frames);
	close_ram(l);
}

static const struct scenario frames = {
	.name = "frames",
	.what = "frames in short supply are taken from the other thread's shard",
	.world_size = sizeof(struct lock_world),
	.setup = open_frames,
	.threads = { { "one", take_and_give }, { "two", take_and_give } },
	.check = all_frames_are_free,
};

/* enough ------------------------------------------------------------------------------- */

/* Both frames are in this thread's shard. */
static void open_enough(void *arg)
{
	struct lock_world *l = arg;
	struct folio *folio;

	open_ram(l, 3);
	folio = folio_alloc(l->ram, 0, FOLIO_RAW);
	schedule_require(folio);
	folio_put(l->ram, folio);
}

/* One at a time: of two frames there is always one for each thread. */
static void take_one_twice(void *arg)
{
	struct lock_world *l = arg;

	for (int i = 0; i < 2; i++) {
		struct folio *got = folio_alloc(l->ram, 0, FOLIO_RAW);

		schedule_require(got);
		folio_put(l->ram, got);
	}
}

static const struct scenario enough = {
	.name = "enough",
	.what = "a thread finds a free frame, in whichever shard it is",
	.world_size = sizeof(struct lock_world),
	.setup = open_enough,
	.threads = { { "one", take_one_twice }, { "two", take_one_twice } },
	.check = all_frames_are_free,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&spin, &handover, &readers, &downgrade_scenario, &folio, &frames, &enough, NULL,
	};

	return schedule_main(argc, argv, all);
}
