/* SPDX-License-Identifier: MIT */
/*
 * The library's machine made as the host is (facts.h): what of it is a setting here as there; and
 * the layout and limits with which its address spaces begin, as the child's do.
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "check/gen.h"

#define STACK_LIMIT (8UL << 20)

/* vm.overcommit_ratio without what the host has promised to others already, kB in meminfo. */
static unsigned int ratio_left(const struct host_facts *facts, unsigned long ram_bytes)
{
	const unsigned long ratio = (unsigned long)facts->vm.overcommit_ratio;
	const unsigned long taken =
		host_counter("/proc/meminfo", "Committed_AS:") * 100 / (ram_bytes >> 10);

	return (unsigned int)(taken < ratio ? ratio - taken : 1);
}

static unsigned int machine_flags(const struct settings *set)
{
	const struct host_facts *facts = &set->found.facts;

	return (set->machine.zero_page == ZERO_PAGE_NONE ? SAMARA_MACHINE_NO_ZERO_PAGE : 0) |
	       (facts->huge.no_gibibytes ? SAMARA_MACHINE_NO_1G_PAGES : 0) |
	       (facts->huge.no_thp ? SAMARA_MACHINE_NO_THP : 0) |
	       (facts->addr.gate == GATE_NONE ? SAMARA_MACHINE_NO_GATE : 0) |
	       (facts->addr.gate == GATE_READ ? SAMARA_MACHINE_GATE_READ : 0);
}

/* Of the host's two least addresses the higher; a hint cannot name page 0. */
static unsigned long least_address(const struct host_facts *facts)
{
	return facts->addr.min_hint > PAGE || facts->addr.min_hint < facts->addr.min_fixed ?
		       facts->addr.min_hint :
		       facts->addr.min_fixed;
}

/* In bytes; 0, the library's default, where it cannot be read. */
static unsigned long kilobytes(const char *path)
{
	const long value = host_setting(path);

	return value > 0 ? (unsigned long)value << 10 : 0;
}

int ours_build_machine(struct ours *o)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_geometry geo = *samara_geometry_x86_64();
	const struct host_facts *facts = &o->set.found.facts;
	long mode =
		o->set.machine.overcommit >= 0 ? o->set.machine.overcommit : facts->vm.overcommit;
	struct sysinfo info;

	sysinfo(&info);
	cfg.ram_bytes = info.totalram * info.mem_unit;
	cfg.swap_bytes = info.totalswap * info.mem_unit;
	cfg.flags = machine_flags(&o->set);
	cfg.overcommit = mode > 0 ? (enum samara_overcommit)mode : SAMARA_OVERCOMMIT_GUESS;
	if (mode == SAMARA_OVERCOMMIT_NEVER)
		cfg.overcommit_ratio = ratio_left(facts, cfg.ram_bytes);
	cfg.admin_reserve_bytes = kilobytes("/proc/sys/vm/admin_reserve_kbytes");
	cfg.user_reserve_bytes = kilobytes("/proc/sys/vm/user_reserve_kbytes");
	cfg.max_map_count = o->set.machine.max_map_count >= 0 ?
				    (unsigned long)o->set.machine.max_map_count :
				    o->set.found.map_limit;
	if (facts->ended) {
		geo.map_min_addr = least_address(facts);
		geo.stack_gap = facts->addr.stack_gap;
	}
	cfg.geometry = &geo;
	return samara_machine_create(&cfg, &o->machine);
}

int ours_other_machine(struct ours *o, enum zero_page zero_page)
{
	files_put(&o->files);
	samara_machine_destroy(o->machine);
	o->machine = NULL;
	o->set.machine.zero_page = zero_page;
	return ours_build_machine(o);
}

/*
 * Where addresses are chosen. Searching upwards begins as far above its usual place as searching
 * downwards begins below its own, where the child's are random.
 */
void ours_places(const struct ours *o, struct samara_layout *layout)
{
	const struct samara_geometry *geo = samara_geometry_x86_64();
	const unsigned long usual = samara_mmap_base(geo, STACK_LIMIT, 0);
	const unsigned long random = samara_mmap_base(geo, STACK_LIMIT, PAGE) + PAGE;

	layout->mmap_base = o->begin.base && !o->begin.bottom_up ? o->begin.base : usual;
	if (o->begin.bottom_up)
		layout->legacy_base = o->begin.base;
	else if (layout->mmap_base != usual)
		layout->legacy_base =
			(geo->task_size / 3 + PAGE - 1) / PAGE * PAGE + random - o->begin.base;
	layout->flags = o->begin.bottom_up ? SAMARA_LAYOUT_BOTTOM_UP : 0;
}

const int start_limits[4] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK };

/* Hard limits are this process's own: they cannot be raised everywhere. */
unsigned long hard_limit(int resource)
{
	struct rlimit limit = { 0, RLIM_INFINITY };

	getrlimit((__rlimit_resource_t)resource, &limit);
	return limit.rlim_max;
}

/* What a sequence begins with: 8 MiB of stack and of locked memory, the others unlimited. */
void start_limit(int resource, struct rlimit *out)
{
	const bool small = resource == RLIMIT_STACK || resource == RLIMIT_MEMLOCK;
	const unsigned long soft = small ? STACK_LIMIT : RLIM_INFINITY;

	out->rlim_max = hard_limit(resource);
	out->rlim_cur = soft < out->rlim_max ? soft : out->rlim_max;
}
