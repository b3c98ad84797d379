/* SPDX-License-Identifier: MIT */
/*
 * Around calls of the host's kernel that have effects on the embedder's process besides their
 * result:
 *
 *   host_begin()   the call is no cancellation point: pthread_cancel(3) waits until the thread is
 *                  outside, as a thread that ended here would leave locks and references behind
 *   host_begin_grow()   the same, and RLIMIT_FSIZE gives EFBIG only: SIGXFSZ, which would end the
 *                  process, is blocked in this thread, and one that the call raised is consumed.
 *                  A pair around many such calls makes each of them cheaper (3 system calls)
 *
 * host_end() undoes either, and keeps errno. All host calls of the library that POSIX makes
 * cancellation points lie between them; syscall(2) is none by itself.
 */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include <signal.h>
#include <sys/types.h>

#include "base/compiler.h"

struct host_call {
	int cancel;
	bool grows;
	sigset_t mask;
};

void host_begin(struct host_call *call);
void host_begin_grow(struct host_call *call);
void host_end(struct host_call *call);

/* As the system calls of their names, -1 and errno included, in such a pair. */
int host_open(const char *path, int flags);
void host_close(int fd);
int host_fsync(int fd);
int host_ftruncate(int fd, off_t length);
int host_punch_hole(int fd, off_t offset, off_t length); /* fallocate(2) */

/* An eventfd(2) that is not readable, or -errno; and it becomes readable, and not any more. */
int host_eventfd(void);
void host_eventfd_set(int fd);
void host_eventfd_clear(int fd);

/*
 * nr pieces of size bytes each, which follow one another from src on in this process, to the places
 * in to. src need not be readable. How many whole pieces were copied; fewer than nr: the next one
 * cannot be read. Where process_vm_readv(2) is forbidden src has to be readable.
 */
unsigned int host_copy_from(unsigned long src, size_t size, unsigned int nr, void *const *to);
#define HOST_COPY_MOST 16U

/* All of buf by write(2), in such pairs. 0, or -errno of it. */
int host_print(int fd, const char *buf, size_t len) __must_check;

/*
 * To memory of the embedder that may not be there. 0 or -EFAULT; a part may have been written.
 * Where process_vm_writev(2) is forbidden, the memory is taken to be there.
 */
int host_copy_out(void *to, const void *from, size_t size) __must_check;

#endif
