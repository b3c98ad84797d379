/* SPDX-License-Identifier: MIT */
/*
 * The doors of <samara/uffd.h>: handles, UFFDIO_API, and which function answers a request.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/mms.h"
#include "syscall/uffd_calls.h"

/* Linux 6.18's, but for those of hugetlb pages. */
#define FEATURES \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | \
	 UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_EVENT_UNMAP | \
	 UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MINOR_SHMEM | \
	 UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | \
	 UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_POISON | UFFD_FEATURE_WP_ASYNC | \
	 UFFD_FEATURE_MOVE)

int samara_uffd_create(struct samara_mm *mm, int flags, struct samara_uffd **out)
{
	const int refused = mm_call(mm);
	struct samara_uffd *uffd;

	if (refused)
		return refused;
	if (flags & ~(O_NONBLOCK | O_CLOEXEC | UFFD_USER_MODE_ONLY))
		return -EINVAL;
	if (uffd_mm_ended(mm))
		return -ESRCH;
	uffd = uffd_alloc(mm, (unsigned int)flags);
	if (!uffd)
		return -ENOMEM;
	uffd_join(uffd);
	*out = uffd;
	return 0;
}

void samara_uffd_put(struct samara_uffd *uffd)
{
	LIST_HEAD(closing);

	if (!uffd || mm_is_foreign(uffd->mm))
		return;
	/* The mmap_lock's holder may wait for the section to end. */
	VM_WARN_ON(mm_call(uffd->mm));
	list_add_tail(&uffd->fork.in, &closing);
	uffd_close_all(&closing);
}

long samara_uffd_read(struct samara_uffd *uffd, struct uffd_msg *msg, unsigned long nr)
{
	const int refused = mm_call(uffd->mm);

	if (refused)
		return refused;
	if (!nr || !smp_load_acquire(&uffd->features))
		return -EINVAL;
	return uffd_read(uffd, msg, nr);
}

int samara_uffd_fd(const struct samara_uffd *uffd)
{
	const int refused = mm_call(uffd->mm);

	/* What it changes is no part of what the caller sees of the handle. */
	return refused ? refused : uffd_descriptor((struct samara_uffd *)uffd);
}

unsigned long samara_uffd_interrupt(struct samara_mm *mm, unsigned int tid)
{
	/* It waits for nothing: a section does not matter. */
	return mm_is_foreign(mm) ? 0 : uffd_interrupt(mm, tid);
}

static int api(struct samara_uffd *uffd, void *arg)
{
	struct uffdio_api *api = arg;
	unsigned long long features = api->features;
	unsigned int none = 0;

	if (api->api != UFFD_API || (features & ~(unsigned long long)FEATURES))
		goto refuse;
	if (features & UFFD_FEATURE_WP_ASYNC)
		features |= UFFD_FEATURE_WP_UNPOPULATED;
	if (!try_cmpxchg_acq_rel(&uffd->features, &none, (unsigned int)features | UFFD_READY))
		goto refuse;
	api->features = FEATURES;
	api->ioctls = UFFD_API_IOCTLS;
	return 0;
refuse:
	memset(api, 0, sizeof(*api));
	return -EINVAL;
}

static int wake(struct samara_uffd *uffd, void *arg)
{
	const struct uffdio_range range = *(struct uffdio_range *)arg;
	const int err = uffd_check_range(uffd->mm, &range);

	if (!err)
		uffd_wake(uffd, range.start, range.start + range.len);
	return err;
}

static const struct {
	unsigned long request;
	int (*run)(struct samara_uffd *uffd, void *arg);
} requests[] = {
	{ UFFDIO_API, api },
	{ UFFDIO_REGISTER, uffd_register },
	{ UFFDIO_UNREGISTER, uffd_unregister },
	{ UFFDIO_WRITEPROTECT, uffd_writeprotect },
	{ UFFDIO_MOVE, uffd_move },
	{ UFFDIO_WAKE, wake },
	{ UFFDIO_COPY, uffd_copy },
	{ UFFDIO_ZEROPAGE, uffd_zeropage },
	{ UFFDIO_CONTINUE, uffd_continue },
	{ UFFDIO_POISON, uffd_poison },
};

static int run(struct samara_uffd *uffd, unsigned long request, void *arg)
{
	if (request != UFFDIO_API && !smp_load_acquire(&uffd->features))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].request == request)
			return arg ? requests[i].run(uffd, arg) : -EFAULT;
	return -EINVAL;
}

/* Another thread may close it meanwhile. */
int samara_uffd_ioctl(struct samara_uffd *uffd, unsigned long request, void *arg)
{
	int ret = mm_call(uffd->mm);

	if (ret)
		return ret;
	uffd_get(uffd);
	ret = run(uffd, request, arg);
	uffd_put(uffd);
	return ret;
}

void samara_uffd_source(struct samara_uffd *uffd, struct samara_mm *mm)
{
	struct samara_mm *before;

	if (mm_is_foreign(uffd->mm))
		return;
	if (mm)
		mm_get(mm);
	spin_lock(&uffd->q.lock, RANK_EVENT);
	before = uffd->source;
	uffd->source = mm;
	spin_unlock(&uffd->q.lock);
	if (before)
		mm_put(before);
}

struct samara_mm *uffd_get_source(struct samara_uffd *uffd)
{
	struct samara_mm *mm;

	spin_lock(&uffd->q.lock, RANK_EVENT);
	mm = uffd->source;
	if (mm)
		mm_get(mm);
	spin_unlock(&uffd->q.lock);
	return mm;
}
