/* SPDX-License-Identifier: MIT */
/*
 * Two address spaces that share pages until one of them writes: a file mapped
 * privately, a write, a fork, another write, and each time who sees which frame.
 */
#include <samara/access.h>
#include <samara/mm.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 3
#define AT 0x10000000ul

static void must(const char *what, int err)
{
	if (!err)
		return;
	fprintf(stderr, "cow: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void put(struct samara_mm *mm, unsigned long addr, const char *text)
{
	struct samara_fault fault;

	if (samara_write(mm, addr, text, strlen(text), &fault) != (long)strlen(text))
		must("write", -EFAULT);
}

static void show(const char *title, struct samara_mm *parent, struct samara_mm *child)
{
	unsigned long long a[PAGES], b[PAGES];

	must("pagemap", samara_pagemap(parent, AT, PAGES, a));
	must("pagemap", samara_pagemap(child, AT, PAGES, b));
	printf("%s\n", title);
	for (int i = 0; i < PAGES; i++) {
		const int in_a = a[i] >> 63, in_b = b[i] >> 63;
		char text[2][8] = { { 0 } };

		printf("  page %d: ", i);
		if (in_a && in_b && (a[i] & SAMARA_PM_PFN) == (b[i] & SAMARA_PM_PFN))
			printf("one frame, %s", a[i] & SAMARA_PM_FILE ? "the file's" : "anonymous");
		else
			printf("%s / %s", in_a ? "parent's own" : "none",
			       in_b ? "child's own" : "none");
		must("read",
		     samara_read(parent, AT + (unsigned long)i * PAGE, text[0], 6, NULL) == 6 ?
			     0 :
			     -EFAULT);
		must("read",
		     samara_read(child, AT + (unsigned long)i * PAGE, text[1], 6, NULL) == 6 ?
			     0 :
			     -EFAULT);
		printf("; reads \"%s\" / \"%s\"\n", text[0], text[1]);
	}
}

int main(void)
{
	struct samara_machine *machine;
	struct samara_mm *parent, *child;
	struct samara_file *file;
	unsigned long at;

	must("machine", samara_machine_create(NULL, &machine));
	must("mm", samara_mm_create(machine, &parent));
	/* Of the host it would be samara_file_from_fd(). */
	must("file", samara_file_memfd(machine, "cow", PAGES * PAGE, &file));
	for (unsigned long i = 0; i < PAGES; i++)
		if (samara_file_pwrite(file, "file  ", 6, i * PAGE) != 6)
			must("the file's bytes", -EIO);
	at = samara_mmap(parent, AT, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
			 file, 0);
	must("mmap", SAMARA_IS_ERR_VALUE(at) ? (int)at : 0);

	put(parent, AT, "before");
	must("fork", samara_fork(parent, &child));
	show("after the fork:", parent, child);
	put(child, AT, "child ");
	put(parent, AT + PAGE, "parent");
	show("after a write to page 0 by the child and to page 1 by the parent:", parent, child);

	printf("parent:\n");
	fflush(stdout);
	must("maps", samara_print_maps(parent, STDOUT_FILENO));
	printf("child:\n");
	fflush(stdout);
	must("maps", samara_print_maps(child, STDOUT_FILENO));

	samara_file_put(file);
	samara_mm_exit(child);
	samara_mm_exit(parent);
	samara_machine_destroy(machine);
	return 0;
}
