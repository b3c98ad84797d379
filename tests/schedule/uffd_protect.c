/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_WRITEPROTECT beside what others do with the page.
 *
 *   protect_write  A CPU's store is seen by who protects and then reads, or is written down.
 *   stopped_write  A store that is stopped goes on when protection is taken away.
 *   reclaim        The page leaves memory, and is protected.
 *   migrate        The page goes to another frame, and is protected there.
 *   fork           The child's page is not protected, and neither loses a store.
 *   zap            A page of shared memory is dropped: its place is protected.
 *   twice          On and off, by two threads: it is one of the two, wholly.
 *   unregister     The registration goes meanwhile: nothing is protected.
 */
#include "schedule/uffd_protect.h"

#include <string.h>

#include <samara/reclaim.h>

#include "reclaim/reclaim.h"

static void open_shared(void *arg)
{
	open_as(arg, SHARED, UFFD_FEATURE_WP_ASYNC);
}

static void open_stopping(void *arg)
{
	open_as(arg, PRIVATE, 0);
	protect(arg);
}

/* protect_write ------------------------------------------------------------------------ */

/* The first store makes its TLB know a page that may be written to. */
static void store_twice(void *arg)
{
	struct protect_world *p = arg;

	samara_cpu_run(p->cpu, p->w.mm);
	schedule_require(world_cpu_store(p->cpu, AT, OLD));
	schedule_require(world_cpu_store(p->cpu, AT, NEW));
	samara_cpu_run(p->cpu, NULL);
}

/* What is not in the copy that was made then is written down. */
static void no_store_is_missed(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!p->err && world_value(p->w.mm, AT) == NEW);
	schedule_require(p->seen == NEW || !is_protected(p->w.mm));
	close_protect(arg);
}

SCENARIO(protect_write, "protect_write",
	 "a store comes before a page is protected, and is read then, or is written down",
	 open_async, no_store_is_missed, { "protect", protect }, { "cpu", store_twice });

SCENARIO(protect_shared, "protect_shared", "the same in shared memory", open_shared,
	 no_store_is_missed, { "protect", protect }, { "cpu", store_twice });

/* stopped_write ------------------------------------------------------------------------ */

static void store(void *arg)
{
	struct protect_world *p = arg;

	world_set(p->w.mm, AT, NEW);
}

static void it_was_stored(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(world_value(p->w.mm, AT) == NEW && !is_protected(p->w.mm));
	close_protect(arg);
}

SCENARIO(stopped_write, "stopped_write", "a store that is stopped goes on when nothing stops it",
	 open_stopping, it_was_stored, { "store", store }, { "unprotect", unprotect });

/* reclaim ------------------------------------------------------------------------------ */

static int read_slot(void *priv, unsigned long slot, void *page)
{
	struct protect_world *p = priv;

	memcpy(page, p->slot[slot], WORLD_PAGE);
	return 0;
}

static int write_slot(void *priv, unsigned long slot, const void *page)
{
	struct protect_world *p = priv;

	memcpy(p->slot[slot], page, WORLD_PAGE);
	return 0;
}

static void open_with_swap(void *arg)
{
	static const struct samara_swap_ops ops = {
		.size = sizeof(ops),
		.read = read_slot,
		.write = write_slot,
	};
	struct protect_world *p = arg;
	struct samara_swap *swap;

	open_async(arg);
	schedule_require(!samara_swapon_ops(p->w.machine, &ops, p, SLOTS, 0, &swap));
}

static void page_out(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!samara_madvise(p->w.mm, PG(AT), WORLD_PAGE, MADV_PAGEOUT));
}

static void it_is_protected(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!p->err && is_protected(p->w.mm));
	schedule_require(world_value(p->w.mm, AT) == OLD && is_protected(p->w.mm));
	world_set(p->w.mm, AT, NEW);
	schedule_require(!is_protected(p->w.mm));
	close_protect(arg);
}

SCENARIO(reclaim, "reclaim", "a page that leaves memory meanwhile is protected", open_with_swap,
	 it_is_protected, { "protect", protect }, { "advice", page_out });

/* migrate ------------------------------------------------------------------------------ */

static void migrate(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(samara_migrate_pages(p->w.mm, PG(AT), 1) >= 0);
}

SCENARIO(migrating, "migrate", "a page that moves to another frame meanwhile is protected",
	 open_async, it_is_protected, { "protect", protect }, { "migrate", migrate });

/* fork --------------------------------------------------------------------------------- */

static void fork_it(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!samara_fork(p->w.mm, &p->child));
}

static void the_parent_is_protected(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!is_protected(p->child) && world_value(p->child, AT) == OLD);
	world_set(p->child, AT, OLD + 5);
	it_is_protected(arg);
}

SCENARIO(forking, "fork", "a child's page is not protected, its parent's is", open_async,
	 the_parent_is_protected, { "protect", protect }, { "fork", fork_it });

/* zap ---------------------------------------------------------------------------------- */

static void drop(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!samara_madvise(p->w.mm, PG(AT), WORLD_PAGE, MADV_DONTNEED));
}

SCENARIO(zap, "zap", "the place of a page of shared memory that is dropped is protected",
	 open_shared, it_is_protected, { "protect", protect }, { "advice", drop });

/* twice -------------------------------------------------------------------------------- */

static void it_is_one_of_both(void *arg)
{
	struct protect_world *p = arg;
	const bool was = is_protected(p->w.mm);

	schedule_require(!p->err);
	schedule_require(pte_write(pte_read(
				 table_pte(p->w.mm, table_find(p->w.mm, PG(AT)), PG(AT)))) == !was);
	close_protect(arg);
}

SCENARIO(twice, "twice", "two requests for a page leave what one of them wanted", open_async,
	 it_is_one_of_both, { "protect", protect }, { "unprotect", unprotect });

/* unregister --------------------------------------------------------------------------- */

static void unregister(void *arg)
{
	struct protect_world *p = arg;
	struct uffdio_range range = { PG(AT), WORLD_PAGE };

	schedule_require(!samara_uffd_ioctl(p->uffd, UFFDIO_UNREGISTER, &range));
}

static void nothing_is_protected(void *arg)
{
	struct protect_world *p = arg;

	schedule_require(!p->err || p->err == -ENOENT);
	schedule_require(!is_protected(p->w.mm) && world_value(p->w.mm, AT) == OLD);
	close_protect(arg);
}

SCENARIO(unregistering, "unregister", "nothing is protected without a registration", open_async,
	 nothing_is_protected, { "protect", protect }, { "unregister", unregister });

int main(int argc, char **argv)
{
	static const struct scenario *const scenarios[] = {
		&protect_write, &protect_shared, &stopped_write, &reclaim, &migrating, &forking,
		&zap,           &twice,          &unregistering, NULL,
	};

	return schedule_main(argc, argv, scenarios);
}
