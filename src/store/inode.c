/* SPDX-License-Identifier: MIT */
/*
 * Inodes as counted objects. Those of host files are in their store's hash, so that
 * two files of one host file meet in one page cache.
 *
 *   last file put ---> write back, the reference still held: a caller that opens the host
 *                      file meanwhile finds this inode
 *                 ---> the store's lock: if the reference is still the last, and no other
 *                      came and went since, the inode leaves the hash and is freed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc/mem.h"
#include "base/assert.h"
#include "base/host.h"
#include "base/trace.h"
#include "store/device.h"
#include "store/file.h"
#include "store/host.h"
#include "store/pages.h"

#define LAST_TRIES 3

static DEFINE_ALLOC_SITE(inode_site, "inode");

struct inode *inode_create(struct file_store *store, const struct inode_desc *desc)
{
	struct inode *inode = mem_zalloc(&inode_site, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->kind = desc->kind;
	refcount_set(&inode->refs, 1);
	inode->id.dev_major = desc->dev_major;
	inode->id.dev_minor = desc->dev_minor;
	inode->id.ino = desc->ino;
	inode->length = desc->length;
	inode->pages.charge_each = desc->charge_each;
	inode->host.asks = desc->asks_host;
	inode->in_memory = desc->in_memory || desc->kind == INODE_SHMEM;
	inode->store = file_store_get(store);
	inode->ram = store->ram;
	inode->host.fd = inode->host.write_fd = -1;
	rwsem_init(&inode->lock, RANK_INODE);
	mt_init_flags(&inode->pages.tree, MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	mutex_init(&inode->pages.lock, RANK_PAGE_CACHE);
	rwsem_init(&inode->i_mmap.lock, RANK_FILE_RMAP);
	return inode;
}

unsigned long inode_pages(const struct inode *inode)
{
	const unsigned long long length = READ_ONCE(inode->length);

	if (inode->kind == INODE_DEVICE || (inode->kind == INODE_NAMED && !length))
		return ULONG_MAX;
	return inode_pages_of(inode, length);
}

/* descriptors ------------------------------------------------------------------ */

/* fd becomes this inode's, for the access that it has no descriptor for yet; or is closed. */
static void adopt_fd(struct inode *inode, int fd, int access)
{
	int none = -1;
	bool used = false;

	if (access != O_WRONLY)
		used |= try_cmpxchg_acq_rel(&inode->host.fd, &none, fd);
	none = -1;
	if (access != O_RDONLY)
		used |= try_cmpxchg_acq_rel(&inode->host.write_fd, &none, fd);
	if (!used)
		host_close(fd);
}

static int own_fd(struct inode *inode, int fd)
{
	const int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;
	int own;

	if (flags < 0)
		return -errno;
	if ((access == O_WRONLY || READ_ONCE(inode->host.fd) >= 0) &&
	    (access == O_RDONLY || READ_ONCE(inode->host.write_fd) >= 0))
		return 0;
	own = host_dup(fd, flags);
	if (own < 0)
		return own;
	adopt_fd(inode, own, fcntl(own, F_GETFL) & O_ACCMODE);
	return 0;
}

/* For a device: to open it again may do anything. */
static int same_fd(struct inode *inode, int fd)
{
	const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (own < 0)
		return -errno;
	adopt_fd(inode, own, O_RDWR);
	return 0;
}

static void close_fds(struct inode *inode)
{
	if (inode->host.fd >= 0)
		host_close(inode->host.fd);
	if (inode->host.write_fd >= 0 && inode->host.write_fd != inode->host.fd)
		host_close(inode->host.write_fd);
}

/* hash ------------------------------------------------------------------------- */

static struct inode **hash_of(struct file_store *store, const struct inode_desc *desc)
{
	const unsigned long key = desc->ino ^ (unsigned long)desc->dev_minor << 20;

	return &store->hash[(key * 0x9e3779b97f4a7c15UL) >> 58];
}
_Static_assert(INODE_HASH == 1 << (64 - 58), "hash_of()'s shift");

/* With a reference, or NULL. The store's lock is held. */
static struct inode *hash_find(struct file_store *store, const struct inode_desc *desc)
{
	struct inode *inode = *hash_of(store, desc);

	while (inode && (inode->id.ino != desc->ino || inode->id.dev_major != desc->dev_major ||
			 inode->id.dev_minor != desc->dev_minor))
		inode = inode->id.hash_next;
	if (inode) {
		refcount_inc(&inode->refs);
		smp_store_release(&inode->host.opened, inode->host.opened + 1);
	}
	return inode;
}

/* The inode of that file in the hash: fresh, unless another thread was faster. */
static struct inode *hash_insert(struct file_store *store, const struct inode_desc *desc,
				 struct inode *fresh)
{
	struct inode **head = hash_of(store, desc);
	struct inode *inode;

	spin_lock(&store->lock, RANK_PAGE_CACHE);
	inode = hash_find(store, desc);
	if (!inode && fresh) {
		fresh->id.hash_next = *head;
		*head = fresh;
		inode = fresh;
	}
	spin_unlock(&store->lock);
	return inode;
}

static void hash_remove(struct inode *inode)
{
	const struct inode_desc desc = { .ino = inode->id.ino, .dev_minor = inode->id.dev_minor };
	struct inode **p = hash_of(inode->store, &desc);

	spin_assert_held(&inode->store->lock);
	while (*p != inode)
		p = &(*p)->id.hash_next;
	*p = inode->id.hash_next;
}

static void inode_destroy(struct inode *inode)
{
	VM_WARN_ON(!interval_tree_empty(&inode->i_mmap.tree));
	if (inode_is_device(inode))
		device_release(inode);
	else
		page_cache_truncate(inode, 0, ULONG_MAX);
	shmem_unlist(inode);
	/* A page that reclaim took may have been the last one: it is done with inode then. */
	mutex_lock(&inode->pages.lock);
	mutex_unlock(&inode->pages.lock);
	VM_WARN_ON(inode->pages.nr || inode->pages.swapped);
	mt_clear_in_rcu(&inode->pages.tree);
	__mt_destroy(&inode->pages.tree);
	close_fds(inode);
	commit_uncharge(&inode->store->commit, inode->pages.reserved);
	file_store_put(inode->store);
	mem_free(&inode_site, inode);
}

/* What two descriptors of share. All others are files by themselves, whatever number they have. */
static bool has_pages(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/* Found in the hash, or made and put there. */
static struct inode *inode_hashed(struct file_store *store, const struct inode_desc *desc)
{
	struct inode *inode = hash_insert(store, desc, NULL), *fresh;

	if (inode)
		return inode;
	fresh = inode_create(store, desc);
	if (!fresh)
		return NULL;
	fresh->id.hashed = true;
	inode = hash_insert(store, desc, fresh);
	if (inode != fresh)
		inode_destroy(fresh);
	return inode;
}

int inode_of_host(struct file_store *store, const struct host_file *host, struct inode **out)
{
	const struct stat *st = &host->st;
	const struct inode_desc desc = {
		.kind = has_pages(st) || host->asks ? INODE_HOST : INODE_NAMED,
		.dev_major = major(st->st_dev),
		.dev_minor = minor(st->st_dev),
		.ino = st->st_ino,
		.length = has_pages(st) ? host_length(host->fd, st) : 0,
		.asks_host = host->asks,
		.in_memory = host->in_memory,
	};
	struct inode *inode =
		has_pages(st) ? inode_hashed(store, &desc) : inode_create(store, &desc);
	int err = 0;

	if (!inode)
		return -ENOMEM;
	if (has_pages(st))
		err = own_fd(inode, host->fd);
	else if (host->asks)
		err = same_fd(inode, host->fd);
	if (err) {
		inode_put(inode);
		return err;
	}
	*out = inode;
	return 0;
}

/* putting ---------------------------------------------------------------------- */

/* The last file of it is gone: what is dirty is written back, or lost. */
static void write_back_last(struct inode *inode)
{
	const struct writeback wb = { .inode = inode, .last = ULONG_MAX };
	int err = -EAGAIN;

	for (int i = 0; err && i < LAST_TRIES; i++)
		err = inode_writeback(&wb);
	if (err)
		TRACE(writeback_lost, inode->id.ino, err);
}

/*
 * Drop the reference that was the last when opened was read. False: it is not any more, look
 * again.
 */
static bool put_last(struct inode *inode, unsigned long opened, bool *gone)
{
	struct file_store *store = inode->store;
	bool done;

	spin_lock(&store->lock, RANK_PAGE_CACHE);
	/* A mere look at the count may see an old one: it falls without this lock. */
	done = refcount_dec_not_one(&inode->refs);
	*gone = false;
	if (!done && inode->host.opened == opened) {
		*gone = refcount_dec_and_test(&inode->refs);
		done = true;
	}
	if (*gone && inode->id.hashed)
		hash_remove(inode);
	spin_unlock(&store->lock);
	return done;
}

void inode_put(struct inode *inode)
{
	unsigned long opened;
	bool gone;

	do {
		opened = smp_load_acquire(&inode->host.opened);
		if (refcount_dec_not_one(&inode->refs))
			return;
		if (inode->kind == INODE_HOST)
			write_back_last(inode);
	} while (!put_last(inode, opened, &gone));
	if (gone)
		inode_destroy(inode);
}
