/* SPDX-License-Identifier: MIT */
/*
 * Words that several threads change. The names are Linux's (Documentation/atomic_t.txt), and say
 * what the operation orders:
 *
 *   READ_ONCE, WRITE_ONCE (compiler.h)      nothing; the access is whole and made once
 *   smp_load_acquire, smp_store_release     what follows the load, what precedes the store
 *   atomic_add(), ..._relaxed               nothing; no addition is lost
 *   ..._acquire, ..._release                as above
 *   ..._acq_rel                             both
 *   ..._seq_cst, xchg()                     both, and these have one order that all threads see
 *
 * They work on plain integers and pointers, since some of these words are part of public structs.
 * Other rooms use no __atomic builtin: tools/check-layers holds that.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include "base/compiler.h"

#define load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

/* Without a result. */
#define atomic_add(p, n) ((void)__atomic_fetch_add((p), (n), __ATOMIC_RELAXED))
#define atomic_sub(p, n) ((void)__atomic_fetch_sub((p), (n), __ATOMIC_RELAXED))
#define atomic_inc(p) atomic_add(p, 1)
#define atomic_dec(p) atomic_sub(p, 1)
#define atomic_add_release(p, n) ((void)__atomic_fetch_add((p), (n), __ATOMIC_RELEASE))
#define atomic_sub_release(p, n) ((void)__atomic_fetch_sub((p), (n), __ATOMIC_RELEASE))
#define atomic_dec_release(p) atomic_sub_release(p, 1)

/* The value before. */
#define atomic_fetch_add_relaxed(p, n) __atomic_fetch_add((p), (n), __ATOMIC_RELAXED)
#define atomic_fetch_add_acq_rel(p, n) __atomic_fetch_add((p), (n), __ATOMIC_ACQ_REL)
#define atomic_fetch_add_seq_cst(p, n) __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define atomic_fetch_or_acquire(p, bits) __atomic_fetch_or((p), (bits), __ATOMIC_ACQUIRE)
#define atomic_fetch_or_acq_rel(p, bits) __atomic_fetch_or((p), (bits), __ATOMIC_ACQ_REL)
#define atomic_fetch_and_release(p, bits) __atomic_fetch_and((p), (bits), __ATOMIC_RELEASE)
#define atomic_fetch_and_acq_rel(p, bits) __atomic_fetch_and((p), (bits), __ATOMIC_ACQ_REL)
#define xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* The value after. */
#define atomic_add_return_relaxed(p, n) __atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
#define atomic_sub_return_release(p, n) __atomic_sub_fetch((p), (n), __ATOMIC_RELEASE)
#define atomic_sub_return_acq_rel(p, n) __atomic_sub_fetch((p), (n), __ATOMIC_ACQ_REL)
#define atomic_or_return_acquire(p, bits) __atomic_or_fetch((p), (bits), __ATOMIC_ACQUIRE)

/*
 * *p becomes value if it is *old. False: it was not, *old is what it was, and nothing is ordered
 * (but by the seq_cst one).
 * The weak ones may also fail without a reason, so they stand in loops.
 */
#define try_cmpxchg(p, old, value, order) \
	__atomic_compare_exchange_n((p), (old), (value), false, (order), __ATOMIC_RELAXED)
#define try_cmpxchg_release(p, old, value) try_cmpxchg(p, old, value, __ATOMIC_RELEASE)
#define try_cmpxchg_acq_rel(p, old, value) try_cmpxchg(p, old, value, __ATOMIC_ACQ_REL)
#define try_cmpxchg_seq_cst(p, old, value) \
	__atomic_compare_exchange_n((p), (old), (value), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define try_cmpxchg_weak(p, old, value, order) \
	__atomic_compare_exchange_n((p), (old), (value), true, (order), __ATOMIC_RELAXED)
#define try_cmpxchg_weak_acquire(p, old, value) try_cmpxchg_weak(p, old, value, __ATOMIC_ACQUIRE)
#define try_cmpxchg_weak_acq_rel(p, old, value) try_cmpxchg_weak(p, old, value, __ATOMIC_ACQ_REL)
#define try_cmpxchg_weak_seq_cst(p, old, value) try_cmpxchg_weak(p, old, value, __ATOMIC_SEQ_CST)

#endif
