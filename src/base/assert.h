/* SPDX-License-Identifier: MIT */
/*
 * Assertions of the first two kinds; the third is every structure's
 * *_validate() (report.h).
 *
 *   BUG_ON      going on would be memory-unsafe. Always compiled in; ends the
 *               process with a line that says which condition, where.
 *   VM_WARN_ON  a contract inside the library is broken, but the process can
 *               go on. Debug builds only (-DSAMARA_DEBUG); hits are counted, and
 *               end the process where SAMARA_FATAL_WARNINGS is in the
 *               environment, as in tests.
 *
 * Never on what a caller passes in: bad input gets an errno.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/compiler.h"

__attribute__((noreturn)) __cold void assert_bug(const char *cond, const char *file, int line);
__attribute__((noreturn)) __cold __printf_like(1, 2) void assert_bug_text(const char *fmt, ...);
__cold void assert_warn(const char *cond, const char *file, int line);

/* VM_WARN_ON hits of the process so far; always 0 without SAMARA_DEBUG. */
unsigned long samara_warnings(void);

#define BUG_ON(cond)                                                 \
	do {                                                         \
		if (unlikely(cond))                                  \
			assert_bug(#cond, __FILE__, __LINE__);       \
	} while (0)

/* The value of cond, so that a debug build can also act on it; false when compiled out. */
#ifdef SAMARA_DEBUG
#define VM_WARN_ON(cond)                                             \
	({                                                           \
		bool warn_hit_ = !!(cond);                           \
		if (unlikely(warn_hit_))                             \
			assert_warn(#cond, __FILE__, __LINE__);      \
		warn_hit_;                                           \
	})
#else
static inline bool assert_nothing(size_t unused) { (void)unused; return false; }
#define VM_WARN_ON(cond) assert_nothing(sizeof(!!(cond)))
#endif

#endif
