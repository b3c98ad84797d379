/* SPDX-License-Identifier: MIT */
/*
 * The documented Linux names over samara's symbols. Included by
 * <samara/maple_tree.h> unless SAMARA_NO_LINUX_NAMES is defined.
 */
#ifndef SAMARA_MAPLE_TREE_LINUX_H
#define SAMARA_MAPLE_TREE_LINUX_H

/* set-up */
#define mt_init(mt) samara_mt_init_flags((mt), 0)
#define mt_init_flags samara_mt_init_flags
#define mt_set_external_lock(mt, lock) ((void)(mt), (void)(lock))
#define mt_on_stack(mt) ((void)(mt))
#define mtree_destroy samara_mtree_destroy
#define __mt_destroy samara_mt_destroy
#define mtree_empty samara_mtree_empty
#define mt_height samara_mt_height
#define mt_set_in_rcu samara_mt_set_in_rcu
#define mt_clear_in_rcu samara_mt_clear_in_rcu
#define mt_in_rcu samara_mt_in_rcu
#define mt_external_lock samara_mt_external_lock

/* locks */
#define mtree_lock(mt) samara_mtree_lock(mt)
#define mtree_unlock(mt) samara_mtree_unlock(mt)
#define mtree_lock_nested(mt, subclass) samara_mtree_lock_nested(mt)
#define mas_lock(mas) samara_mtree_lock((mas)->tree)
#define mas_unlock(mas) samara_mtree_unlock((mas)->tree)
#define mas_lock_nested(mas, subclass) samara_mtree_lock_nested((mas)->tree)
#define mt_lock_is_held samara_mt_lock_is_held
#define mt_write_lock_is_held samara_mt_lock_is_held

/* normal */
#define mtree_load samara_mtree_load
#define mtree_store samara_mtree_store
#define mtree_store_range samara_mtree_store_range
#define mtree_insert samara_mtree_insert
#define mtree_insert_range samara_mtree_insert_range
#define mtree_erase samara_mtree_erase
#define mtree_alloc_range samara_mtree_alloc_range
#define mtree_alloc_rrange samara_mtree_alloc_rrange
#define mtree_alloc_cyclic samara_mtree_alloc_cyclic
#define mtree_dup samara_mtree_dup
#define __mt_dup samara_mt_dup

/* iterate */
#define mt_find samara_mt_find
#define mt_find_after samara_mt_find_after
#define mt_next samara_mt_next
#define mt_prev samara_mt_prev
#define mt_for_each(tree, entry, index, max)                            \
	for (entry = samara_mt_find((tree), &(index), (max)); entry;    \
	     entry = samara_mt_find_after((tree), &(index), (max)))

/* cursor set-up */
#define mas_init samara_mas_init
#define mas_reset samara_mas_reset
#define mas_set samara_mas_set
#define mas_set_range samara_mas_set_range
#define __mas_set_range samara_mas_set_range_keep
#define mas_pause samara_mas_pause
#define mas_destroy samara_mas_destroy
#define mas_is_active samara_mas_is_active
#define mas_is_start samara_mas_is_start
#define mas_is_none samara_mas_is_none
#define mas_is_ptr samara_mas_is_ptr
#define mas_is_paused samara_mas_is_paused
#define mas_is_err samara_mas_is_err
#define mas_is_overflow samara_mas_is_overflow
#define mas_is_underflow samara_mas_is_underflow

/* cursor read */
#define mas_walk samara_mas_walk
#define mas_find samara_mas_find
#define mas_find_range samara_mas_find_range
#define mas_find_rev samara_mas_find_rev
#define mas_find_range_rev samara_mas_find_range_rev
#define mas_next samara_mas_next
#define mas_next_range samara_mas_next_range
#define mas_prev samara_mas_prev
#define mas_prev_range samara_mas_prev_range
#define mas_for_each(mas, entry, max) while (((entry) = samara_mas_find((mas), (max))) != NULL)
#define mas_for_each_rev(mas, entry, min) while (((entry) = samara_mas_find_rev((mas), (min))) != NULL)

/* cursor write */
#define mas_store samara_mas_store
#define mas_store_gfp samara_mas_store_gfp
#define mas_store_prealloc samara_mas_store_prealloc
#define mas_erase samara_mas_erase
#define mas_preallocate samara_mas_preallocate
#define mas_expected_entries samara_mas_expected_entries
#define mas_nomem samara_mas_nomem
#define mas_alloc_cyclic samara_mas_alloc_cyclic

/* gaps */
#define mas_empty_area samara_mas_empty_area
#define mas_empty_area_rev samara_mas_empty_area_rev

/* debug */
#define mt_validate samara_mt_validate
#define mt_dump samara_mt_dump
#define mas_dump samara_mas_dump
#define mt_cache_shrink samara_mt_cache_shrink

/* entries */
#ifndef XA_ZERO_ENTRY
#define XA_ZERO_ENTRY SAMARA_XA_ZERO_ENTRY
#define xa_mk_value samara_xa_mk_value
#define xa_to_value samara_xa_to_value
#define xa_is_value samara_xa_is_value
#define xa_is_zero samara_xa_is_zero
#endif

#endif
