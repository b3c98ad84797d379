/* SPDX-License-Identifier: MIT */
/*
 * For tests of UFFDIO_MOVE: an address space with a swap area, and 8 pages that are registered.
 */
#ifndef UNIT_UFFD_MOVE_SCENE_H
#define UNIT_UFFD_MOVE_SCENE_H

#include <errno.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"

#include "support/paged_out.h"
#include "support/uffd_calls.h"

#define P MEM_PAGE
#define RW (PROT_READ | PROT_WRITE)
#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, which older headers lack */
#define HOLES UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES

PAGED_FIXTURE(m, p, 4UL << 20, 64);

/* A range of bytes, and how. */
struct ask {
	unsigned long at, len;
	unsigned long long mode;
};
#define NOT_WRITTEN 99

static inline int ask_move(struct samara_uffd *by, struct ask to, unsigned long from, long *done)
{
	struct uffdio_move move = { to.at, from, to.len, to.mode, NOT_WRITTEN };
	const int err = samara_uffd_ioctl(by, UFFDIO_MOVE, &move);

	if (done)
		*done = (long)move.move;
	return err;
}

static struct samara_uffd *uffd;
static unsigned long dst; /* 8 registered pages */

/* Each mapping apart from the others, so that none has its neighbour's family. */
static inline unsigned long map(unsigned long pages, int prot)
{
	const unsigned long addr = mem_map(&m, pages + 2, PROT_NONE, MAP_PRIVATE, NULL) + P;

	assert_int_equal(samara_mprotect(m.mm, addr, pages * P, prot), 0);
	return addr;
}

/* Pages with bytes first, first + 1, ... */
static inline unsigned long filled(unsigned long pages, unsigned char first)
{
	const unsigned long addr = map(pages, RW);

	for (unsigned long i = 0; i < pages; i++)
		paged_put(m.mm, addr + i * P, (unsigned char)(first + i));
	return addr;
}

static inline int open_all(void **state)
{
	set_up(state);
	uffd = uffd_open(m.mm, O_NONBLOCK, 0);
	dst = map(8, RW);
	uffd_register_at(uffd, dst, 8 * P, MISSING | WP);
	return 0;
}

static inline int close_all(void **state)
{
	mem_check(&m);
	samara_uffd_put(uffd);
	return tear_down(state);
}

/* What the request says, and what it writes into its output field. */
static inline void moves(struct ask to, unsigned long from, int err, long field)
{
	long done;

	assert_int_equal(ask_move(uffd, to, from, &done), err);
	assert_int_equal(done, field);
	mem_check(&m);
}

#define ASK(to, pages, mode) ((struct ask){ to, (pages)*P, mode })

#define MOVE_TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

#endif
