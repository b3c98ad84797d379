/* SPDX-License-Identifier: MIT */
/* Which device answers at which physical address of a PC? */
#include <samara/maple_tree.h>
#include <stdio.h>

static DEFINE_MTREE(bus);

int main(void)
{
	MA_STATE(mas, &bus, 0, 0);
	const char *device;

	/* Ranges are first..last, both included. */
	if (mtree_insert_range(&bus, 0x000000, 0x0fffff, "ram", GFP_KERNEL) ||
	    mtree_insert_range(&bus, 0xfec00000, 0xfec00fff, "ioapic", GFP_KERNEL))
		return 1;

	/* A store in the middle of a range leaves what is on both sides. */
	if (mtree_store_range(&bus, 0xa0000, 0xbffff, "vga", GFP_KERNEL))
		return 1;
	printf("%x is %s\n", 0xb8000, (char *)mtree_load(&bus, 0xb8000));

	/* Erasing takes a whole range away. It needs no memory and cannot fail. */
	mtree_erase(&bus, 0xfec00000);

	mas_lock(&mas);
	mas_for_each(&mas, device, ULONG_MAX)
		printf("%05lx-%05lx %s\n", mas.index, mas.last, device);
	mas_unlock(&mas);

	mtree_destroy(&bus);
	return 0;
}
