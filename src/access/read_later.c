/* SPDX-License-Identifier: MIT */
/*
 * See read_later.h. The thread has no reference to anything between two rounds; a slot that no
 * entry names any more by the time it is read is not read.
 *
 *   read_later() --> WANTED --the thread--> (free)          its page is in the swap cache
 *                      ^                 `-> FAILED --> (free)   read_later() says so, once
 *                      '-- again, if it has left the cache before the access came back
 */
#include "access/read_later.h"

#include <errno.h>

#include "frame/frame.h"
#include "store/file.h"

/* lock is held. The place of entry, or of an empty one for entry none; NULL. */
static struct late_read *find(struct late_reads *late, swp_entry_t entry)
{
	for (size_t i = 0; i < ARRAY_SIZE(late->read); i++)
		if (late->read[i].entry == entry.v)
			return &late->read[i];
	return NULL;
}

/* A free place, or that of one that failed and has not been asked for since. lock is held. */
static struct late_read *place(struct late_reads *late)
{
	struct late_read *read = find(late, (swp_entry_t){ 0 });

	for (size_t i = 0; !read && i < ARRAY_SIZE(late->read); i++)
		if (late->read[i].failed)
			read = &late->read[i];
	return read;
}

/* False: it has failed. lock is held. */
static bool want(struct late_reads *late, swp_entry_t entry)
{
	struct late_read *read = find(late, entry);

	if (read && read->failed) {
		*read = (struct late_read){ 0 };
		return false;
	}
	if (read)
		return true;
	read = place(late);
	/* Without a place it is asked for when the access is made again. */
	if (read)
		*read = (struct late_read){ .entry = entry.v };
	return true;
}

bool read_later(struct samara_machine *machine, swp_entry_t entry)
{
	struct late_reads *late = &machine->late;
	bool wanted;

	worker_wake(&late->worker);
	if (!smp_load_acquire(&late->worker.begun))
		return false;
	spin_lock(&late->lock, RANK_EVENT);
	wanted = want(late, entry);
	spin_unlock(&late->lock);
	if (wanted)
		worker_wake(&late->worker);
	return wanted;
}

/* Any that is wanted; none: there is none. */
static swp_entry_t first_wanted(struct late_reads *late)
{
	swp_entry_t entry = { 0 };

	spin_lock(&late->lock, RANK_EVENT);
	for (size_t i = 0; swp_none(entry) && i < ARRAY_SIZE(late->read); i++)
		if (!late->read[i].failed)
			entry.v = late->read[i].entry;
	spin_unlock(&late->lock);
	return entry;
}

static void was_read(struct late_reads *late, swp_entry_t entry, bool failed)
{
	struct late_read *read;

	spin_lock(&late->lock, RANK_EVENT);
	read = find(late, entry);
	BUG_ON(!read); /* only failed ones give way */
	*read = (struct late_read){ .entry = failed ? entry.v : 0, .failed = failed };
	spin_unlock(&late->lock);
}

static int read_in(struct file_store *store, swp_entry_t entry)
{
	unsigned long refused = frames_refused;
	struct folio *folio;
	bool major = false;
	int err;

	do {
		err = swap_read(store, entry, NULL, &folio, &major);
	} while (err == -ENOMEM && !store_make_room(store, &refused));
	if (!err)
		folio_put(store->ram, folio);
	return err;
}

static void read_wanted(void *arg)
{
	struct samara_machine *machine = arg;
	swp_entry_t entry;

	while (!worker_ends(&machine->late.worker) &&
	       !swp_none(entry = first_wanted(&machine->late))) {
		const int err = read_in(machine->store, entry);

		was_read(&machine->late, entry, err && err != -ENOENT);
	}
}

void read_later_begin(struct samara_machine *machine)
{
	machine->late.worker.name = "samara-read";
	machine->late.worker.round = read_wanted;
	machine->late.worker.arg = machine;
}

void read_later_end(struct samara_machine *machine)
{
	worker_end(&machine->late.worker);
}
