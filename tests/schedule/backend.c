/* SPDX-License-Identifier: MIT */
/*
 * A guest that runs an mm by <samara/backend.h>, beside calls that take its pages away.
 *
 *   fork      The child does not change, and the parent loses no store.
 *   zap       No use reaches a frame that munmap has freed.
 *   late      The same of a guest that asks for the page meanwhile.
 *   discard   The same of MADV_DONTNEED, behind which the guest goes on.
 *   cow       Who has seen another thread's write through the mm sees it in the page: the copy has
 *             taken the page's place by moved().
 *   cow_zap   A copy that moved() has brought does not outlive the mapping.
 *   reclaim   Stores are not lost when the page goes to swap.
 *   truncate  No use reaches a frame that a truncation has freed.
 *   migrate   Stores are not lost when the page moves to another frame.
 */
#include "schedule/backend_guest.h"

#include <samara/file.h>
#include <samara/reclaim.h>

#define FOREIGN 50 /* what another mm stores */
#define SLOTS 4

struct backend_world {
	struct world w;
	struct guest g;
	struct samara_mm *other;
	uint64_t stored;      /* the last value that the guest has stored */
	unsigned int told[2]; /* cow: a writer's call has returned */
	unsigned char slot[SLOTS][WORLD_PAGE];
};

/* worlds ------------------------------------------------------------------------------ */

static void open_guest(struct backend_world *b)
{
	b->g.mm = b->w.mm;
	b->g.moves = true;
	schedule_require(!samara_unit_attach(b->w.mm, &guest_ops, &b->g, &b->g.unit));
}

static void open_page(void *arg)
{
	struct backend_world *b = arg;

	world_open(&b->w);
	open_guest(b);
	world_map(b->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	b->stored = 1;
	schedule_require(guest_use(&b->g, 1, 0, NULL, 1));
}

/* And another mm that takes what frames are freed. */
static void open_two(void *arg)
{
	struct backend_world *b = arg;

	open_page(arg);
	b->other = world_mm(&b->w);
	world_map(b->other, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
}

static void close_all(void *arg)
{
	struct backend_world *b = arg;

	world_check(&b->w);
	samara_unit_detach(b->g.unit);
	samara_mm_exit(b->other);
	world_close(&b->w);
}

static void guest_stores(void *arg)
{
	struct backend_world *b = arg;

	for (uint64_t value = 2; value < 6; value++)
		if (guest_use(&b->g, 1, 0, NULL, value))
			b->stored = value;
}

/* Only what it has stored, or zeros, is ever seen. */
static void guest_uses(void *arg)
{
	struct backend_world *b = arg;
	uint64_t value;

	for (uint64_t store = 2; store < 5; store++) {
		(void)guest_use(&b->g, 1, 0, NULL, store);
		if (guest_use(&b->g, 1, 0, &value, 0))
			schedule_require(value < FOREIGN);
	}
}

static void no_store_is_lost(void *arg)
{
	struct backend_world *b = arg;

	schedule_require(world_value(b->w.mm, 1) == b->stored);
	close_all(arg);
}

static void take_frames(struct backend_world *b)
{
	world_set(b->other, 1, FOREIGN);
	schedule_require(world_value(b->other, 1) == FOREIGN);
}

static void other_is_untouched(void *arg)
{
	struct backend_world *b = arg;

	schedule_require(world_value(b->other, 1) == FOREIGN);
	close_all(arg);
}

/* fork -------------------------------------------------------------------------------- */

static void fork_and_look(void *arg)
{
	struct backend_world *b = arg;
	uint64_t value;

	schedule_require(!samara_fork(b->w.mm, &b->other));
	value = world_value(b->other, 1);
	schedule_require(value == world_value(b->other, 1));
}

static const struct scenario fork_ = {
	.name = "fork",
	.what = "a child does not change by its parent's stores, and none of these is lost",
	.world_size = sizeof(struct backend_world),
	.setup = open_page,
	.threads = { { "guest", guest_stores }, { "fork", fork_and_look } },
	.check = no_store_is_lost,
};

/* zap --------------------------------------------------------------------------------- */

static void unmap_and_take(void *arg)
{
	struct backend_world *b = arg;

	world_unmap(b->w.mm, 1, 1);
	take_frames(b);
}

static const struct scenario zap = {
	.name = "zap",
	.what = "no use reaches a frame that munmap has freed",
	.world_size = sizeof(struct backend_world),
	.setup = open_two,
	.threads = { { "guest", guest_uses }, { "munmap", unmap_and_take } },
	.check = other_is_untouched,
};

/* The page is there, and the guest has not asked for it. */
static void open_unasked(void *arg)
{
	struct backend_world *b = arg;

	open_two(arg);
	memset(b->g.map, 0, sizeof(b->g.map));
	memset(b->g.remembered, 0, sizeof(b->g.remembered));
}

static const struct scenario late = {
	.name = "late",
	.what = "a translation that was asked for before munmap is not mapped behind it",
	.world_size = sizeof(struct backend_world),
	.setup = open_unasked,
	.threads = { { "guest", guest_uses }, { "munmap", unmap_and_take } },
	.check = other_is_untouched,
};

static void discard_and_take(void *arg)
{
	struct backend_world *b = arg;

	schedule_require(!samara_madvise(b->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
	take_frames(b);
}

static const struct scenario discard = {
	.name = "discard",
	.what = "no use reaches a frame that MADV_DONTNEED has freed",
	.world_size = sizeof(struct backend_world),
	.setup = open_two,
	.threads = { { "guest", guest_uses }, { "madvise", discard_and_take } },
	.check = other_is_untouched,
};

/* cow --------------------------------------------------------------------------------- */

/* The page is shared with a child, and the guest remembers it. */
static void open_shared(void *arg)
{
	struct backend_world *b = arg;
	uint64_t value;

	open_page(arg);
	schedule_require(!samara_fork(b->w.mm, &b->other));
	schedule_require(guest_use(&b->g, 1, 0, &value, 0));
}

static void write_word(struct backend_world *b, unsigned int word)
{
	const uint64_t value = 2;

	schedule_require(samara_write(b->w.mm, PG(1) + word * sizeof(value), &value, sizeof(value),
				      NULL) == sizeof(value));
	smp_store_release(&b->told[word], 1);
}

static void write_first(void *arg)
{
	write_word(arg, 0);
}
static void write_second(void *arg)
{
	write_word(arg, 1);
}

static void guest_looks(void *arg)
{
	struct backend_world *b = arg;

	for (unsigned int i = 0; i < 4; i++) {
		const unsigned int told = smp_load_acquire(&b->told[i & 1]);
		uint64_t value;

		schedule_require(guest_use(&b->g, 1, i & 1, &value, 0));
		schedule_require(!told || value == 2);
	}
	schedule_require(guest_use(&b->g, 1, 2, NULL, 7));
}

static void child_is_as_before(void *arg)
{
	struct backend_world *b = arg;
	uint64_t word[3];

	schedule_require(world_value(b->other, 1) == 1);
	schedule_require(samara_read(b->w.mm, PG(1), word, sizeof(word), NULL) == sizeof(word));
	schedule_require(word[0] == 2 && word[1] == 2 && word[2] == 7);
	close_all(arg);
}

static const struct scenario cow = {
	.name = "cow",
	.what = "what was written through the mm is in the page that the guest uses",
	.world_size = sizeof(struct backend_world),
	.setup = open_shared,
	.threads = { { "guest", guest_looks }, { "a", write_first }, { "b", write_second } },
	.check = child_is_as_before,
};

static void open_shared_two(void *arg)
{
	struct backend_world *b = arg;
	struct samara_mm *child;

	open_two(arg);
	schedule_require(!samara_fork(b->w.mm, &child));
	samara_mm_exit(b->other);
	b->other = child; /* keeps the first frame, and takes another one for page 2 */
	world_map(b->other, 2, 1, WORLD_RW, MAP_PRIVATE, NULL);
}

static void write_some(void *arg)
{
	struct backend_world *b = arg;

	(void)world_store(b->w.mm, 1, 3);
}

static void unmap_and_take_copy(void *arg)
{
	struct backend_world *b = arg;

	world_unmap(b->w.mm, 1, 1);
	world_set(b->other, 2, FOREIGN);
	schedule_require(world_value(b->other, 2) == FOREIGN);
}

static void copy_is_untouched(void *arg)
{
	struct backend_world *b = arg;

	schedule_require(world_value(b->other, 2) == FOREIGN);
	close_all(arg);
}

static const struct scenario cow_zap = {
	.name = "cow_zap",
	.what = "a copy that was moved in does not outlive the mapping",
	.world_size = sizeof(struct backend_world),
	.setup = open_shared_two,
	.threads = { { "guest", guest_uses },
		     { "write", write_some },
		     { "munmap", unmap_and_take_copy } },
	.check = copy_is_untouched,
};

/* reclaim, migrate, truncate ------------------------------------------------------------ */

static int read_slot(void *priv, unsigned long slot, void *page)
{
	memcpy(page, ((struct backend_world *)priv)->slot[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	memcpy(((struct backend_world *)priv)->slot[slot], page, WORLD_PAGE);
	return 0;
}

static void open_swap(void *arg)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct backend_world *b = arg;
	struct samara_swap *swap;

	open_page(arg);
	schedule_require(!samara_swapon_ops(b->w.machine, &ops, b, SLOTS, 0, &swap));
}

static void page_out(void *arg)
{
	struct backend_world *b = arg;

	for (int i = 0; i < 2; i++)
		schedule_require(!samara_madvise(b->w.mm, PG(1), WORLD_PAGE, MADV_PAGEOUT));
}

static const struct scenario reclaim = {
	.name = "reclaim",
	.what = "no store is lost when the page goes to swap",
	.world_size = sizeof(struct backend_world),
	.setup = open_swap,
	.threads = { { "guest", guest_stores }, { "pageout", page_out } },
	.check = no_store_is_lost,
};

static void move_twice(void *arg)
{
	struct backend_world *b = arg;

	for (int i = 0; i < 2; i++)
		(void)samara_migrate_pages(b->w.mm, PG(1), 1);
}

static const struct scenario migrate = {
	.name = "migrate",
	.what = "no store is lost when the page moves to another frame",
	.world_size = sizeof(struct backend_world),
	.setup = open_page,
	.threads = { { "guest", guest_stores }, { "migrate", move_twice } },
	.check = no_store_is_lost,
};

static void open_file(void *arg)
{
	struct backend_world *b = arg;

	world_open(&b->w);
	open_guest(b);
	world_shmem(&b->w, 1);
	world_map(b->w.mm, 1, 1, WORLD_RW, MAP_SHARED, b->w.file);
	schedule_require(guest_use(&b->g, 1, 0, NULL, 1));
	b->other = world_mm(&b->w);
	world_map(b->other, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
}

static void truncate_and_take(void *arg)
{
	struct backend_world *b = arg;

	schedule_require(!samara_file_set_length(b->w.file, 0));
	take_frames(b);
}

static const struct scenario truncate_ = {
	.name = "truncate",
	.what = "no use reaches a frame that a truncation has freed",
	.world_size = sizeof(struct backend_world),
	.setup = open_file,
	.threads = { { "guest", guest_uses }, { "truncate", truncate_and_take } },
	.check = other_is_untouched,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&fork_, &zap, &late, &discard, &cow, &cow_zap, &reclaim, &migrate, &truncate_, NULL,
	};

	return schedule_main(argc, argv, all);
}
