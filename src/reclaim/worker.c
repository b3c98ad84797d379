/* SPDX-License-Identifier: MIT */
/*
 * When memory is reclaimed: by the door that lacks a frame, and by the machine's thread.
 *
 *   frames free   |########high####low####0
 *                           ^       |     '-- an access waits in store_make_room(): make_room()
 *                           '-------'  the thread is woken at low, and frees until high
 *
 * A door that frees nothing looks once more while no other thread has isolated pages, then takes
 * the memory of a victim: oom.c. A door that is about to read ahead frees a batch where the thread
 * has fallen behind: reclaim_before_reading().
 *
 * Both work on the store, which files may keep when the machine has ended. The thread ends with the
 * machine; the door's part is as long as the store.
 *
 * A thread that frees nothing VAIN_ROUNDS times is not woken again before a door has freed
 * something: memory is full of what cannot leave.
 */
#include <errno.h>

#include "frame/vm_event.h"
#include "reclaim/reclaim.h"
#include "store/file.h"

#define VAIN_ROUNDS 16U

/* The thread: one round. */
static void free_until_high(void *arg)
{
	struct file_store *store = arg;
	const unsigned long high = ram_marks(store->ram).high;

	while (!worker_ends(&store->reclaim.worker) && ram_free_frames(store->ram) < high) {
		if (!store_shrink(store, RECLAIM_BATCH)) {
			atomic_inc(&store->reclaim.vain);
			return;
		}
		WRITE_ONCE(store->reclaim.vain, 0);
	}
}

/* In folio_alloc(), with its caller's locks. */
static void frames_are_low(void *arg)
{
	struct file_store *store = arg;

	if (READ_ONCE(store->reclaim.vain) < VAIN_ROUNDS)
		worker_wake(&store->reclaim.worker);
}

struct samara_machine *reclaim_machine(struct file_store *store)
{
	struct samara_machine *machine;

	spin_lock(&store->lock, RANK_PAGE_CACHE);
	machine = store->reclaim.machine;
	if (machine && !refcount_inc_not_zero(&machine->refs))
		machine = NULL;
	spin_unlock(&store->lock);
	return machine;
}

/* Nothing can be reclaimed: oom.c. */
static bool end_victim(struct file_store *store)
{
	struct samara_machine *machine = reclaim_machine(store);
	bool room;

	if (!machine)
		return false;
	room = oom_make_room(machine);
	machine_put(machine, 1);
	return room;
}

static bool free_some(struct file_store *store)
{
	/* Reclaim may be refused a frame itself, which changes it. */
	const unsigned long long before = frames_stolen;

	vm_event_add(store->ram, ALLOCSTALL, 1);
	/* First beside others, which may have isolated all that can leave. */
	if (store_shrink(store, RECLAIM_BATCH) || store_shrink_alone(store, RECLAIM_BATCH)) {
		WRITE_ONCE(store->reclaim.vain, 0);
		return true;
	}
	/* Or have others freed frames since the caller found none, or given back what they had? */
	return vm_event_sum(store->ram, PGSTEAL) != before ||
	       ram_free_frames(store->ram) > frames_returned;
}

/* file_store.make_room. */
static bool make_room(struct file_store *store)
{
	return free_some(store) || end_victim(store);
}

int reclaim_make_room(struct file_store *store, unsigned long *refused)
{
	VM_WARN_ON(lock_rank_holds_any());
	return frames_were_refused(refused) && free_some(store) ? 0 : -ENOMEM;
}

void reclaim_before_reading(struct file_store *store)
{
	if (ram_free_frames(store->ram) >= SWAP_WINDOW ||
	    READ_ONCE(store->reclaim.vain) >= VAIN_ROUNDS)
		return;
	vm_event_add(store->ram, ALLOCSTALL, 1);
	(void)store_shrink(store, RECLAIM_BATCH);
}

void reclaim_begin(struct samara_machine *machine)
{
	struct file_store *store = machine->store;
	struct store_reclaim *reclaim = &store->reclaim;

	reclaim->machine = machine;
	reclaim->worker.name = "samara-reclaim";
	reclaim->worker.round = free_until_high;
	reclaim->worker.arg = store;
	store->make_room = make_room;
	ram_watch(store->ram, frames_are_low, store);
}

void reclaim_end(struct samara_machine *machine)
{
	struct file_store *store = machine->store;

	spin_lock(&store->lock, RANK_PAGE_CACHE);
	store->reclaim.machine = NULL;
	spin_unlock(&store->lock);
	worker_end(&store->reclaim.worker);
}
