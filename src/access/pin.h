/* SPDX-License-Identifier: MIT */
/*
 * Pins of the library's own.
 */
#ifndef ACCESS_PIN_H
#define ACCESS_PIN_H

#include <samara/access.h>

#include "base/compiler.h"

/*
 * Pin the page at addr, of which a debugger copies bytes: as SAMARA_PIN_FORCE, with FAULT_WRITE in
 * write for writing, but a page that is only read stays shared. flags: FAULT_NOWAIT. 0; -EFAULT,
 * -ENOMEM, -EAGAIN. No lock is held.
 */
int pin_to_copy(struct samara_mm *mm, unsigned long addr, unsigned int write, unsigned int flags,
		struct samara_pin *out) __must_check;

#endif
