/* SPDX-License-Identifier: MIT */
/*
 * Requests of a userfaultfd in pages, for tests.
 */
#ifndef SAMARA_TEST_UFFD_H
#define SAMARA_TEST_UFFD_H

#include <fcntl.h>
#include <stdlib.h>

#include <samara/access.h>
#include <samara/uffd.h>

#include "support/mem.h"

#define MODE_MISSING UFFDIO_REGISTER_MODE_MISSING
#define MODE_WP UFFDIO_REGISTER_MODE_WP
#define MODE_MINOR UFFDIO_REGISTER_MODE_MINOR
#define ASYNC UFFD_FEATURE_WP_ASYNC

/* One that does not wait, after its handshake. */
static inline struct samara_uffd *uffd_new(struct samara_mm *mm, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct samara_uffd *uffd = NULL;

	if (samara_uffd_create(mm, O_NONBLOCK, &uffd) || samara_uffd_ioctl(uffd, UFFDIO_API, &api))
		abort();
	return uffd;
}

/* 0 or -errno, as the next ones. */
static inline int uffd_reg(struct samara_uffd *uffd, unsigned long at, unsigned long pages,
			   unsigned long long mode)
{
	struct uffdio_register arg = {
		.range = { .start = at, .len = pages * MEM_PAGE },
		.mode = mode,
	};

	return samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &arg);
}

static inline int uffd_unreg(struct samara_uffd *uffd, unsigned long at, unsigned long pages)
{
	struct uffdio_range arg = { .start = at, .len = pages * MEM_PAGE };

	return samara_uffd_ioctl(uffd, UFFDIO_UNREGISTER, &arg);
}

/* mode: some of UFFDIO_WRITEPROTECT_MODE_*. */
static inline int uffd_wp(struct samara_uffd *uffd, unsigned long at, unsigned long pages,
			  unsigned long long mode)
{
	struct uffdio_writeprotect arg = {
		.range = { .start = at, .len = pages * MEM_PAGE },
		.mode = mode,
	};

	return samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &arg);
}

#endif
