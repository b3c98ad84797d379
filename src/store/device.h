/* SPDX-License-Identifier: MIT */
/*
 * Devices, beyond what faults and mappings need of them (inode.h).
 */
#ifndef STORE_DEVICE_H
#define STORE_DEVICE_H

#include "store/inode.h"

/* 0, -EINVAL, -E2BIG (ops->size: base/sized.h), -ENAMETOOLONG, -ENOMEM. ops is copied. */
int device_create(struct file_store *store, const struct samara_file_ops *ops, void *priv,
		  struct samara_file **out) __must_check;
/* The last file of it is gone: its frames are freed, the driver is told. */
void device_release(struct inode *inode);

/* The public calls of similar names; -EINVAL, NULL if inode is not a device. */
int device_alloc(struct inode *inode, unsigned int order, unsigned long *frame) __must_check;
void *device_bytes(struct inode *inode, unsigned long frame);
int device_insert(struct samara_vmf *vmf, unsigned long frame) __must_check;

#endif
