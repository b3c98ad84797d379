/* SPDX-License-Identifier: MIT */
#include "support/rich_mm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/cpu.h>
#include <samara/notifier.h>

#include "support/cmocka_all.h"
#include "support/inject_matrix.h"
#include "rmap/rmap.h"
#include "store/file.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_FIXED)
#define ANON (PRIVATE | MAP_ANONYMOUS)
#define RAM_BYTES (4UL << 20)

/* devices ------------------------------------------------------------------ */

/* priv: the frames of its pages. */
static int show_page(void *priv, struct samara_vmf *vmf)
{
	const unsigned long *frame = priv;

	return vmf->pgoff < RICH_PAGES ? samara_vmf_insert(vmf, frame[vmf->pgoff]) : -EFAULT;
}

static int as_frames(void *priv, struct samara_vma_desc *desc)
{
	(void)priv;
	desc->vm_flags |= SAMARA_VM_PFNMAP;
	return 0;
}

static void closed(void *priv, const struct samara_vma_desc *gone)
{
	(void)priv;
	(void)gone;
}

static const struct samara_file_ops device_ops = {
	.size = sizeof(device_ops), .name = "/dev/pages", .close = closed, .fault = show_page
};

static const struct samara_file_ops pfn_ops = { .size = sizeof(pfn_ops),
						.name = "/dev/frames",
						.mmap_prepare = as_frames,
						.fault = show_page };

static struct samara_file *open_device(struct rich *w, const struct samara_file_ops *ops,
				       unsigned long *frame, int byte)
{
	struct samara_file *file;

	assert_int_equal(samara_file_device(w->machine, ops, frame, &file), 0);
	for (int i = 0; i < RICH_PAGES; i++) {
		assert_int_equal(samara_device_alloc(file, 0, &frame[i]), 0);
		memset(samara_device_bytes(file, frame[i]), byte + i, RICH_PAGE);
	}
	return file;
}

/* the map ------------------------------------------------------------------ */

void rich_set(struct rich_view *v, enum rich_row row, unsigned int from, unsigned int to, int what)
{
	for (unsigned int page = from; page < to; page++)
		v->byte[row][page] = (short)what;
}

static void rich_map(struct rich_view *v, enum rich_row row, unsigned int from, unsigned int to,
		     const struct samara_mapping *how)
{
	const unsigned long addr = RICH_AT(row, from);

	assert_int_equal(samara_mmap(v->mm, addr, (to - from) * RICH_PAGE, how->prot, how->flags,
				     how->file, from * RICH_PAGE),
			 addr);
	for (unsigned int page = from; page < to; page++)
		v->byte[row][page] = (short)(how->file ? how->offset + page : 0);
}

static void must_write(struct rich *w, unsigned int view, enum rich_row row, unsigned int from,
		       unsigned int to, int byte)
{
	for (unsigned int page = from; page < to; page++)
		assert_int_equal(rich_write(w, view, row, page, byte + (int)page), 0);
}

static void must_read(struct rich *w, enum rich_row row, unsigned int from, unsigned int to)
{
	for (unsigned int page = from; page < to; page++)
		assert_int_equal(rich_read(w, RICH_SELF, row, page),
				 w->view[RICH_SELF].byte[row][page]);
}

/* A file whose page i is full of byte + i. */
static void fill(struct samara_file *file, int byte)
{
	unsigned char page[RICH_PAGE];

	for (int i = 0; i < RICH_PAGES; i++) {
		memset(page, byte + i, sizeof(page));
		assert_int_equal(samara_file_pwrite(file, page, sizeof(page), i * RICH_PAGE),
				 sizeof(page));
	}
}

static struct samara_file *host_file(struct rich *w, int byte)
{
	struct samara_file *file;
	unsigned char page[RICH_PAGE];
	const int fd = memfd_create("host", 0);

	assert_true(fd >= 0);
	for (int i = 0; i < RICH_PAGES; i++) {
		memset(page, byte + i, sizeof(page));
		assert_int_equal(pwrite(fd, page, sizeof(page), i * (off_t)RICH_PAGE),
				 sizeof(page));
	}
	assert_int_equal(samara_file_from_fd(w->machine, fd, &file), 0);
	close(fd);
	return file;
}

static void open_files(struct rich *w)
{
	assert_int_equal(samara_file_memfd(w->machine, "rich", RICH_PAGES * RICH_PAGE, &w->file),
			 0);
	fill(w->file, 0x40);
	w->host = host_file(w, 0x50);
	w->pfn = open_device(w, &pfn_ops, w->pfn_frame, 0x60);
	w->device = open_device(w, &device_ops, w->device_frame, 0x70);
}

static void generations(struct rich *w)
{
	const struct samara_mapping anon = { .prot = RW, .flags = ANON };
	struct samara_layout layout = SAMARA_LAYOUT_INIT;

	for (int row = 0; row < RICH_ROWS; row++)
		rich_set(&w->view[RICH_GRAND], row, 0, RICH_PAGES, RICH_SEGV);
	assert_int_equal(samara_mm_create(w->machine, &w->view[RICH_GRAND].mm), 0);
	layout.start_brk = layout.brk = RICH_AT(RICH_HEAP, 0);
	assert_int_equal(samara_set_layout(w->view[RICH_GRAND].mm, &layout), 0);
	rich_map(&w->view[RICH_GRAND], RICH_OLD, 0, RICH_PAGES, &anon);
	must_write(w, RICH_GRAND, RICH_OLD, 0, RICH_PAGES, 0x10);
	w->view[RICH_PARENT] = w->view[RICH_GRAND];
	assert_int_equal(samara_fork(w->view[RICH_GRAND].mm, &w->view[RICH_PARENT].mm), 0);
	must_write(w, RICH_PARENT, RICH_OLD, 2, 4, 0x20);
	w->view[RICH_SELF] = w->view[RICH_PARENT];
	assert_int_equal(samara_fork(w->view[RICH_PARENT].mm, &w->view[RICH_SELF].mm), 0);
	must_write(w, RICH_SELF, RICH_OLD, 4, 6, 0x30);
}

static void map_anon(struct rich *w)
{
	const struct samara_mapping anon = { .prot = RW, .flags = ANON };
	const struct samara_mapping reading = { .prot = PROT_READ, .flags = ANON };
	const struct samara_mapping shared = { .prot = RW,
					       .flags = MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS };
	const struct samara_mapping stack = { .prot = RW, .flags = ANON | MAP_GROWSDOWN };
	/* Not charged when writable, so that it merges with what is not. */
	struct samara_mapping unpromised = { .prot = PROT_READ, .flags = ANON | MAP_NORESERVE };
	struct rich_view *v = &w->view[RICH_SELF];
	static const enum rich_row plain[] = { RICH_ANON,     RICH_GUARD, RICH_PINNED,
					       RICH_DONTFORK, RICH_WIPE,  RICH_LOCKED };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		rich_map(v, plain[i], 0, RICH_PAGES, &anon);
		must_write(w, RICH_SELF, plain[i], 0, plain[i] == RICH_ANON ? 4 : RICH_PAGES, 0x80);
	}
	must_read(w, RICH_ANON, 4, 6);
	rich_map(v, RICH_EDGE, 0, 4, &anon);
	rich_map(v, RICH_EDGE, 4, 8, &reading);
	must_write(w, RICH_SELF, RICH_EDGE, 0, 4, 0x90);
	rich_map(v, RICH_FAMILY, 0, 4, &unpromised);
	unpromised.prot = RW;
	rich_map(v, RICH_FAMILY, 4, 8, &unpromised);
	must_write(w, RICH_SELF, RICH_FAMILY, 4, 8, 0xa0);
	rich_map(v, RICH_SHARED, 0, RICH_PAGES, &shared);
	must_write(w, RICH_SELF, RICH_SHARED, 0, 6, 0xb0);
	rich_map(v, RICH_STACK, 4, 8, &stack);
	must_write(w, RICH_SELF, RICH_STACK, 6, 8, 0xc0);
	rich_set(v, RICH_STACK, 0, 4, RICH_LEAVE);
	assert_int_equal(samara_brk(v->mm, RICH_AT(RICH_HEAP, 4)), RICH_AT(RICH_HEAP, 4));
	rich_set(v, RICH_HEAP, 0, 4, 0);
	must_write(w, RICH_SELF, RICH_HEAP, 0, 2, 0xd0);
}

static void map_files(struct rich *w)
{
	struct samara_mapping file = {
		.prot = RW, .flags = PRIVATE, .file = w->file, .offset = 0x40
	};
	struct rich_view *v = &w->view[RICH_SELF];

	rich_map(v, RICH_PRIVATE, 0, RICH_PAGES, &file);
	must_read(w, RICH_PRIVATE, 0, 2);
	must_write(w, RICH_SELF, RICH_PRIVATE, 2, 4, 0xe0);
	file.flags = MAP_SHARED | MAP_FIXED;
	rich_map(v, RICH_FILE, 0, RICH_PAGES, &file);
	must_read(w, RICH_FILE, 0, 4);
	file.file = w->pfn;
	file.offset = 0x60;
	rich_map(v, RICH_PFN, 0, RICH_PAGES, &file);
	must_read(w, RICH_PFN, 0, 4);
	file.file = w->device;
	file.offset = 0x70;
	rich_map(v, RICH_DEVICE, 0, RICH_PAGES, &file);
	must_read(w, RICH_DEVICE, 0, 4);
	file = (struct samara_mapping){
		.prot = RW | PROT_EXEC, .flags = PRIVATE, .file = w->host, .offset = 0x50
	};
	rich_map(v, RICH_HOST, 0, RICH_PAGES, &file);
	must_read(w, RICH_HOST, 0, 1);
	must_write(w, RICH_SELF, RICH_HOST, 1, 2, 0xf0);
}

static void advise(struct rich *w)
{
	struct samara_mm *mm = w->view[RICH_SELF].mm;
	const unsigned long row = RICH_PAGES * RICH_PAGE;

	assert_int_equal(samara_madvise(mm, RICH_AT(RICH_GUARD, 2), 2 * RICH_PAGE, 102), 0);
	rich_set(&w->view[RICH_SELF], RICH_GUARD, 2, 4, RICH_SEGV);
	assert_int_equal(samara_madvise(mm, RICH_AT(RICH_DONTFORK, 0), row, MADV_DONTFORK), 0);
	assert_int_equal(samara_madvise(mm, RICH_AT(RICH_WIPE, 0), row, MADV_WIPEONFORK), 0);
	assert_int_equal(samara_mlock(mm, RICH_AT(RICH_LOCKED, 0), row), 0);
	assert_int_equal(samara_pin_pages(mm, RICH_AT(RICH_PINNED, 0), 2, SAMARA_PIN_WRITE, w->pin),
			 2);
}

void rich_up(struct rich *w)
{
	struct samara_machine_config cfg = SAMARA_MACHINE_CONFIG_INIT;

	*w = (struct rich){ .machine = NULL };
	cfg.ram_bytes = RAM_BYTES;
	cfg.overcommit = SAMARA_OVERCOMMIT_ALWAYS;
	assert_int_equal(samara_machine_create(&cfg, &w->machine), 0);
	open_files(w);
	generations(w);
	map_anon(w);
	map_files(w);
	advise(w);
}

void rich_down(struct rich *w)
{
	inject_arm(INJECT_ON, 1);
	samara_unpin_pages(w->pin, 2, 1);
	if (w->notifier)
		samara_notifier_unregister(w->notifier);
	for (int i = 0; i < RICH_VIEWS; i++)
		samara_mm_exit(w->view[i].mm);
	samara_cpu_destroy(w->cpu);
	samara_file_put(w->file);
	samara_file_put(w->host);
	samara_file_put(w->pfn);
	samara_file_put(w->device);
	assert_int_equal(samara_committed_pages(w->machine), 0);
	samara_machine_destroy(w->machine);
	inject_disarm(INJECT_SUCCEEDED);
}

/* bytes -------------------------------------------------------------------- */

static int outcome(long ret, const struct samara_fault *fault)
{
	if (ret == 1)
		return 0;
	if (fault->signo)
		return fault->signo == SIGBUS ? RICH_BUS : -EFAULT;
	assert_int_equal(fault->code, -ENOMEM);
	assert_int_equal(ret, -ENOMEM);
	return -ENOMEM;
}

/* In the table of every view that sees the same memory. */
static void wrote(struct rich *w, unsigned int view, enum rich_row row, unsigned int page, int byte)
{
	const bool shared =
		row == RICH_SHARED || row == RICH_FILE || row == RICH_PFN || row == RICH_DEVICE;

	for (unsigned int i = 0; i < RICH_VIEWS; i++)
		if (i == view || (shared && w->view[i].byte[row][page] >= 0))
			w->view[i].byte[row][page] = (short)byte;
	if (row != RICH_FILE)
		return;
	for (unsigned int i = RICH_SELF; i < RICH_VIEWS; i++)
		if (w->view[i].byte[RICH_PRIVATE][page] == 0x40 + (int)page)
			w->view[i].byte[RICH_PRIVATE][page] = (short)byte;
}

int rich_write(struct rich *w, unsigned int view, enum rich_row row, unsigned int page, int byte)
{
	const unsigned long addr = RICH_AT(row, page);
	const unsigned char c = (unsigned char)byte;
	struct samara_fault fault;
	int err;

	err = outcome(samara_write(w->view[view].mm, addr, &c, 1, &fault), &fault);
	if (err)
		return err;
	wrote(w, view, row, page, c);
	return outcome(samara_write(w->view[view].mm, addr + RICH_PAGE - 1, &c, 1, &fault), &fault);
}

int rich_read(struct rich *w, unsigned int view, enum rich_row row, unsigned int page)
{
	const unsigned long addr = RICH_AT(row, page);
	struct samara_fault fault;
	unsigned char first, last;
	int err;

	err = outcome(samara_read(w->view[view].mm, addr, &first, 1, &fault), &fault);
	if (err == -EFAULT)
		return RICH_SEGV;
	if (err)
		return err;
	assert_int_equal(samara_read(w->view[view].mm, addr + RICH_PAGE - 1, &last, 1, NULL), 1);
	assert_int_equal(first, last);
	return first;
}

/* From an anonymous page to its VMA: the family is among those that vma is linked to. */
static bool is_found(const struct vma *vma, const struct folio *folio, unsigned long addr)
{
	const struct rmap_link *link = vma->rmap.links;
	const void *family = folio_test(folio, FOLIO_SWAPCACHE) ?
				     swap_family(vma->vm_mm->machine->store, folio) :
				     folio->mapping;

	while (link && link->anon != family)
		link = link->next;
	return link && folio->index == vma->vm_pgoff + (addr - vma->vm_start) / RICH_PAGE;
}

static void check_families(struct rich *w, unsigned int view, const char *when)
{
	const struct mem m = { .machine = w->machine, .mm = w->view[view].mm };

	for (int row = 0; row < RICH_ROWS; row++) {
		for (unsigned int page = 0; page < RICH_PAGES; page++) {
			const unsigned long addr = RICH_AT(row, page);
			const struct folio *folio = mem_folio(&m, addr);

			if (folio && folio_test(folio, FOLIO_ANON) &&
			    !is_found(mem_vma(&m, addr), folio, addr))
				fail_msg("%s: view %u, row %d, page %u is in no family of its VMA",
					 when, view, row, page);
		}
	}
}

void rich_validate(struct rich *w, const char *when)
{
	struct samara_report report = { 0 };

	for (unsigned int view = 0; view < RICH_VIEWS; view++) {
		struct samara_mm *mm = w->view[view].mm;
		int err;

		if (!mm)
			continue;
		err = samara_mm_validate(mm, &report);
		if (!err) {
			mmap_read_lock(mm);
			err = pgtable_validate(mm, &report);
			mmap_read_unlock(mm);
		}
		if (err)
			fail_msg("%s: view %u: %s", when, view, report.text);
		check_families(w, view, when);
	}
	if (ram_validate(w->machine->ram, &report) || inode_validate(w->file->inode, &report) ||
	    inode_validate(w->host->inode, &report))
		fail_msg("%s: %s", when, report.text);
}

void rich_check(struct rich *w, const char *when)
{
	rich_validate(w, when);
	for (unsigned int view = 0; view < RICH_VIEWS; view++) {
		for (int row = 0; w->view[view].mm && row < RICH_ROWS; row++) {
			for (unsigned int page = 0; page < RICH_PAGES; page++) {
				const int want = w->view[view].byte[row][page];
				const int got =
					want == RICH_LEAVE ? want : rich_read(w, view, row, page);

				if (got != want)
					fail_msg("%s: view %u, row %d, page %u: %d, not %d", when,
						 view, row, page, got, want);
			}
		}
	}
}
