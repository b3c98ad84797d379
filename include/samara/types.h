/* SPDX-License-Identifier: MIT */
/*
 * Types and markers that every public header of samara shares.
 */
#ifndef SAMARA_TYPES_H
#define SAMARA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SAMARA_BEGIN_DECLS extern "C" {
#define SAMARA_END_DECLS }
#else
#define SAMARA_BEGIN_DECLS
#define SAMARA_END_DECLS
#endif

/* Part of the library's binary interface; everything else is hidden. */
#define SAMARA_API __attribute__((visibility("default")))
#define SAMARA_MUST_CHECK __attribute__((warn_unused_result))

/*
 * An address-returning call returns -errno as an unsigned long: the last page
 * of the address space, where no mapping can be (mmap(2), "RETURN VALUE" as
 * the raw system call has it).
 */
#define SAMARA_MAX_ERRNO 4095UL
#define SAMARA_IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-SAMARA_MAX_ERRNO)

/*
 * A lock of four bytes that needs no set-up but zero. It spins for a while and
 * then sleeps. The word belongs to the library.
 */
struct samara_spinlock {
	unsigned int word;
};

/*
 * What a validator found: the name of the first broken invariant, as the
 * structure's source file lists it, and a sentence that says where.
 */
struct samara_report {
	const char *invariant; /* static storage; NULL while nothing is broken */
	char text[240];
};

#endif
