/* SPDX-License-Identifier: MIT */
/*
 * A swap area in a file or block device of the host. Slot n is the file's page n; page 0 is for the
 * header.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/mem.h"
#include "base/host.h"
#include "store/host.h"
#include "store/swap_area.h"

static DEFINE_ALLOC_SITE(file_site, "swap_file");

struct swap_file {
	int fd;
	bool block;
	unsigned int shift;
	char *name; /* PATH_MAX; behind this struct */
	char *page; /* the first one, while the area is made */
};

/* the backend --------------------------------------------------------------------------- */

static int file_read(struct samara_swap *area, unsigned long slot, unsigned int n, void **pages)
{
	const struct swap_file *file = area->behind.priv;

	return host_read_pages(file->fd, pages, n, 1UL << file->shift,
			       (off_t)(slot << file->shift));
}

static int file_write(struct samara_swap *area, unsigned long slot, const void *page)
{
	const struct swap_file *file = area->behind.priv;

	return host_write(file->fd, page, 1UL << file->shift, (off_t)(slot << file->shift));
}

/* A wish: not every device and file system can. */
static void discard(const struct swap_file *file, unsigned long slot, unsigned long nr)
{
	const uint64_t range[2] = { slot << file->shift, nr << file->shift };

	if (file->block)
		(void)ioctl(file->fd, BLKDISCARD, range);
	else
		(void)host_punch_hole(file->fd, (off_t)range[0], (off_t)range[1]);
}

static void file_discard(struct samara_swap *area, unsigned long slot, unsigned long nr)
{
	discard(area->behind.priv, slot, nr);
}

static void file_end(struct swap_file *file)
{
	if (file->fd >= 0)
		host_close(file->fd);
	mem_free(&file_site, file);
}

static void file_release(struct samara_swap *area)
{
	file_end(area->behind.priv);
}

static const struct swap_backend file_backend = {
	.read = file_read,
	.write = file_write,
	.discard = file_discard,
	.release = file_release,
};

/* turning it on --------------------------------------------------------------------------- */

/* Our own descriptor of a file that can be a swap area. */
static int open_file(struct swap_file *file, int fd, struct stat *st)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
		return -EBADF;
	if (fstat(fd, st))
		return -errno;
	file->block = S_ISBLK(st->st_mode);
	if (!file->block && !S_ISREG(st->st_mode))
		return -EINVAL;
	file->fd = host_dup(fd, flags);
	if (file->fd < 0)
		return file->fd;
	return host_name(file->fd, file->name, PATH_MAX);
}

/* The file's header; without one all of it but the first page is the area. */
static int read_header(const struct swap_file *file, const struct stat *st,
		       struct swap_header *header)
{
	const size_t size = 1UL << file->shift;
	const unsigned long pages = (unsigned long)(host_length(file->fd, st) >> file->shift);
	ssize_t n;
	int err;

	if (pages < 2)
		return -EINVAL;
	n = host_read(file->fd, file->page, size, 0);
	if (n < 0)
		return (int)n;
	if ((size_t)n < size)
		return -EINVAL;
	err = swap_header_read(file->page, size, pages, header);
	if (err == -ENODATA) {
		*header = (struct swap_header){ .pages = min(pages, SWAP_PAGES_MAX) };
		return 0;
	}
	return !err && header->nr_bad && !file->block ? -EINVAL : err;
}

/* The area of a file that is open and whose header is read. */
static int make_area(struct file_store *store, struct swap_file *file,
		     const struct swap_header *header, struct swap_area_desc *desc,
		     struct samara_swap **out)
{
	int err = swap_area_create(store, desc, out);

	if (err)
		return err;
	swap_slot_kill(*out, 0);
	for (unsigned int i = 0; i < header->nr_bad; i++)
		swap_slot_kill(*out, swap_header_bad(header, i));
	err = (*out)->usage.pages ? swap_area_list(*out) : -EINVAL;
	if (err) {
		swap_area_destroy(*out);
		return err;
	}
	if (swap_discards_at_once(desc->flags))
		discard(file, 1, header->pages - 1);
	swap_area_resume(*out);
	return 0;
}

int swap_on_file(struct file_store *store, int fd, int flags, struct samara_swap **out)
{
	const unsigned int shift = ram_view(store->ram)->page_shift;
	struct swap_file *file = mem_alloc(&file_site, sizeof(*file) + PATH_MAX + (1UL << shift));
	struct swap_header header;
	struct swap_area_desc desc;
	struct stat st;
	int err;

	if (!file)
		return -ENOMEM;
	*file = (struct swap_file){ .fd = -1, .shift = shift, .name = (char *)(file + 1) };
	file->page = file->name + PATH_MAX;
	err = open_file(file, fd, &st);
	if (!err)
		err = read_header(file, &st, &header);
	if (err)
		goto end;
	desc = (struct swap_area_desc){
		.behind = { .ops = &file_backend,
			    .priv = file,
			    .name = file->name,
			    .partition = file->block,
			    .discards = swap_discards_pages(flags) },
		.slots = header.pages,
		.flags = flags,
		.prio = -1,
	};
	desc.behind.file.dev = file->block ? st.st_rdev : st.st_dev;
	desc.behind.file.ino = file->block ? 0 : st.st_ino;
	err = make_area(store, file, &header, &desc, out);
	if (err)
		goto end;
	return 0;

end:
	file_end(file);
	return err;
}
