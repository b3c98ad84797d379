/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait for a handler, and faults of accesses that do not wait.
 *
 *   uffd_queue()  --> pending -- read --> told
 *                        |                 |
 *                        '-- wake, close --+--> called --> uffd_sleep() returns
 *                            interrupt, exit
 *
 * A thread that calls a sleeper takes it off its list under the queue's lock. It then drops the
 * lock, sets the sleeper's word, and wakes it if it sleeps. So no host call is made under the lock.
 * The sleeper is on its thread's stack: it is not touched after its word was set. The address of
 * the word is still woken then, which all users of futex_wait() allow for.
 *
 * A post is in the same lists, so that faults are read in the order in which they were made. It
 * lasts until it is woken, its page has come (uffd_posts_drop()) or its mapping has gone. Until
 * then the handler is not told again.
 */
#include "uffd/uffd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "alloc/mem.h"
#include "base/futex.h"
#include "core/vma_lock.h"
#include "uffd/queue.h"

static DEFINE_ALLOC_SITE(posts_site, "uffd_posts");

/* A fault in vma at addr. why: UFFD_PAGEFAULT_FLAG_*. */
static void describe(struct uffd_sleeper *sleeper, const struct vma *vma, unsigned long addr,
		     unsigned int why)
{
	struct samara_uffd *uffd = vma->rare.uffd;
	const unsigned int features = uffd_features(uffd);

	if (!(features & UFFD_FEATURE_EXACT_ADDRESS))
		addr &= mm_page_mask(vma->vm_mm);
	sleeper->uffd = uffd;
	sleeper->addr = addr;
	sleeper->tid = (unsigned int)gettid();
	/* All of it is read, by a guest perhaps: also what no field of a page fault covers. */
	memset(&sleeper->msg, 0, sizeof(sleeper->msg));
	sleeper->msg.event = UFFD_EVENT_PAGEFAULT;
	sleeper->msg.arg.pagefault.flags = why;
	sleeper->msg.arg.pagefault.address = addr;
	if (features & UFFD_FEATURE_THREAD_ID)
		sleeper->msg.arg.pagefault.feat.ptid = sleeper->tid;
}

void uffd_queue(struct vma *vma, unsigned long addr, unsigned int why, struct uffd_sleeper *sleeper)
{
	struct samara_uffd *uffd = vma->rare.uffd;

	vma_assert_stays(vma);
	describe(sleeper, vma, addr, why);
	sleeper->word = UFFD_AWAKE;
	sleeper->queued = true;
	uffd_get(uffd);
	spin_lock(&uffd->q.lock, RANK_EVENT);
	VM_WARN_ON(uffd->q.closed); /* no VMA points to it then */
	list_add_tail(&sleeper->in, &uffd->q.pending);
	queue_message_came(&uffd->q);
	spin_unlock(&uffd->q.lock);
	queue_wake_readers(&uffd->q);
}

/* A thread that sleeps changes its word without the queue's lock; that of a post stays. */
static bool is_post(const struct uffd_sleeper *sleeper)
{
	return READ_ONCE(sleeper->word) == UFFD_POSTED;
}

/* Under the queue's lock. A post is free from here on. */
static void take_off(struct samara_uffd *uffd, struct uffd_sleeper *sleeper,
		     struct list_head *called)
{
	list_del(&sleeper->in);
	if (is_post(sleeper)) {
		sleeper->uffd = NULL;
		WRITE_ONCE(uffd->q.posts->used, uffd->q.posts->used - 1);
	} else {
		sleeper->queued = false;
		list_add_tail(&sleeper->in, called);
	}
	queue_messages_left(&uffd->q);
}

/* No lock of rank RANK_EVENT is held. */
static unsigned long call_all(struct list_head *called, unsigned int word)
{
	unsigned long calls = 0;

	for (; !list_empty(called); calls++) {
		struct uffd_sleeper *sleeper = list_first_entry(called, struct uffd_sleeper, in);
		unsigned int *at = &sleeper->word;

		list_del(&sleeper->in);
		if (xchg(at, word) == UFFD_ASLEEP)
			futex_wake(at, 1, FUTEX_ANYONE);
	}
	return calls;
}

static void wait_until_called(struct uffd_sleeper *sleeper)
{
	unsigned int *word = &sleeper->word, was = UFFD_AWAKE;

	if (queue_spin_while(&sleeper->uffd->late.handler, word, UFFD_AWAKE))
		return;
	(void)try_cmpxchg_acq_rel(word, &was, UFFD_ASLEEP); /* not, if it was called meanwhile */
	while (smp_load_acquire(word) == UFFD_ASLEEP)
		futex_wait(word, UFFD_ASLEEP, FUTEX_ANYONE, NULL);
}

/* It is called, or was taken off the lists before. */
static int what_it_was_told(const struct uffd_sleeper *sleeper)
{
	return sleeper->word == UFFD_INTERRUPTED ? -EAGAIN : 0;
}

int uffd_leave(struct uffd_sleeper *sleeper)
{
	struct samara_uffd *uffd = sleeper->uffd;
	bool queued;

	spin_lock(&uffd->q.lock, RANK_EVENT);
	queued = sleeper->queued;
	if (queued) {
		list_del(&sleeper->in);
		queue_messages_left(&uffd->q);
	}
	spin_unlock(&uffd->q.lock);
	/* Another thread has it in hand, and is about to call it. */
	if (!queued)
		wait_until_called(sleeper);
	sleeper->uffd = NULL;
	uffd_put(uffd);
	return what_it_was_told(sleeper);
}

int uffd_sleep(struct uffd_sleeper *sleeper)
{
	struct samara_uffd *uffd = sleeper->uffd;

	VM_WARN_ON(lock_rank_holds_any());
	wait_until_called(sleeper);
	sleeper->uffd = NULL;
	uffd_put(uffd);
	return what_it_was_told(sleeper);
}

/* Which sleepers are called. */
struct which {
	unsigned long start, last;
	unsigned int tid; /* 0: of all threads */
	bool posts;       /* these too */
};

static bool is_one(const struct which *which, const struct uffd_sleeper *sleeper)
{
	return sleeper->addr >= which->start && sleeper->addr <= which->last &&
	       (!which->tid || sleeper->tid == which->tid) && (which->posts || !is_post(sleeper));
}

/* Under the queue's lock. */
static void take_list(struct samara_uffd *uffd, struct list_head *list, const struct which *which,
		      struct list_head *called)
{
	struct uffd_sleeper *sleeper, *next;

	for (sleeper = list_first_entry(list, struct uffd_sleeper, in);
	     !list_entry_is_head(sleeper, list, in); sleeper = next) {
		next = list_next_entry(sleeper, in);
		if (is_one(which, sleeper))
			take_off(uffd, sleeper, called);
	}
}

static void take_some(struct samara_uffd *uffd, const struct which *which, struct list_head *called)
{
	spin_lock(&uffd->q.lock, RANK_EVENT);
	take_list(uffd, &uffd->q.pending, which, called);
	take_list(uffd, &uffd->q.told, which, called);
	spin_unlock(&uffd->q.lock);
}

void uffd_wake(struct samara_uffd *uffd, unsigned long start, unsigned long end)
{
	const struct which which = { .start = start, .last = end - 1, .posts = true };
	LIST_HEAD(called);

	take_some(uffd, &which, &called);
	call_all(&called, UFFD_CALLED);
}

/* of: all userfaultfds of mm. */
static unsigned long call_in_mm(struct samara_mm *mm, const struct which *which, unsigned int word)
{
	struct samara_uffd *uffd;
	LIST_HEAD(called);

	spin_lock(&mm->watch.uffds.lock, RANK_MMS);
	list_for_each_entry(uffd, &mm->watch.uffds.head, in_mm)
		take_some(uffd, which, &called);
	spin_unlock(&mm->watch.uffds.lock);
	return call_all(&called, word);
}

unsigned long uffd_interrupt(struct samara_mm *mm, unsigned int tid)
{
	const struct which which = { .last = ULONG_MAX, .tid = tid };

	return call_in_mm(mm, &which, UFFD_INTERRUPTED);
}

void uffd_mm_exit(struct samara_mm *mm)
{
	const struct which which = { .last = ULONG_MAX, .posts = true };

	call_in_mm(mm, &which, UFFD_CALLED);
}

/* posts --------------------------------------------------------------------------- */

/* Whether the handler knows of this fault, or will by the next read. Under the queue's lock. */
static bool posted(const struct uffd_posts *posts, const struct uffd_sleeper *fault)
{
	for (int i = 0; i < POSTS; i++) {
		const struct uffd_sleeper *post = &posts->post[i];

		if (post->uffd && post->addr == fault->addr && post->tid == fault->tid &&
		    post->msg.arg.pagefault.flags == fault->msg.arg.pagefault.flags)
			return true;
	}
	return false;
}

/* A free one, else one that was read; NULL: none was. Under the queue's lock. */
static struct uffd_sleeper *post_to_use(struct samara_uffd *uffd)
{
	struct uffd_sleeper *post;
	LIST_HEAD(none);

	for (int i = 0; i < POSTS; i++)
		if (!uffd->q.posts->post[i].uffd)
			return &uffd->q.posts->post[i];
	list_for_each_entry(post, &uffd->q.told, in) {
		if (is_post(post)) {
			take_off(uffd, post, &none);
			return post;
		}
	}
	return NULL;
}

static int posts_make(struct samara_uffd *uffd)
{
	struct uffd_posts *posts;

	if (smp_load_acquire(&uffd->q.posts))
		return 0;
	posts = mem_zalloc(&posts_site, sizeof(*posts));
	if (!posts)
		return -ENOMEM;
	spin_lock(&uffd->q.lock, RANK_EVENT);
	if (!uffd->q.posts) {
		smp_store_release(&uffd->q.posts, posts);
		posts = NULL;
	}
	spin_unlock(&uffd->q.lock);
	if (posts)
		mem_free(&posts_site, posts);
	return 0;
}

int uffd_post(struct vma *vma, unsigned long addr, unsigned int why)
{
	struct samara_uffd *uffd = vma->rare.uffd;
	struct uffd_sleeper fault = { .word = UFFD_POSTED }, *post = NULL;
	const int err = posts_make(uffd);

	vma_assert_stays(vma);
	if (err)
		return err;
	describe(&fault, vma, addr, why);
	spin_lock(&uffd->q.lock, RANK_EVENT);
	if (!posted(uffd->q.posts, &fault))
		post = post_to_use(uffd);
	if (post) {
		*post = fault;
		WRITE_ONCE(uffd->q.posts->used, uffd->q.posts->used + 1);
		list_add_tail(&post->in, &uffd->q.pending);
		queue_message_came(&uffd->q);
	}
	spin_unlock(&uffd->q.lock);
	if (post)
		queue_wake_readers(&uffd->q);
	return -EAGAIN;
}

void uffd_posts_drop(struct samara_uffd *uffd, unsigned long start, unsigned long end)
{
	const struct which which = { .start = start, .last = end - 1, .posts = true };
	struct uffd_posts *posts = smp_load_acquire(&uffd->q.posts);
	struct uffd_sleeper *post;
	LIST_HEAD(none);

	/*
	 * One that comes behind this look finds the page itself: it is counted before its thread
	 * looks at the entry again, under the leaf's lock, under which the page came.
	 */
	if (likely(!posts || !READ_ONCE(posts->used)))
		return;
	spin_lock(&uffd->q.lock, RANK_EVENT);
	for (int i = 0; posts->used && i < POSTS; i++) {
		post = &posts->post[i];
		if (post->uffd && is_one(&which, post))
			take_off(uffd, post, &none);
	}
	spin_unlock(&uffd->q.lock);
}

void uffd_posts_free(struct samara_uffd *uffd)
{
	if (uffd->q.posts)
		mem_free(&posts_site, uffd->q.posts);
}
