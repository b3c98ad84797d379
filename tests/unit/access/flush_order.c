/* SPDX-License-Identifier: MIT */
/*
 * What is taken away is told, changed, flushed, and only then said to be done.
 *
 *   start         the entry is as it was
 *     change, flush
 *   end           the entry has changed, and no CPU's TLB allows what it does not
 *
 * Until the flush is over the page counts as mapped: its frame is nobody else's.
 *
 * One page per call, with a CPU whose TLB allows all that the page does; the notifier looks at
 * both in each of its callbacks, and the range it is told has the page in it.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/cpu.h>
#include <samara/notifier.h>

#include "rmap/rmap.h"
#include "support/advice.h"
#include "support/at_locks.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"

#define READ PROT_READ
#define RW (PROT_READ | PROT_WRITE)
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

/* What the page of a call is. */
enum page_kind { PRIVATE, SHMEM, HOST };

/* What was done with it before. A dirty shared page is flushed earlier than one that is clean. */
enum page_use { WRITTEN, ONLY_READ };

struct watch {
	struct mem m;
	struct samara_cpu *cpu;
	struct samara_file *file;
	unsigned long addr; /* the page */
	pte_t before;
	unsigned int starts, ends, others;
	struct folio *folio;     /* the page's own */
	unsigned long maps_then; /* its map count when the first flush begins */
	enum samara_notifier_why why;
};

static struct watch w;

static const struct samara_tlb_entry *slot(void)
{
	return &w.cpu->tlb[(w.addr / MEM_PAGE) % SAMARA_TLB_ENTRIES];
}

static bool remembers(enum samara_access access)
{
	return slot()->page[access] == w.addr;
}

/* Whether the TLB allows only what the entry does, on its frame. */
static void assert_not_stale(void)
{
	const pte_t pte = mem_pte(&w.m, w.addr);

	for (int access = 0; access < SAMARA_ACCESS_KINDS; access++) {
		if (!remembers(access))
			continue;
		assert_true(pte_present(pte) && pte_accessible(pte));
		assert_ptr_equal((char *)(w.addr + slot()->addend), mem_bytes(&w.m, w.addr));
	}
	assert_false(remembers(SAMARA_ACCESS_WRITE) && !(pte_write(pte) && pte_dirty(pte)));
	assert_false(remembers(SAMARA_ACCESS_EXEC) && !pte_exec(pte));
}

static bool covers(const struct samara_notifier_range *range)
{
	return range->mm == w.m.mm && range->start <= w.addr && w.addr + MEM_PAGE <= range->end;
}

static void on_start(const struct samara_notifier_range *range, void *priv)
{
	if (!covers(range)) {
		w.others++;
		return;
	}
	assert_int_equal(w.starts, w.ends);
	if (!w.starts++)
		assert_true(pte_same(mem_pte(&w.m, w.addr), w.before));
	w.why = range->why;
}

static void on_end(const struct samara_notifier_range *range, void *priv)
{
	if (!covers(range)) {
		w.others--;
		return;
	}
	assert_int_equal(w.starts, ++w.ends);
	assert_int_equal(w.why, range->why);
	assert_false(pte_same(mem_pte(&w.m, w.addr), w.before));
	assert_not_stale();
}

static void at_flush(void *arg)
{
	w.maps_then = folio_maps(w.folio);
}

static void access_page(enum samara_access access)
{
	struct samara_fault fault;
	volatile char *p;

	samara_cpu_enter(w.cpu);
	p = samara_cpu_miss(w.cpu, w.addr, access, &fault);
	assert_non_null(p);
	if (access == SAMARA_ACCESS_WRITE)
		*p = 1;
	samara_cpu_exit(w.cpu);
}

/* The calls ---------------------------------------------------------------------- */

static void call_munmap(void)
{
	assert_int_equal(samara_munmap(w.m.mm, w.addr, MEM_PAGE), 0);
}

static void call_mmap_over(void)
{
	assert_int_equal(samara_mmap(w.m.mm, w.addr, MEM_PAGE, READ,
				     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0),
			 w.addr);
}

static void call_mprotect_read(void)
{
	assert_int_equal(samara_mprotect(w.m.mm, w.addr, MEM_PAGE, READ), 0);
}

static void call_mprotect_no_exec(void)
{
	assert_int_equal(samara_mprotect(w.m.mm, w.addr, MEM_PAGE, RW), 0);
}

static void call_mprotect_none(void)
{
	assert_int_equal(samara_mprotect(w.m.mm, w.addr, MEM_PAGE, PROT_NONE), 0);
}

static void call_dontneed(void)
{
	assert_int_equal(samara_madvise(w.m.mm, w.addr, MEM_PAGE, MADV_DONTNEED), 0);
}

static void call_free(void)
{
	assert_int_equal(samara_madvise(w.m.mm, w.addr, MEM_PAGE, MADV_FREE), 0);
}

static void call_guard(void)
{
	assert_int_equal(samara_madvise(w.m.mm, w.addr, MEM_PAGE, MADV_GUARD_INSTALL), 0);
}

static void call_mremap(void)
{
	assert_int_not_equal(
		samara_mremap(w.m.mm, w.addr, MEM_PAGE, 600 * MEM_PAGE, MREMAP_MAYMOVE, 0), w.addr);
}

static void call_fork(void)
{
	struct samara_mm *child;

	assert_int_equal(samara_fork(w.m.mm, &child), 0);
	samara_mm_exit(child);
}

/* The page is shared with a child, and the TLB holds it for reading. */
static void call_write_to_shared(void)
{
	access_page(SAMARA_ACCESS_WRITE);
}

static void call_msync(void)
{
	assert_int_equal(samara_msync(w.m.mm, w.addr, MEM_PAGE, MS_SYNC), 0);
}

static void call_truncate(void)
{
	assert_int_equal(samara_file_set_length(w.file, 0), 0);
}

static void call_punch(void)
{
	assert_int_equal(samara_madvise(w.m.mm, w.addr, MEM_PAGE, MADV_REMOVE), 0);
}

/* What reclaim does: no call of a program. */
static void call_unmap_all(void)
{
	struct folio *folio = w.folio;

	assert_true(folio_try_get(folio));
	folio_lock(folio);
	assert_int_equal(folio_unmap_all(w.m.machine->store, folio, (swp_entry_t){ 0 }), 0);
	folio_unlock(folio);
	folio_put(w.m.machine->ram, folio);
}

static const struct call {
	const char *name;
	void (*call)(void);
	enum page_kind kind;
	enum samara_notifier_why why;
} calls[] = {
	{ "munmap", call_munmap, PRIVATE, SAMARA_NOTIFY_UNMAP },
	{ "munmap", call_munmap, SHMEM, SAMARA_NOTIFY_UNMAP },
	{ "munmap", call_munmap, HOST, SAMARA_NOTIFY_UNMAP },
	{ "mmap over it", call_mmap_over, PRIVATE, SAMARA_NOTIFY_UNMAP },
	{ "mprotect", call_mprotect_read, PRIVATE, SAMARA_NOTIFY_PROTECT },
	{ "mprotect", call_mprotect_read, SHMEM, SAMARA_NOTIFY_PROTECT },
	{ "mprotect, no exec", call_mprotect_no_exec, PRIVATE, SAMARA_NOTIFY_PROTECT },
	{ "mprotect, none", call_mprotect_none, PRIVATE, SAMARA_NOTIFY_PROTECT },
	{ "MADV_DONTNEED", call_dontneed, PRIVATE, SAMARA_NOTIFY_CLEAR },
	{ "MADV_DONTNEED", call_dontneed, SHMEM, SAMARA_NOTIFY_CLEAR },
	{ "MADV_FREE", call_free, PRIVATE, SAMARA_NOTIFY_CLEAR },
	{ "MADV_GUARD_INSTALL", call_guard, PRIVATE, SAMARA_NOTIFY_CLEAR },
	{ "mremap", call_mremap, PRIVATE, SAMARA_NOTIFY_UNMAP },
	{ "mremap", call_mremap, SHMEM, SAMARA_NOTIFY_UNMAP },
	{ "fork", call_fork, PRIVATE, SAMARA_NOTIFY_PROTECT },
	{ "a write to a shared page", call_write_to_shared, PRIVATE, SAMARA_NOTIFY_CLEAR },
	{ "msync", call_msync, HOST, SAMARA_NOTIFY_PROTECT },
	{ "truncation", call_truncate, SHMEM, SAMARA_NOTIFY_CLEAR },
	{ "truncation", call_truncate, HOST, SAMARA_NOTIFY_CLEAR },
	{ "MADV_REMOVE", call_punch, SHMEM, SAMARA_NOTIFY_CLEAR },
	{ "unmapping all", call_unmap_all, SHMEM, SAMARA_NOTIFY_CLEAR },
	{ "unmapping all", call_unmap_all, HOST, SAMARA_NOTIFY_CLEAR },
};

static void map_page(enum page_kind kind)
{
	const int fd = kind == HOST ? box_host_file(4 * MEM_PAGE) : -1;
	unsigned long around;

	w.file = NULL;
	if (kind == SHMEM)
		w.file = mem_file(&w.m, 4);
	if (kind == HOST) {
		assert_int_equal(samara_file_from_fd(w.m.machine, fd, &w.file), 0);
		close(fd);
	}
	around = mem_map(&w.m, 3, RWX, w.file ? MAP_SHARED : MAP_PRIVATE, w.file);
	w.addr = around + MEM_PAGE;
}

/* One call, between two others' worth of mapping, with the page in the TLB. */
static void watch_call(const struct call *call, enum page_use use)
{
	static const struct samara_notifier_ops ops = { on_start, on_end, NULL };
	struct samara_mm *child = NULL;
	struct samara_notifier *notifier;

	map_page(call->kind);
	if (use == WRITTEN)
		access_page(SAMARA_ACCESS_WRITE);
	if (call->call == call_write_to_shared) {
		assert_int_equal(samara_fork(w.m.mm, &child), 0);
		assert_false(remembers(SAMARA_ACCESS_WRITE));
	}
	access_page(SAMARA_ACCESS_READ);
	access_page(SAMARA_ACCESS_EXEC);
	assert_true(remembers(SAMARA_ACCESS_READ) && remembers(SAMARA_ACCESS_EXEC));
	assert_true(remembers(SAMARA_ACCESS_WRITE) == (use == WRITTEN && !child));
	w.before = mem_pte(&w.m, w.addr);
	w.folio = mem_folio(&w.m, w.addr);
	w.starts = w.ends = w.others = 0;
	assert_int_equal(samara_notifier_register(w.m.mm, &ops, NULL, &notifier), 0);
	meet_at(&w.m.mm->watch.cpus_lock, 1, at_flush, NULL);
	call->call();
	if (meet_end())
		assert_in_range(w.maps_then, 1, 2);
	else
		assert_false(at_locks_available());
	samara_notifier_unregister(notifier);
	assert_not_stale();
	assert_in_range(w.starts, 1, 2);
	assert_int_equal(w.ends, w.starts);
	assert_int_equal(w.others, 0);
	assert_int_equal(w.why, call->why);
	if (child)
		samara_mm_exit(child);
	samara_file_put(w.file);
}

static void watch(const struct call *call, enum page_use use)
{
	mem_open(&w.m, 16 << 20);
	assert_int_equal(samara_cpu_create(w.m.machine, &w.cpu), 0);
	samara_cpu_run(w.cpu, w.m.mm);
	print_message("%s\n", call->name);
	watch_call(call, use);
	samara_cpu_run(w.cpu, NULL);
	samara_cpu_destroy(w.cpu);
	mem_check(&w.m);
	mem_close(&w.m);
}

static void each_call_tells_changes_flushes_and_ends(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		watch(&calls[i], WRITTEN);
}

static void so_it_does_with_a_clean_page_that_goes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].kind != PRIVATE && calls[i].why != SAMARA_NOTIFY_PROTECT)
			watch(&calls[i], ONLY_READ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_tells_changes_flushes_and_ends),
		cmocka_unit_test(so_it_does_with_a_clean_page_that_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
