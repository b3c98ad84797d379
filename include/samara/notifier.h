/* SPDX-License-Identifier: MIT */
/*
 * Being told of changes to an mm's page tables: for a program that keeps translations
 * of its own (an emulator's TLB, a device, a process into which frames are mapped).
 */
#ifndef SAMARA_NOTIFIER_H
#define SAMARA_NOTIFIER_H

#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_mm;
struct samara_notifier;

enum samara_notifier_why {
	SAMARA_NOTIFY_UNMAP,   /* the range leaves the map, or is moved */
	SAMARA_NOTIFY_CLEAR,   /* pages go, the mapping stays (madvise, truncation, copy-on-write) */
	SAMARA_NOTIFY_PROTECT, /* rights change (mprotect, write protection of fork and clear_refs) */
	SAMARA_NOTIFY_EXIT,    /* the whole mm goes: sent once, before release */
};

struct samara_notifier_range {
	struct samara_mm *mm;
	unsigned long start, end; /* [start, end) */
	enum samara_notifier_why why;
	unsigned long since; /* the library's */
};

/*
 * start: before entries of the range change; from here to end no translation of it may be made
 * anew. end: they have changed, and no CPU uses the old ones. When the mm exits, and before its pages go, start and end
 * are called once with SAMARA_NOTIFY_EXIT: from then on no translation of the mm may be made. Other changes that are
 * under way then may still be told. release: the mm is going, each start has had its end, and nothing follows.
 * Any may be NULL. Changes may overlap, in one thread too. Several notifiers are called in the order they were
 * registered. Called with locks of the mm held: a callback makes no call of the library, and waits for no
 * thread that makes one.
 */
struct samara_notifier_ops {
	void (*start)(const struct samara_notifier_range *range, void *priv);
	void (*end)(const struct samara_notifier_range *range, void *priv);
	void (*release)(struct samara_mm *mm, void *priv);
};

/*
 * 0 or -ENOMEM. ops must outlive the registration. Waits for changes under way: every start that is called has its
 * end, and a change that this notifier is not told of is over when this returns.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_notifier_register(struct samara_mm *mm,
							  const struct samara_notifier_ops *ops, void *priv,
							  struct samara_notifier **out);
/*
 * No callback runs any more when it returns, and each start that was called has had its end. Not to be called once the
 * mm exits: release is the end of the notifier too.
 */
SAMARA_API void samara_notifier_unregister(struct samara_notifier *notifier);

SAMARA_END_DECLS

#endif
