/* SPDX-License-Identifier: MIT */
/*
 * Devices: files whose pages a driver gives.
 *
 * inode->pages.tree holds the frames that are the device's, by frame number. A driver can show
 * these and no others. They are freed with the inode. A VMA that maps one holds the file, so no
 * frame is freed while it is mapped.
 */
#include <errno.h>

#include <samara/mm.h>

#include "base/assert.h"
#include "store/device.h"
#include "base/sized.h"
#include "store/file.h"

#define DEFAULT_NAME "/dev/samara"

int device_create(struct file_store *store, const struct samara_file_ops *ops, void *priv,
		  struct samara_file **out)
{
	const struct inode_desc desc = {
		.kind = INODE_DEVICE,
		.dev_minor = store->shmem_minor,
		.ino = atomic_fetch_add_relaxed(&store->next_ino, 1),
	};
	struct samara_file_ops own;
	struct inode *inode;
	int err = sized_get(&own, sizeof(own), ops);

	if (err)
		return err;
	inode = inode_create(store, &desc);
	if (!inode)
		return -ENOMEM;
	err = file_open(inode, own.name ? own.name : DEFAULT_NAME,
			SAMARA_FILE_READ | SAMARA_FILE_WRITE | SAMARA_FILE_NO_FALLOCATE |
				(own.close ? SAMARA_FILE_CLOSE : 0),
			out);
	if (err) {
		inode_put(inode);
		return err;
	}
	(*out)->max_length = ULLONG_MAX;
	inode->device.ops = own;
	inode->device.priv = priv;
	return 0;
}

void device_release(struct inode *inode)
{
	MA_STATE(mas, &inode->pages.tree, 0, 0);
	struct folio *folio;

	mas_for_each(&mas, folio, ULONG_MAX)
		folio_put(inode->ram, folio);
	inode->pages.nr = 0;
	if (inode->device.ops.release)
		inode->device.ops.release(inode->device.priv);
}

/* frames ------------------------------------------------------------------------ */

int device_alloc(struct inode *inode, unsigned int order, unsigned long *frame)
{
	struct folio *folio;
	unsigned long first;
	int err;

	if (!inode_is_device(inode) || order >= FRAME_ORDERS)
		return -EINVAL;
	folio = folio_alloc(inode->ram, order, FOLIO_ZEROED);
	if (!folio)
		return -ENOMEM;
	folio_set(folio, FOLIO_UPTODATE);
	first = folio_pfn(inode->ram, folio);
	mutex_lock(&inode->pages.lock);
	MA_STATE(mas, &inode->pages.tree, first, first + (1UL << order) - 1);
	err = mas_store_gfp(&mas, folio, GFP_KERNEL);
	inode->pages.nr += !err;
	mutex_unlock(&inode->pages.lock);
	if (err) {
		folio_put(inode->ram, folio);
		return err;
	}
	*frame = first;
	return 0;
}

void *device_bytes(struct inode *inode, unsigned long frame)
{
	if (!inode_is_device(inode) || !mtree_load(&inode->pages.tree, frame))
		return NULL;
	return pfn_to_virt(inode->ram, frame);
}

int device_insert(struct samara_vmf *vmf, unsigned long frame)
{
	struct inode *inode = vmf->file->inode;
	const unsigned long mask = (1UL << vmf->order) - 1;
	unsigned int order;

	if (!inode_is_device(inode) || !mtree_load(&inode->pages.tree, frame))
		return -EINVAL;
	order = pfn_order(inode->ram, frame);
	if (order < vmf->order || (frame & mask) || (order && !(vmf->flags & SAMARA_VMF_PFN)))
		return -EINVAL;
	vmf->frame = frame;
	return 0;
}

/* operations -------------------------------------------------------------------- */

#define MAY_SET \
	(SAMARA_VM_IO | SAMARA_VM_PFNMAP | SAMARA_VM_MIXEDMAP | SAMARA_VM_DONTEXPAND | \
	 SAMARA_VM_DONTDUMP | SAMARA_VM_DONTCOPY)

/* An access right goes only where it is not given already. */
static unsigned long may_clear(unsigned long flags)
{
	return (flags & SAMARA_VM_WRITE ? 0 : SAMARA_VM_MAYWRITE) |
	       (flags & SAMARA_VM_EXEC ? 0 : SAMARA_VM_MAYEXEC);
}

int device_mmap_prepare(struct samara_vma_desc *desc)
{
	const struct inode *inode = desc->file->inode;
	const unsigned long old = desc->vm_flags;
	struct samara_vma_desc ask = *desc;
	int err;

	if (!inode->device.ops.mmap_prepare)
		return 0;
	err = inode->device.ops.mmap_prepare(inode->device.priv, &ask);
	if (err)
		return err < 0 ? err : -EINVAL;
	if (((ask.vm_flags & ~old) & ~MAY_SET) || ((old & ~ask.vm_flags) & ~may_clear(old)))
		return -EINVAL;
	desc->vm_flags = ask.vm_flags;
	return 0;
}

static int ask_for_frame(int (*op)(void *priv, struct samara_vmf *vmf), struct samara_vmf *vmf)
{
	int err;

	if (!op)
		return -EFAULT;
	vmf->frame = ZERO_FRAME;
	err = op(vmf->file->inode->device.priv, vmf);
	if (err)
		return err < 0 ? err : -EFAULT;
	return vmf->frame == ZERO_FRAME ? -EFAULT : 0;
}

int device_fault(struct samara_vmf *vmf)
{
	return ask_for_frame(vmf->file->inode->device.ops.fault, vmf);
}

int device_huge_fault(struct samara_vmf *vmf)
{
	return ask_for_frame(vmf->file->inode->device.ops.huge_fault, vmf);
}

int device_page_mkwrite(struct samara_vmf *vmf)
{
	const struct inode *inode = vmf->file->inode;
	int err = 0;

	if (inode_has_mkwrite(inode))
		err = inode->device.ops.page_mkwrite(inode->device.priv, vmf);
	return err > 0 ? -EFAULT : err;
}

void device_close(const struct samara_vma_desc *gone)
{
	const struct inode *inode = gone->file->inode;

	if (inode_is_device(inode) && inode->device.ops.close)
		inode->device.ops.close(inode->device.priv, gone);
}
