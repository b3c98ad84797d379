/* SPDX-License-Identifier: MIT */
#include "swap_box.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

#include "store/swap_area.h"

/* the disk ---------------------------------------------------------------------------- */

static void enter_slot(struct swap_disk *disk, unsigned long slot)
{
	assert_true(slot < disk->pages);
	assert_false(__atomic_exchange_n(&disk->busy[slot], 1, __ATOMIC_ACQUIRE));
}

static void leave_slot(struct swap_disk *disk, unsigned long slot)
{
	__atomic_store_n(&disk->busy[slot], 0, __ATOMIC_RELEASE);
}

static bool fails(unsigned long *nth, bool from)
{
	if (!*nth || --*nth)
		return false;
	*nth = from;
	return true;
}

static int disk_read(void *priv, unsigned long slot, void *page)
{
	struct swap_disk *disk = priv;

	__atomic_fetch_add(&disk->reads, 1, __ATOMIC_RELAXED);
	if (fails(&disk->fail_read.nth, disk->fail_read.from))
		return -EIO;
	enter_slot(disk, slot);
	memcpy(page, disk->bytes + slot * BOX_PAGE, BOX_PAGE);
	leave_slot(disk, slot);
	return 0;
}

static int disk_write(void *priv, unsigned long slot, const void *page)
{
	struct swap_disk *disk = priv;

	__atomic_fetch_add(&disk->writes, 1, __ATOMIC_RELAXED);
	if (fails(&disk->fail_write.nth, disk->fail_write.from))
		return -EIO;
	enter_slot(disk, slot);
	memcpy(disk->bytes + slot * BOX_PAGE, page, BOX_PAGE);
	leave_slot(disk, slot);
	return 0;
}

static void disk_discard(void *priv, unsigned long slot, unsigned long nr)
{
	struct swap_disk *disk = priv;

	__atomic_fetch_add(&disk->discarded, nr, __ATOMIC_RELAXED);
	for (unsigned long i = slot; i < slot + nr; i++) {
		enter_slot(disk, i);
		memset(disk->bytes + i * BOX_PAGE, 0xdd, BOX_PAGE);
		leave_slot(disk, i);
	}
}

static void disk_release(void *priv)
{
	struct swap_disk *disk = priv;

	__atomic_fetch_add(&disk->releases, 1, __ATOMIC_RELAXED);
}

const struct samara_swap_ops swap_disk_ops = {
	.size = sizeof(swap_disk_ops),
	.read = disk_read,
	.write = disk_write,
	.discard = disk_discard,
	.release = disk_release,
};

void swap_disk_make(struct swap_disk *disk, unsigned long pages)
{
	*disk = (struct swap_disk){
		.bytes = malloc(pages * BOX_PAGE),
		.busy = calloc(pages, 1),
		.pages = pages,
	};
	assert_non_null(disk->bytes);
	assert_non_null(disk->busy);
	memset(disk->bytes, 0xee, pages * BOX_PAGE);
}

struct samara_swap *swap_disk_on(struct store_box *box, struct swap_disk *disk, unsigned long pages,
				 int flags)
{
	const struct swap_ops_desc desc = {
		.ops = &swap_disk_ops,
		.priv = disk,
		.pages = pages,
		.flags = flags,
	};
	struct samara_swap *area;

	swap_disk_make(disk, pages);
	assert_int_equal(swap_on_ops(box->store, &desc, &area), 0);
	return area;
}

void swap_disk_free(struct swap_disk *disk)
{
	free(disk->bytes);
	free(disk->busy);
}

void swap_disk_off(struct samara_swap *area, struct swap_disk *disk)
{
	assert_int_equal(swap_area_stop(area), 0);
	assert_int_equal(swap_area_used(area), 0);
	swap_area_end(area);
	assert_int_equal(disk->releases, 1);
	swap_disk_free(disk);
}

/* pages ------------------------------------------------------------------------------- */

void swap_set_stamp(struct store_box *box, struct folio *folio, unsigned long stamp)
{
	unsigned long *words = folio_virt(box->ram, folio);

	for (unsigned long i = 0; i < BOX_PAGE / sizeof(*words); i++)
		words[i] = stamp ? stamp * 0x9e3779b97f4a7c15UL + i : 0;
	words[BOX_PAGE / sizeof(*words) - 1] = stamp;
}

unsigned long swap_stamp(struct store_box *box, struct folio *folio)
{
	const unsigned long *words = folio_virt(box->ram, folio);
	const unsigned long last = BOX_PAGE / sizeof(*words) - 1, stamp = words[last];

	for (unsigned long i = 0; i < last; i++)
		if (words[i] != (stamp ? stamp * 0x9e3779b97f4a7c15UL + i : 0))
			fail_msg("word %lu of the page of stamp %lu: %#lx", i, stamp, words[i]);
	return stamp;
}

struct folio *swap_new_page(struct store_box *box, unsigned long stamp)
{
	struct folio *folio = folio_alloc(box->ram, 0, FOLIO_RAW);

	assert_non_null(folio);
	folio_set(folio, FOLIO_SWAPBACKED);
	swap_set_stamp(box, folio, stamp);
	return folio;
}

int swap_uncache(struct store_box *box, swp_entry_t entry)
{
	struct folio *folio = swap_cache_find(box->store, entry);
	int err;

	assert_non_null(folio);
	folio_lock(folio);
	assert_true(swap_cache_is(folio, entry));
	err = swap_write(box->store, folio);
	if (!err)
		swap_cache_del(box->store, folio);
	folio_unlock_unseen(folio);
	folio_put(box->ram, folio);
	return err;
}

swp_entry_t swap_page_out(struct store_box *box, unsigned long stamp)
{
	struct folio *folio = swap_new_page(box, stamp);
	swp_entry_t entry;

	folio_lock(folio);
	assert_int_equal(swap_cache_add(box->store, folio), 0);
	entry = folio_swap(folio);
	assert_true(swap_dup(box->store, entry));
	folio_unlock_unseen(folio);
	folio_put(box->ram, folio);
	assert_int_equal(swap_uncache(box, entry), 0);
	return entry;
}

int swap_try_read(struct store_box *box, swp_entry_t entry)
{
	struct folio *folio;
	bool major = false;
	int err = swap_read(box->store, entry, NULL, &folio, &major);

	if (!err)
		folio_put(box->ram, folio);
	return err;
}

unsigned long swap_look(struct store_box *box, swp_entry_t entry)
{
	struct folio *folio;
	bool major = false;
	unsigned long stamp;

	assert_int_equal(swap_read(box->store, entry, NULL, &folio, &major), 0);
	stamp = swap_stamp(box, folio);
	folio_put(box->ram, folio);
	return stamp;
}

bool swap_is_cached(struct store_box *box, swp_entry_t entry)
{
	struct folio *folio = swap_cache_find(box->store, entry);

	if (folio)
		folio_put(box->ram, folio);
	return folio;
}

void swap_check(struct store_box *box)
{
	struct samara_report report = { 0 };

	if (swap_validate(box->store, &report))
		fail_msg("%s: %s", report.invariant, report.text);
}
