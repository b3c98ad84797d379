/* SPDX-License-Identifier: MIT */
/*
 * The description of one VMA, and text written to a descriptor piece by piece.
 */
#ifndef SYSCALL_REPORT_H
#define SYSCALL_REPORT_H

#include "core/mm.h"

/* mmap_lock is held. */
void vma_describe(const struct vma *vma, struct samara_vma_info *out);

/* The gate of this machine; false when it has none. Takes no lock. */
bool gate_describe(const struct samara_mm *mm, struct samara_vma_info *out);

/* Room for the text of one VMA, names escaped included, and for some more of them. */
#define TEXT_SIZE 32768
#define TEXT_ONE 20480

struct text {
	char *buf; /* TEXT_SIZE */
	size_t len;
};

void text_add(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_char(struct text *text, char c);
/* "start-end perms offset dev inode", padded name, newline. */
void text_map_line(struct text *text, const struct samara_vma_info *info);

/*
 * print() for each VMA and last for the gate, written to fd piece by piece,
 * mmap_lock dropped around each write. 0, -ENOMEM, or what write(2) gave.
 */
int report_each(struct samara_mm *mm, int fd,
		void (*print)(const struct samara_mm *mm, struct vma *vma,
			      const struct samara_vma_info *info, struct text *text));

#endif
