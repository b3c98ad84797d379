/* SPDX-License-Identifier: MIT */
/*
 * A page moves to another frame, while its entry is changed by others. After each schedule the
 * bytes are right, no migration entry is left (folio_migrate() ends the process otherwise), and the
 * page's map count is that of its entries.
 *
 *   store, cpu       No store is lost, neither one by the page table nor one by a TLB.
 *   unmap, discard   munmap, MADV_DONTNEED.
 *   there, back      mremap to a mapping behind in the tree of the family, and to one before.
 *   protect          mprotect takes the right to write away: no write is allowed afterwards.
 *   fork, fail_N     fork, which succeeds or fails at its Nth allocation. Then stores stay apart.
 *   truncate         A file's page, mapped shared and private.
 *   write_back       What was stored before is in the host's file.
 *   exit             An mm exits; the other one that has the page keeps it.
 *   pin              What the holder of a pin stores is in the page.
 *   twice            Two threads move it.
 *   bad              Its frame is told to be bad: the page is lost, or had moved before.
 *   compact          Two pages move to make room, beside stores.
 */
#include "schedule/world.h"

#include <samara/inject.h>
#include <samara/reclaim.h>

#include "base/atomic.h"
#include "base/rcu.h"
#include "core/mms.h"
#include "frame/pfn.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"

struct migrate_world {
	struct world w;
	struct samara_mm *other; /* NULL: none */
	struct samara_cpu *cpu;
	unsigned long pfn; /* of the page that moves */
	bool answered;     /* what was asked was allowed */
};

static pte_t entry_of(struct samara_mm *mm, unsigned long page)
{
	struct table *leaf = table_find(mm, PG(page));

	return leaf ? pte_read(table_pte(mm, leaf, PG(page))) : pte_empty();
}

static struct folio *folio_of(struct migrate_world *m, pte_t pte)
{
	if (!pte_present(pte) || pte_special(pte))
		return NULL;
	return pfn_folio(m->w.machine->ram, pte_pfn(pte));
}

static void note_page(struct migrate_world *m, unsigned long page)
{
	const pte_t pte = entry_of(m->w.mm, page);

	schedule_require(folio_of(m, pte));
	m->pfn = pte_pfn(pte);
}

static void open_anon(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 1, 7);
	note_page(m, 1);
}

/* Whoever maps the page: it, or what the frame holds by then, moves if it can. */
static void move(void *arg)
{
	struct migrate_world *m = arg;
	struct ram *ram = m->w.machine->ram;
	struct folio *folio = folio_get_pfn(ram, m->pfn), *to;

	if (!folio)
		return;
	to = folio_alloc(ram, 0, FOLIO_RAW);
	schedule_require(to);
	(void)!move_folio(m->w.machine->store, folio, to);
	folio_put(ram, to);
	folio_put(ram, folio);
}

/* Each folio has as many maps as entries, and no entry migrates. */
static void check_entries(struct migrate_world *m)
{
	unsigned long entries[WORLD_FRAMES] = { 0 };
	struct samara_mm *mm;

	for_each_mm(m->w.machine, mm)
	{
		for (unsigned long page = 1; page < WORLD_PAGES; page++) {
			const pte_t pte = entry_of(mm, page);

			schedule_require(!pte_migration(pte));
			if (folio_of(m, pte))
				entries[pte_pfn(pte)]++;
		}
	}
	for (unsigned long pfn = 1; pfn < WORLD_FRAMES; pfn++) {
		struct folio *folio = folio_get_pfn(m->w.machine->ram, pfn);

		schedule_require(entries[pfn] == (folio ? folio_maps(folio) : 0));
		if (folio)
			folio_put(m->w.machine->ram, folio);
	}
}

static void close_all(void *arg)
{
	struct migrate_world *m = arg;

	world_check(&m->w);
	check_entries(m);
	samara_mm_exit(m->other);
	samara_cpu_destroy(m->cpu);
	world_close(&m->w);
}

#define SCENARIO(var, name_, what_, setup_, check_, ...) \
	static const struct scenario var = { \
		.name = name_, \
		.what = what_, \
		.world_size = sizeof(struct migrate_world), \
		.setup = setup_, \
		.threads = { { "migrate", move }, __VA_ARGS__ }, \
		.check = check_, \
	}

/* store, cpu --------------------------------------------------------------------------- */

static void store_two(void *arg)
{
	struct migrate_world *m = arg;

	for (uint64_t value = 8; value < 10; value++) {
		world_set(m->w.mm, 1, value);
		schedule_require(world_value(m->w.mm, 1) == value);
	}
}

static void value_is_9(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 9);
	schedule_require(world_frames(&m->w) == 1);
	close_all(arg);
}

SCENARIO(store, "store", "no store is lost by a migration", open_anon, value_is_9,
	 { "writer", store_two });

static void open_with_cpu(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	schedule_require(!samara_cpu_create(m->w.machine, &m->cpu));
}

static void cpu_store_two(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 0;

	samara_cpu_run(m->cpu, m->w.mm);
	for (uint64_t n = 8; n < 10; n++) {
		schedule_require(world_cpu_store(m->cpu, 1, n));
		schedule_require(world_cpu_load(m->cpu, 1, &value) && value == n);
	}
}

SCENARIO(cpu, "cpu", "no store through a TLB is lost by a migration", open_with_cpu, value_is_9,
	 { "cpu", cpu_store_two });

/* unmap, discard ----------------------------------------------------------------------- */

static void unmap(void *arg)
{
	struct migrate_world *m = arg;

	world_unmap(m->w.mm, 1, 1);
}

static void discard(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_madvise(m->w.mm, PG(1), WORLD_PAGE, MADV_DONTNEED));
}

static void page_is_gone(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(pte_none(entry_of(m->w.mm, 1)) && !world_frames(&m->w));
	close_all(arg);
}

SCENARIO(unmap_scenario, "unmap", "munmap takes a page that migrates", open_anon, page_is_gone,
	 { "munmap", unmap });
SCENARIO(discard_scenario, "discard", "MADV_DONTNEED takes a page that migrates", open_anon,
	 page_is_gone, { "madvise", discard });

/* there, back -------------------------------------------------------------------------- */

static void remap(struct migrate_world *m, unsigned long from, unsigned long to)
{
	schedule_require(samara_mremap(m->w.mm, PG(from), WORLD_PAGE, WORLD_PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, PG(to)) == PG(to));
}

static void move_there(void *arg)
{
	remap(arg, 1, 9);
}

static void value_is_there(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 9) == 7 && world_frames(&m->w) == 1);
	close_all(arg);
}

SCENARIO(there, "there", "mremap to a mapping behind takes a page that migrates along", open_anon,
	 value_is_there, { "mremap", move_there });

/*
 * Page 2 is at 9, in a mapping of its own. Back at its place it is in the mapping of page 1, which
 * begins before that in the tree of their family.
 */
static void open_moved(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_map(m->w.mm, 1, 2, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 1, 6);
	world_set(m->w.mm, 2, 7);
	remap(m, 2, 9);
	note_page(m, 9);
}

static void move_back(void *arg)
{
	remap(arg, 9, 2);
}

static void value_is_back(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 6 && world_value(m->w.mm, 2) == 7);
	schedule_require(world_frames(&m->w) == 2);
	close_all(arg);
}

SCENARIO(back, "back", "mremap to a mapping before takes a page that migrates along", open_moved,
	 value_is_back, { "mremap", move_back });

/* protect ------------------------------------------------------------------------------ */

static void protect(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_mprotect(m->w.mm, PG(1), WORLD_PAGE, PROT_READ));
	schedule_require(!world_store(m->w.mm, 1, 8));
}

static void value_is_read_only(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 7 && !pte_write(entry_of(m->w.mm, 1)));
	schedule_require(!samara_mprotect(m->w.mm, PG(1), WORLD_PAGE, WORLD_RW));
	world_set(m->w.mm, 1, 8);
	schedule_require(world_frames(&m->w) == 1);
	close_all(arg);
}

SCENARIO(protect_scenario, "protect", "no right comes back with a page that has migrated",
	 open_anon, value_is_read_only, { "mprotect", protect });

/* fork, fail_N ------------------------------------------------------------------------- */

static void fork_and_store(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_fork(m->w.mm, &m->other));
	world_set(m->w.mm, 1, 8);
	schedule_require(world_value(m->other, 1) == 7);
}

static void values_are_apart(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->other, 1, 9);
	schedule_require(world_value(m->w.mm, 1) == 8 && world_value(m->other, 1) == 9);
	schedule_require(world_frames(&m->w) == 2);
	close_all(arg);
}

SCENARIO(fork_scenario, "fork", "parent and child share a page that migrates, and write copies",
	 open_anon, values_are_apart, { "fork", fork_and_store });

static void fork_without_memory(struct migrate_world *m, unsigned long nth)
{
	samara_inject_nth(nth);
	schedule_require(samara_fork(m->w.mm, &m->other) && !m->other);
	samara_inject_nth(0);
}

/* Each page is the parent's alone again, wherever it is: a write takes no frame. */
static void is_whole(struct migrate_world *m, unsigned long pages)
{
	schedule_require(world_value(m->w.mm, 1) == 7);
	world_set(m->w.mm, 1, 8);
	schedule_require(world_frames(&m->w) == pages);
	close_all(m);
}

static void one_is_whole(void *arg)
{
	is_whole(arg, 1);
}

static void two_are_whole(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->w.mm, 6, 8);
	is_whole(arg, 2);
}

/* Pages in two leaves, so that fork fails with the first one copied. */
static void open_two(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	world_map(m->w.mm, 6, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(m->w.mm, 6, 6);
}

#define FORK_FAILS(n) \
	static void fork_fails_##n(void *arg) \
	{ \
		fork_without_memory(arg, n); \
	} \
	SCENARIO(fail_##n, "fail_" #n, "a fork that fails leaves a page that migrates", open_two, \
		 two_are_whole, { "fork", fork_fails_##n })

/* The mm; the second VMA's family; the tree; the tables, the last one for the second page. */
FORK_FAILS(1);
FORK_FAILS(8);
FORK_FAILS(10);
FORK_FAILS(11);
FORK_FAILS(12);
FORK_FAILS(13);

/* truncate, write_back ----------------------------------------------------------------- */

static void open_file(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_shmem(&m->w, 1);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_SHARED, m->w.file);
	world_map(m->w.mm, 3, 1, PROT_READ, MAP_PRIVATE, m->w.file);
	world_set(m->w.mm, 1, 7);
	schedule_require(world_value(m->w.mm, 3) == 7);
	note_page(m, 1);
}

static void truncate_file(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_file_set_length(m->w.file, 0));
}

static void file_is_empty(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value;

	schedule_require(!world_frames(&m->w));
	schedule_require(!world_load(m->w.mm, 1, &value) && !world_load(m->w.mm, 3, &value));
	close_all(arg);
}

static void fault_in(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 7;

	if (world_load(m->w.mm, 3, &value))
		schedule_require(value == 7);
}

SCENARIO(truncate_scenario, "truncate", "a truncated page is in no mm, though it migrates",
	 open_file, file_is_empty, { "truncate", truncate_file }, { "reader", fault_in });

static void open_host_file(void *arg)
{
	struct migrate_world *m = arg;

	world_open(&m->w);
	world_host_file(&m->w, 1);
	world_map(m->w.mm, 1, 1, WORLD_RW, MAP_SHARED, m->w.file);
	world_set(m->w.mm, 1, 7);
	note_page(m, 1);
}

static void store_and_sync(void *arg)
{
	struct migrate_world *m = arg;

	world_set(m->w.mm, 1, 8);
	schedule_require(!samara_file_sync(m->w.file));
	schedule_require(world_on_host(&m->w, 0) == 8);
	world_set(m->w.mm, 1, 9);
}

static void file_has_9(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(!samara_file_sync(m->w.file));
	schedule_require(world_on_host(&m->w, 0) == 9);
	value_is_9(arg);
}

SCENARIO(write_back, "write_back", "a store is written back although its page has moved",
	 open_host_file, file_has_9, { "writer", store_and_sync });

/* exit --------------------------------------------------------------------------------- */

static void open_forked(void *arg)
{
	struct migrate_world *m = arg;

	open_anon(arg);
	schedule_require(!samara_fork(m->w.mm, &m->other));
}

static void exit_other(void *arg)
{
	struct migrate_world *m = arg;

	samara_mm_exit(m->other);
	m->other = NULL;
}

SCENARIO(exit_scenario, "exit", "an mm exits while its page migrates", open_forked, one_is_whole,
	 { "exit", exit_other });

/* pin ---------------------------------------------------------------------------------- */

static void pin_store_unpin(void *arg)
{
	struct migrate_world *m = arg;
	struct samara_pin pin;
	uint64_t *word;

	schedule_require(samara_pin_pages(m->w.mm, PG(1), 1, SAMARA_PIN_WRITE, &pin) == 1);
	word = pin.host;
	WRITE_ONCE(*word, 8);
	schedule_require(world_value(m->w.mm, 1) == 8);
	world_set(m->w.mm, 1, 9);
	schedule_require(READ_ONCE(*word) == 9);
	samara_unpin_pages(&pin, 1, 1);
}

SCENARIO(pin, "pin", "a pinned page does not move", open_anon, value_is_9,
	 { "pin", pin_store_unpin });
SCENARIO(pin_file, "pin_file", "a pinned page of a file does not move", open_host_file, file_has_9,
	 { "pin", pin_store_unpin });

/* twice, bad, compact ------------------------------------------------------------------ */

static void read_it(void *arg)
{
	struct migrate_world *m = arg;

	schedule_require(world_value(m->w.mm, 1) == 7);
}

SCENARIO(twice, "twice", "two threads move one page", open_file, close_all, { "other", move },
	 { "reader", read_it });

static void fail_frame(void *arg)
{
	struct migrate_world *m = arg;

	(void)!samara_memory_failure(m->w.machine, m->pfn, 0);
}

static void lost_or_whole(void *arg)
{
	struct migrate_world *m = arg;
	uint64_t value = 7;

	if (world_load(m->w.mm, 1, &value))
		schedule_require(value == 7);
	/* Given back by now, if it was not before. */
	samara_mm_exit(m->w.mm);
	m->w.mm = NULL;
	schedule_require(ram_is_poisoned(m->w.machine->ram, m->pfn));
	close_all(arg);
}

SCENARIO(bad, "bad", "a page is lost, or moved before its frame was bad", open_anon, lost_or_whole,
	 { "failure", fail_frame });

static void compact_all(void *arg)
{
	struct migrate_world *m = arg;

	(void)!samara_compact(m->w.machine, 2);
}

static const struct scenario compact_scenario = {
	.name = "compact",
	.what = "stores go on while pages move to make room",
	.world_size = sizeof(struct migrate_world),
	.setup = open_anon,
	.threads = { { "compact", compact_all }, { "writer", store_two } },
	.check = value_is_9,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&store,
		&cpu,
		&unmap_scenario,
		&discard_scenario,
		&there,
		&back,
		&protect_scenario,
		&fork_scenario,
		&fail_1,
		&fail_8,
		&fail_10,
		&fail_11,
		&fail_12,
		&fail_13,
		&truncate_scenario,
		&write_back,
		&exit_scenario,
		&pin,
		&pin_file,
		&twice,
		&bad,
		&compact_scenario,
		NULL,
	};

	return schedule_main(argc, argv, all);
}
