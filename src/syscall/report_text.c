/* SPDX-License-Identifier: MIT */
/*
 * The texts of /proc/PID/maps and smaps, as Linux 6.18 prints them on x86-64.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/mem.h"
#include "base/host.h"
#include "range/range.h"
#include "syscall/report.h"
#include "vma/find.h"

static DEFINE_ALLOC_SITE(text_site, "report_text");

#define NAME_COLUMN 73

/* Room for the text of one VMA, names escaped included, and for some more of them. */
#define TEXT_SIZE 32768
#define TEXT_ONE 20480

/* Text that is written to a descriptor piece by piece. */
struct text {
	char *buf; /* TEXT_SIZE */
	size_t len;
};

static __printf_like(2, 3) void text_add(struct text *text, const char *fmt, ...)
{
	const size_t room = TEXT_SIZE - text->len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text->buf + text->len, room, fmt, args);
	va_end(args);
	if (n > 0)
		text->len += min((size_t)n, room - 1);
}

static void text_char(struct text *text, char c)
{
	if (text->len < TEXT_SIZE - 1)
		text->buf[text->len++] = c;
}

/* A number to a base up to 16, with at least that many digits. Faster than printf. */
static void text_number(struct text *text, unsigned long value, unsigned int base, int digits)
{
	char buf[24], *at = buf + sizeof(buf);

	for (; value || digits > 0; value /= base, digits--)
		*--at = "0123456789abcdef"[value % base];
	while (at < buf + sizeof(buf))
		text_char(text, *at++);
}

/* "start-end perms offset dev inode", padded name, newline. */
static void text_map_line(struct text *text, const struct samara_vma_info *info)
{
	const size_t line = text->len;

	text_number(text, info->start, 16, 8);
	text_char(text, '-');
	text_number(text, info->end, 16, 8);
	text_char(text, ' ');
	for (const char *c = info->perms; *c; c++)
		text_char(text, *c);
	text_char(text, ' ');
	text_number(text, info->offset, 16, 8);
	text_char(text, ' ');
	text_number(text, info->dev_major, 16, 2);
	text_char(text, ':');
	text_number(text, info->dev_minor, 16, 2);
	text_char(text, ' ');
	text_number(text, info->ino, 10, 1);
	text_char(text, ' ');
	if (info->name[0]) {
		while (text->len - line < NAME_COLUMN)
			text_char(text, ' ');
		for (const char *c = info->name; *c; c++) {
			if (*c == '\n')
				text_add(text, "\\012"); /* so that a line stays a line */
			else
				text_char(text, *c);
		}
	}
	text_char(text, '\n');
}

/*
 * print() for each VMA and last for the gate, written to fd piece by piece,
 * mmap_lock dropped around each write. 0, -ENOMEM, what write(2) gave, or what mm_call() says.
 */
static int report_each(struct samara_mm *mm, int fd,
		       void (*print)(const struct samara_mm *mm, struct vma *vma,
				     const struct samara_vma_info *info, struct text *text))
{
	struct samara_vma_info info;
	struct text text = { .len = 0 };
	unsigned long from = 0;
	bool more = true;
	int err = mm_call(mm);

	if (err)
		return err;
	text.buf = mem_alloc(&text_site, TEXT_SIZE);
	if (!text.buf)
		return -ENOMEM;
	while (more && !err) {
		struct vma *vma = NULL;

		text.len = 0;
		mmap_read_lock(mm);
		while (text.len + TEXT_ONE < TEXT_SIZE && (vma = vma_find_from(mm, from))) {
			vma_describe(vma, &info);
			print(mm, vma, &info, &text);
			from = vma->vm_end;
		}
		mmap_read_unlock(mm);
		more = vma;
		if (!more && gate_describe(mm, &info))
			print(mm, NULL, &info, &text);
		err = host_print(fd, text.buf, text.len);
	}
	mem_free(&text_site, text.buf);
	return err;
}

static void print_maps(const struct samara_mm *mm, struct vma *vma,
		       const struct samara_vma_info *info, struct text *text)
{
	(void)mm, (void)vma;
	text_map_line(text, info);
}

int samara_print_maps(struct samara_mm *mm, int fd)
{
	return report_each(mm, fd, print_maps);
}

/* In the order of their bits. */
static const struct {
	unsigned long flag;
	char letters[3];
} flag_letters[] = {
	{ VM_READ, "rd" },         { VM_WRITE, "wr" },       { VM_EXEC, "ex" },
	{ VM_SHARED, "sh" },       { VM_MAYREAD, "mr" },     { VM_MAYWRITE, "mw" },
	{ VM_MAYEXEC, "me" },      { VM_MAYSHARE, "ms" },    { VM_GROWSDOWN, "gd" },
	{ VM_UFFD_MISSING, "um" }, { VM_PFNMAP, "pf" },      { VM_MAYBE_GUARD, "gu" },
	{ VM_UFFD_WP, "uw" },      { VM_LOCKED, "lo" },      { VM_IO, "io" },
	{ VM_SEQ_READ, "sr" },     { VM_RAND_READ, "rr" },   { VM_DONTCOPY, "dc" },
	{ VM_DONTEXPAND, "de" },   { VM_LOCKONFAULT, "lf" }, { VM_ACCOUNT, "ac" },
	{ VM_NORESERVE, "nr" },    { VM_HUGETLB, "ht" },     { VM_SYNC, "sf" },
	{ VM_WIPEONFORK, "wf" },   { VM_DONTDUMP, "dd" },    { VM_SOFTDIRTY, "sd" },
	{ VM_MIXEDMAP, "mm" },     { VM_HUGEPAGE, "hg" },    { VM_NOHUGEPAGE, "nh" },
	{ VM_MERGEABLE, "mg" },    { VM_DROPPABLE, "dp" },   { VM_UFFD_MINOR, "ui" },
	{ VM_SEALED, "sl" },
};

int samara_vm_flags_text(unsigned long flags, char *buf, size_t size)
{
	size_t len = 0;

	if (!size)
		return -ENOSPC;
	for (size_t i = 0; i < ARRAY_SIZE(flag_letters); i++) {
		if (!(flags & flag_letters[i].flag))
			continue;
		if (size - len < 4)
			return -ENOSPC;
		memcpy(buf + len, flag_letters[i].letters, 2);
		buf[len + 2] = ' ';
		len += 3;
	}
	buf[len] = '\0';
	return (int)len;
}

static void kb_line(struct text *text, const char *name, unsigned long bytes)
{
	text_add(text, "%-16s%8lu kB\n", name, bytes >> 10);
}

/* Proportional sizes have 12 bits behind the point. */
static void pss_line(struct text *text, const char *name, unsigned long pss)
{
	kb_line(text, name, pss >> 12);
}

static void page_lines(const struct samara_mm *mm, struct text *text, bool locked,
		       const struct range_look *look)
{
	const unsigned int shift = mm->geo->page_shift;
	const unsigned long clean = look->rss - look->dirty;
	const unsigned long shared_clean = look->shared - look->shared_dirty;

	kb_line(text, "Rss:", look->rss << shift);
	pss_line(text, "Pss:", look->pss);
	pss_line(text, "Pss_Dirty:", look->pss_dirty);
	kb_line(text, "Shared_Clean:", shared_clean << shift);
	kb_line(text, "Shared_Dirty:", look->shared_dirty << shift);
	kb_line(text, "Private_Clean:", (clean - shared_clean) << shift);
	kb_line(text, "Private_Dirty:", (look->dirty - look->shared_dirty) << shift);
	kb_line(text, "Referenced:", look->referenced << shift);
	kb_line(text, "Anonymous:", look->anon << shift);
	kb_line(text, "KSM:", 0);
	kb_line(text, "LazyFree:", look->lazyfree << shift);
	kb_line(text, "AnonHugePages:", 0);
	kb_line(text, "ShmemPmdMapped:", 0);
	kb_line(text, "FilePmdMapped:", 0);
	kb_line(text, "Shared_Hugetlb:", 0);
	kb_line(text, "Private_Hugetlb:", 0);
	kb_line(text, "Swap:", look->swapped << shift);
	pss_line(text, "SwapPss:", look->swap_pss);
	pss_line(text, "Locked:", locked ? look->pss : 0);
}

static void print_smaps(const struct samara_mm *mm, struct vma *vma,
			const struct samara_vma_info *info, struct text *text)
{
	char flags[ARRAY_SIZE(flag_letters) * 3 + 1];
	struct range_look look = { 0 };

	if (vma && mm_has_tables(mm))
		range_look(vma, vma->vm_start, vma->vm_end, &look);
	text_map_line(text, info);
	kb_line(text, "Size:", info->end - info->start);
	kb_line(text, "KernelPageSize:", mm_page_size(mm));
	kb_line(text, "MMUPageSize:", mm_page_size(mm));
	page_lines(mm, text, info->flags & VM_LOCKED, &look);
	text_add(text, "THPeligible:    %8u\n", 0u);
	if (samara_vm_flags_text(info->flags, flags, sizeof(flags)) >= 0)
		text_add(text, "VmFlags: %s\n", flags);
}

int samara_print_smaps(struct samara_mm *mm, int fd)
{
	return report_each(mm, fd, print_smaps);
}
