/* SPDX-License-Identifier: MIT */
/*
 * A machine with one userfaultfd, and bytes to copy from: page n of them is full of n + 1.
 */
#ifndef SAMARA_TEST_UFFD_COPY_H
#define SAMARA_TEST_UFFD_COPY_H

#include <sys/mman.h>

#include "support/mem.h"
#include "support/uffd_calls.h"

#define RW (PROT_READ | PROT_WRITE)
#define P MEM_PAGE
#define LAST_PAGE ((1UL << 47) - 2 * P) /* of all that may be mapped */

MEM_FIXTURE(m, 1 << 20);

static unsigned char bytes[40 * MEM_PAGE + 1];
static struct samara_uffd *uffd;

static int begin(void **state)
{
	set_up(state);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i / P + 1);
	uffd = uffd_open(m.mm, O_NONBLOCK, 0);
	return 0;
}

static int end(void **state)
{
	samara_uffd_put(uffd);
	return tear_down(state);
}

/* pages of anonymous memory, the first n registered. */
static inline unsigned long map_registered(unsigned long pages, unsigned long n,
					   unsigned long long mode)
{
	const unsigned long a = mem_map(&m, pages, RW, MAP_PRIVATE, NULL);

	uffd_register_at(uffd, a, n * P, mode);
	return a;
}

static inline void assert_byte(unsigned long addr, unsigned char byte)
{
	unsigned char is;

	assert_int_equal(samara_read(m.mm, addr, &is, 1, NULL), 1);
	assert_int_equal(is, byte);
}

#define ASSERT_COPY(err_, field_, at, src, len, mode) \
	do { \
		long long f_; \
		assert_int_equal(uffd_copy_to(uffd, at, (void *)(src), len, mode, &f_), err_); \
		assert_int_equal(f_, field_); \
	} while (0)

#endif
