/* SPDX-License-Identifier: MIT */
/*
 * The doors of <samara/file.h>: checks, names, and whose store it is.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/mm.h"
#include "store/file.h"

#define MEMFD_NAME_MAX 249

/* Shared memory that somebody asked for: charged whole, now. */
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
	return file_from_fd(machine->store, fd, out);
}

int samara_file_named(struct samara_machine *machine, const struct samara_file_identity *identity,
		      struct samara_file **out)
{
	struct samara_file_identity own;

	if (identity->size != sizeof(*identity) || !identity->name)
		return -EINVAL;
	own = *identity;
	if (!(own.flags & (SAMARA_FILE_READ | SAMARA_FILE_WRITE)))
		own.flags |= SAMARA_FILE_READ | SAMARA_FILE_WRITE;
	return file_create(machine->store, &own, out);
}

int samara_file_shmem(struct samara_machine *machine, unsigned long size, struct samara_file **out)
{
	struct shmem_desc desc = { .name = SHMEM_ZERO_NAME, .length = size };

	return size ? shmem(machine, &desc, out) : -EINVAL;
}

int samara_file_memfd(struct samara_machine *machine, const char *name, unsigned long size,
		      struct samara_file **out)
{
	char text[MEMFD_NAME_MAX + 32];
	/* A memfd is charged as its pages come. */
	struct shmem_desc desc = { .name = text, .length = size };

	if (strlen(name) > MEMFD_NAME_MAX || size > LLONG_MAX)
		return -EINVAL;
	snprintf(text, sizeof(text), "/memfd:%s (deleted)", name);
	return file_shmem(machine->store, &desc, out);
}

int samara_file_sysv(struct samara_machine *machine, int key, int shmid, unsigned long size,
		     struct samara_file **out)
{
	char text[32];
	struct shmem_desc desc = {
		.name = text,
		.length = size,
		.ino = (unsigned long)shmid,
		.flags = SAMARA_FILE_CLOSE,
	};

	if (!size || shmid < 0)
		return -EINVAL;
	snprintf(text, sizeof(text), "/SYSV%08x (deleted)", (unsigned int)key);
	return shmem(machine, &desc, out);
}

struct samara_file *samara_file_get(struct samara_file *file)
{
	return file_get(file);
}

void samara_file_put(struct samara_file *file)
{
	file_put(file);
}

void samara_file_set_length(struct samara_file *file, unsigned long long length)
{
	WRITE_ONCE(file->length, length);
}

void samara_file_identify(const struct samara_file *file, struct samara_file_identity *out)
{
	*out = (struct samara_file_identity){
		.size = sizeof(*out),
		.name = file->name,
		.dev_major = file->dev_major,
		.dev_minor = file->dev_minor,
		.ino = file->ino,
		.flags = file->flags,
		.length = READ_ONCE(file->length),
	};
}
