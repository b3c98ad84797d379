/* SPDX-License-Identifier: MIT */
/*
 * Files and stores as counted objects.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/file.h"

static DEFINE_ALLOC_SITE(file_site, "file");
static DEFINE_ALLOC_SITE(store_site, "file_store");

struct file_store *file_store_create(void)
{
	struct file_store *store = mem_zalloc(&store_site, sizeof(*store));

	if (store)
		store->refs = 1;
	return store;
}

struct file_store *file_store_get(struct file_store *store)
{
	__atomic_fetch_add(&store->refs, 1, __ATOMIC_RELAXED);
	return store;
}

void file_store_put(struct file_store *store)
{
	if (__atomic_fetch_sub(&store->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	VM_WARN_ON(store->commit.pages);
	mem_free(&store_site, store);
}

int file_create(struct file_store *store, const struct samara_file_identity *identity,
		struct samara_file **out)
{
	const size_t size = strlen(identity->name) + 1;
	struct samara_file *file;

	if (size > PATH_MAX)
		return -ENAMETOOLONG;
	file = mem_zalloc(&file_site, sizeof(*file) + size);
	if (!file)
		return -ENOMEM;
	file->refs = 1;
	file->flags = identity->flags;
	file->dev_major = identity->dev_major;
	file->dev_minor = identity->dev_minor;
	file->ino = identity->ino;
	file->length = identity->length;
	file->max_length = LLONG_MAX;
	file->store = file_store_get(store);
	file->fd = -1;
	memcpy(file->name, identity->name, size);
	*out = file;
	return 0;
}

struct samara_file *file_get(struct samara_file *file)
{
	__atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED);
	return file;
}

void file_put(struct samara_file *file)
{
	if (!file || __atomic_fetch_sub(&file->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (file->fd >= 0)
		close(file->fd);
	commit_uncharge(&file->store->commit, file->charged);
	file_store_put(file->store);
	mem_free(&file_site, file);
}

int file_shmem(struct file_store *store, const struct shmem_desc *desc, struct samara_file **out)
{
	struct samara_file_identity identity = {
		.size = sizeof(identity),
		.name = desc->name,
		.dev_minor = store->shmem_minor,
		.flags = SAMARA_FILE_READ | SAMARA_FILE_WRITE | SAMARA_FILE_SHMEM | desc->flags,
		.length = desc->length,
		.ino = desc->ino,
	};
	int err;

	if (desc->length > LLONG_MAX)
		return -EINVAL;
	if (!identity.ino)
		identity.ino = __atomic_fetch_add(&store->next_ino, 1, __ATOMIC_RELAXED);
	err = file_create(store, &identity, out);
	if (err)
		return err;
	(*out)->charged = desc->charged;
	return 0;
}
