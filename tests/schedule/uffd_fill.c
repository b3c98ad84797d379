/* SPDX-License-Identifier: MIT */
/*
 * Pages that a handler gives, beside what others do with the file or the address space.
 *
 *   continue          CONTINUE beside a truncation: no page stays behind the end.
 *   continue_private  The same of a private mapping.
 *   continue_swap     CONTINUE beside reclaim: the page is mapped with its bytes.
 *   copy              COPY of shared memory beside a truncation.
 *   copy_private      COPY of a private mapping: its page is no page of the file's.
 *   poison            POISON beside a truncation: no marker stays behind the end.
 *   punch             COPY beside a hole that is punched: before it, or behind it.
 *   once              COPY, CONTINUE and a store by another mapping: one page.
 *   exit              The address space ends.
 *
 * The tables of what is filled are new: the walk that unmaps a file either finds them, or the
 * file's new length is seen.
 */
#include "schedule/world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "frame/frame.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "store/swap.h"

#define SLOTS 4
#define STORED 1  /* a mapping that is not registered */
#define SHARED 8  /* registered ones of the same page, */
#define PRIVATE 9 /* in a table of their own */

struct fill_world {
	struct world w;
	struct samara_uffd *uffd;
	int said, other; /* what the requests answered */
	unsigned char slot[SLOTS][WORLD_PAGE];
	uint64_t source[WORLD_PAGE / sizeof(uint64_t)];
};

static void register_page(struct fill_world *f, unsigned long page)
{
	struct uffdio_register reg = {
		.range = { PG(page), WORLD_PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};

	schedule_require(!samara_uffd_ioctl(f->uffd, UFFDIO_REGISTER, &reg));
}

/* A file of one page that is not there. */
static void open_hole(void *arg)
{
	struct fill_world *f = arg;
	struct uffdio_api api = { .api = UFFD_API };

	world_open(&f->w);
	world_shmem(&f->w, 1);
	world_map(f->w.mm, STORED, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_map(f->w.mm, SHARED, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_map(f->w.mm, PRIVATE, 1, WORLD_RW, MAP_PRIVATE, f->w.file);
	schedule_require(!samara_uffd_create(f->w.mm, O_NONBLOCK, &f->uffd));
	schedule_require(!samara_uffd_ioctl(f->uffd, UFFDIO_API, &api));
	register_page(f, SHARED);
	register_page(f, PRIVATE);
	f->source[0] = 5;
}

/* It is there, and holds 7. */
static void open_page(void *arg)
{
	struct fill_world *f = arg;

	open_hole(arg);
	world_set(f->w.mm, STORED, 7);
}

static void close_fill(void *arg)
{
	struct fill_world *f = arg;
	struct samara_report report;

	schedule_require(!swap_validate(f->w.machine->store, &report));
	world_check(&f->w);
	samara_uffd_put(f->uffd);
	world_close(&f->w);
}

static pte_t entry(struct fill_world *f, unsigned long page)
{
	struct table *leaf = table_find(f->w.mm, PG(page));

	return leaf ? pte_read(table_pte(f->w.mm, leaf, PG(page))) : pte_empty();
}

/* requests ----------------------------------------------------------------------------- */

static int do_continue(struct fill_world *f, unsigned long page)
{
	struct uffdio_continue cont = { .range = { PG(page), WORLD_PAGE } };

	return samara_uffd_ioctl(f->uffd, UFFDIO_CONTINUE, &cont);
}

static int do_copy(struct fill_world *f, unsigned long page)
{
	struct uffdio_copy copy = { .dst = PG(page),
				    .src = (uintptr_t)f->source,
				    .len = WORLD_PAGE };

	return samara_uffd_ioctl(f->uffd, UFFDIO_COPY, &copy);
}

static void continue_shared(void *arg)
{
	struct fill_world *f = arg;

	f->said = do_continue(f, SHARED);
}

static void continue_private(void *arg)
{
	struct fill_world *f = arg;

	f->said = do_continue(f, PRIVATE);
}

static void copy_shared(void *arg)
{
	struct fill_world *f = arg;

	f->said = do_copy(f, SHARED);
}

static void copy_private(void *arg)
{
	struct fill_world *f = arg;

	f->said = do_copy(f, PRIVATE);
}

static void poison_private(void *arg)
{
	struct fill_world *f = arg;
	struct uffdio_poison poison = { .range = { PG(PRIVATE), WORLD_PAGE } };

	f->said = samara_uffd_ioctl(f->uffd, UFFDIO_POISON, &poison);
}

#define SCENARIO(var, name_, what_, setup_, check_, ...) \
	static const struct scenario var = { \
		.name = name_, \
		.what = what_, \
		.world_size = sizeof(struct fill_world), \
		.setup = setup_, \
		.threads = { __VA_ARGS__ }, \
		.check = check_, \
	}

/* truncation --------------------------------------------------------------------------- */

static void truncate_file(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!samara_file_set_length(f->w.file, 0));
}

static void nothing_is_there(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!f->said || f->said == -EFAULT || f->said == -EINVAL);
	schedule_require(pte_none(entry(f, SHARED)) && pte_none(entry(f, PRIVATE)));
	schedule_require(!world_frames(&f->w));
	close_fill(arg);
}

SCENARIO(continue_scenario, "continue", "what was continued with leaves with the file's end",
	 open_page, nothing_is_there, { "continue", continue_shared },
	 { "truncate", truncate_file });
SCENARIO(continue_private_scenario, "continue_private",
	 "a private mapping loses the file's page with the file's end", open_page, nothing_is_there,
	 { "continue", continue_private }, { "truncate", truncate_file });
SCENARIO(copy_scenario, "copy", "a page that was copied leaves with the file's end", open_hole,
	 nothing_is_there, { "copy", copy_shared }, { "truncate", truncate_file });
SCENARIO(copy_private_scenario, "copy_private", "no private copy stays behind the file's end",
	 open_hole, nothing_is_there, { "copy", copy_private }, { "truncate", truncate_file });
SCENARIO(poison_scenario, "poison", "no marker stays behind the file's end", open_hole,
	 nothing_is_there, { "poison", poison_private }, { "truncate", truncate_file });

/* punch -------------------------------------------------------------------------------- */

static void punch(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!samara_file_punch_hole(f->w.file, 0, WORLD_PAGE));
}

/* A page that came when the hole was made is in the cache, and may be unmapped all the same. */
static void whole_or_gone(void *arg)
{
	struct fill_world *f = arg;
	const bool cached = world_frames(&f->w);

	schedule_require(!f->said);
	schedule_require(cached || pte_none(entry(f, SHARED)));
	schedule_require(world_value(f->w.mm, STORED) == (cached ? 5 : 0));
	close_fill(arg);
}

SCENARIO(punch_scenario, "punch", "a page that was copied is whole, or in the hole", open_hole,
	 whole_or_gone, { "copy", copy_shared }, { "punch", punch });

/* swap --------------------------------------------------------------------------------- */

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct fill_world *f = priv;

	memcpy(page, f->slot[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct fill_world *f = priv;

	memcpy(f->slot[slot], page, WORLD_PAGE);
	return 0;
}

static void open_with_swap(void *arg)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct fill_world *f = arg;
	struct samara_swap *swap;

	open_page(arg);
	schedule_require(!samara_swapon_ops(f->w.machine, &ops, f, SLOTS, 0, &swap));
}

static void take_all(void *arg)
{
	struct fill_world *f = arg;
	struct ram *ram = f->w.machine->ram;

	down_read(lru_isolation(ram));
	for (enum lru_list list = 0; list < LRU_LISTS; list++) {
		struct folio *folio[4];
		const unsigned int n = lru_isolate(ram, list, 4, folio);

		reclaim_folios(f->w.machine, folio, n);
	}
	up_read(lru_isolation(ram));
}

static void it_holds_7(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!f->said);
	schedule_require(world_value(f->w.mm, STORED) == 7);
	if (pte_present(entry(f, SHARED)))
		schedule_require(world_value(f->w.mm, SHARED) == 7);
	close_fill(arg);
}

SCENARIO(continue_swap, "continue_swap", "a page that leaves memory is continued with",
	 open_with_swap, it_holds_7, { "continue", continue_shared }, { "reclaim", take_all });

/* once --------------------------------------------------------------------------------- */

static void continue_too(void *arg)
{
	struct fill_world *f = arg;

	f->other = do_continue(f, SHARED);
}

static void store(void *arg)
{
	struct fill_world *f = arg;

	world_set(f->w.mm, STORED, 9);
}

static void there_is_one(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!f->said || f->said == -EEXIST);
	schedule_require(!f->other || f->other == -EFAULT || f->other == -EEXIST);
	schedule_require(!(f->said && f->said == f->other));
	schedule_require(world_frames(&f->w) == 1);
	schedule_require(world_value(f->w.mm, STORED) == 9);
	if (!f->said || !f->other)
		schedule_require(world_value(f->w.mm, SHARED) == 9);
	close_fill(arg);
}

SCENARIO(once, "once", "a page that several ways lead to is one", open_hole, there_is_one,
	 { "copy", copy_shared }, { "continue", continue_too }, { "store", store });

/* exit --------------------------------------------------------------------------------- */

static void end(void *arg)
{
	struct fill_world *f = arg;

	samara_mm_exit(f->w.mm);
	f->w.mm = NULL;
}

static void nothing_is_left(void *arg)
{
	struct fill_world *f = arg;

	schedule_require(!f->said || f->said == -ESRCH);
	samara_uffd_put(f->uffd);
	world_close(&f->w);
}

SCENARIO(exit_scenario, "exit", "a page comes before its address space ends, or not", open_hole,
	 nothing_is_left, { "copy", copy_private }, { "exit", end });

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&continue_scenario,     &continue_private_scenario,
		&continue_swap,         &copy_scenario,
		&copy_private_scenario, &poison_scenario,
		&punch_scenario,        &once,
		&exit_scenario,         NULL,
	};

	return schedule_main(argc, argv, all);
}
