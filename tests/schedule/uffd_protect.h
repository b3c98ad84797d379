/* SPDX-License-Identifier: MIT */
/*
 * Scenarios in which a page is write-protected by userfaultfd.
 */
#ifndef SAMARA_TEST_SCHEDULE_UFFD_PROTECT_H
#define SAMARA_TEST_SCHEDULE_UFFD_PROTECT_H

#include "schedule/world.h"

#include <errno.h>

#include <samara/cpu.h>
#include <samara/reclaim.h>
#include <samara/uffd.h>

#include "mmu/entry.h"
#include "mmu/table.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

#define SLOTS 4
#define AT 1 /* the page */
#define OLD 7
#define NEW 8

struct protect_world {
	struct world w;
	struct samara_mm *child;
	struct samara_uffd *uffd;
	struct samara_cpu *cpu;
	uint64_t seen; /* the page, once it is protected */
	int err;       /* what WRITEPROTECT said */
	long over;     /* ghost: calls that have returned */
	unsigned char slot[SLOTS][WORLD_PAGE];
};

static inline int ask(struct protect_world *p, unsigned long long mode)
{
	struct uffdio_writeprotect wp = { { PG(AT), WORLD_PAGE }, mode };

	return samara_uffd_ioctl(p->uffd, UFFDIO_WRITEPROTECT, &wp);
}

static inline void protect(void *arg)
{
	struct protect_world *p = arg;

	p->err = ask(p, UFFDIO_WRITEPROTECT_MODE_WP);
	p->seen = world_value(p->w.mm, AT);
}

static inline void unprotect(void *arg)
{
	schedule_require(!ask(arg, 0));
}

static inline bool is_protected(struct samara_mm *mm)
{
	struct table *leaf = table_find(mm, PG(AT));

	return leaf && pte_any_uffd_wp(pte_read(table_pte(mm, leaf, PG(AT))));
}

enum memory { PRIVATE, SHARED, OF_HOST };

/* Page AT holds OLD and is registered. */
static inline void open_as(struct protect_world *p, enum memory memory, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { PG(AT), WORLD_PAGE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	world_open(&p->w);
	if (memory == SHARED)
		world_shmem(&p->w, WORLD_PAGES);
	if (memory == OF_HOST)
		world_host_file(&p->w, 1);
	world_map(p->w.mm, AT, 1, WORLD_RW, memory == PRIVATE ? MAP_PRIVATE : MAP_SHARED,
		  p->w.file);
	schedule_require(!samara_uffd_create(p->w.mm, 0, &p->uffd));
	schedule_require(!samara_uffd_ioctl(p->uffd, UFFDIO_API, &api));
	schedule_require(!samara_uffd_ioctl(p->uffd, UFFDIO_REGISTER, &reg));
	world_set(p->w.mm, AT, OLD);
	schedule_require(!samara_cpu_create(p->w.machine, &p->cpu));
}

static inline void open_async(void *arg)
{
	open_as(arg, PRIVATE, UFFD_FEATURE_WP_ASYNC);
}

static inline void close_protect(void *arg)
{
	struct protect_world *p = arg;
	struct samara_report report;

	schedule_require(!swap_validate(p->w.machine->store, &report));
	world_check(&p->w);
	samara_uffd_put(p->uffd);
	schedule_require(!is_protected(p->w.mm));
	samara_mm_exit(p->child);
	samara_cpu_destroy(p->cpu);
	world_close(&p->w);
}

#define SCENARIO(var, name_, what_, setup_, check_, ...) \
	static const struct scenario var = { \
		.name = name_, \
		.what = what_, \
		.world_size = sizeof(struct protect_world), \
		.setup = setup_, \
		.threads = { __VA_ARGS__ }, \
		.check = check_, \
	}

#endif
