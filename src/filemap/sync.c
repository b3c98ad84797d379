/* SPDX-License-Identifier: MIT */
/*
 * Writing a file's pages back to the host (msync, fsync).
 */
#include "filemap/filemap.h"
#include "rmap/rmap.h"

static bool clean(struct folio *folio, void *arg)
{
	return folio_mkclean(arg, folio);
}

int file_sync_range(struct samara_file *file, unsigned long start, unsigned long last)
{
	struct inode *inode = file->inode;
	const struct writeback wb = {
		.inode = inode,
		.start = start,
		.last = last,
		.clean = clean,
		.arg = inode->ram,
	};
	int err = inode_writeback(&wb);
	const int kept = inode_fsync(inode);

	return err ? err : kept;
}
