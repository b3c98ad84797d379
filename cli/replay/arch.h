/* SPDX-License-Identifier: MIT */
/*
 * The machine that a trace comes from, as far as its address spaces differ.
 *
 *	x86_64       47 bits                       0 .. 0x00007ffffffff000, [vsyscall]
 *	i386         4 GiB: under a 64-bit kernel  0 .. 0x00000000ffffe000
 *	i386-3g      3 GiB: under its own kernel   0 .. 0x00000000c0000000
 *	aarch64      48 bits                       0 .. 0x0001000000000000
 *	aarch64-39   39 bits                       0 .. 0x0000008000000000
 *
 * Which one it is, the first of these that tells decides:
 *
 *  1. --arch. `i386` and `aarch64` leave the size of the space to what follows.
 *  2. The recorded map after an execve, for the process that executes.
 *  3. `[ Process PID=N runs in 32 bit mode. ]`, a call that only 32-bit programs
 *     make (mmap2), or an address that the space cannot have, while the
 *     process's map is still empty.
 *  4. The beginning of the trace: the first such call or message, addresses
 *     that the kernel chose above 47 bits (aarch64) or below 39 (aarch64-39).
 *  5. x86_64.
 */
#ifndef CLI_REPLAY_ARCH_H
#define CLI_REPLAY_ARCH_H

#include <samara/geometry.h>

#include "replay/call.h"
#include "replay/snapshot.h"

enum arch { ARCH_X86_64, ARCH_I386, ARCH_I386_3G, ARCH_AARCH64, ARCH_AARCH64_39, ARCH_NR };

const struct samara_geometry *arch_geometry(enum arch arch);
const char *arch_name(enum arch arch);

/* 0, or -ENOENT. */
int arch_by_name(const char *name, enum arch *out);
bool arch_is_32(enum arch arch);

/*
 * What the beginning of a trace says. wanted: what --arch names, of which only
 * the size is looked for; -1: nothing is named.
 */
enum arch arch_of_text(const char *text, size_t len, int wanted);

/* What a map after execve says; now: where it leaves a choice. */
enum arch arch_of_map(const struct snapshot *s, enum arch now);

/* What [ Process PID=.. runs in .. mode. ] says of a process that was `now`. */
enum arch arch_of_mode(enum trace_mode mode, enum arch now);

/* What a call says of the process that has made it: only 32-bit programs make mmap2. */
enum arch arch_of_call(const struct trace_event *ev, enum arch now);

/*
 * A decoded call and its recorded answer as the library takes them: a 32-bit
 * program's registers without the sign that strace may have extended, and the
 * offset of mmap2 in bytes. Since strace 4.8 it prints bytes; older ones, and
 * -e raw=mmap2, print pages. *in_pages: an offset that is no multiple of 4096
 * has been seen in this trace, so that all of them are pages.
 */
void arch_settle(enum arch arch, struct call *c, unsigned long *recorded, bool *in_pages);

#endif
