/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of every kind of fault, refused in turn: the fault says so, nothing has changed
 * (but tables and an anon_vma that were made ready), and the same fault works afterwards.
 */
#include <string.h>
#include <sys/mman.h>

#include <samara/inject.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

struct scene {
	struct mem m;
	struct samara_file *file;
	unsigned long at;
	struct folio *held; /* shared with us, if there is one */
};

static void anon(struct scene *s)
{
	s->at = mem_map(&s->m, 4, RW, MAP_PRIVATE, NULL);
}

static void anon_ready(struct scene *s)
{
	anon(s);
	assert_int_equal(mem_fault(&s->m, s->at + MEM_PAGE, FAULT_WRITE), 0);
}

static void zero_frame(struct scene *s)
{
	anon(s);
	assert_int_equal(mem_fault(&s->m, s->at, 0), 0);
}

static void shared_page(struct scene *s)
{
	anon(s);
	assert_int_equal(mem_fault(&s->m, s->at, FAULT_WRITE), 0);
	memset(mem_bytes(&s->m, s->at), 0x33, MEM_PAGE);
	s->held = mem_folio(&s->m, s->at);
	mem_share(&s->m, s->at);
}

static void file_of(struct scene *s, int flags)
{
	assert_int_equal(samara_file_memfd(s->m.machine, "f", 4 * MEM_PAGE, &s->file), 0);
	s->at = mem_map(&s->m, 4, RW, flags, s->file);
}

static void file_private(struct scene *s)
{
	file_of(s, MAP_PRIVATE);
}

static void file_shared(struct scene *s)
{
	file_of(s, MAP_SHARED);
}

static void file_read(struct scene *s)
{
	file_of(s, MAP_PRIVATE);
	assert_int_equal(mem_fault(&s->m, s->at, 0), 0);
}

static const struct {
	const char *name;
	void (*set)(struct scene *s);
	unsigned int flags;
	unsigned int at_least; /* allocations */
} kinds[] = {
	{ "zero frame", anon, 0, 1 },
	{ "first write", anon, FAULT_WRITE, 3 },
	{ "write", anon_ready, FAULT_WRITE, 1 },
	{ "write after read", zero_frame, FAULT_WRITE, 2 },
	{ "unshare the zero frame", zero_frame, FAULT_UNSHARE, 2 },
	{ "copy", shared_page, FAULT_WRITE, 1 },
	{ "unshare", shared_page, FAULT_UNSHARE, 1 },
	{ "file read", file_private, 0, 3 },
	{ "file private write", file_private, FAULT_WRITE, 4 },
	{ "file shared write", file_shared, FAULT_WRITE, 3 },
	{ "file copy", file_read, FAULT_WRITE, 2 },
	{ "file unshare", file_read, FAULT_UNSHARE, 2 },
};

struct snapshot {
	pte_t pte;
	long rss[MM_RSS];
	unsigned long frames;
};

static struct snapshot look(const struct scene *s)
{
	struct snapshot now = { .pte = mem_pte(&s->m, s->at), .frames = mem_frames(&s->m) };

	for (int i = 0; i < MM_RSS; i++)
		now.rss[i] = mm_rss_sum(s->m.mm, i);
	return now;
}

static void close_scene(struct scene *s)
{
	mem_check(&s->m);
	samara_file_put(s->file);
	if (s->held)
		mem_unshare(&s->m, s->held);
	mem_close(&s->m);
}

/* One kind with its nth allocation refused (and all after it). False: it has fewer. */
static bool refuse(size_t kind, unsigned long nth, void (*inject)(unsigned long nth))
{
	struct scene s = { .file = NULL };
	struct snapshot before, after;
	unsigned int codes;

	mem_open(&s.m, 1 << 20);
	kinds[kind].set(&s);
	before = look(&s);
	inject(nth);
	codes = mem_fault(&s.m, s.at, kinds[kind].flags);
	inject(0);
	if (codes) {
		assert_int_equal(codes, VM_FAULT_OOM);
		after = look(&s);
		assert_memory_equal(&before, &after, sizeof(before));
		mem_check(&s.m);
		assert_int_equal(mem_fault(&s.m, s.at, kinds[kind].flags), 0);
	}
	assert_true(pte_present(mem_pte(&s.m, s.at)));
	if (s.held)
		assert_int_equal(mem_bytes(&s.m, s.at)[100], 0x33);
	close_scene(&s);
	return codes;
}

static void each_allocation(void (*inject)(unsigned long nth))
{
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		unsigned long nth = 1;

		while (refuse(kind, nth, inject))
			nth++;
		if (nth - 1 < kinds[kind].at_least)
			fail_msg("%s: %lu allocations", kinds[kind].name, nth - 1);
	}
}

static void one_refused_allocation_changes_nothing(void **state)
{
	(void)state;
	each_allocation(samara_inject_nth);
}

static void all_refused_from_one_on_change_nothing(void **state)
{
	(void)state;
	each_allocation(samara_inject_from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_refused_allocation_changes_nothing),
		cmocka_unit_test(all_refused_from_one_on_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
