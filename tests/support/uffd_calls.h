/* SPDX-License-Identifier: MIT */
/*
 * Userfaultfds for tests: requests as one call each. Lengths are bytes.
 */
#ifndef SAMARA_TEST_UFFD_CALLS_H
#define SAMARA_TEST_UFFD_CALLS_H

#include <fcntl.h>
#include <stdint.h>

#include <samara/uffd.h>

#include "support/cmocka_all.h"

#define MISSING UFFDIO_REGISTER_MODE_MISSING
#define WP UFFDIO_REGISTER_MODE_WP
#define MINOR UFFDIO_REGISTER_MODE_MINOR

static inline struct samara_uffd *uffd_open(struct samara_mm *mm, int flags,
					    unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct samara_uffd *uffd;

	assert_int_equal(samara_uffd_create(mm, flags, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	return uffd;
}

static inline void uffd_register_at(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				    unsigned long long mode)
{
	struct uffdio_register reg = { .range = { at, len }, .mode = mode };

	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
}

static inline int uffd_unregister_at(struct samara_uffd *uffd, unsigned long at, unsigned long len)
{
	struct uffdio_range range = { at, len };

	return samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

/* mode: some of UFFDIO_WRITEPROTECT_MODE_*. */
static inline int uffd_protect_at(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				  unsigned long long mode)
{
	struct uffdio_writeprotect wp = { .range = { at, len }, .mode = mode };

	return samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

static inline int uffd_wake_at(struct samara_uffd *uffd, unsigned long at, unsigned long len)
{
	struct uffdio_range range = { at, len };

	return samara_uffd_ioctl(uffd, UFFDIO_WAKE, &range);
}

/* *field becomes the request's output. */
static inline int uffd_copy_to(struct samara_uffd *uffd, unsigned long at, const void *src,
			       unsigned long len, unsigned long long mode, long long *field)
{
	struct uffdio_copy copy = {
		.dst = at, .src = (uintptr_t)src, .len = len, .mode = mode, .copy = 99
	};
	const int err = samara_uffd_ioctl(uffd, UFFDIO_COPY, &copy);

	if (field)
		*field = copy.copy;
	return err;
}

static inline int uffd_zeropage_at(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				   unsigned long long mode, long long *field)
{
	struct uffdio_zeropage zero = { .range = { at, len }, .mode = mode, .zeropage = 99 };
	const int err = samara_uffd_ioctl(uffd, UFFDIO_ZEROPAGE, &zero);

	if (field)
		*field = zero.zeropage;
	return err;
}

static inline int uffd_continue_at(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				   unsigned long long mode, long long *field)
{
	struct uffdio_continue cont = { .range = { at, len }, .mode = mode, .mapped = 99 };
	const int err = samara_uffd_ioctl(uffd, UFFDIO_CONTINUE, &cont);

	if (field)
		*field = cont.mapped;
	return err;
}

static inline int uffd_poison_at(struct samara_uffd *uffd, unsigned long at, unsigned long len,
				 unsigned long long mode, long long *field)
{
	struct uffdio_poison poison = { .range = { at, len }, .mode = mode, .updated = 99 };
	const int err = samara_uffd_ioctl(uffd, UFFDIO_POISON, &poison);

	if (field)
		*field = poison.updated;
	return err;
}

#endif
