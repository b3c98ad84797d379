/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on pages that follows the geometry.
 */
#ifndef CORE_GEOMETRY_H
#define CORE_GEOMETRY_H

#include <samara/geometry.h>

#include "base/compiler.h"

/* own becomes what the caller's struct says. 0, -EINVAL, -E2BIG: samara_geometry_check(). */
int geometry_get(struct samara_geometry *own, const struct samara_geometry *callers) __must_check;

static inline unsigned long geo_page_size(const struct samara_geometry *geo)
{
	return 1UL << geo->page_shift;
}

/* The bits of an address that choose its page. */
static inline unsigned long geo_page_mask(const struct samara_geometry *geo)
{
	return ~(geo_page_size(geo) - 1);
}

/* Up to the next page boundary; wraps to 0 at the top, as Linux's PAGE_ALIGN(). */
static inline unsigned long geo_page_align(const struct samara_geometry *geo, unsigned long x)
{
	return (x + geo_page_size(geo) - 1) & geo_page_mask(geo);
}

static inline unsigned long geo_huge_size(const struct samara_geometry *geo)
{
	return 1UL << geo->huge_shift;
}

#endif
