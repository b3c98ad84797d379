/* SPDX-License-Identifier: MIT */
/*
 * Forced in front of a source of src/ that tests/support/explore.c explores, and of the test
 * itself: each atomic operation is a point where another thread may go on, futex(2) is the
 * explorer's, and the functions get names of their own beside the library's.
 *
 * tests/<room>/<name>.explored lists the sources that the program gets in this way.
 */
#ifndef SAMARA_TEST_EXPLORED_H
#define SAMARA_TEST_EXPLORED_H

/* The ranks belong to real threads. */
#undef SAMARA_DEBUG

/* Small enough for all orders to be tried. */
#define LOCK_SPINS 1
#define RWSEM_SPINS 0
#define RWSEM_PATIENCE 1
#define VMA_LOCK_SPINS 1

void explore_point(const char *file, int line);

#define EXPLORE(op) \
	({ \
		explore_point(__FILE__, __LINE__); \
		op; \
	})
#define __atomic_load_n(...) EXPLORE(__atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...) EXPLORE(__atomic_store_n(__VA_ARGS__))
#define __atomic_exchange_n(...) EXPLORE(__atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) EXPLORE(__atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_fetch_add(...) EXPLORE(__atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...) EXPLORE(__atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_and(...) EXPLORE(__atomic_fetch_and(__VA_ARGS__))
#define __atomic_fetch_or(...) EXPLORE(__atomic_fetch_or(__VA_ARGS__))
#define __atomic_add_fetch(...) EXPLORE(__atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...) EXPLORE(__atomic_sub_fetch(__VA_ARGS__))
#define __atomic_or_fetch(...) EXPLORE(__atomic_or_fetch(__VA_ARGS__))

/* In the place of base/futex.h. */
#define BASE_FUTEX_H
#define FUTEX_ALL 0x7fffffff
enum { FUTEX_READERS = 1, FUTEX_WRITERS = 2, FUTEX_ANYONE = -1 };
struct timespec;
void futex_wait(unsigned int *word, unsigned int expected, int who, const struct timespec *timeout);
void futex_wake(unsigned int *word, int how_many, int who);

#define spin_lock_slow explored_spin_lock_slow
#define spin_unlock_wake explored_spin_unlock_wake
#define rwsem_init explored_rwsem_init
#define down_read explored_down_read
#define down_read_nested explored_down_read_nested
#define down_read_trylock explored_down_read_trylock
#define up_read explored_up_read
#define down_write explored_down_write
#define down_write_nested explored_down_write_nested
#define down_write_trylock explored_down_write_trylock
#define up_write explored_up_write
#define downgrade_write explored_downgrade_write

#include "base/lock.h"

/* A spinlock is one step where it is only a part of what is explored; (spin_acquire)() is real. */
void explore_lock(unsigned int *word);
void explore_unlock(unsigned int *word);
#define spin_acquire(lock) explore_lock(&(lock)->word)
#define spin_release(lock) explore_unlock(&(lock)->word)

#define vma_try_read explored_vma_try_read
#define lock_vma_under_rcu explored_lock_vma_under_rcu
#define vma_end_read explored_vma_end_read
#define vma_wait_readers explored_vma_wait_readers
#define vma_wait_detached explored_vma_wait_detached

#endif
