/* SPDX-License-Identifier: MIT */
/*
 * The first access to a page of a file, or of shared memory.
 *
 *   read            the cache's page; and those around it that are there already
 *   private write   a copy of the cache's page; read-only where it is only unshared
 *   shared write    the cache's page, writable and dirty, if the file agrees
 *
 * Pages around (fault-around): within the aligned window of 64 KiB that holds the address, as
 * far as VMA and leaf reach; only pages whose contents are valid and whose folio is not locked.
 *
 *   leaf  |...............|###.....X.......|........|
 *                          ^ VMA's start    ^ window's end moves on by as much
 *
 * None where a userfaultfd has a say in each page that is mapped (WP, MINOR).
 *
 * A page is mapped while its folio is locked, so that truncation, which locks it too, either
 * comes first and the page is not found, or comes after and finds the mapping.
 */
#include <errno.h>

#include "base/bytes.h"
#include "fault/parts.h"
#include "store/pages.h"

#define FAULT_AROUND_BYTES 65536UL

/* There is no page, and nothing more to do. */
#define NO_PAGE (VM_FAULT_ERROR | (unsigned int)VM_FAULT_UFFD)

static pte_t file_pte(const struct vm_fault *vmf, const struct folio *folio)
{
	return mk_file_pte(vmf->vma, folio_pfn(fault_ram(vmf), folio));
}

/*
 * Leaf's and folio's lock are held; the caller's reference becomes the entry's. False: too many
 * entries point to it, and the reference is still the caller's.
 */
static bool set_file(const struct vm_fault *vmf, pte_t *at, struct folio *folio, pte_t pte)
{
	if (!folio_try_ref_to_map(folio))
		return false;
	if (pte_dirty(pte))
		folio_set(folio, FOLIO_DIRTY);
	fault_put(vmf, at, pte);
	mm_rss_add(vmf->vma->vm_mm, folio_rss(folio), 1);
	return true;
}

/* Of a page that could not be had. */
static __noinline unsigned int code_of(int err)
{
	switch (err) {
	case -ENOMEM:
		return VM_FAULT_OOM;
	case -EHWPOISON:
		return VM_FAULT_SIGBUS | VM_FAULT_HWPOISON;
	default:
		return VM_FAULT_SIGBUS;
	}
}

static void put_page(const struct vm_fault *vmf, struct folio *folio)
{
	folio_unlock(folio);
	folio_put(fault_ram(vmf), folio);
}

/*
 * The page that a userfaultfd lets this access have: with MISSING one that is there, with MINOR
 * alone one that was not. -EAGAIN: it was taken away, or has come, since the userfaultfd was asked.
 */
static int get_allowed(const struct vm_fault *vmf, struct folio **out)
{
	struct inode *inode = vma_inode(vmf->vma);
	int err;

	if (fault_index(vmf) >= inode_pages(inode))
		return -EFAULT;
	if (!(vmf->vma->vm_flags & VM_UFFD_MISSING)) {
		err = page_cache_make(inode, fault_index(vmf), out);
		return err == -EEXIST ? -EAGAIN : err;
	}
	err = page_cache_get_existing(inode, fault_index(vmf), out);
	if (err || !*out)
		return err ? err : -EAGAIN;
	if (likely(!folio_test(*out, FOLIO_POISONED)))
		return 0;
	put_page(vmf, *out);
	return -EHWPOISON;
}

static __noinline unsigned int ask_and_get(const struct vm_fault *vmf, struct folio **out)
{
	unsigned int stopped;
	int err;

	do {
		stopped = fault_uffd(vmf);
		if (stopped)
			return stopped;
		err = get_allowed(vmf, out);
	} while (err == -EAGAIN);
	return err ? code_of(err) : VM_FAULT_DONE;
}

/* The file's page, locked and held, or what to answer (NO_PAGE). */
static unsigned int get_page(const struct vm_fault *vmf, struct folio **out)
{
	bool major = false;
	int err;

	if (unlikely(vmf->vma->vm_flags & (VM_UFFD_MISSING | VM_UFFD_MINOR)))
		return ask_and_get(vmf, out);
	err = page_cache_get(vma_inode(vmf->vma), fault_index(vmf), out, &major);
	if (err)
		return code_of(err);
	return major ? VM_FAULT_MAJOR : VM_FAULT_DONE;
}

/* around ----------------------------------------------------------------------- */

/* Page index goes to at, if it is there and nothing is in its way. Leaf's lock. */
static void map_cached(const struct vm_fault *vmf, pte_t *at, unsigned long index)
{
	struct inode *inode = vma_inode(vmf->vma);
	struct folio *folio;

	if (!pte_none(pte_read(at)))
		return;
	folio = page_cache_find(inode, index);
	if (!folio)
		return;
	if (!folio_trylock(folio))
		goto put;
	if ((folio_flags(folio) & (FOLIO_UPTODATE | FOLIO_POISONED)) == FOLIO_UPTODATE &&
	    folio->mapping == inode && folio->index == index && index < inode_pages(inode) &&
	    set_file(vmf, at, folio, file_pte(vmf, folio))) {
		folio_unlock(folio);
		return;
	}
	folio_unlock(folio);
put:
	folio_put(fault_ram(vmf), folio);
}

/* Leaf's lock. */
static void map_around(const struct vm_fault *vmf)
{
	const struct vma *vma = vmf->vma;
	const struct samara_mm *mm = vma->vm_mm;
	const unsigned int pages = (unsigned int)max(mm_pages(mm, FAULT_AROUND_BYTES), 1UL);
	const unsigned int place = (unsigned int)(vmf->pte - vmf->leaf->entry);
	const unsigned long below = mm_pages(mm, vmf->addr - vma->vm_start);
	const unsigned long above = mm_pages(mm, vma->vm_end - vmf->addr);
	const unsigned int first = max(ALIGN_DOWN(place, pages),
				       place - (unsigned int)min((unsigned long)place, below));
	const unsigned long end = min(min(first + pages, 1u << mm->geo->level_bits), place + above);

	if (vma->vm_flags & (VM_UFFD_WP | VM_UFFD_MINOR))
		return;
	for (unsigned int i = first; i < end; i++)
		map_cached(vmf, &vmf->leaf->entry[i], fault_index(vmf) + i - place);
}

/* the three kinds ---------------------------------------------------------------- */

static unsigned int read_fault(struct vm_fault *vmf)
{
	struct folio *folio;
	unsigned int ret;
	bool set;

	/* The page itself first: without memory for it nothing changes. */
	ret = get_page(vmf, &folio);
	if (ret & VM_FAULT_OOM)
		return ret;
	if (ret & NO_PAGE) {
		/* Beyond the end, or missing; Linux has looked around before it notices. */
		table_lock(vmf->leaf);
		if (fault_holds(vmf) && !fault_lost(vmf))
			map_around(vmf);
		table_unlock(vmf->leaf);
		return ret;
	}
	if (!fault_lock_empty(vmf, &ret)) {
		put_page(vmf, folio);
		return ret;
	}
	set = set_file(vmf, vmf->pte, folio, file_pte(vmf, folio));
	if (set)
		map_around(vmf);
	table_unlock(vmf->leaf);
	if (!set) {
		put_page(vmf, folio);
		return VM_FAULT_OOM;
	}
	folio_unlock(folio);
	return ret;
}

static unsigned int private_write(struct vm_fault *vmf)
{
	struct ram *ram = fault_ram(vmf);
	struct folio *copy, *folio;
	unsigned int ret = fault_anon_vma(vmf);

	if (ret)
		return ret;
	copy = folio_alloc(ram, 0, FOLIO_RAW);
	if (!copy)
		return VM_FAULT_OOM;
	ret = get_page(vmf, &folio);
	if (ret & VM_FAULT_OOM)
		frames_returned++;
	if (ret & NO_PAGE)
		goto put_copy;
	bytes_copy(folio_virt(ram, copy), folio_virt(ram, folio), mm_page_size(vmf->vma->vm_mm));
	if (!fault_lock_empty(vmf, &ret)) {
		put_page(vmf, folio);
		goto put_copy;
	}
	fault_set_anon(vmf, copy);
	table_unlock(vmf->leaf);
	put_page(vmf, folio);
	return ret;

put_copy:
	folio_put(ram, copy);
	return ret;
}

static unsigned int shared_write(struct vm_fault *vmf)
{
	struct folio *folio;
	unsigned int ret = get_page(vmf, &folio);
	bool set;

	if (ret & NO_PAGE)
		return ret;
	if (!fault_lock(vmf)) {
		put_page(vmf, folio);
		return ret;
	}
	set = set_file(vmf, vmf->pte, folio, pte_written(file_pte(vmf, folio), vmf->vma->vm_flags));
	table_unlock(vmf->leaf);
	if (!set) {
		put_page(vmf, folio);
		return VM_FAULT_OOM;
	}
	folio_unlock(folio);
	return ret;
}

unsigned int fault_file(struct vm_fault *vmf)
{
	/*
	 * Unsharing copies at once too. The page itself may not stay until the access is tried
	 * again: it would leave to make room for its copy, for ever.
	 */
	if (!(vmf->flags & (FAULT_WRITE | FAULT_UNSHARE)))
		return read_fault(vmf);
	return vmf->vma->vm_flags & VM_SHARED ? shared_write(vmf) : private_write(vmf);
}
