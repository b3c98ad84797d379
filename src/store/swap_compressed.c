/* SPDX-License-Identifier: MIT */
/*
 * A swap area that keeps its pages compressed in the library's own memory.
 *
 *   blob[slot] --> size | bytes      size is the page's: they are the page itself
 *
 * Compressing needs room for a result and for the algorithm's state. Both are made with the area, a
 * few of each, so that only a blob is allocated when a page leaves. A blob is freed with its slot.
 *
 * Locks: a scratch's (RANK_SWAP), while a thread compresses with it, or decompresses by zstd.
 */
#define ZSTD_STATIC_LINKING_ONLY /* states in memory of ours */
#include <errno.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "alloc/mem.h"
#include "base/this_thread.h"
#include "store/swap_area.h"

static DEFINE_ALLOC_SITE(area_site, "swap_compressed");
static DEFINE_ALLOC_SITE(scratch_site, "swap_scratch");
static DEFINE_ALLOC_SITE(table_site, "swap_blobs");
static DEFINE_ALLOC_SITE(blob_site, "swap_blob");

#define SCRATCHES 4
#define ZSTD_LEVEL 1

struct blob {
	uint32_t size;
	char bytes[];
};

struct scratch {
	struct samara_spinlock lock;
	void *memory;         /* what follows */
	void *in_state;       /* of compressing: a ZSTD_CCtx, or LZ4's */
	ZSTD_DCtx *out_state; /* zstd's */
	char *result;         /* a page less one byte */
};

struct compressed {
	const struct algorithm *algorithm;
	size_t page;
	struct blob **blob; /* of a slot; its folio's lock, or nobody names it any more */
	size_t table_bytes;
	struct scratch scratch[SCRATCHES];
};

/* algorithms ------------------------------------------------------------------------------- */

struct algorithm {
	const char *name;
	size_t (*in_bytes)(size_t page);
	size_t (*out_bytes)(void);
	/* scratch's states lie in in and out. */
	void (*init)(struct scratch *scratch, void *in, size_t in_bytes, void *out,
		     size_t out_bytes);
	/* Bytes of result, less than a page; 0: it does not become smaller. */
	size_t (*compress)(struct scratch *scratch, const void *page, size_t size);
	/* Whether page is whole. scratch is locked if out_bytes() is not 0, else NULL. */
	bool (*decompress)(struct scratch *scratch, const struct blob *blob, void *page,
			   size_t size);
};

static size_t lz4_in_bytes(size_t page)
{
	(void)page;
	return (size_t)LZ4_sizeofState();
}

static size_t lz4_out_bytes(void)
{
	return 0;
}

static void lz4_init(struct scratch *scratch, void *in, size_t in_bytes, void *out,
		     size_t out_bytes)
{
	(void)in_bytes, (void)out, (void)out_bytes;
	scratch->in_state = in;
}

static size_t lz4_compress(struct scratch *scratch, const void *page, size_t size)
{
	return (size_t)LZ4_compress_fast_extState(scratch->in_state, page, scratch->result,
						  (int)size, (int)size - 1, 1);
}

static bool lz4_decompress(struct scratch *scratch, const struct blob *blob, void *page,
			   size_t size)
{
	(void)scratch;
	return LZ4_decompress_safe(blob->bytes, page, (int)blob->size, (int)size) == (int)size;
}

static size_t zstd_in_bytes(size_t page)
{
	return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(ZSTD_LEVEL, page, 0));
}

static void zstd_init(struct scratch *scratch, void *in, size_t in_bytes, void *out,
		      size_t out_bytes)
{
	scratch->in_state = ZSTD_initStaticCCtx(in, in_bytes);
	scratch->out_state = ZSTD_initStaticDCtx(out, out_bytes);
}

static size_t zstd_compress(struct scratch *scratch, const void *page, size_t size)
{
	const size_t n = ZSTD_compressCCtx(scratch->in_state, scratch->result, size - 1, page, size,
					   ZSTD_LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

static bool zstd_decompress(struct scratch *scratch, const struct blob *blob, void *page,
			    size_t size)
{
	return ZSTD_decompressDCtx(scratch->out_state, page, size, blob->bytes, blob->size) == size;
}

static const struct algorithm algorithms[] = {
	{ "lz4", lz4_in_bytes, lz4_out_bytes, lz4_init, lz4_compress, lz4_decompress },
	{ "zstd", zstd_in_bytes, ZSTD_estimateDCtxSize, zstd_init, zstd_compress, zstd_decompress },
};

static const struct algorithm *algorithm_named(const char *name)
{
	for (size_t i = 0; name && i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (!strcmp(algorithms[i].name, name))
			return &algorithms[i];
	return NULL;
}

/* the backend -------------------------------------------------------------------------------- */

static struct scratch *get_scratch(struct compressed *c)
{
	struct scratch *scratch = &c->scratch[this_thread_number() % SCRATCHES];

	spin_lock(&scratch->lock, RANK_SWAP);
	return scratch;
}

static void set_blob(struct compressed *c, unsigned long slot, struct blob *blob)
{
	mem_free(&blob_site, c->blob[slot]);
	c->blob[slot] = blob;
}

static struct blob *new_blob(const void *bytes, size_t size)
{
	struct blob *blob = mem_alloc(&blob_site, sizeof(*blob) + size);

	if (!blob)
		return NULL;
	blob->size = (uint32_t)size;
	memcpy(blob->bytes, bytes, size);
	return blob;
}

static int compressed_write(struct samara_swap *area, unsigned long slot, const void *page)
{
	struct compressed *c = area->behind.priv;
	struct scratch *scratch = get_scratch(c);
	const size_t size = c->algorithm->compress(scratch, page, c->page);
	struct blob *blob = size ? new_blob(scratch->result, size) : NULL;

	spin_unlock(&scratch->lock);
	if (!size)
		blob = new_blob(page, c->page);
	set_blob(c, slot, blob);
	return blob ? 0 : -ENOMEM;
}

static int read_blob(struct compressed *c, const struct blob *blob, void *page)
{
	struct scratch *scratch = NULL;
	bool whole;

	if (VM_WARN_ON(!blob))
		return -EIO;
	if (blob->size == c->page) {
		memcpy(page, blob->bytes, c->page);
		return 0;
	}
	if (c->algorithm->out_bytes())
		scratch = get_scratch(c);
	whole = c->algorithm->decompress(scratch, blob, page, c->page);
	if (scratch)
		spin_unlock(&scratch->lock);
	return whole ? 0 : -EIO;
}

static int compressed_read(struct samara_swap *area, unsigned long slot, unsigned int n,
			   void **pages)
{
	struct compressed *c = area->behind.priv;
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++)
		err = read_blob(c, c->blob[slot + i], pages[i]);
	return err;
}

static void compressed_forget(struct samara_swap *area, unsigned long slot)
{
	set_blob(area->behind.priv, slot, NULL);
}

static void compressed_free(struct compressed *c)
{
	for (unsigned int i = 0; i < SCRATCHES; i++)
		mem_free(&scratch_site, c->scratch[i].memory);
	mem_unmap_zeros(&table_site, c->blob, c->table_bytes);
	mem_free(&area_site, c);
}

static void compressed_release(struct samara_swap *area)
{
	compressed_free(area->behind.priv);
}

static const struct swap_backend compressed_backend = {
	.read = compressed_read,
	.write = compressed_write,
	.forget = compressed_forget,
	.release = compressed_release,
};

/* turning it on ------------------------------------------------------------------------------ */

static int make_scratch(struct compressed *c, struct scratch *scratch)
{
	const size_t in = ALIGN_UP(c->algorithm->in_bytes(c->page), 16UL);
	const size_t out = ALIGN_UP(c->algorithm->out_bytes(), 16UL);
	char *p = mem_alloc(&scratch_site, in + out + c->page);

	if (!p)
		return -ENOMEM;
	scratch->memory = p;
	scratch->result = p + in + out;
	c->algorithm->init(scratch, p, in, p + in, out);
	return 0;
}

static struct compressed *compressed_make(const struct algorithm *algorithm, size_t page,
					  unsigned long pages)
{
	struct compressed *c = mem_zalloc(&area_site, sizeof(*c));
	int err = 0;

	if (!c)
		return NULL;
	c->algorithm = algorithm;
	c->page = page;
	c->table_bytes = pages * sizeof(c->blob[0]);
	c->blob = mem_map_zeros(&table_site, c->table_bytes);
	if (!c->blob)
		err = -ENOMEM;
	for (unsigned int i = 0; i < SCRATCHES && !err; i++)
		err = make_scratch(c, &c->scratch[i]);
	if (!err)
		return c;
	compressed_free(c);
	return NULL;
}

int swap_on_compressed(struct file_store *store, unsigned long bytes, const char *algorithm,
		       struct samara_swap **out)
{
	const unsigned int shift = ram_view(store->ram)->page_shift;
	const unsigned long pages = bytes >> shift;
	struct swap_area_desc desc = {
		.behind = { .ops = &compressed_backend, .partition = true },
		.slots = pages,
	};
	const struct algorithm *found = algorithm_named(algorithm);
	struct compressed *c;
	int err;

	if (!found || !pages || pages > SWAP_PAGES_MAX)
		return -EINVAL;
	c = compressed_make(found, 1UL << shift, pages);
	if (!c)
		return -ENOMEM;
	desc.behind.priv = c;
	desc.behind.name = found->name;
	err = swap_area_create(store, &desc, out);
	if (err)
		goto free_compressed;
	err = swap_area_list(*out);
	if (err)
		goto destroy;
	swap_area_resume(*out);
	return 0;

destroy:
	swap_area_destroy(*out);
free_compressed:
	compressed_free(c);
	return err;
}
