/* SPDX-License-Identifier: MIT */
/*
 * The doors of <samara/file.h>: argument checks, names, and the check that a file is this store's.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/sized.h"
#include "core/mm.h"
#include "filemap/filemap.h"
#include "store/device.h"
#include "store/file.h"
#include "store/io.h"

#define MEMFD_NAME_MAX 249

/* Shared memory of a fixed size: charged as a whole, now. */
static int shmem(struct samara_machine *machine, struct shmem_desc *desc, struct samara_file **out)
{
	const unsigned long size = geo_page_size(&machine->geo);
	struct commit *commit = &machine->store->commit;
	int err;

	if (desc->length > LLONG_MAX)
		return -EINVAL;
	desc->charged = (desc->length + size - 1) >> machine->geo.page_shift;
	err = commit_charge(commit, desc->charged, (struct commit_who){ .admin = true });
	if (err)
		return err;
	err = file_shmem(machine->store, desc, out);
	if (err)
		commit_uncharge(commit, desc->charged);
	return err;
}

int samara_file_from_fd(struct samara_machine *machine, int fd, struct samara_file **out)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : file_from_fd(machine->store, fd, out);
}

int samara_file_named(struct samara_machine *machine, const struct samara_file_identity *identity,
		      struct samara_file **out)
{
	struct samara_file_identity own;
	int err = gate_check(machine->gate);

	if (!err)
		err = sized_get(&own, sizeof(own), identity);
	if (err)
		return err;
	if (!own.name)
		return -EINVAL;
	if (!(own.flags & (SAMARA_FILE_READ | SAMARA_FILE_WRITE)))
		own.flags |= SAMARA_FILE_READ | SAMARA_FILE_WRITE;
	return file_create(machine->store, &own, out);
}

int samara_file_shmem(struct samara_machine *machine, unsigned long size, struct samara_file **out)
{
	const int refused = gate_check(machine->gate);
	struct shmem_desc desc = { .name = SHMEM_ZERO_NAME, .length = size };

	if (refused)
		return refused;
	return size ? shmem(machine, &desc, out) : -EINVAL;
}

int samara_file_memfd(struct samara_machine *machine, const char *name, unsigned long size,
		      struct samara_file **out)
{
	const int refused = gate_check(machine->gate);
	char text[MEMFD_NAME_MAX + 32];
	/* A memfd is charged as its pages come. */
	struct shmem_desc desc = { .name = text, .length = size };

	if (refused)
		return refused;
	if (strlen(name) > MEMFD_NAME_MAX || size > LLONG_MAX)
		return -EINVAL;
	snprintf(text, sizeof(text), "/memfd:%s (deleted)", name);
	return file_shmem(machine->store, &desc, out);
}

int samara_file_sysv(struct samara_machine *machine, int key, int shmid, unsigned long size,
		     struct samara_file **out)
{
	const int refused = gate_check(machine->gate);
	char text[32];
	struct shmem_desc desc = {
		.name = text,
		.length = size,
		.ino = (unsigned long)shmid,
		.flags = SAMARA_FILE_CLOSE,
	};

	if (refused)
		return refused;
	if (!size || shmid < 0)
		return -EINVAL;
	snprintf(text, sizeof(text), "/SYSV%08x (deleted)", (unsigned int)key);
	return shmem(machine, &desc, out);
}

int samara_file_reopen(struct samara_file *file, unsigned int flags, struct samara_file **out)
{
	return file_reopen(file, flags, out);
}

struct samara_file *samara_file_get(struct samara_file *file)
{
	return file_is_foreign(file) ? file : file_get(file);
}

void samara_file_put(struct samara_file *file)
{
	if (file && !file_is_foreign(file))
		file_put(file);
}

int samara_file_set_length(struct samara_file *file, unsigned long long length)
{
	const int refused = file_call(file);

	return refused ? refused : file_set_length(file, length);
}

int samara_file_punch_hole(struct samara_file *file, unsigned long long offset,
			   unsigned long long length)
{
	const int refused = file_call(file);

	if (refused)
		return refused;
	if (offset > LLONG_MAX || !length || length > LLONG_MAX)
		return -EINVAL;
	if (offset + length > min(file->max_length, (unsigned long long)LLONG_MAX))
		return -EFBIG;
	if (!file_is(file, SAMARA_FILE_WRITE))
		return -EBADF;
	if (file_is(file, SAMARA_FILE_NO_FALLOCATE | SAMARA_FILE_NOMAP))
		return -EOPNOTSUPP;
	return file_punch_hole(file, offset, length);
}

long samara_file_pread(struct samara_file *file, void *buf, unsigned long len,
		       unsigned long long offset)
{
	const int refused = file_call(file);

	return refused ? refused : file_read(file, buf, len, offset);
}

long samara_file_pwrite(struct samara_file *file, const void *buf, unsigned long len,
			unsigned long long offset)
{
	const int refused = file_call(file);

	return refused ? refused : file_write(file, buf, len, offset);
}

int samara_file_sync(struct samara_file *file)
{
	const int refused = file_call(file);

	return refused ? refused : file_sync_range(file, 0, ULONG_MAX);
}

void samara_file_unmap_pages(struct samara_file *file, unsigned long first, unsigned long nr)
{
	const unsigned long last = nr && first + nr - 1 < first ? ULONG_MAX : first + nr - 1;

	if (nr && !file_is_foreign(file))
		unmap_mapping_pages(file->inode, first, last, KEEP_COWS);
}

int samara_file_device(struct samara_machine *machine, const struct samara_file_ops *ops,
		       void *priv, struct samara_file **out)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : device_create(machine->store, ops, priv, out);
}

int samara_device_alloc(struct samara_file *device, unsigned int order, unsigned long *frame)
{
	const int refused = file_call(device);

	return refused ? refused : device_alloc(device->inode, order, frame);
}

void *samara_device_bytes(const struct samara_file *device, unsigned long frame)
{
	return file_is_foreign(device) ? NULL : device_bytes(device->inode, frame);
}

int samara_vmf_insert(struct samara_vmf *vmf, unsigned long frame)
{
	return device_insert(vmf, frame);
}

void samara_file_identify(const struct samara_file *file, struct samara_file_identity *out)
{
	const struct inode *inode = file->inode;

	*out = (struct samara_file_identity){
		.size = sizeof(*out),
		.name = file->name,
		.dev_major = inode->id.dev_major,
		.dev_minor = inode->id.dev_minor,
		.ino = inode->id.ino,
		.flags = file->flags,
		.length = READ_ONCE(inode->length),
	};
}
