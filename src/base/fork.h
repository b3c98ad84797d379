/* SPDX-License-Identifier: MIT */
/*
 * One pthread_atfork() registration for the whole room, so that the order is
 * written down once: rounds of RCU callbacks first, then the caches' locks.
 */
#ifndef BASE_FORK_H
#define BASE_FORK_H

/* Idempotent; from any thread. */
void fork_handlers_register(void);

#endif
