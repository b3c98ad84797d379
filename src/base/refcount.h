/* SPDX-License-Identifier: MIT */
/*
 * Counts of references to objects.
 *
 *     0            1 ........ REFCOUNT_MAX - 1    REFCOUNT_MAX ... 2^64 - 1
 *     being freed  alive                          saturated: never freed
 *
 * A count that reaches REFCOUNT_MAX, or falls below 0, is saturated: it is put in the middle of the
 * upper range, and getting and putting leave it there. The object is lost, but no reference to it
 * is ever left without an object. REFCOUNT_MAX is out of reach: a reference a nanosecond takes
 * 146 years. docs/locking.md has all counts of the library.
 *
 * Ordering: the calls that take references away release, and acquire where the last ones went, or
 * would have. refcount_inc_not_zero() acquires.
 */
#ifndef BASE_REFCOUNT_H
#define BASE_REFCOUNT_H

#include "base/assert.h"

typedef struct refcount {
	unsigned long n; /* atomic */
} refcount_t;

#define REFCOUNT_MAX (1UL << 62)
#define REFCOUNT_SATURATED (1UL << 63)
#define REFCOUNT_INIT(n_) \
	{ \
		.n = (n_) \
	}
_Static_assert(sizeof(unsigned long) == 8, "counts of 64 bits");

static inline void refcount_set(refcount_t *r, unsigned long n)
{
	WRITE_ONCE(r->n, n);
}

static inline unsigned long refcount_read(const refcount_t *r)
{
	return READ_ONCE(r->n);
}

/* old is what a count was that has just changed. Whether it was neither 0 nor saturated. */
static inline bool refcount_was_alive(refcount_t *r, unsigned long old)
{
	if (likely(old - 1 < REFCOUNT_MAX - 1))
		return true;
	VM_WARN_ON(!old);
	WRITE_ONCE(r->n, REFCOUNT_SATURATED);
	return false;
}

/* n references more. The caller has one, or otherwise knows that there is one. */
static inline void refcount_add(unsigned long n, refcount_t *r)
{
	refcount_was_alive(r, __atomic_fetch_add(&r->n, n, __ATOMIC_RELAXED));
}

static inline void refcount_inc(refcount_t *r)
{
	refcount_add(1, r);
}

/* For lookups: false if there is no reference any more. */
static inline __must_check bool refcount_inc_not_zero(refcount_t *r)
{
	unsigned long n = READ_ONCE(r->n);

	do {
		if (!n)
			return false;
		if (unlikely(n >= REFCOUNT_MAX))
			return true;
	} while (!__atomic_compare_exchange_n(&r->n, &n, n + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return true;
}

/* n references less. True: they were the last ones, and the caller frees the object. */
static inline __must_check bool refcount_sub_and_test(unsigned long n, refcount_t *r)
{
	const unsigned long old = __atomic_fetch_sub(&r->n, n, __ATOMIC_ACQ_REL);

	return refcount_was_alive(r, old) && old == n;
}

static inline __must_check bool refcount_dec_and_test(refcount_t *r)
{
	return refcount_sub_and_test(1, r);
}

/* One less, unless it is the last one: then false, and nothing has changed. */
static inline __must_check bool refcount_dec_not_one(refcount_t *r)
{
	unsigned long n = smp_load_acquire(&r->n);

	do {
		if (unlikely(n >= REFCOUNT_MAX))
			return true;
		if (n <= 1)
			return false;
	} while (!__atomic_compare_exchange_n(&r->n, &n, n - 1, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return true;
}

#endif
