/* SPDX-License-Identifier: MIT */
/*
 * Which folios have not been used for long: the LRU lists, and pages that have left. Part of
 * frame.h, which includes it.
 *
 *   LRU_INACTIVE_*, LRU_ACTIVE_*   by FOLIO_ACTIVE; _ANON by FOLIO_SWAPBACKED
 *   LRU_UNEVICTABLE                FOLIO_MLOCKED: reclaim does not look at them
 */
#ifndef FRAME_LRU_H
#define FRAME_LRU_H

#include "frame/frame.h"

/*
 * Onto the list that FOLIO_ACTIVE and FOLIO_SWAPBACKED name; soon, as additions are collected.
 * It is on none, and the caller has a reference and is the only one who adds it.
 */
void lru_add(struct ram *ram, struct folio *folio);
/* Off its list, if it is on one; folio_free() does it too. */
void lru_del(struct ram *ram, struct folio *folio);
/* Its flags have changed: onto the list that they name now, hot end, if it is on one. */
void lru_move(struct ram *ram, struct folio *folio);
/*
 * A thread that isolates pages to evict or to move, or takes free frames that it will give back,
 * holds this for reading until it has put them back. A thread that holds it for writing finds all
 * that can be evicted on the lists.
 */
struct rwsem *lru_isolation(struct ram *ram) __must_check;
/* Up to n folios from the cold end of a list, each with a reference, off the list. How many. */
unsigned int lru_isolate(struct ram *ram, enum lru_list list, unsigned int n, struct folio **out);
/* That folio, to which the caller has a reference, leaves its list. False: it was on none. */
bool lru_isolate_folio(struct ram *ram, struct folio *folio) __must_check;
/* What was isolated goes to the hot end of the lists that flags name; references are dropped. */
void lru_putback(struct ram *ram, struct folio **folios, unsigned int n);
/* What was collected gets on its lists. */
void lru_drain(struct ram *ram);
/* Folios on a list, without those that are collected. A moment's number. */
unsigned long lru_size(const struct ram *ram, enum lru_list list);

/*
 * A call has read or written the page: the second time it is active. The caller has a reference.
 * (A mapping's accesses are seen by accessed bits.)
 */
void folio_mark_accessed(struct ram *ram, struct folio *folio);
/* Onto the active list. */
void folio_activate(struct ram *ram, struct folio *folio);

/*
 * What it has cost lately to take pages of that kind: pages of the working set that came back, and
 * pages that were looked at in vain. Half is forgotten each time that the sum reaches a quarter of
 * the pages on the lists.
 */
enum lru_type { LRU_ANON, LRU_FILE, LRU_TYPES };
void lru_cost(struct ram *ram, enum lru_type type, unsigned long n);
unsigned long lru_cost_of(const struct ram *ram, enum lru_type type);

/* refault.c -------------------------------------------------------------------- */

/*
 * folio, locked, leaves memory: it is still in its cache (page cache, or swap cache), by whose key
 * it is remembered.
 */
void folio_evicted(struct ram *ram, const struct folio *folio);
/*
 * folio is new in that cache, locked, and on no list yet. If its page left so short a time ago that
 * it would be here still, had it been active, it is active.
 */
void folio_refaulted(struct ram *ram, struct folio *folio);
/* Whether anonymous memory could leave now: then it is among what a file's page competes with. */
void refault_anon_leaves(struct ram *ram, bool leaves);

#endif
