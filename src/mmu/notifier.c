/* SPDX-License-Identifier: MIT */
/*
 * Registering notifiers and calling them: notifier.h has the protocol.
 */
#include "mmu/notifier.h"

#include <errno.h>
#include <limits.h>

#include "alloc/mem.h"
#include "base/lock.h"
#include "base/nap.h"
#include "base/rcu.h"

struct samara_notifier {
	struct samara_notifier *next; /* in the order of registration */
	struct samara_mm *mm;
	const struct samara_notifier_ops *ops;
	void *priv;
	unsigned long since; /* the first phase that knows it */
	unsigned long until; /* (a) the first that does not any more */
};

static DEFINE_ALLOC_SITE(notifier_site, "notifier");

/* pairs ----------------------------------------------------------------------- */

/* Whether n is told of a pair; start and end of the pair get the same answer. */
static bool is_told(const struct samara_notifier *n, const struct samara_notifier_range *range)
{
	return n->since <= range->since && range->since < READ_ONCE(n->until);
}

static unsigned long pair_enter(struct samara_mm *mm)
{
	struct mm_shard *shard = mm_shard(mm);

	for (;;) {
		const unsigned long seq = smp_load_acquire(&mm->watch.notifier_seq);

		atomic_fetch_add_seq_cst(&shard->changing[seq & 1], 1);
		if (likely(load_seq_cst(&mm->watch.notifier_seq) == seq))
			return seq;
		atomic_dec_release(&shard->changing[seq & 1]);
	}
}

void notifier_start(struct samara_mm *mm, struct samara_notifier_range *range)
{
	const struct samara_notifier *n;

	range->since = pair_enter(mm);
	for (n = rcu_dereference(mm->watch.notifiers); n; n = rcu_dereference(n->next)) {
		if (n->ops->start && is_told(n, range))
			n->ops->start(range, n->priv);
	}
}

void notifier_end(struct samara_mm *mm, struct samara_notifier_range *range)
{
	const struct samara_notifier *n;

	for (n = rcu_dereference(mm->watch.notifiers); n; n = rcu_dereference(n->next)) {
		if (n->ops->end && is_told(n, range))
			n->ops->end(range, n->priv);
	}
	atomic_dec_release(&mm_shard(mm)->changing[range->since & 1]);
}

/* Begin a phase, and wait until the pairs of the last one are over. */
static void next_phase(struct samara_mm *mm)
{
	const unsigned long old = mm->watch.notifier_seq;

	spin_assert_held(&mm->watch.notifiers_lock);
	store_seq_cst(&mm->watch.notifier_seq, old + 1);
	for (int i = 0; i < MM_SHARDS; i++) {
		unsigned long *open = &mm->shard[i].changing[old & 1];

		for (unsigned long round = 0; load_seq_cst(open); round++)
			nap_between_looks(round);
	}
}

/*
 * [first, end) of the list are told of no new pair, and have been told the end of each that they
 * were told the start of. notifiers_lock is held.
 */
static void last_phase(struct samara_mm *mm, struct samara_notifier *first,
		       const struct samara_notifier *end)
{
	for (struct samara_notifier *n = first; n != end; n = n->next)
		WRITE_ONCE(n->until, mm->watch.notifier_seq + 1);
	next_phase(mm);
}

/* list ------------------------------------------------------------------------ */

int samara_notifier_register(struct samara_mm *mm, const struct samara_notifier_ops *ops,
			     void *priv, struct samara_notifier **out)
{
	const int refused = mm_call(mm);
	struct samara_notifier *n, **at;

	if (refused)
		return refused;
	n = mem_zalloc(&notifier_site, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->mm = mm;
	n->ops = ops;
	n->priv = priv;
	spin_lock(&mm->watch.notifiers_lock, RANK_NOTIFIERS);
	n->since = mm->watch.notifier_seq + 1;
	n->until = ULONG_MAX;
	for (at = &mm->watch.notifiers; *at; at = &(*at)->next)
		;
	rcu_assign_pointer(*at, n);
	next_phase(mm);
	spin_unlock(&mm->watch.notifiers_lock);
	*out = n;
	return 0;
}

void samara_notifier_unregister(struct samara_notifier *notifier)
{
	struct samara_mm *mm;
	struct samara_notifier **at;

	if (!notifier || mm_is_foreign(notifier->mm))
		return;
	mm = notifier->mm;
	spin_lock(&mm->watch.notifiers_lock, RANK_NOTIFIERS);
	for (at = &mm->watch.notifiers; *at != notifier; at = &(*at)->next)
		;
	last_phase(mm, notifier, notifier->next);
	rcu_assign_pointer(*at, notifier->next);
	next_phase(mm);
	spin_unlock(&mm->watch.notifiers_lock);
	mem_free(&notifier_site, notifier);
}

void notifier_release_all(struct samara_mm *mm)
{
	struct samara_notifier_range range = {
		.mm = mm,
		.start = 0,
		.end = mm->geo->task_size,
		.why = SAMARA_NOTIFY_EXIT,
	};
	struct samara_notifier *n, *next;

	/* They still hear of other changes: a walker may be about to free a page of this mm. */
	notifier_start(mm, &range);
	notifier_end(mm, &range);
	spin_lock(&mm->watch.notifiers_lock, RANK_NOTIFIERS);
	n = mm->watch.notifiers;
	last_phase(mm, n, NULL);
	rcu_assign_pointer(mm->watch.notifiers, NULL);
	next_phase(mm);
	spin_unlock(&mm->watch.notifiers_lock);
	for (; n; n = next) {
		next = n->next;
		if (n->ops->release)
			n->ops->release(mm, n->priv);
		mem_free(&notifier_site, n);
	}
}
