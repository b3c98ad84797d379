/* SPDX-License-Identifier: MIT */
/*
 * A file's pages: lookups, truncation, the driver of a device, the last reference.
 *
 *   lookup     A lookup of a page finds the file's page or none: not what its frame became after
 *              a truncation.
 *   truncate   A read beside a truncation to nothing and back sees the old bytes, zeros, or the
 *              end. A mapping sees the old bytes, zeros or SIGBUS, and the old ones never again.
 *   shrink     A read beside a truncation alone sees the old bytes or the end.
 *   revoke     After samara_file_unmap_pages() has returned, no access reads the old frame.
 *   last_put   The last reference to a host file goes while the file is opened and mapped again:
 *              what was stored before is read, from the cache or from the host.
 *   two_reads  Two faults on a page of a host file that is not there: one page, read once whole.
 */
#include "schedule/world.h"

#include "base/atomic.h"
#include "frame/frame.h"
#include "store/file.h"
#include "store/pages.h"

struct file_world {
	struct world w;
	struct samara_mm *other;
	unsigned long frame[2]; /* of the device */
	unsigned int now;       /* which of them it shows; atomic */
};

static void open_shmem(void *arg)
{
	struct file_world *f = arg;

	world_open(&f->w);
	world_shmem(&f->w, 1);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_set(f->w.mm, 1, 7);
}

static void close_world(void *arg)
{
	struct file_world *f = arg;

	world_check(&f->w);
	samara_mm_exit(f->other);
	world_close(&f->w);
}

/* lookup ------------------------------------------------------------------------------- */

static void find_page(void *arg)
{
	struct file_world *f = arg;
	struct inode *inode = f->w.file->inode;

	for (int i = 0; i < 2; i++) {
		struct folio *folio = page_cache_find_locked(inode, 0);

		if (!folio)
			continue;
		schedule_require(folio->mapping == inode && !folio->index);
		schedule_require(!folio_test(folio, FOLIO_ANON) && folio_refs(folio) >= 2);
		folio_unlock(folio);
		folio_put(inode->ram, folio);
	}
}

/* The frame that truncation has freed is the next one that this thread gets. */
static void truncate_and_use(void *arg)
{
	struct file_world *f = arg;

	schedule_require(!samara_file_set_length(f->w.file, 0));
	world_map(f->w.mm, 2, 1, WORLD_RW, MAP_PRIVATE, NULL);
	world_set(f->w.mm, 2, 9);
}

static void frame_is_ours(void *arg)
{
	struct file_world *f = arg;

	schedule_require(world_value(f->w.mm, 2) == 9 && world_frames(&f->w) == 1);
	close_world(arg);
}

static const struct scenario lookup = {
	.name = "lookup",
	.what = "a lookup finds the file's page or none, and its reference is one",
	.world_size = sizeof(struct file_world),
	.setup = open_shmem,
	.threads = { { "lookup", find_page }, { "truncate", truncate_and_use } },
	.check = frame_is_ours,
};

/* truncate ----------------------------------------------------------------------------- */

static void truncate_and_grow(void *arg)
{
	struct file_world *f = arg;

	schedule_require(!samara_file_set_length(f->w.file, 0));
	schedule_require(!samara_file_set_length(f->w.file, WORLD_PAGE));
	schedule_require(!world_value(f->w.mm, 1));
}

static void read_by_call(void *arg)
{
	struct file_world *f = arg;
	uint64_t value = 0;
	const long n = samara_file_pread(f->w.file, &value, sizeof(value), 0);

	schedule_require(!n || (n == sizeof(value) && (value == 7 || !value)));
}

static void read_by_mapping(void *arg)
{
	struct file_world *f = arg;
	uint64_t value[2] = { 7, 7 };
	bool there[2];

	for (int i = 0; i < 2; i++) {
		there[i] = world_load(f->w.mm, 1, &value[i]);
		schedule_require(!there[i] || value[i] == 7 || !value[i]);
	}
	if (!there[0] || !value[0])
		schedule_require(!there[1] || !value[1]);
}

static const struct scenario truncate_scenario = {
	.name = "truncate",
	.what = "what a truncation has taken is not read again",
	.world_size = sizeof(struct file_world),
	.setup = open_shmem,
	.threads = { { "mapping", read_by_mapping },
		     { "pread", read_by_call },
		     { "truncate", truncate_and_grow } },
	.check = close_world,
};

/* shrink ------------------------------------------------------------------------------- */

static void truncate_only(void *arg)
{
	struct file_world *f = arg;

	schedule_require(!samara_file_set_length(f->w.file, 0));
}

static void read_bytes_or_end(void *arg)
{
	struct file_world *f = arg;
	uint64_t value = 0;
	const long n = samara_file_pread(f->w.file, &value, sizeof(value), 0);

	schedule_require(!n || (n == sizeof(value) && value == 7));
}

static const struct scenario shrink = {
	.name = "shrink",
	.what = "a read finds the bytes, or the end: no zeros behind it",
	.world_size = sizeof(struct file_world),
	.setup = open_shmem,
	.threads = { { "pread", read_bytes_or_end }, { "truncate", truncate_only } },
	.check = close_world,
};

/* revoke ------------------------------------------------------------------------------- */

static int show_frame(void *priv, struct samara_vmf *vmf)
{
	struct file_world *f = priv;

	return samara_vmf_insert(vmf, f->frame[smp_load_acquire(&f->now)]);
}

static uint64_t *device_word(struct file_world *f, int which)
{
	return samara_device_bytes(f->w.file, f->frame[which]);
}

static void open_device(void *arg)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops), .fault = show_frame };
	struct file_world *f = arg;

	world_open(&f->w);
	schedule_require(!samara_file_device(f->w.machine, &ops, f, &f->w.file));
	for (int i = 0; i < 2; i++) {
		schedule_require(!samara_device_alloc(f->w.file, 0, &f->frame[i]));
		*device_word(f, i) = 7 + (unsigned int)i;
	}
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_SHARED, f->w.file);
}

static void read_device(void *arg)
{
	struct file_world *f = arg;
	const uint64_t first = world_value(f->w.mm, 1), second = world_value(f->w.mm, 1);

	schedule_require(first == 7 || first == 8);
	schedule_require(second == 8 || (second == 7 && first == 7));
}

static void revoke(void *arg)
{
	struct file_world *f = arg;

	smp_store_release(&f->now, 1);
	samara_file_unmap_pages(f->w.file, 0, 1);
	/* No access reads this frame any more: what it holds now is seen by none. */
	WRITE_ONCE(*device_word(f, 0), 99);
	schedule_require(world_value(f->w.mm, 1) == 8);
}

static const struct scenario revoke_scenario = {
	.name = "revoke",
	.what = "a frame that a driver has revoked is not read any more",
	.world_size = sizeof(struct file_world),
	.setup = open_device,
	.threads = { { "reader", read_device }, { "driver", revoke } },
	.check = close_world,
};

/* last_put, two_reads ------------------------------------------------------------------- */

static void open_stored(void *arg)
{
	struct file_world *f = arg;

	world_open(&f->w);
	world_host_file(&f->w, 1);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_set(f->w.mm, 1, 7);
	world_unmap(f->w.mm, 1, 1);
}

static void put_last(void *arg)
{
	struct file_world *f = arg;

	samara_file_put(f->w.file);
	f->w.file = NULL;
}

static void open_again(void *arg)
{
	struct file_world *f = arg;
	struct samara_file *file;

	schedule_require(!samara_file_from_fd(f->w.machine, f->w.fd, &file));
	world_map(f->w.mm, 2, 1, WORLD_RW, MAP_SHARED, file);
	samara_file_put(file);
	schedule_require(world_value(f->w.mm, 2) == 7);
	world_set(f->w.mm, 2, 8);
	world_unmap(f->w.mm, 2, 1);
}

static void stored_reached_host(void *arg)
{
	struct file_world *f = arg;

	schedule_require(world_on_host(&f->w, 0) == 8 && !world_frames(&f->w));
	close_world(arg);
}

static const struct scenario last_put = {
	.name = "last_put",
	.what = "a file that is opened while its last reference goes has what was stored",
	.world_size = sizeof(struct file_world),
	.setup = open_stored,
	.threads = { { "put", put_last }, { "open", open_again } },
	.check = stored_reached_host,
};

static void open_two_mms(void *arg)
{
	struct file_world *f = arg;

	world_open(&f->w);
	world_host_file(&f->w, 1);
	f->other = world_mm(&f->w);
	world_map(f->w.mm, 1, 1, WORLD_RW, MAP_SHARED, f->w.file);
	world_map(f->other, 1, 1, WORLD_RW, MAP_PRIVATE, f->w.file);
}

static void read_shared(void *arg)
{
	struct file_world *f = arg;

	schedule_require(world_value(f->w.mm, 1) == 1);
}

static void write_private(void *arg)
{
	struct file_world *f = arg;

	world_set(f->other, 1, 9);
	schedule_require(world_value(f->other, 1) == 9);
}

static void page_and_copy(void *arg)
{
	struct file_world *f = arg;

	schedule_require(world_value(f->w.mm, 1) == 1 && world_frames(&f->w) == 2);
	close_world(arg);
}

static const struct scenario two_reads = {
	.name = "two_reads",
	.what = "of two that want a page of a file one reads it",
	.world_size = sizeof(struct file_world),
	.setup = open_two_mms,
	.threads = { { "shared", read_shared }, { "private", write_private } },
	.check = page_and_copy,
};

int main(int argc, char **argv)
{
	static const struct scenario *const all[] = {
		&lookup,    &truncate_scenario, &shrink, &revoke_scenario, &last_put,
		&two_reads, NULL,
	};

	return schedule_main(argc, argv, all);
}
