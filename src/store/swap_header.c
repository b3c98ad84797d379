/* SPDX-License-Identifier: MIT */
/*
 * The header that mkswap(8) writes, version 1:
 *
 *   0       1024     1028       1032         1036  1052   1068       1536          page size - 10
 *   | boot  | version | last page | bad pages | uuid | label | unused | bad page ... | SWAPSPACE2 |
 *
 * Numbers have 32 bits, in the byte order of the machine that wrote them. Checked is what Linux
 * checks: the version; that the area has a page, and the file each of its pages; that bad pages lie
 * inside, and only on block devices (which is the caller's to look at).
 */
#include <errno.h>
#include <string.h>

#include "store/swap_area.h"

#define MAGIC "SWAPSPACE2"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define VERSION_AT 1024
#define LAST_PAGE_AT 1028
#define NR_BAD_AT 1032
#define BAD_AT 1536

static unsigned long number(const void *at, bool swapped)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return swapped ? __builtin_bswap32(n) : n;
}

unsigned long swap_header_bad(const struct swap_header *header, unsigned int i)
{
	return number((const char *)header->bad + (size_t)i * sizeof(uint32_t), header->swapped);
}

int swap_header_read(const void *page, size_t page_size, unsigned long pages,
		     struct swap_header *out)
{
	const char *bytes = page;
	const unsigned long most_bad = (page_size - MAGIC_SIZE - BAD_AT) / sizeof(uint32_t);
	unsigned long last, nr_bad;

	if (memcmp(bytes + page_size - MAGIC_SIZE, MAGIC, MAGIC_SIZE))
		return -ENODATA;
	out->swapped = number(bytes + VERSION_AT, true) == 1;
	if (number(bytes + VERSION_AT, out->swapped) != 1)
		return -EINVAL;
	last = number(bytes + LAST_PAGE_AT, out->swapped);
	nr_bad = number(bytes + NR_BAD_AT, out->swapped);
	if (!last || last >= pages || nr_bad > most_bad)
		return -EINVAL;
	out->pages = last + 1;
	out->nr_bad = (unsigned int)nr_bad;
	out->bad = bytes + BAD_AT;
	for (unsigned int i = 0; i < out->nr_bad; i++)
		if (!swap_header_bad(out, i) || swap_header_bad(out, i) > last)
			return -EINVAL;
	return 0;
}
