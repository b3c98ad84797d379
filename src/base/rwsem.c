/* SPDX-License-Identifier: MIT */
/*
 * The reader-writer lock (lock.h).
 *
 *              state                     queue (queue_lock)
 *   .------------------------------.     first              last
 *   | WRITER WAITERS HANDOFF count |     [writer] [reader] [writer]
 *   '------------------------------'     CALLED   ASLEEP   ASLEEP
 *
 * A thread that cannot have the lock spins, then queues itself, and sleeps on its own entry's word.
 * Only the first entry is ever called. A called writer takes the lock itself, for itself; a called
 * reader takes it for all queued readers at once and grants it to the others.
 *
 * Taking:  a new reader   state & (WRITER | WAITERS) == 0              state + 1
 *          a new writer   state & (WRITER | HANDOFF | count) == 0      state | WRITER
 *          first, reader  state & WRITER == 0                          state + queued readers
 *          first, writer  state & (WRITER | count) == 0                state | WRITER
 *          The last two clear HANDOFF, and WAITERS when they empty the queue.
 * Leaving: up_read() state - 1, up_write() state & ~WRITER, downgrade_write() both at once. If the
 *          new state has WAITERS and no holder (or one that only a writer minds), the first entry
 *          is called.
 *
 * Invariants
 *  1. While queue_lock is free, WAITERS is set exactly if the queue is not empty.
 *  2. While queue_lock is free, the first entry is CALLED, or the lock is held in a way that keeps
 *     that entry out. The others are not called.
 *  3. HANDOFF is set only with WAITERS.
 *
 * No wake-up is lost (2). A thread sleeps only while its word is ASLEEP, which futex(2) compares
 * under the kernel's lock, and each change of that word is followed by a wake-up. A first entry
 * sets its word to ASLEEP under queue_lock, and then tries once more to take the lock, with
 * WAITERS set. The try fails only on a read of `state` that shows a holder. `state` is one
 * atomic object, changed by read-modify-write operations only, so the operations have one order and
 * each sees the one before it: that holder's leaving comes later in this order than WAITERS, sees
 * it, and calls the first entry, under queue_lock, so after the word became ASLEEP. This needs no
 * order between different objects, hence no sequentially consistent operation. An entry becomes the
 * first by the leaving of another: that one was called by the last holder that left, and takes the
 * lock in the same section of queue_lock. So then the lock is held, and the same holds for its
 * holders. Only if readers took it the new first entry might be let in by it, a reader; but they
 * took all readers along.
 *
 * Order. Leaving releases, taking acquires, on `state`. What lies between in its order are
 * read-modify-write operations, which continue the release sequence: a holder sees what all
 * earlier holders did before they left. A reader to whom the lock was granted acquires its word,
 * which the granting thread releases after taking. The entry is its thread's stack: the granting
 * thread does not touch it after that store. It still wakes the word's address, where another
 * sleeper may be by then. That one's wait returns early, which all users of futex_wait() allow for.
 *
 * Neither kind keeps the other out for ever. New readers do not pass a queue, so a writer waits for
 * the readers inside and the entries before its own. New writers may pass it, because handing the
 * lock to a thread that has yet to wake up costs a context switch for each section. But each
 * holder that leaves counts in the first entry that it has called it; after RWSEM_PATIENCE times it
 * sets HANDOFF, and then the lock waits for that entry. A thread that passes calls before it can
 * pass again, so the first entry is passed at most once for each call before HANDOFF and once by
 * each thread that was between leaving and calling.
 */
#include "base/lock.h"

#include "base/futex.h"

#ifndef RWSEM_SPINS
#define RWSEM_SPINS 200
#endif
#ifndef RWSEM_PATIENCE
#define RWSEM_PATIENCE 64
#endif

enum { ASLEEP, CALLED, GRANTED };
enum kind { READER, WRITER };

struct rwsem_waiter {
	struct rwsem_waiter *next;
	unsigned int word;
	unsigned int calls; /* since it is the first */
	enum kind kind;
};

void rwsem_init(struct rwsem *sem, enum lock_rank rank)
{
	*sem = (struct rwsem)RWSEM_INIT(rank);
}

/* From *old, which is what was read; it is read again when that fails. */
static bool rwsem_cas(struct rwsem *sem, unsigned int *old, unsigned int new)
{
	return __atomic_compare_exchange_n(&sem->state, old, new, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/* state with more readers. A count that is full would become a flag. */
static unsigned int with_readers(unsigned int state, unsigned int more)
{
	BUG_ON((state & RWSEM_READERS) + more > RWSEM_READERS);
	return state + more;
}

static bool rwsem_enter_read(struct rwsem *sem)
{
	unsigned int state = READ_ONCE(sem->state);

	while (!(state & (RWSEM_WRITER | RWSEM_WAITERS))) {
		if (rwsem_cas(sem, &state, with_readers(state, 1)))
			return true;
	}
	return false;
}

static bool rwsem_enter_write(struct rwsem *sem)
{
	unsigned int state = READ_ONCE(sem->state);

	while (!(state & (RWSEM_WRITER | RWSEM_HANDOFF | RWSEM_READERS))) {
		if (rwsem_cas(sem, &state, state | RWSEM_WRITER))
			return true;
	}
	return false;
}

static bool rwsem_enter(struct rwsem *sem, enum kind kind)
{
	return kind == READER ? rwsem_enter_read(sem) : rwsem_enter_write(sem);
}

/* the queue: queue_lock is held ------------------------------------------- */

static void queue_add(struct rwsem *sem, struct rwsem_waiter *w)
{
	if (sem->first)
		sem->last->next = w;
	else
		sem->first = w;
	sem->last = w;
	__atomic_fetch_or(&sem->state, RWSEM_WAITERS, __ATOMIC_RELAXED);
}

/* How many entries the first one takes the lock for, and whether none is left then. */
static unsigned int queue_count(const struct rwsem *sem, bool *empty)
{
	unsigned int readers = 0;

	*empty = true;
	if (sem->first->kind == WRITER) {
		*empty = !sem->first->next;
		return 1;
	}
	for (const struct rwsem_waiter *w = sem->first; w; w = w->next) {
		if (w->kind == READER)
			readers++;
		else
			*empty = false;
	}
	return readers;
}

/* The lock for the first entry, and for all readers if it is one. */
static bool take_for_first(struct rwsem *sem)
{
	const bool reader = sem->first->kind == READER;
	const unsigned int closed = reader ? RWSEM_WRITER : RWSEM_WRITER | RWSEM_READERS;
	unsigned int state = READ_ONCE(sem->state), count;
	bool empty;

	count = queue_count(sem, &empty);
	while (!(state & closed)) {
		unsigned int new = state & ~(RWSEM_HANDOFF | (empty ? RWSEM_WAITERS : 0));

		new = reader ? with_readers(new, count) : new | RWSEM_WRITER;
		if (rwsem_cas(sem, &state, new))
			return true;
	}
	return false;
}

/*
 * Those who have the lock now leave the queue: own, and all other readers if it is one. Returns
 * the others, linked by next.
 */
static struct rwsem_waiter *queue_remove(struct rwsem *sem, const struct rwsem_waiter *own)
{
	struct rwsem_waiter **at = &sem->first, *others = NULL;

	sem->last = NULL;
	while (*at) {
		struct rwsem_waiter *w = *at;

		if (w != own && (own->kind == WRITER || w->kind == WRITER)) {
			sem->last = w;
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (w == own)
			continue;
		w->next = others;
		others = w;
	}
	return others;
}

/* waiting and calling ----------------------------------------------------- */

static void grant(struct rwsem_waiter *w)
{
	while (w) {
		struct rwsem_waiter *next = w->next;

		smp_store_release(&w->word, GRANTED);
		futex_wake(&w->word, 1, FUTEX_ANYONE);
		w = next;
	}
}

static void rwsem_wait(struct rwsem *sem, enum kind kind)
{
	struct rwsem_waiter own = { .word = ASLEEP, .kind = kind }, *others;

	spin_acquire(&sem->queue_lock);
	queue_add(sem, &own);
	while (sem->first != &own || !take_for_first(sem)) {
		unsigned int word;

		spin_release(&sem->queue_lock);
		while ((word = smp_load_acquire(&own.word)) == ASLEEP)
			futex_wait(&own.word, ASLEEP, FUTEX_ANYONE, NULL);
		if (word == GRANTED)
			return;
		spin_acquire(&sem->queue_lock);
		WRITE_ONCE(own.word, ASLEEP);
	}
	others = queue_remove(sem, &own);
	spin_release(&sem->queue_lock);
	grant(others);
}

/* The lock was left with WAITERS set: it is the turn of the first entry, if it still waits. */
static void rwsem_call(struct rwsem *sem)
{
	struct rwsem_waiter *first;
	unsigned int *word = NULL;

	spin_acquire(&sem->queue_lock);
	first = sem->first;
	if (first && READ_ONCE(first->word) == ASLEEP) {
		word = &first->word;
		smp_store_release(word, CALLED);
	}
	if (first && first->calls++ == RWSEM_PATIENCE)
		__atomic_fetch_or(&sem->state, RWSEM_HANDOFF, __ATOMIC_RELAXED);
	spin_release(&sem->queue_lock);
	if (word)
		futex_wake(word, 1, FUTEX_ANYONE);
}

static void rwsem_down(struct rwsem *sem, enum kind kind)
{
	if (rwsem_enter(sem, kind))
		return;
	for (int i = 0; i < RWSEM_SPINS; i++) {
		cpu_relax();
		if (rwsem_enter(sem, kind))
			return;
	}
	rwsem_wait(sem, kind);
}

/* the calls --------------------------------------------------------------- */

void down_read(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, false);
	rwsem_down(sem, READER);
}

void down_read_nested(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, true);
	rwsem_down(sem, READER);
}

bool down_read_trylock(struct rwsem *sem)
{
	if (!rwsem_enter_read(sem))
		return false;
	lock_rank_try(sem, sem->rank);
	return true;
}

void up_read(struct rwsem *sem)
{
	unsigned int state;

	lock_rank_release(sem);
	state = __atomic_sub_fetch(&sem->state, 1, __ATOMIC_RELEASE);
	if (unlikely(state & RWSEM_WAITERS) && !(state & RWSEM_READERS))
		rwsem_call(sem);
}

void down_write(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, false);
	rwsem_down(sem, WRITER);
}

void down_write_nested(struct rwsem *sem)
{
	lock_rank_acquire(sem, sem->rank, true);
	rwsem_down(sem, WRITER);
}

bool down_write_trylock(struct rwsem *sem)
{
	if (!rwsem_enter_write(sem))
		return false;
	lock_rank_try(sem, sem->rank);
	return true;
}

void up_write(struct rwsem *sem)
{
	unsigned int old;

	lock_rank_release(sem);
	old = __atomic_fetch_and(&sem->state, ~RWSEM_WRITER, __ATOMIC_RELEASE);
	BUG_ON(!(old & RWSEM_WRITER));
	if (unlikely(old & RWSEM_WAITERS))
		rwsem_call(sem);
}

void downgrade_write(struct rwsem *sem)
{
	/* WRITER becomes one reader; it is held for writing, so both are exact. */
	unsigned int old = __atomic_fetch_sub(&sem->state, RWSEM_WRITER - 1, __ATOMIC_RELEASE);

	BUG_ON(!(old & RWSEM_WRITER));
	if (unlikely(old & RWSEM_WAITERS))
		rwsem_call(sem);
}
