/* SPDX-License-Identifier: MIT */
/*
 * Swap areas of samara check: one of the host's, for the time of single sequences, and one of the
 * library's of the same size.
 *
 * The host's is a file of its own in /var/tmp, made when it is first wanted. It is on only while a
 * process holds the lock that all checks on this host share, with the highest priority there is: so
 * what a sequence has paged out goes there and comes back at its swapoff. Other areas stay as they
 * are. A keeper (keeper.h) turns it off and removes the file when the run has ended.
 */
#ifndef CLI_CHECK_SWAP_H
#define CLI_CHECK_SWAP_H

#include "check/check.h"

#define SWAP_PAGES 8192UL
#define SWAP_FLAGS 0xffff /* SWAP_FLAG_PREFER and the highest priority */

/* A swap area's first page, as mkswap(8) writes it. */
void swap_header(char page[PAGE]);

/* Whether seq turns a swap area on or off. */
bool seq_swaps(const struct seq *seq);

/*
 * The file is made, and a page goes there and comes back. NULL, or why the host cannot swap: then
 * it is as it was. patience: as of host_swap_lock().
 */
const char *host_swap_open(int patience);
/* The area is off, and the file is gone, once all processes of the run have done so or ended. */
void host_swap_close(void);
/*
 * The lock: a descriptor for one process and its children, or -1. It is held until it is given
 * back, or all of them have ended: so none of them turns the area off later.
 */
int host_swap_lock_file(void);
/*
 * Opened if need be; waits until no other check has its area on, for so many seconds. The area is
 * off. *others: the host has other areas. NULL, or why not.
 */
const char *host_swap_lock(int lock, int patience, bool *others);
/* The area is off. */
void host_swap_unlock(int lock);
const char *host_swap_path(void);

#endif
