/* SPDX-License-Identifier: MIT */
/*
 * Pages that an access wants which does not sleep (SAMARA_NOWAIT): a thread of the machine reads
 * them into the swap cache, where the access finds them when it is made again.
 */
#ifndef ACCESS_READ_LATER_H
#define ACCESS_READ_LATER_H

#include "core/mm.h"
#include "store/swap.h"

/*
 * True: entry's page is being read, or will be. False: the caller reads it itself, because it could
 * not be read, which is the access's to say, or because there is no thread. No lock is held.
 */
bool read_later(struct samara_machine *machine, swp_entry_t entry) __must_check;

/* With a machine, and before its store goes. The thread begins with the first page. */
void read_later_begin(struct samara_machine *machine);
void read_later_end(struct samara_machine *machine);

#endif
