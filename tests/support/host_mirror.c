/* SPDX-License-Identifier: MIT */
/*
 * An mm that mirrors the child, from what its /proc folder tells.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "support/host_mm.h"

static unsigned long read_number(const char *path, unsigned long otherwise)
{
	FILE *f = fopen(path, "r");
	unsigned long value = otherwise;

	if (!f)
		return otherwise;
	if (fscanf(f, "%lu", &value) != 1)
		value = otherwise;
	fclose(f);
	return value;
}

int host_machine(struct samara_machine **out)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_geometry geo = *samara_geometry_x86_64();
	struct sysinfo info;

	sysinfo(&info);
	cfg.ram_bytes = info.totalram * info.mem_unit;
	cfg.swap_bytes = info.totalswap * info.mem_unit;
	cfg.overcommit = (enum samara_overcommit)read_number("/proc/sys/vm/overcommit_memory", 0);
	cfg.max_map_count = read_number("/proc/sys/vm/max_map_count", 0);
	geo.map_min_addr = read_number("/proc/sys/vm/mmap_min_addr", geo.map_min_addr);
	cfg.geometry = &geo;
	return samara_machine_create(&cfg, out);
}

static bool file_contains(const char *path, const char *text)
{
	static char line[8192];
	FILE *f = fopen(path, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, text);
	if (f)
		fclose(f);
	return found;
}

const char *host_cannot_judge(void)
{
	struct utsname host;

	if (uname(&host) || strncmp(host.release, "6.18.", 5) || strcmp(host.machine, "x86_64"))
		return "the host does not run Linux 6.18 on x86-64";
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE))
		return "address randomisation cannot be switched off here";
	if (file_contains("/proc/self/smaps", " sd "))
		return "the host's kernel tracks soft-dirty pages, which VmFlags shows";
	if (!file_contains("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "[never]"))
		return "the host's kernel places shared memory on huge pages";
	return NULL;
}

static FILE *open_proc(const struct host_mm *host, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", host->pid, name);
	return fopen(path, "r");
}

/* /proc/PID/stat: the fields are numbered in proc(5); the third follows the last ')'. */
static int read_layout(struct host_mm *host, struct samara_layout *layout)
{
	const struct host_call brk = { .nr = SYS_brk };
	unsigned long field[53] = { 0 };
	FILE *f = open_proc(host, "stat");
	char line[2048], *at;

	if (!f)
		return -errno;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!at)
		return -EINVAL;
	at += 3; /* behind the state, which is a letter */
	for (int i = 4; i <= 52; i++)
		field[i] = strtoul(at, &at, 10);
	layout->start_code = field[26];
	layout->end_code = field[27];
	layout->start_stack = field[28];
	layout->start_data = field[45];
	layout->end_data = field[46];
	layout->start_brk = field[47];
	layout->brk = (unsigned long)host_do(host, &brk);
	return 0;
}

static int set_surroundings(struct host_mm *host, struct samara_mm *mm)
{
	static const int resources[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK };
	struct samara_layout layout = SAMARA_LAYOUT_INIT;
	struct rlimit limit;
	int err = read_layout(host, &layout);

	if (err)
		return err;
	getrlimit(RLIMIT_STACK, &limit);
	layout.mmap_base = samara_mmap_base(samara_geometry_x86_64(), limit.rlim_cur, 0);
	for (size_t i = 0; !err && i < sizeof(resources) / sizeof(resources[0]); i++) {
		getrlimit((__rlimit_resource_t)resources[i], &limit);
		err = samara_set_rlimit(mm, resources[i], limit.rlim_cur, limit.rlim_max);
	}
	if (!geteuid())
		samara_set_caps(mm,
				SAMARA_CAP_IPC_LOCK | SAMARA_CAP_SYS_ADMIN | SAMARA_CAP_SYS_RAWIO);
	return err ? err : samara_set_layout(mm, &layout);
}

/* One VMA on its way from smaps to an mm. */
struct seen {
	struct samara_mapping mapping;
	struct samara_file_identity file;
	char name[4096];
	bool any;
};

static unsigned long flags_from_text(const char *text)
{
	unsigned long flags = 0;
	char letters[8];

	for (unsigned int bit = 0; bit < 64; bit++)
		if (samara_vm_flags_text(1UL << bit, letters, sizeof(letters)) > 0 &&
		    strstr(text, letters))
			flags |= 1UL << bit;
	return flags;
}

/* What the VMA just read is, put into mm. */
static int flush(struct samara_machine *machine, struct samara_mm *mm, struct seen *seen)
{
	struct samara_mapping *m = &seen->mapping;
	int err = 0;

	if (!seen->any || !strcmp(seen->name, "[vsyscall]"))
		return 0;
	m->file = NULL;
	m->name = seen->name[0] == '[' ? seen->name : NULL;
	if (seen->file.ino) {
		seen->file.size = sizeof(seen->file);
		seen->file.name = seen->name;
		err = samara_file_named(machine, &seen->file, &m->file);
	}
	if (!err)
		err = samara_mm_install(mm, m);
	samara_file_put(m->file);
	return err;
}

/* A first line of a VMA in smaps. */
static bool read_head(const char *line, struct seen *seen)
{
	struct samara_mapping *m = &seen->mapping;
	struct seen one = { .any = true };
	char perms[8];
	int name_at = 0;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &one.mapping.start, &one.mapping.end,
		   perms, &one.mapping.offset, &one.file.dev_major, &one.file.dev_minor,
		   &one.file.ino, &name_at) < 7)
		return false;
	*seen = one;
	m->prot = (perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
		  (perms[2] == 'x' ? PROT_EXEC : 0);
	m->flags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	snprintf(seen->name, sizeof(seen->name), "%s", line + name_at);
	seen->name[strcspn(seen->name, "\n")] = '\0';
	return true;
}

static int install_all(struct host_mm *host, struct samara_machine *machine, struct samara_mm *mm)
{
	static struct seen seen; /* large */
	FILE *f = open_proc(host, "smaps");
	static char line[8192];
	struct seen next;
	int err = 0;

	if (!f)
		return -errno;
	seen.any = false;
	while (!err && fgets(line, sizeof(line), f)) {
		unsigned long kb;

		if (sscanf(line, "Anonymous: %lu kB", &kb) == 1)
			seen.mapping.touched = kb > 0;
		else if (!strncmp(line, "VmFlags: ", 9))
			seen.mapping.vm_flags = flags_from_text(line + 9);
		else if (read_head(line, &next)) {
			err = flush(machine, mm, &seen);
			seen = next;
		}
	}
	fclose(f);
	return err ? err : flush(machine, mm, &seen);
}

int host_mirror(struct host_mm *host, struct samara_machine *machine, struct samara_mm **out)
{
	struct samara_mm *parent;
	int err = samara_mm_create(machine, &parent);

	if (err)
		return err;
	err = install_all(host, machine, parent);
	if (!err)
		err = set_surroundings(host, parent);
	if (!err)
		err = samara_fork(parent, out);
	samara_mm_exit(parent);
	return err;
}

int mm_text(struct samara_mm *mm, int (*print)(struct samara_mm *mm, int fd), char *buf)
{
	const int fd = memfd_create("text", 0);
	int err = fd < 0 ? -errno : print(mm, fd);
	ssize_t n = -1;

	if (!err)
		n = pread(fd, buf, HOST_TEXT - 1, 0);
	if (!err && n < 0)
		err = -errno;
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
	return err;
}

long text_kb(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}
