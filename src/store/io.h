/* SPDX-License-Identifier: MIT */
#ifndef STORE_IO_H
#define STORE_IO_H

#include "base/compiler.h"

struct samara_file;

/* samara_file_pread() and samara_file_pwrite() of <samara/file.h>. */
long file_read(struct samara_file *file, void *buf, unsigned long len,
	       unsigned long long offset) __must_check;
long file_write(struct samara_file *file, const void *buf, unsigned long len,
		unsigned long long offset) __must_check;

#endif
