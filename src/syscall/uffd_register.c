/* SPDX-License-Identifier: MIT */
/*
 * UFFDIO_REGISTER and _UNREGISTER: which VMAs tell a userfaultfd, and what. All VMAs of the range
 * are looked at before the first is changed; then they change one by one, as for mprotect.
 */
#include "core/vma_lock.h"
#include "range/range.h"
#include "syscall/call_door.h"
#include "syscall/uffd_calls.h"
#include "vma/find.h"
#include "vma/modify.h"

#define MODES (UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR)
/* What works on every range, and with a mode only. */
#define RANGE_IOCTLS \
	(1ULL << _UFFDIO_WAKE | 1ULL << _UFFDIO_COPY | 1ULL << _UFFDIO_ZEROPAGE | \
	 1ULL << _UFFDIO_MOVE | 1ULL << _UFFDIO_POISON)

struct uffd_range {
	struct samara_uffd *uffd;
	unsigned long start, end;
	unsigned long flags; /* VM_UFFD_FLAGS to have; 0: unregister */
};

static unsigned long flags_of_mode(unsigned long long mode)
{
	return (mode & UFFDIO_REGISTER_MODE_MISSING ? VM_UFFD_MISSING : 0) |
	       (mode & UFFDIO_REGISTER_MODE_WP ? VM_UFFD_WP : 0) |
	       (mode & UFFDIO_REGISTER_MODE_MINOR ? VM_UFFD_MINOR : 0);
}

/* Asynchronous write protection alone needs nothing of what is behind vma. */
static bool can_have(const struct vma *vma, unsigned long flags, const struct samara_uffd *uffd)
{
	if (vma->vm_flags & VM_DROPPABLE)
		return false;
	if ((flags & VM_UFFD_MINOR) && !vma_is_shmem(vma))
		return false;
	if (flags == VM_UFFD_WP && (uffd_features(uffd) & UFFD_FEATURE_WP_ASYNC))
		return true;
	return vma->is_anon || vma_is_shmem(vma);
}

static int may_register(const struct uffd_range *range, const struct vma *vma)
{
	if (!can_have(vma, range->flags, range->uffd))
		return -EINVAL;
	/* A fill would write to memory that its owner may not write to. */
	if (!(vma->vm_flags & VM_MAYWRITE))
		return -EPERM;
	return vma->rare.uffd && vma->rare.uffd != range->uffd ? -EBUSY : 0;
}

static int may_unregister(const struct uffd_range *range, const struct vma *vma)
{
	if (vma->rare.uffd && vma->rare.uffd != range->uffd)
		return -EINVAL;
	return can_have(vma, vma->vm_flags & VM_UFFD_FLAGS, range->uffd) ? 0 : -EINVAL;
}

/* Every VMA of the range by may(). Where there is none: -EINVAL. */
static int check_all(const struct uffd_range *range,
		     int (*may)(const struct uffd_range *range, const struct vma *vma))
{
	struct samara_mm *mm = range->uffd->mm;
	struct vma *vma = vma_find(mm, range->start, range->end);
	int err = vma ? 0 : -EINVAL;

	for (; vma && !err; vma = vma_find(mm, vma->vm_end, range->end))
		err = may(range, vma);
	return err;
}

/* Whether vma has what the range is to have. Modes that contain the wanted ones stay. */
static bool has_it(const struct uffd_range *range, const struct vma *vma)
{
	if (!range->flags)
		return !vma->rare.uffd;
	return vma->rare.uffd == range->uffd && (vma->vm_flags & range->flags) == range->flags;
}

/*
 * part was registered with these flags until now. Write protection goes with the registration. With
 * another mode that replaces it, bits and markers stay, and stop nothing: as in Linux.
 */
static void forget_protection(const struct vma_part *part, unsigned long flags)
{
	if (!(flags & VM_UFFD_WP) || (part->vma->vm_flags & VM_UFFD_WP))
		return;
	if (part->vma->rare.uffd)
		mm_uffd_bits_stale(part->vma->vm_mm);
	else
		range_uffd_unprotect(part->vma, part->start, part->end);
}

static int change_part(const struct uffd_range *range, struct vma_part *part, struct vma_dead *dead)
{
	const unsigned long old = part->vma->vm_flags;
	const unsigned long flags = (old & ~VM_UFFD_FLAGS) | range->flags;
	int err;

	err = vma_modify_flags_uffd(part, flags, range->flags ? range->uffd : NULL, dead);
	if (err)
		return err;
	forget_protection(part, old);
	/*
	 * What waits in memory that is not registered any more goes on. Linux wakes nothing where
	 * only WP or MINOR was: such an access sleeps until UFFDIO_WAKE or close.
	 */
	if (!range->flags && (old & VM_UFFD_MISSING))
		uffd_wake(range->uffd, part->start, part->end);
	else
		uffd_posts_drop(range->uffd, part->start, part->end);
	return 0;
}

static int change_all(const struct uffd_range *range, struct vma_dead *dead)
{
	struct samara_mm *mm = range->uffd->mm;
	unsigned long at = range->start;
	struct vma *vma;
	int err = 0;

	while (!err && (vma = vma_find(mm, at, range->end))) {
		struct vma_part part = { vma, max(at, vma->vm_start),
					 min(vma->vm_end, range->end) };

		if (!has_it(range, vma))
			err = change_part(range, &part, dead);
		at = max(part.end, part.vma->vm_end);
	}
	return err;
}

static int apply(const struct uffd_range *range,
		 int (*may)(const struct uffd_range *range, const struct vma *vma))
{
	struct door door;
	int err;

	door_enter(&door, range->uffd->mm);
	err = uffd_mm_ended(range->uffd->mm) ? -ENOMEM : 0;
	if (!err)
		err = range->uffd->closing ? -EBADF : check_all(range, may);
	if (!err)
		err = change_all(range, &door.dead);
	door_leave(&door);
	return err;
}

int uffd_register(struct samara_uffd *uffd, void *arg)
{
	const struct uffdio_register asked = *(struct uffdio_register *)arg;
	const struct uffd_range range = {
		.uffd = uffd,
		.start = asked.range.start,
		.end = asked.range.start + asked.range.len,
		.flags = flags_of_mode(asked.mode),
	};
	int err;

	if (!asked.mode || (asked.mode & ~MODES))
		return -EINVAL;
	err = uffd_check_range(uffd->mm, &asked.range);
	if (!err)
		err = apply(&range, may_register);
	if (err)
		return err;
	((struct uffdio_register *)arg)->ioctls =
		RANGE_IOCTLS | (range.flags & VM_UFFD_WP ? 1ULL << _UFFDIO_WRITEPROTECT : 0) |
		(range.flags & VM_UFFD_MINOR ? 1ULL << _UFFDIO_CONTINUE : 0);
	return 0;
}

int uffd_unregister(struct samara_uffd *uffd, void *arg)
{
	const struct uffdio_range asked = *(struct uffdio_range *)arg;
	const struct uffd_range range = {
		.uffd = uffd,
		.start = asked.start,
		.end = asked.start + asked.len,
	};
	const int err = uffd_check_range(uffd->mm, &asked);

	return err ? err : apply(&range, may_unregister);
}

/* All of vma, also where a merge is refused memory: then it stays apart from its neighbours. */
static struct vma *forget_vma(struct vma *vma, struct vma_dead *dead)
{
	const unsigned long old = vma->vm_flags, flags = old & ~VM_UFFD_FLAGS;
	struct vma_part part = { vma, vma->vm_start, vma->vm_end };

	if (vma_modify_flags_uffd(&part, flags, NULL, dead)) {
		vma_set_flags(vma, flags);
		vma->rare.uffd = NULL;
	}
	forget_protection(&part, old);
	return part.vma;
}

void uffd_unregister_all(struct samara_uffd *uffd)
{
	struct samara_mm *mm = uffd->mm;
	struct door door;
	struct vma *vma;

	door_enter(&door, mm);
	uffd->closing = true;
	for (vma = vma_find_from(mm, 0); vma; vma = vma_find_from(mm, vma->vm_end))
		if (vma->rare.uffd == uffd)
			vma = forget_vma(vma, &door.dead);
	door_leave(&door);
}
