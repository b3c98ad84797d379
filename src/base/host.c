/* SPDX-License-Identifier: MIT */
/* See host.h. */
#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fork.h"

void host_begin(struct host_call *call)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &call->cancel);
	call->grows = false;
}

/* Pairs of host_begin_grow() that the thread is in: the outermost blocks the signal. */
static __thread unsigned int growing __attribute__((tls_model("initial-exec")));
/* A SIGXFSZ was pending before that, and is not ours. */
static __thread bool xfsz_pending __attribute__((tls_model("initial-exec")));

static void only_xfsz(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGXFSZ);
}

void host_begin_grow(struct host_call *call)
{
	sigset_t xfsz, pending;

	host_begin(call);
	call->grows = true;
	if (growing++)
		return;
	only_xfsz(&xfsz);
	pthread_sigmask(SIG_BLOCK, &xfsz, &call->mask);
	sigpending(&pending);
	xfsz_pending = sigismember(&pending, SIGXFSZ);
}

void host_end(struct host_call *call)
{
	static const struct timespec now;
	const int saved = errno;
	sigset_t xfsz;

	if (call->grows) {
		only_xfsz(&xfsz);
		/* The kernel sends it to the thread that made the call. */
		while (!xfsz_pending && saved == EFBIG && sigtimedwait(&xfsz, NULL, &now) < 0 &&
		       errno == EINTR)
			;
		if (!--growing)
			pthread_sigmask(SIG_SETMASK, &call->mask, NULL);
	}
	pthread_setcancelstate(call->cancel, NULL);
	errno = saved;
}

int host_open(const char *path, int flags)
{
	struct host_call call;
	int fd;

	host_begin(&call);
	fd = open(path, flags);
	host_end(&call);
	return fd;
}

void host_close(int fd)
{
	struct host_call call;

	host_begin(&call);
	close(fd);
	host_end(&call);
}

int host_fsync(int fd)
{
	struct host_call call;
	int ret;

	host_begin(&call);
	ret = fsync(fd);
	host_end(&call);
	return ret;
}

int host_ftruncate(int fd, off_t length)
{
	struct host_call call;
	int ret;

	host_begin_grow(&call);
	ret = ftruncate(fd, length);
	host_end(&call);
	return ret;
}

int host_punch_hole(int fd, off_t offset, off_t length)
{
	struct host_call call;
	int ret;

	host_begin(&call);
	ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
	host_end(&call);
	return ret;
}

int host_eventfd(void)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Neither blocks, nor fails: the count is 0 or 1. */
void host_eventfd_set(int fd)
{
	struct host_call call;

	host_begin(&call);
	(void)!eventfd_write(fd, 1);
	host_end(&call);
}

void host_eventfd_clear(int fd)
{
	struct host_call call;
	eventfd_t count;

	host_begin(&call);
	(void)!eventfd_read(fd, &count);
	host_end(&call);
}

unsigned int host_copy_from(unsigned long src, size_t size, unsigned int nr, void *const *to)
{
	struct iovec local[HOST_COPY_MOST], remote[HOST_COPY_MOST];
	const int saved = errno;
	ssize_t n;

	BUG_ON(nr > HOST_COPY_MOST);
	for (unsigned int i = 0; i < nr; i++) {
		local[i] = (struct iovec){ to[i], size };
		remote[i] = (struct iovec){ (void *)(src + i * size), size };
	}
	n = process_vm_readv(fork_pid(), local, nr, remote, nr, 0);
	if (n < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES)) {
		for (unsigned int i = 0; i < nr; i++)
			memcpy(to[i], (const void *)(src + i * size), size);
		n = (ssize_t)(nr * size);
	}
	errno = saved;
	return n < 0 ? 0 : (unsigned int)((size_t)n / size);
}

int host_print(int fd, const char *buf, size_t len)
{
	while (len) {
		struct host_call call;
		ssize_t n;

		host_begin(&call);
		n = write(fd, buf, len);
		host_end(&call);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int host_copy_out(void *to, const void *from, size_t size)
{
	const struct iovec local = { (void *)from, size }, remote = { to, size };
	const int saved = errno;
	ssize_t n = process_vm_writev(fork_pid(), &local, 1, &remote, 1, 0);

	if (n < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES)) {
		memcpy(to, from, size);
		n = (ssize_t)size;
	}
	errno = saved;
	return n == (ssize_t)size ? 0 : -EFAULT;
}
