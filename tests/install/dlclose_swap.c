/* SPDX-License-Identifier: MIT */
/*
 * dlclose_swap PLUGIN: opens it, runs a guest that is larger than its machine, so that the
 * machine's own thread reclaims, and closes it; some fifty times. In some rounds the machine is
 * left as it is, its thread awake: the library has to stay for it. PLUGIN is as for dlclose.c.
 */
#define SAMARA_NO_LINUX_NAMES
#include <samara/access.h>
#include <samara/mm.h>
#include <samara/reclaim.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../support/own_threads.h"

#define RECLAIMER "samara-reclaim"
#define ROUNDS 50
#define LEFT_EACH 10 /* in each tenth round the machine is left */
#define PAGE 4096ul
#define RAM (1ul << 20)
#define GUEST (4 * RAM)
#define AT 0x10000000ul

static struct {
	int (*machine_create)(const struct samara_machine_config *, struct samara_machine **);
	void (*machine_destroy)(struct samara_machine *);
	int (*mm_create)(struct samara_machine *, struct samara_mm **);
	void (*mm_exit)(struct samara_mm *);
	int (*swapon_compressed)(struct samara_machine *, unsigned long, const char *,
				 struct samara_swap **);
	unsigned long (*mmap)(struct samara_mm *, unsigned long, unsigned long, int, int,
			      struct samara_file *, unsigned long);
	long (*write)(struct samara_mm *, unsigned long, const void *, unsigned long,
		      struct samara_fault *);
	long (*read)(struct samara_mm *, unsigned long, void *, unsigned long,
		     struct samara_fault *);
} lib;

static bool find_all(void *library)
{
	const struct {
		const char *name;
		void **to;
	} wanted[] = {
		{ "samara_machine_create", (void **)&lib.machine_create },
		{ "samara_machine_destroy", (void **)&lib.machine_destroy },
		{ "samara_mm_create", (void **)&lib.mm_create },
		{ "samara_mm_exit", (void **)&lib.mm_exit },
		{ "samara_swapon_compressed", (void **)&lib.swapon_compressed },
		{ "samara_mmap", (void **)&lib.mmap },
		{ "samara_write", (void **)&lib.write },
		{ "samara_read", (void **)&lib.read },
	};
	bool all = true;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		*wanted[i].to = dlsym(library, wanted[i].name);
		all &= *wanted[i].to != NULL;
	}
	return all;
}

static const char *fill(struct samara_mm *mm)
{
	unsigned long value;

	if (lib.mmap(mm, AT, GUEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     NULL, 0) != AT)
		return "no mapping";
	for (unsigned long at = AT; at < AT + GUEST; at += PAGE)
		if (lib.write(mm, at, &at, sizeof(at), NULL) != sizeof(at))
			return "not written";
	for (unsigned long at = AT; at < AT + GUEST; at += PAGE)
		if (lib.read(mm, at, &value, sizeof(value), NULL) != sizeof(value) || value != at)
			return "not what was written";
	return NULL;
}

static const char *use(int round)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_machine *machine;
	struct samara_swap *swap;
	struct samara_mm *mm;
	const char *failure;

	config.ram_bytes = RAM;
	if (lib.machine_create(&config, &machine) || lib.mm_create(machine, &mm) ||
	    lib.swapon_compressed(machine, 2 * GUEST, round % 2 ? "lz4" : "zstd", &swap))
		return "no machine with swap";
	failure = fill(mm);
	/* This machine's, and one of each that was left. */
	if (!failure && !own_threads_become(RECLAIMER, 1 + round / LEFT_EACH))
		failure = "not one thread that reclaims";
	if (round % LEFT_EACH == LEFT_EACH - 1)
		return failure;
	lib.mm_exit(mm);
	lib.machine_destroy(machine);
	return failure;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (int i = 0; i < ROUNDS; i++) {
		void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		const char *failure;

		failure = !library           ? dlerror() :
			  !find_all(library) ? "a symbol is missing" :
					       use(i);
		if (library && dlclose(library))
			failure = dlerror();
		if (failure) {
			fprintf(stderr, "%s: %s in round %d\n", argv[1], failure, i);
			return 1;
		}
	}
	return own_threads_become(RECLAIMER, ROUNDS / LEFT_EACH) ? 0 : 3;
}
