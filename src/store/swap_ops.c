/* SPDX-License-Identifier: MIT */
/*
 * A swap area whose bytes the embedder keeps (struct samara_swap_ops).
 */
#include <errno.h>

#include "alloc/mem.h"
#include "store/swap_area.h"

static DEFINE_ALLOC_SITE(ops_site, "swap_ops");

struct embedder {
	struct samara_swap_ops ops;
	void *priv;
};

static int ops_read(struct samara_swap *area, unsigned long slot, unsigned int n, void **pages)
{
	const struct embedder *embedder = area->behind.priv;
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++)
		err = embedder->ops.read(embedder->priv, slot + i, pages[i]);
	return err;
}

static int ops_write(struct samara_swap *area, unsigned long slot, const void *page)
{
	const struct embedder *embedder = area->behind.priv;

	return embedder->ops.write(embedder->priv, slot, page);
}

static void ops_discard(struct samara_swap *area, unsigned long slot, unsigned long nr)
{
	const struct embedder *embedder = area->behind.priv;

	embedder->ops.discard(embedder->priv, slot, nr);
}

static void ops_release(struct samara_swap *area)
{
	struct embedder *embedder = area->behind.priv;

	if (embedder->ops.release)
		embedder->ops.release(embedder->priv);
	mem_free(&ops_site, embedder);
}

static const struct swap_backend ops_backend = {
	.read = ops_read,
	.write = ops_write,
	.discard = ops_discard,
	.release = ops_release,
};

/* As swapon(2), but that a backend with discard wants it: without flags for each cluster. */
static bool discards_pages(const struct swap_ops_desc *desc)
{
	return desc->ops->discard &&
	       (swap_discards_pages(desc->flags) || !swap_discards_at_once(desc->flags));
}

int swap_on_ops(struct file_store *store, const struct swap_ops_desc *desc,
		struct samara_swap **out)
{
	struct embedder *embedder = mem_alloc(&ops_site, sizeof(*embedder));
	const struct swap_area_desc area = {
		.behind = { .ops = &ops_backend,
			    .priv = embedder,
			    .name = "ops",
			    .discards = discards_pages(desc) },
		.slots = desc->pages,
		.flags = desc->flags,
		.prio = -1,
	};
	int err;

	if (!embedder)
		return -ENOMEM;
	embedder->ops = *desc->ops;
	embedder->priv = desc->priv;
	err = swap_area_create(store, &area, out);
	if (err)
		goto free_embedder;
	err = swap_area_list(*out);
	if (err)
		goto destroy;
	if (desc->ops->discard && swap_discards_at_once(desc->flags))
		desc->ops->discard(desc->priv, 0, desc->pages);
	swap_area_resume(*out);
	return 0;

destroy:
	swap_area_destroy(*out);
free_embedder:
	mem_free(&ops_site, embedder);
	return err;
}
