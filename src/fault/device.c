/* SPDX-License-Identifier: MIT */
/*
 * Pages that a driver gives: frames that are its own as long as the file is held, as the VMA does.
 *
 *   PFN map        the entry is special: no count, no reverse mapping
 *   other          mapped and counted as a file's page
 *   private write  a copy, whichever of the two it is
 */
#include <errno.h>

#include "base/bytes.h"
#include "fault/parts.h"

/* VM_FAULT_OOM for -ENOMEM; any other refusal of a driver is SIGBUS, as in Linux. */
static unsigned int fault_of_errno(int err)
{
	if (!err)
		return VM_FAULT_DONE;
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static bool copies(const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_WRITE) && !(vmf->vma->vm_flags & VM_SHARED);
}

static struct samara_vmf describe(const struct vm_fault *vmf, unsigned long frame)
{
	return (struct samara_vmf){
		.file = vmf->vma->vm_file,
		.addr = vmf->addr,
		.pgoff = fault_index(vmf),
		.flags = (vmf->flags & FAULT_WRITE ? SAMARA_VMF_WRITE : 0) |
			 (vmf->flags & FAULT_EXEC ? SAMARA_VMF_EXEC : 0) |
			 (copies(vmf) ? SAMARA_VMF_COW : 0) |
			 (vmf->vma->vm_flags & VM_PFNMAP ? SAMARA_VMF_PFN : 0),
		.frame = frame,
	};
}

unsigned int fault_ask_write(const struct vm_fault *vmf, unsigned long frame)
{
	struct samara_vmf desc;

	if (!inode_has_mkwrite(vma_inode(vmf->vma)))
		return VM_FAULT_DONE;
	desc = describe(vmf, frame);
	return fault_of_errno(device_page_mkwrite(&desc));
}

/* The frame the driver wants to be seen. */
static unsigned int ask_frame(const struct vm_fault *vmf, unsigned long *frame)
{
	struct samara_vmf desc = describe(vmf, 0);
	const int err = device_fault(&desc);

	*frame = desc.frame;
	return fault_of_errno(err);
}

static unsigned int copy_frame(struct vm_fault *vmf)
{
	struct ram *ram = fault_ram(vmf);
	unsigned int ret = fault_anon_vma(vmf);
	unsigned long frame;
	struct folio *copy;

	if (ret)
		return ret;
	copy = folio_alloc(ram, 0, FOLIO_RAW);
	if (!copy)
		return VM_FAULT_OOM;
	ret = ask_frame(vmf, &frame);
	if (ret & VM_FAULT_OOM)
		frames_returned++;
	if (ret)
		goto put;
	bytes_copy(folio_virt(ram, copy), pfn_to_virt(ram, frame), mm_page_size(vmf->vma->vm_mm));
	if (!fault_lock_empty(vmf, &ret))
		goto put;
	fault_set_anon(vmf, copy);
	table_unlock(vmf->leaf);
	return VM_FAULT_DONE;

put:
	folio_put(ram, copy);
	return ret;
}

static unsigned int set_frame(const struct vm_fault *vmf, unsigned long frame)
{
	struct vma *vma = vmf->vma;
	struct folio *folio = pfn_folio(fault_ram(vmf), frame);
	pte_t pte = mk_file_pte(vma, frame);

	if (vmf->flags & FAULT_WRITE)
		pte = pte_written(pte, vma->vm_flags);
	if (vma->vm_flags & VM_PFNMAP) {
		pte = pte_with(pte, PTE_SPECIAL);
	} else if (folio_try_map(folio)) {
		mm_rss_add(vma->vm_mm, folio_rss(folio), 1);
	} else {
		return VM_FAULT_OOM;
	}
	fault_put(vmf, vmf->pte, pte);
	return VM_FAULT_DONE;
}

unsigned int fault_device(struct vm_fault *vmf)
{
	unsigned long frame;
	unsigned int ret;

	if (copies(vmf))
		return copy_frame(vmf);
	ret = ask_frame(vmf, &frame);
	if (!ret && (vmf->flags & FAULT_WRITE))
		ret = fault_ask_write(vmf, frame);
	if (ret || !fault_lock_empty(vmf, &ret))
		return ret;
	ret = set_frame(vmf, frame);
	table_unlock(vmf->leaf);
	return ret;
}
