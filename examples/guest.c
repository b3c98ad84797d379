/* SPDX-License-Identifier: MIT */
/*
 * A guest's address space: its calls in, Linux's answers out.
 */
#include <samara/mm.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul

int main(void)
{
	struct samara_machine *machine = NULL;
	struct samara_mm *mm = NULL;
	struct samara_report broken = { 0 };
	unsigned long addr;
	int err;

	err = samara_machine_create(NULL, &machine);
	if (!err)
		err = samara_mm_create(machine, &mm);
	if (err) {
		fprintf(stderr, "guest: %s\n", strerror(-err));
		samara_machine_destroy(machine);
		return 1;
	}

	/* mmap(0x10000000, 16 pages, ...): the address, or -errno as the raw system call has it. */
	addr = samara_mmap(mm, 0x10000000, 16 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
	if (SAMARA_IS_ERR_VALUE(addr))
		err = (int)addr;

	/* A hole in the middle makes two mappings, another protection three. */
	if (!err)
		err = samara_munmap(mm, addr + 4 * PAGE, 2 * PAGE);
	if (!err)
		err = samara_mprotect(mm, addr + 6 * PAGE, PAGE, PROT_READ);
	printf("three calls: %s\n", strerror(-err));

	/* What Linux refuses is refused in its words. */
	err = samara_mprotect(mm, addr + 4 * PAGE, PAGE, PROT_READ);
	printf("mprotect of the hole: %s\n", strerror(-err));

	fflush(stdout);
	err = samara_print_maps(mm, STDOUT_FILENO);
	if (!err)
		err = samara_mm_validate(mm, &broken);
	if (err)
		fprintf(stderr, "guest: %s: %s\n", strerror(-err), broken.text);

	samara_mm_exit(mm);
	samara_machine_destroy(machine);
	return err ? 1 : 0;
}
