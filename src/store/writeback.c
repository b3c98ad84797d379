/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages to the host file, in the order of the file.
 *
 * A page is dirty if its folio says so or, while it is mapped, if an entry says
 * so. clean() is asked first, so that a store to the page afterwards makes it
 * dirty again. inode->lock, held for reading, keeps the end where it is.
 */
#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/host.h"
#include "store/host.h"
#include "store/pages.h"

/* One look at both words: an unmapping makes the folio dirty before the count falls. */
static bool may_be_dirty(const struct folio *folio)
{
	const uint64_t dirty = (uint64_t)FOLIO_DIRTY << FOLIO_FLAGS_SHIFT;

	return folio_state(folio) & (dirty | FOLIO_MAP_ONE * FOLIO_COUNT_MAX);
}

/* folio is locked and here. */
static bool take_dirt(const struct writeback *wb, struct folio *folio)
{
	const bool mapped = wb->clean && folio_maps(folio) && wb->clean(folio, wb->arg);

	return folio_test_clear(folio, FOLIO_DIRTY) || mapped;
}

/* The part of the page inside the file; what mappings stored behind its end goes, as in Linux. */
static int write_page(struct inode *inode, const struct folio *folio)
{
	const unsigned long long length = READ_ONCE(inode->length);
	const unsigned long long offset = (unsigned long long)folio->index << inode_shift(inode);
	const size_t page = (size_t)1 << inode_shift(inode);
	char *bytes = folio_virt(inode->ram, folio);
	size_t inside;

	if (offset >= length)
		return 0;
	inside = (size_t)min((unsigned long long)page, length - offset);
	if (inside < page && !inode->in_memory)
		bytes_zero(bytes + inside, page - inside);
	return host_write(smp_load_acquire(&inode->host.write_fd), bytes, inside, (off_t)offset);
}

static int write_if_dirty(const struct writeback *wb, struct folio *folio)
{
	struct inode *inode = wb->inode;
	int err = 0;

	/* What a bad frame holds is not written: the file keeps what it has. */
	if (!may_be_dirty(folio) || folio_test(folio, FOLIO_POISONED))
		return 0;
	folio_lock(folio);
	if (folio->mapping == inode && take_dirt(wb, folio)) {
		err = write_page(inode, folio);
		if (err)
			folio_set(folio, FOLIO_DIRTY);
	}
	folio_unlock(folio);
	return err;
}

int inode_writeback(const struct writeback *wb)
{
	struct inode *inode = wb->inode;
	unsigned long index = wb->start;
	struct folio *folio;
	int err = 0;

	if (inode->kind != INODE_HOST)
		return 0;
	inode_refresh(inode);
	down_read(&inode->lock);
	for (; (folio = page_cache_next(inode, &index, wb->last)); index++) {
		const int one = write_if_dirty(wb, folio);

		folio_put(inode->ram, folio);
		if (!err)
			err = one;
	}
	up_read(&inode->lock);
	return err;
}

/* inode->lock is held for reading. */
static int write_locked_folio(struct inode *inode, struct folio *folio)
{
	int err;

	if (inode_end_moved(inode))
		return -EBUSY;
	/* Nothing is written of a page that lies behind the end. */
	folio_test_clear(folio, FOLIO_DIRTY);
	err = write_page(inode, folio);
	if (err)
		folio_set(folio, FOLIO_DIRTY);
	return err;
}

int inode_write_folio(struct inode *inode, struct folio *folio)
{
	int err;

	VM_WARN_ON(!folio_test(folio, FOLIO_LOCKED) || folio->mapping != inode);
	if (inode->kind != INODE_HOST || smp_load_acquire(&inode->host.write_fd) < 0)
		return -EROFS;
	/*
	 * The order is the other way round: a lock that would have to be waited for is not taken.
	 */
	if (!down_read_trylock(&inode->lock))
		return -EBUSY;
	err = write_locked_folio(inode, folio);
	up_read(&inode->lock);
	return err;
}

int inode_fsync(struct inode *inode)
{
	if (inode->kind != INODE_HOST || !host_fsync(inode_any_fd(inode)))
		return 0;
	/* Not every file can be asked to. */
	return errno == EINVAL || errno == EROFS ? 0 : -errno;
}
