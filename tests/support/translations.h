/* SPDX-License-Identifier: MIT */
/*
 * Translations of single pages, which are there.
 */
#ifndef SAMARA_TEST_TRANSLATIONS_H
#define SAMARA_TEST_TRANSLATIONS_H

#include <samara/backend.h>

#include "support/cmocka_all.h"

static inline struct samara_translation fault_in(struct samara_mm *mm, unsigned long addr,
						 enum samara_access access)
{
	struct samara_translation t;

	assert_int_equal(samara_fault_in(mm, addr, access, 0, &t, NULL), 0);
	return t;
}

static inline struct samara_translation seen(struct samara_mm *mm, unsigned long addr)
{
	struct samara_translation t;

	assert_int_equal(samara_translate(mm, addr, 1, &t), 1);
	return t;
}

#endif
