/* SPDX-License-Identifier: MIT */
/*
 * Files and stores as counted objects.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "alloc/mem.h"
#include "base/assert.h"
#include "frame/frame.h"
#include "store/file.h"

static DEFINE_ALLOC_SITE(file_site, "file");
static DEFINE_ALLOC_SITE(store_site, "file_store");

struct file_store *file_store_create(void)
{
	struct file_store *store = mem_zalloc(&store_site, sizeof(*store));

	if (!store)
		return NULL;
	if (gate_init(&store->gate)) {
		mem_free(&store_site, store);
		return NULL;
	}
	refcount_set(&store->refs, 1);
	swap_areas_init(&store->swap);
	return store;
}

struct file_store *file_store_get(struct file_store *store)
{
	refcount_inc(&store->refs);
	return store;
}

void file_store_put(struct file_store *store)
{
	if (!refcount_dec_and_test(&store->refs))
		return;
	VM_WARN_ON(store->commit.pages);
	swap_areas_end(store);
	if (store->ram)
		ram_destroy(store->ram);
	mem_free(&store_site, store);
}

int store_make_room(struct file_store *store, unsigned long *refused)
{
	VM_WARN_ON(lock_rank_holds_any());
	if (!frames_were_refused(refused) || !store->make_room)
		return -ENOMEM;
	return store->make_room(store) ? 0 : -ENOMEM;
}

int file_open(struct inode *inode, const char *name, unsigned int flags, struct samara_file **out)
{
	const size_t size = strlen(name) + 1;
	struct samara_file *file;

	if (size > PATH_MAX)
		return -ENAMETOOLONG;
	file = mem_zalloc(&file_site, sizeof(*file) + size);
	if (!file)
		return -ENOMEM;
	refcount_set(&file->refs, 1);
	file->flags = flags;
	file->max_length = LLONG_MAX;
	file->inode = inode;
	memcpy(file->name, name, size);
	*out = file;
	return 0;
}

/* A file of an inode of its own. */
static int create(struct file_store *store, const struct inode_desc *desc,
		  const struct samara_file_identity *identity, struct samara_file **out)
{
	struct inode *inode = inode_create(store, desc);
	int err;

	if (!inode)
		return -ENOMEM;
	err = file_open(inode, identity->name, identity->flags, out);
	if (err)
		inode_put(inode);
	return err;
}

int file_create(struct file_store *store, const struct samara_file_identity *identity,
		struct samara_file **out)
{
	const struct inode_desc desc = {
		.kind = INODE_NAMED,
		.dev_major = identity->dev_major,
		.dev_minor = identity->dev_minor,
		.ino = identity->ino,
		.length = identity->length,
	};

	return create(store, &desc, identity, out);
}

int file_shmem(struct file_store *store, const struct shmem_desc *desc, struct samara_file **out)
{
	const struct samara_file_identity identity = {
		.name = desc->name,
		.flags = SAMARA_FILE_READ | SAMARA_FILE_WRITE | SAMARA_FILE_SHMEM | desc->flags,
	};
	struct inode_desc inode = {
		.kind = INODE_SHMEM,
		.dev_minor = store->shmem_minor,
		.ino = desc->ino,
		.length = desc->length,
		.charge_each = !desc->charged,
	};
	int err;

	if (desc->length > LLONG_MAX)
		return -EINVAL;
	if (!inode.ino)
		inode.ino = atomic_fetch_add_relaxed(&store->next_ino, 1);
	err = create(store, &inode, &identity, out);
	if (err)
		return err;
	(*out)->inode->pages.reserved = desc->charged;
	return 0;
}

int file_reopen(struct samara_file *file, unsigned int flags, struct samara_file **out)
{
	struct inode *inode = file->inode;
	int err;

	if (!(flags & FILE_RIGHTS) || (flags & ~FILE_OPEN_FLAGS))
		return -EINVAL;
	if ((flags & SAMARA_FILE_WRITE) && inode->kind == INODE_HOST &&
	    smp_load_acquire(&inode->host.write_fd) < 0)
		return -EACCES;
	err = file_open(inode, file->name, (file->flags & ~FILE_OPEN_FLAGS) | flags, out);
	if (err)
		return err;
	refcount_inc(&inode->refs);
	(*out)->max_length = file->max_length;
	return 0;
}

struct samara_file *file_get(struct samara_file *file)
{
	refcount_inc(&file->refs);
	return file;
}

void file_put(struct samara_file *file)
{
	if (!file || !refcount_dec_and_test(&file->refs))
		return;
	inode_put(file->inode);
	mem_free(&file_site, file);
}
