/* SPDX-License-Identifier: MIT */
/*
 * What the compiler can be told: branch hints, single loads and stores, and
 * the few macros every file wants. Shared words are read and written with the
 * __atomic builtins only, so that ThreadSanitizer knows what is meant.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/schedule.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define __must_check __attribute__((warn_unused_result))
#define __noinline __attribute__((noinline))
#define __cold __attribute__((cold, noinline))
#define __printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define __maybe_unused __attribute__((unused))
#define __aligned(n) __attribute__((aligned(n)))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* One load or store, not torn and not repeated; orders nothing. */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

#define container_of(ptr, type, member) \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define min(a, b) \
	({ \
		__typeof__(a) min_a_ = (a); \
		__typeof__(b) min_b_ = (b); \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define max(a, b) \
	({ \
		__typeof__(a) max_a_ = (a); \
		__typeof__(b) max_b_ = (b); \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

#define ALIGN_UP(x, a) (((x) + (__typeof__(x))(a)-1) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)

#define CACHE_LINE 64

/* What the build checks for: 1 or 0, usable in #if. */
#if defined(__SANITIZE_ADDRESS__)
#define SAMARA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SAMARA_ASAN 1
#endif
#endif
#ifndef SAMARA_ASAN
#define SAMARA_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define SAMARA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SAMARA_TSAN 1
#endif
#endif
#ifndef SAMARA_TSAN
#define SAMARA_TSAN 0
#endif

/* gcc 12 does not say so; there, define it where only UBSan is on. */
#if !defined(SAMARA_UBSAN) && defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define SAMARA_UBSAN 1
#endif
#endif
#ifndef SAMARA_UBSAN
#define SAMARA_UBSAN 0
#endif

/*
 * A store before it is seen by a sequentially consistent load that comes after it in the one order
 * of such operations. gcc refuses fences with ThreadSanitizer, which does not need this one: the
 * words are atomic. The scheduler does.
 */
#if SAMARA_TSAN && !SAMARA_SCHEDULED
#define smp_mb() __asm__ __volatile__("" ::: "memory")
#else
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

static inline void cpu_relax(void)
{
#if SAMARA_SCHEDULED
	schedule_relax();
#elif defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

#endif
