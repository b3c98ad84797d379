/* SPDX-License-Identifier: MIT */
/*
 * Readers for which there is no memory. liburcu-bp gives a thread its record at its first section,
 * and ends the process if the host has no memory for more records. Before that happens the thread
 * reads as a guest: without a record, counted in one of two shared words. A grace period waits for
 * liburcu's readers, then for the guests.
 *
 *   guest                             grace period
 *   count[side]++ (a full barrier)    new guests go to the other side; wait for count[old] == 0
 *   ... reads ...                     the same again, for the other side
 *   count[side]-- (release)
 *
 * Both counts have been 0 at some moment after the grace period began, and a guest that came
 * later reads what was published before: its increment and the wait's load are in one order. The
 * sides are for progress only: guests that come one after another do not keep a wait from its end.
 *
 * Whether liburcu could get its memory is found out by a mapping of the size that it may need at
 * most, which goes at once. Something else of the process can take that memory between this and
 * the registration; then liburcu ends the process after all. A thread tries to register each time
 * that it begins a section outside any other.
 *
 * Locks: register_lock, wait_lock. No ranks: sections begin with any lock held, and nothing but
 * liburcu's own locks is taken inside. A child of fork(2) finds them free.
 */
#include <errno.h>
#include <sys/mman.h>

#include <urcu/urcu-bp.h>

#include "base/rcu.h"

#include "base/assert.h"
#include "base/lock.h"
#include "base/nap.h"

/* liburcu doubles its last array of records, which has room for twice the threads there were. */
#define RECORD_BYTES (4 * sizeof(struct urcu_bp_reader))
#define TRIAL_LEAST (64UL << 10)
#define TRIAL_MOST (64UL << 20)

static struct samara_spinlock register_lock, wait_lock;
static unsigned long registered; /* register_lock; threads that ever were */
static unsigned long count[2];
static unsigned int side; /* wait_lock to change it */

__thread unsigned int rcu_guest_depth;
static __thread unsigned int own_side; /* of the section, while rcu_guest_depth is not 0 */

static bool memory_for_a_record(void)
{
	const size_t size = min(max((registered + 1) * RECORD_BYTES, TRIAL_LEAST), TRIAL_MOST);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

static bool try_register(void)
{
	const int saved = errno;
	bool may;

	spin_acquire(&register_lock);
	may = memory_for_a_record();
	if (may) {
		urcu_bp_register();
		registered++;
	}
	spin_release(&register_lock);
	errno = saved;
	return may;
}

bool rcu_first_section(void)
{
	if (!rcu_guest_depth && try_register())
		return true;
	if (!rcu_guest_depth++) {
		own_side = __atomic_load_n(&side, __ATOMIC_RELAXED);
		__atomic_fetch_add(&count[own_side], 1, __ATOMIC_SEQ_CST);
		smp_mb();
	}
	return false;
}

void rcu_guest_unlock(void)
{
	VM_WARN_ON(!rcu_guest_depth);
	if (!--rcu_guest_depth)
		__atomic_fetch_sub(&count[own_side], 1, __ATOMIC_RELEASE);
}

static bool has_guests(unsigned int which)
{
	return __atomic_load_n(&count[which], __ATOMIC_SEQ_CST);
}

static void wait_for_side(void)
{
	const unsigned int old = side;

	__atomic_store_n(&side, !old, __ATOMIC_SEQ_CST);
	for (unsigned long round = 0; has_guests(old); round++)
		nap_between_looks(round);
}

void rcu_guests_wait(void)
{
	smp_mb();
	if (likely(!has_guests(0) && !has_guests(1)))
		return;
	spin_acquire(&wait_lock);
	wait_for_side();
	wait_for_side();
	spin_release(&wait_lock);
}

void rcu_guests_fork_child(void)
{
	register_lock.word = SPIN_FREE;
	wait_lock.word = SPIN_FREE;
	count[0] = 0;
	count[1] = 0;
}
