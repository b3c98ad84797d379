/* SPDX-License-Identifier: MIT */
/*
 * Requests of a userfaultfd in one line each. done, if it is not NULL, becomes the output field, 99
 * where that was not written.
 */
#ifndef SAMARA_TEST_UFFD_ASK_H
#define SAMARA_TEST_UFFD_ASK_H

#include <fcntl.h>

#include <samara/uffd.h>

#include "support/cmocka_all.h"

#define ASK_MISSING UFFDIO_REGISTER_MODE_MISSING
#define ASK_WP UFFDIO_REGISTER_MODE_WP
#define ASK_MINOR UFFDIO_REGISTER_MODE_MINOR
#define ASK_NOT_WRITTEN 99

/* A range of bytes, and how. */
struct ask {
	unsigned long at, len;
	unsigned long long mode;
};

/* Without waiting, and after its handshake. */
static inline struct samara_uffd *ask_open(struct samara_mm *mm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(mm, O_NONBLOCK, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

static inline void ask_register(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				unsigned long long mode)
{
	struct uffdio_register reg = { .range = { at, len }, .mode = mode };

	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
}

static inline int ask_move(struct samara_uffd *uffd, struct ask to, unsigned long from, long *done)
{
	struct uffdio_move move = { to.at, from, to.len, to.mode, ASK_NOT_WRITTEN };
	const int err = samara_uffd_ioctl(uffd, UFFDIO_MOVE, &move);

	if (done)
		*done = (long)move.move;
	return err;
}

#endif
