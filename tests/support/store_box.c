/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "store_box.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"

#include <samara/inject.h>

int store_box_up(void **state)
{
	const struct ram_config config = { .bytes = BOX_FRAMES * BOX_PAGE, .page_shift = 12 };
	struct store_box *box = calloc(1, sizeof(*box));

	assert_non_null(box);
	box->live = samara_live_objects();
	box->store = file_store_create();
	assert_non_null(box->store);
	assert_int_equal(ram_create(&config, &box->ram), 0);
	box->store->ram = box->ram;
	box->store->shmem_minor = 1;
	box->store->next_ino = 1;
	box->store->commit.total_pages = BOX_FRAMES;
	*state = box;
	return 0;
}

int store_box_down(void **state)
{
	struct store_box *box = *state;

	assert_int_equal(box_frames(box), 0);
	assert_int_equal(ram_validate(box->ram, NULL), 0);
	assert_int_equal(box->store->commit.pages, 0);
	file_store_put(box->store);
	assert_int_equal(samara_live_objects(), box->live);
	free(box);
	return 0;
}

unsigned char box_byte(unsigned long i)
{
	return (unsigned char)(i * 7 + (i >> 12) * 31 + 1);
}

int box_host_file(unsigned long bytes)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];
	unsigned char *text = malloc(bytes + 1);
	int fd;

	assert_non_null(text);
	for (unsigned long i = 0; i < bytes; i++)
		text[i] = box_byte(i);
	snprintf(name, sizeof(name), "%s/samara-store-XXXXXX", dir ? dir : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(pwrite(fd, text, bytes, 0), bytes);
	free(text);
	return fd;
}

int box_reopen(int fd, int flags)
{
	char link[64];
	int again;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	again = open(link, flags | O_CLOEXEC);
	assert_true(again >= 0);
	return again;
}

struct samara_file *box_open(struct store_box *box, int fd)
{
	struct samara_file *file;

	assert_int_equal(file_from_fd(box->store, fd, &file), 0);
	return file;
}

struct samara_file *box_memfd(struct store_box *box, unsigned long bytes)
{
	const struct shmem_desc desc = { .name = "/memfd:box (deleted)", .length = bytes };
	struct samara_file *file;

	assert_int_equal(file_shmem(box->store, &desc, &file), 0);
	return file;
}

struct folio *box_page(struct samara_file *file, unsigned long index)
{
	struct folio *folio;
	bool major = false;

	assert_int_equal(page_cache_get(file->inode, index, &folio, &major), 0);
	folio_unlock(folio);
	return folio;
}

int box_page_error(struct samara_file *file, unsigned long index)
{
	struct folio *folio;
	bool major = false;
	int err = page_cache_get(file->inode, index, &folio, &major);

	if (!err) {
		folio_unlock(folio);
		folio_put(file->inode->ram, folio);
	}
	return err;
}

unsigned char *box_bytes(struct store_box *box, struct folio *folio)
{
	return folio_virt(box->ram, folio);
}

void box_poke(struct store_box *box, struct samara_file *file, unsigned long at, unsigned char byte)
{
	struct folio *folio = box_page(file, at / BOX_PAGE);

	box_bytes(box, folio)[at % BOX_PAGE] = byte;
	folio_set(folio, FOLIO_DIRTY);
	folio_put(box->ram, folio);
}

unsigned char box_peek(struct store_box *box, struct samara_file *file, unsigned long at)
{
	struct folio *folio = box_page(file, at / BOX_PAGE);
	const unsigned char byte = box_bytes(box, folio)[at % BOX_PAGE];

	folio_put(box->ram, folio);
	return byte;
}

unsigned long box_frames(struct store_box *box)
{
	struct ram_stats stats;

	ram_stats(box->ram, &stats);
	return stats.frames - stats.free - stats.cached;
}

void box_check(struct samara_file *file)
{
	struct samara_report report = { 0 };

	if (inode_validate(file->inode, &report))
		fail_msg("%s: %s", report.invariant, report.text);
}
