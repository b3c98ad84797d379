/* SPDX-License-Identifier: MIT */
/*
 * A guest four times larger than its machine, behind compressed swap; and what happens when a
 * second guest takes more than RAM and swap can hold.
 */
#include <samara/access.h>
#include <samara/mm.h>
#include <samara/reclaim.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define MIB (1ul << 20)
#define RAM (8 * MIB)
#define GUEST (4 * RAM)
#define SWAP (5 * RAM)
#define AT 0x10000000ul

static void must(const char *what, int err)
{
	if (!err)
		return;
	fprintf(stderr, "small_ram: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* Called by the thread that found no memory, with no lock held. The guest ends later, in main(). */
static void on_kill(struct samara_mm *victim, void *priv)
{
	*(struct samara_mm **)priv = victim;
}

/* A guest with that much memory. */
static struct samara_mm *start(struct samara_machine *machine)
{
	struct samara_mm *mm;
	unsigned long at;

	must("mm", samara_mm_create(machine, &mm));
	at = samara_mmap(mm, AT, GUEST, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	must("mmap", SAMARA_IS_ERR_VALUE(at) ? (int)at : 0);
	return mm;
}

/* Each page gets its address in some places. The signal that stops it, or 0. */
static int fill(struct samara_mm *mm)
{
	struct samara_fault fault = { 0 };

	for (unsigned long at = AT; at < AT + GUEST; at += 256)
		if (samara_write(mm, at, &at, sizeof(at), &fault) != sizeof(at))
			return fault.signo ? fault.signo : -ENOMEM;
	return 0;
}

static const char *is_whole(struct samara_mm *mm)
{
	unsigned long there;

	for (unsigned long at = AT; at < AT + GUEST; at += 256)
		if (samara_read(mm, at, &there, sizeof(there), NULL) != sizeof(there) ||
		    there != at)
			return "not what was written";
	return "as written";
}

int main(void)
{
	struct samara_machine_config config = SAMARA_MACHINE_CONFIG_INIT;
	struct samara_oom_ops oom = { .size = sizeof(oom), .kill = on_kill };
	struct samara_machine_memory memory = { .size = sizeof(memory) };
	struct samara_mm *guest, *greedy, *victim = NULL;
	struct samara_machine *machine;
	struct samara_swap *swap;

	config.ram_bytes = RAM;
	must("machine", samara_machine_create(&config, &machine));
	must("swap", samara_swapon_compressed(machine, SWAP, "lz4", &swap));
	samara_set_oom(machine, &oom, &victim);

	guest = start(machine);
	must("writing", fill(guest));
	must("memory", samara_machine_memory(machine, &memory));
	printf("%lu MiB on a machine of %lu MiB: %s\n", GUEST / MIB, RAM / MIB, is_whole(guest));
	printf("at least %lu MiB of it in swap: %s\n", (GUEST - RAM) / MIB,
	       (memory.swap_total - memory.swap_free) * PAGE >= GUEST - RAM ? "yes" : "no");

	/* Of two guests the larger one is chosen, unless it is said otherwise. */
	must("oom_score_adj", samara_set_oom_score_adj(guest, -1000));
	greedy = start(machine);
	printf("a second one as large: %s\n", fill(greedy) == SIGBUS ? "SIGBUS" : "no signal");
	printf("the victim: %s\n", victim == greedy ? "the second one" : "another one");
	samara_mm_exit(victim);
	printf("the first one: %s\n", is_whole(guest));

	samara_mm_exit(guest);
	must("swapoff", samara_swapoff(swap));
	samara_machine_destroy(machine);
	return 0;
}
