/* SPDX-License-Identifier: MIT */
/*
 * Small address spaces and their maps as text; see mm_shape.h.
 */
#define _GNU_SOURCE
#include "support/mm_shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include <samara/inject.h>

#define FILE_PAGES 256UL

int fixture_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->live = samara_live_objects();
	*state = f;
	if (samara_machine_create(NULL, &f->machine) || samara_mm_create(f->machine, &f->mm))
		return -1;
	return samara_file_memfd(f->machine, "test", FILE_PAGES * PAGE, &f->file);
}

int fixture_down(void **state)
{
	struct fixture *f = *state;
	const unsigned long was = f->live;
	long promised;

	samara_mm_exit(f->mm);
	samara_file_put(f->file);
	promised = samara_committed_pages(f->machine);
	samara_machine_destroy(f->machine);
	free(f);
	if (promised)
		fprintf(stderr, "%ld pages are still promised\n", promised);
	if (samara_live_objects() != was)
		fprintf(stderr, "%lu objects are left\n", samara_live_objects() - was);
	return promised || samara_live_objects() != was ? -1 : 0;
}

void map_pages(struct samara_mm *mm, unsigned long from, unsigned long to, int prot, int flags)
{
	if (!(flags & (MAP_SHARED | MAP_PRIVATE)))
		flags |= MAP_PRIVATE;
	assert_int_equal(samara_mmap(mm, AT(from), (to - from) * PAGE, prot,
				     flags | MAP_ANONYMOUS | MAP_FIXED, NULL, 0),
			 AT(from));
}

void map_file(struct fixture *f, unsigned long from, unsigned long to, int prot, int flags,
	      unsigned long file_page)
{
	assert_int_equal(samara_mmap(f->mm, AT(from), (to - from) * PAGE, prot, flags | MAP_FIXED,
				     f->file, file_page * PAGE),
			 AT(from));
}

void write_pages(struct samara_mm *mm, unsigned long from, unsigned long to)
{
	assert_int_equal(samara_touch(mm, AT(from), (to - from) * PAGE, PROT_WRITE), 0);
}

static size_t describe(const struct samara_vma_info *info, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "%lu-%lu %s", (info->start - BASE) / PAGE,
				      (info->end - BASE) / PAGE, info->perms);

	if (info->ino && len < size)
		len += (size_t)snprintf(buf + len, size - len, " @%lu", info->offset / PAGE);
	return len;
}

void assert_map_at(struct samara_mm *mm, const char *text, const char *file, int line)
{
	char buf[4096] = "";
	struct samara_vma_info info;
	struct samara_report report = { 0 };
	unsigned long from = BASE;
	size_t len = 0;

	if (samara_mm_validate(mm, &report)) {
		fprintf(stderr, "%s: %s\n", report.invariant, report.text);
		_fail(file, line);
	}
	while (!samara_vma_next(mm, from, &info) && info.start < AT(1 << 20)) {
		if (len)
			len += (size_t)snprintf(buf + len, sizeof(buf) - len, ", ");
		len += describe(&info, buf + len, sizeof(buf) - len);
		from = info.end;
	}
	_assert_string_equal(buf, text, file, line);
}

unsigned long flags_at(struct samara_mm *mm, unsigned long n)
{
	struct samara_vma_info info;

	if (samara_vma_next(mm, AT(n), &info) || info.start > AT(n))
		return 0;
	return info.flags;
}

struct samara_mm_stats stats_of(struct samara_mm *mm)
{
	struct samara_mm_stats stats = { .size = sizeof(stats) };

	assert_int_equal(samara_mm_stats(mm, &stats), 0);
	return stats;
}
