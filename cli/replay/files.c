/* SPDX-License-Identifier: MIT */
/*
 * The files of the traced machine, as far as they are mapped.
 *
 * What opened a descriptor is not in a trace of memory calls. Mappings made
 * through the same descriptor number of the same path are taken for the same
 * open file; that decides whether two of them may merge.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/world.h"

struct known_path {
	struct known_path *next;
	struct samara_file *file;
	enum arch arch; /* of the machine that the file is on */
	long fd;
	unsigned long ino;
	char path[];
};

struct shm_segment {
	struct shm_segment *next;
	struct samara_file *file[ARCH_NR]; /* on each machine that has attached it */
	unsigned long size;
	int id, key;
};

static unsigned int hash_of(const char *path, long fd)
{
	unsigned long h = (unsigned long)fd + 5381;

	while (*path)
		h = h * 33 + (unsigned char)*path++;
	return (unsigned int)(h ^ (h >> 20)) % WORLD_PATHS;
}

/* What the name tells of a file's kind. */
static unsigned int kind_flags(const char *path)
{
	if (strncmp(path, "/dev/zero", 9) == 0 && (path[9] == '\0' || path[9] == ' '))
		return SAMARA_FILE_ZERO;
	if (strncmp(path, "/memfd:", 7) == 0 || strncmp(path, "/dev/shm/", 9) == 0)
		return SAMARA_FILE_SHMEM;
	if (path[0] != '/' || strncmp(path, "/dev/", 5) == 0)
		return 0;
	return SAMARA_FILE_HUGE_ALIGN;
}

static struct samara_file *find_or_add(struct world *w, enum arch arch, long fd,
				       struct samara_file_identity *id)
{
	struct known_path **head = &w->files.paths[hash_of(id->name, fd)], *known;
	size_t len = strlen(id->name);

	for (known = *head; known; known = known->next)
		if (known->fd == fd && known->arch == arch && known->ino == id->ino &&
		    strcmp(known->path, id->name) == 0)
			return known->file;
	known = malloc(sizeof(*known) + len + 1);
	if (!known)
		return NULL;
	id->size = sizeof(*id);
	id->flags = kind_flags(id->name);
	if (samara_file_named(world_machine(w, arch), id, &known->file)) {
		free(known);
		return NULL;
	}
	memcpy(known->path, id->name, len + 1);
	known->fd = fd;
	known->arch = arch;
	known->ino = id->ino;
	known->next = *head;
	*head = known;
	return known->file;
}

/*
 * Which file is it? A snapshot after the call may show it as deleted although
 * the call did not, or under the name it had before.
 */
static void identify(const struct world *w, const struct trace_fd *fd, unsigned long line,
		     struct samara_file_identity *id)
{
	struct file_identity who;
	char gone[4200];

	snprintf(gone, sizeof(gone), "%s (deleted)", fd->path);
	if (snapshots_file(w->snapshots, fd->deleted ? gone : fd->path, line, &who) &&
	    snapshots_file(w->snapshots, fd->deleted ? fd->path : gone, line, &who))
		return;
	id->dev_major = who.dev_major;
	id->dev_minor = who.dev_minor;
	id->ino = who.ino;
}

struct samara_file *world_file(struct world *w, enum arch arch, const struct trace_fd *fd,
			       unsigned long line)
{
	struct samara_file_identity id = { 0 };
	char name[4096];

	if (fd->path[0]) {
		snprintf(name, sizeof(name), "%.4080s%s", fd->path,
			 fd->deleted ? " (deleted)" : "");
		identify(w, fd, line, &id);
	} else {
		snprintf(name, sizeof(name), "?fd %ld", fd->fd); /* a trace without -y */
	}
	id.name = name;
	return find_or_add(w, arch, fd->fd, &id);
}

struct samara_file *world_map_file(struct world *w, enum arch arch, const struct map_line *line)
{
	struct samara_file_identity id = {
		.name = line->name,
		.dev_major = line->dev_major,
		.dev_minor = line->dev_minor,
		.ino = line->ino,
	};

	return find_or_add(w, arch, -2, &id);
}

int world_shm_add(struct world *w, int id, int key, unsigned long size)
{
	struct shm_segment *shm;

	for (shm = w->files.shm; shm; shm = shm->next)
		if (shm->id == id)
			return 0;
	shm = calloc(1, sizeof(*shm));
	if (!shm)
		return -ENOMEM;
	shm->id = id;
	shm->key = key;
	shm->size = size;
	shm->next = w->files.shm;
	w->files.shm = shm;
	return 0;
}

struct samara_file *world_shm(struct world *w, enum arch arch, int id, unsigned long *size)
{
	struct shm_segment *shm = w->files.shm;

	while (shm && shm->id != id)
		shm = shm->next;
	if (!shm)
		return NULL;
	*size = shm->size;
	if (!shm->file[arch] &&
	    samara_file_sysv(world_machine(w, arch), shm->key, id, shm->size, &shm->file[arch]))
		shm->file[arch] = NULL;
	return shm->file[arch];
}

void world_files_end(struct world *w)
{
	for (size_t i = 0; i < WORLD_PATHS; i++) {
		while (w->files.paths[i]) {
			struct known_path *next = w->files.paths[i]->next;

			samara_file_put(w->files.paths[i]->file);
			free(w->files.paths[i]);
			w->files.paths[i] = next;
		}
	}
	while (w->files.shm) {
		struct shm_segment *next = w->files.shm->next;

		for (size_t i = 0; i < ARCH_NR; i++)
			if (w->files.shm->file[i])
				samara_file_put(w->files.shm->file[i]);
		free(w->files.shm);
		w->files.shm = next;
	}
}
