/* SPDX-License-Identifier: MIT */
/*
 * Public structs that begin with "size_t size", the sizeof that the caller was compiled with. They
 * grow at their end, and 0 in a new member means what the library did before it had that member:
 *
 *   older caller    [size|a|b]          b is the last member it knows; c is taken as 0
 *   this library    [size|a|b|c]
 *   newer caller    [size|a|b|c|d]      refused unless d is 0
 *
 * The rules are those of Linux's extensible system calls (clone3(2), openat2(2)).
 */
#ifndef BASE_SIZED_H
#define BASE_SIZED_H

#include "base/compiler.h"

/*
 * own, of own_size bytes, becomes what the caller's struct says; its size becomes own_size. 0;
 * -EINVAL: size does not even cover itself; -E2BIG: the caller sets a member that this library does
 * not know.
 */
int sized_get(void *own, size_t own_size, const void *callers) __must_check;

/*
 * The other way: the caller's struct, whose size says how large it is, gets as much of own as it
 * has room for. Members that this library does not know become 0. 0 or -EINVAL.
 */
int sized_put(void *callers, const void *own, size_t own_size) __must_check;

#endif
