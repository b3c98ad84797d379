/* SPDX-License-Identifier: MIT */
/*
 * Areas held against /proc/PID/maps, pagemap and smaps of a guest, and against a model: one record
 * a page. Random changes, with a reader beside them.
 */
#include <samara/inject.h>
#include <sys/uio.h>

#include "support/random.h"
#include "unit/cli/run_world.h"

#define PAGES 96UL
#define VARIANT 110UL /* frames between two places, so that no two kinds are ever one host VMA */

struct page {
	enum area_kind kind; /* 0: no area */
	int prot;
	bool parked, present;
	unsigned long first;
};

struct scene {
	struct world w;
	struct page page[PAGES];
	struct rng rng;
	int host_file;
	atomic_int over;
	atomic_ulong read;
};

static unsigned long addr_of(unsigned long page)
{
	return WINDOW + page * PAGE;
}

/* the model ------------------------------------------------------------------------------ */

static bool frames(enum area_kind kind)
{
	return kind >= AREA_OWN && kind <= AREA_ODD;
}

static bool same_vma(const struct page *left, const struct page *right)
{
	return left->kind == right->kind && left->prot == right->prot &&
	       (!left->kind || left->first + 1 == right->first);
}

static bool same_area(const struct page *left, const struct page *right)
{
	return same_vma(left, right) && left->parked == right->parked;
}

/* The end of what begins at page, and is one by the rule. */
static unsigned long run_end(const struct scene *s, unsigned long page,
			     bool (*same)(const struct page *, const struct page *))
{
	while (page + 1 < PAGES && same(&s->page[page], &s->page[page + 1]))
		page++;
	return page + 1;
}

static bool model_takes(struct scene *s, const struct area *as, unsigned long from,
			unsigned long to)
{
	for (unsigned long i = from; i < to; i++) {
		const struct page *p = &s->page[i];

		if (!p->parked || p->kind != as->kind || p->first != as->first + i - from ||
		    p->prot != s->page[from].prot)
			return false;
	}
	return true;
}

static void model_map(struct scene *s, const struct area *as, bool populated)
{
	const unsigned long from = (as->start - WINDOW) / PAGE, to = (as->end - WINDOW) / PAGE;

	for (unsigned long i = from; i < to; i++)
		s->page[i] = (struct page){ .kind = as->kind,
					    .prot = as->prot,
					    .present = populated,
					    .first = as->first + i - from };
}

static void model_fresh(struct scene *s, const struct area *as)
{
	const unsigned long from = (as->start - WINDOW) / PAGE, to = (as->end - WINDOW) / PAGE;
	struct area now = *as;
	const int is = s->page[from].prot;

	/* More of R and W than was asked for may stay. */
	if (model_takes(s, as, from, to) && !(as->prot & ~is) &&
	    (is & PROT_EXEC) == (as->prot & PROT_EXEC))
		now.prot = is;
	model_map(s, &now, false);
}

/* holding against ------------------------------------------------------------------------ */

static void differs(const struct scene *s, const char *what, unsigned long page)
{
	fail_msg("%s differ at page %lu: model kind %d prot %d parked %d present %d first %lu",
		 what, page, s->page[page].kind, s->page[page].prot, s->page[page].parked,
		 s->page[page].present, s->page[page].first);
}

static void compare_tree(struct scene *s)
{
	const char *broken = areas_validate(&s->w.areas);
	struct area as;

	if (broken)
		fail_msg("areas_validate: %s", broken);
	for (unsigned long i = 0, end; i < PAGES; i = end) {
		const struct page *p = &s->page[i];
		const bool found = areas_find(&s->w.areas, addr_of(i), &as);

		end = run_end(s, i, same_area);
		if (found != (p->kind != 0))
			differs(s, "areas", i);
		if (s->w.areas.unmerged) /* there was no memory for it: page by page */
			end = i + 1;
		else if (found && (as.start != addr_of(i) || as.end != addr_of(end)))
			differs(s, "areas", i);
		if (found && (as.kind != p->kind || as.prot != p->prot || as.parked != p->parked ||
			      as.first + i - (as.start - WINDOW) / PAGE != p->first))
			differs(s, "areas", i);
	}
}

/* Lines of maps within the window, in order. */
static bool next_line(FILE *maps, unsigned long *start, unsigned long *end, int *prot,
		      unsigned long *first)
{
	char line[512], rights[5];

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s %lx", start, end, rights, first) != 4 ||
		    *start < WINDOW || *start >= addr_of(PAGES))
			continue;
		*prot = (rights[0] == 'r' ? PROT_READ : 0) | (rights[1] == 'w' ? PROT_WRITE : 0) |
			(rights[2] == 'x' ? PROT_EXEC : 0);
		*first /= PAGE;
		return true;
	}
	return false;
}

static void compare_maps(struct scene *s)
{
	unsigned long start, end, first, vmas = 0;
	char path[32];
	FILE *maps;
	int prot;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)s->w.pid[0]);
	maps = fopen(path, "r");
	assert_non_null(maps);
	for (unsigned long i = 0, to; i < PAGES; i = to) {
		to = run_end(s, i, same_vma);
		if (!s->page[i].kind)
			continue;
		vmas++;
		if (!next_line(maps, &start, &end, &prot, &first) || start != addr_of(i) ||
		    end != addr_of(to) || prot != s->page[i].prot || first != s->page[i].first)
			differs(s, "maps", i);
	}
	if (next_line(maps, &start, &end, &prot, &first))
		differs(s, "maps have more, and so", (start - WINDOW) / PAGE);
	fclose(maps);
	assert_int_equal(s->w.areas.vmas, vmas);
}

static void compare_pages(struct scene *s)
{
	uint64_t entry[PAGES];
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)s->w.pid[0]);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, entry, sizeof(entry), WINDOW / PAGE * 8), sizeof(entry));
	close(fd);
	for (unsigned long i = 0; i < PAGES; i++) {
		const struct page *p = &s->page[i];
		unsigned long word = 0;
		const struct iovec to = { &word, 8 }, from = { (void *)addr_of(i), 8 }; // NOLINT

		if ((entry[i] >> 63) != p->present)
			differs(s, "entries", i);
		if (p->present && p->prot & PROT_READ &&
		    (process_vm_readv(s->w.pid[0], &to, 1, &from, 1, 0) != 8 || word != p->first))
			differs(s, "bytes", i);
	}
}

/* Each host VMA is registered as its kind has to be. */
static void compare_registered(struct scene *s)
{
	unsigned long start = 0, end;
	char path[32], line[512];
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)s->w.pid[0]);
	smaps = fopen(path, "r");
	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		const struct page *p = &s->page[(start - WINDOW) / PAGE % PAGES];

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 || start < WINDOW ||
		    start >= addr_of(PAGES) || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		assert_int_equal(strstr(line, " um") != NULL, p->kind != AREA_HOST);
		assert_int_equal(strstr(line, " uw") != NULL, frames(p->kind));
		assert_int_equal(strstr(line, " ui") != NULL, frames(p->kind));
	}
	fclose(smaps);
}

/* changes -------------------------------------------------------------------------------- */

static struct area some_area(struct scene *s)
{
	const enum area_kind kinds[] = { AREA_OWN,  AREA_OWN, AREA_OWN, AREA_SECOND,
					 AREA_FILE, AREA_ODD, AREA_ASK, AREA_EMPTY };
	const unsigned long from = rng_below(&s->rng, PAGES);
	const unsigned long to =
		from + 1 +
		rng_below(&s->rng, rng_one_in(&s->rng, 3) ? PAGES - from : (PAGES - from + 7) / 8);
	struct area as = { .start = addr_of(from), .end = addr_of(to) };

	as.kind = kinds[rng_below(&s->rng, 8)];
	as.prot = (int)rng_below(&s->rng, 8);
	as.first = from;
	if (frames(as.kind))
		as.first += VARIANT * (2 * (as.kind - 1UL) + rng_below(&s->rng, 2));
	return as;
}

static int host_maps(struct scene *s, const struct area *as)
{
	const struct batch_map map = { as->start,  as->end,       as->prot,
				       MAP_SHARED, AGENT_FD_FILE, as->first };
	struct batch b;

	const int err = areas_enter(&s->w.areas, as);

	if (err)
		return err;
	batch_begin(&b, &s->w.agent[0]);
	batch_mmap(&b, &map);
	return batch_end(&b);
}

static void touch(struct scene *s, unsigned long page)
{
	struct uffdio_continue cont = { .range = { addr_of(page), PAGE } };
	struct page *p = &s->page[page];

	if (!frames(p->kind) || p->present || p->parked)
		return;
	assert_int_equal(ioctl(s->w.agent[0].uffd, UFFDIO_CONTINUE, &cont), 0);
	p->present = true;
}

static int range_change(struct scene *s, unsigned long what, const struct area *as)
{
	const unsigned long from = (as->start - WINDOW) / PAGE, to = (as->end - WINDOW) / PAGE;
	struct areas *areas = &s->w.areas;
	int err;

	switch (what) {
	case 0:
		err = areas_unmap(areas, as->start, as->end);
		break;
	case 1:
		err = areas_protect(areas, as->start, as->end, as->prot);
		break;
	case 2:
		err = areas_zap(areas, as->start, as->end);
		break;
	default:
		err = areas_zap(areas, as->start, as->end);
		for (unsigned long i = from; !err && i < to; i++)
			s->page[i].present = s->page[i].present && !frames(s->page[i].kind);
		if (!err)
			err = areas_park(areas, as->start, as->end);
	}
	for (unsigned long i = from; !err && i < to; i++) {
		struct page *p = &s->page[i];

		if (what == 0 || (what == 3 && p->kind == AREA_HOST))
			*p = (struct page){ 0 };
		else if (what == 1 && p->kind)
			p->prot = as->prot;
		else if (what == 2)
			p->present = p->present && !frames(p->kind);
		else if (what == 3)
			p->parked = p->kind != 0;
	}
	return err;
}

static int change(struct scene *s)
{
	const unsigned long what = rng_below(&s->rng, 9);
	struct area as = some_area(s);
	int err = 0;

	switch (what) {
	case 4:
	case 5:
		err = areas_fresh(&s->w.areas, &as);
		if (!err)
			model_fresh(s, &as);
		break;
	case 6:
		if (rng_one_in(&s->rng, 2))
			as.end = as.start + PAGE;
		as.prot |= PROT_READ; /* else MAP_POPULATE finds no right */
		err = areas_replace(&s->w.areas, &as);
		if (!err)
			model_map(s, &as, frames(as.kind) && as.end - as.start == PAGE);
		break;
	case 7:
		for (unsigned long i = as.start; i < as.end; i += PAGE)
			touch(s, (i - WINDOW) / PAGE);
		break;
	case 8:
		as.kind = AREA_HOST;
		as.first = 7 + (as.start - WINDOW) / PAGE;
		err = host_maps(s, &as);
		if (!err)
			model_map(s, &as, false);
		break;
	default:
		err = range_change(s, what, &as);
	}
	return err;
}

/* A fault's lookup: whatever it finds is whole. */
static void *reads(void *arg)
{
	struct scene *s = arg;
	struct area as;

	for (unsigned long i = 0; !atomic_load(&s->over); i = (i + 7) % PAGES) {
		if (!areas_find(&s->w.areas, addr_of(i), &as))
			continue;
		if (as.kind <= 0 || as.kind >= AREA_STUB || as.start > addr_of(i) ||
		    as.end <= addr_of(i) ||
		    (frames(as.kind) &&
		     (as.first - (as.start - WINDOW) / PAGE) / VARIANT / 2 != as.kind - 1UL))
			fail_msg("a reader found %lx-%lx kind %d first %lu", as.start, as.end,
				 as.kind, as.first);
		atomic_fetch_add(&s->read, 1);
		usleep(50);
	}
	return NULL;
}

static void scene_start(struct scene *s)
{
	struct agent_serve how;

	memset(s, 0, sizeof(*s));
	world_start(&s->w);
	for (unsigned long i = 0; i < 1024; i++)
		*(unsigned long *)(s->w.ram + i * PAGE) = i;
	s->host_file = ram_file(PAGES + 8);
	how = serving(&s->w);
	assert_int_equal(agent_give_file(&s->w.agent[0], s->host_file, &how), 0);
}

static void scene_end(struct scene *s)
{
	close(s->host_file);
	world_end(&s->w);
}

enum memory { ENOUGH, SHORT };

/* refused: now and then there is no memory for the tree. Then nothing has changed. */
static void random_changes(unsigned long changes, enum memory memory)
{
	const uint64_t seed = test_seed();
	struct scene *s = malloc(sizeof(*s));
	unsigned long refused = 0;
	pthread_t reader;
	int err;

	scene_start(s);
	rng_init(&s->rng, seed);
	test_replay(seed);
	assert_int_equal(pthread_create(&reader, NULL, reads, s), 0);
	for (unsigned long i = 0; i < changes; i++) {
		if (memory == SHORT)
			samara_inject_nth(rng_below(&s->rng, 4));
		err = change(s);
		samara_inject_nth(0);
		if (memory == SHORT && err == -ENOMEM)
			refused++;
		else
			assert_int_equal(err, 0);
		compare_tree(s);
		compare_maps(s);
		compare_pages(s);
		if (i % 64 == 0)
			compare_registered(s);
	}
	atomic_store(&s->over, 1);
	pthread_join(reader, NULL);
	assert_true(atomic_load(&s->read) > 0);
	assert_int_equal(refused > 0, memory == SHORT);
	scene_end(s);
	free(s);
}

static void random_changes_are_the_hosts_map(void **state)
{
	(void)state;
	random_changes((test_full() ? 20000 : 700) / test_slowdown(), ENOUGH);
}

static void where_the_tree_has_no_memory_nothing_changes(void **state)
{
	(void)state;
	random_changes((test_full() ? 20000 : 700) / test_slowdown(), SHORT);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_are_the_hosts_map),
		cmocka_unit_test(where_the_tree_has_no_memory_nothing_changes),
	};

	guest_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
