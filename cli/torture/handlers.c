/* SPDX-License-Identifier: MIT */
/*
 * Userfaultfds, and the threads that answer (handlers.h).
 */
#include "torture/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <samara/uffd.h>

#define EVENTS \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | \
	 UFFD_FEATURE_EVENT_UNMAP)
#define MSGS 4
#define POLL_MS 5

static const char zeros[PAGE] __attribute__((aligned(PAGE)));

static void nap(struct worker *w, unsigned long most_us)
{
	const struct timespec t = { 0, (long)roll(w, most_us) * 1000 };

	nanosleep(&t, NULL);
}

static int make_uffd(struct torture *t, struct worker *w, struct samara_uffd **out)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM };
	int err = samara_uffd_create(t->mm, O_NONBLOCK, out);

	if (err)
		return err;
	api.features |= roll(w, 2) ? EVENTS : 0;
	api.features |= roll(w, 4) ? 0 : UFFD_FEATURE_WP_ASYNC;
	err = samara_uffd_ioctl(*out, UFFDIO_API, &api);
	if (err)
		samara_uffd_put(*out);
	return err;
}

/* operations of threads with slots --------------------------------------------------- */

struct uffd_part {
	struct samara_uffd *uffd;
	struct uffdio_range range;
};

/* One of them, and a part of the slot. None is closed until part_done(). */
static struct uffd_part any_part(struct worker *w, const struct slot *s)
{
	struct handlers *const all = w->t->handlers;
	const unsigned long from = roll(w, SLOT_PAGES);
	const unsigned long n = roll(w, 2) ? SLOT_PAGES - from : 1 + roll(w, SLOT_PAGES - from);

	pthread_rwlock_rdlock(&all->lock);
	return (struct uffd_part){ all->uffd[roll(w, UFFDS)],
				   { slot_addr(w->t, s) + from * PAGE, n * PAGE } };
}

static void part_done(struct worker *w)
{
	pthread_rwlock_unlock(&w->t->handlers->lock);
}

void op_register(struct worker *w, struct slot *s)
{
	struct uffd_part part = any_part(w, s);
	struct uffdio_register arg = { .range = part.range };
	int err = 0;

	arg.mode = s->kind == SLOT_ANON ? 1 + roll(w, 3) : 1 + roll(w, 7);
	do {
		if (part.uffd)
			err = samara_uffd_ioctl(part.uffd, UFFDIO_REGISTER, &arg);
	} while (again(w, err));
	/* Nothing mapped, the host's file; another's. */
	if (err && err != -EINVAL && err != -EBUSY)
		wrong(w, "REGISTER of %#llx: %d", (unsigned long long)part.range.start, err);
	part_done(w);
}

void op_unregister(struct worker *w, struct slot *s)
{
	struct uffd_part part = any_part(w, s);
	int err = 0;

	do {
		if (part.uffd)
			err = samara_uffd_ioctl(part.uffd, UFFDIO_UNREGISTER, &part.range);
	} while (again(w, err));
	if (err && err != -EINVAL)
		wrong(w, "UNREGISTER of %#llx: %d", (unsigned long long)part.range.start, err);
	part_done(w);
}

void op_shield(struct worker *w, struct slot *s)
{
	struct uffd_part part = any_part(w, s);
	struct uffdio_writeprotect arg = { .range = part.range,
					   .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int err = 0;

	do {
		if (part.uffd)
			err = samara_uffd_ioctl(part.uffd, UFFDIO_WRITEPROTECT, &arg);
	} while (err != -EAGAIN && again(w, err));
	/* Not all of it registered; a change of the map has not been read. */
	if (err && err != -ENOENT && err != -EAGAIN)
		wrong(w, "WRITEPROTECT of %#llx: %d", (unsigned long long)part.range.start, err);
	part_done(w);
}

/* answers ------------------------------------------------------------------------------ */

static int wake(struct samara_uffd *uffd, uint64_t page)
{
	struct uffdio_range range = { page, PAGE };

	return samara_uffd_ioctl(uffd, UFFDIO_WAKE, &range);
}

static int fill_missing(struct handler *h, struct samara_uffd *uffd, uint64_t page)
{
	struct uffdio_copy copy = { .dst = page, .src = (uintptr_t)zeros, .len = PAGE };
	struct uffdio_zeropage zero = { .range = { page, PAGE } };

	if (roll(&h->w, 2))
		return samara_uffd_ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
	copy.mode = roll(&h->w, 4) ? 0 : UFFDIO_COPY_MODE_WP;
	return samara_uffd_ioctl(uffd, UFFDIO_COPY, &copy);
}

static int answer_fault(struct handler *h, struct samara_uffd *uffd, const struct uffd_msg *msg)
{
	const uint64_t page = msg->arg.pagefault.address & -PAGE;
	struct uffdio_writeprotect off = { .range = { page, PAGE } };
	struct uffdio_continue cont = { .range = { page, PAGE } };

	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		return samara_uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &off);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR)
		return samara_uffd_ioctl(uffd, UFFDIO_CONTINUE, &cont);
	return fill_missing(h, uffd, page);
}

/* What comes too late, or finds no frame, lets the access try again. */
static void answer(struct handler *h, struct samara_uffd *uffd, const struct uffd_msg *msg)
{
	const int err = answer_fault(h, uffd, msg);

	h->answers++;
	if (!err)
		return;
	h->late++;
	if (err == -ENOMEM && h->w.t->asked.ram)
		nap(&h->w, 1000);
	else if (err != -EEXIST && err != -ENOENT && err != -EAGAIN && err != -EFAULT &&
		 err != -EINVAL && err != -ESRCH)
		wrong(&h->w, "an answer at %#llx: %d",
		      (unsigned long long)msg->arg.pagefault.address, err);
	if (wake(uffd, msg->arg.pagefault.address & -PAGE))
		wrong(&h->w, "WAKE");
}

static void adopt(struct handler *h, struct samara_uffd *uffd, const struct uffd_msg *msg)
{
	struct samara_uffd **const to = &h->child[h->next++ % CHILDREN];

	samara_uffd_put(*to);
	if (samara_uffd_forked(uffd, msg, to)) {
		wrong(&h->w, "a child's userfaultfd is not there");
		*to = NULL;
	}
}

static bool serve(struct handler *h, struct samara_uffd *uffd)
{
	struct uffd_msg msg[MSGS];
	const long got = samara_uffd_read(uffd, msg, 1 + roll(&h->w, MSGS));

	if (got < 0 && got != -EAGAIN)
		wrong(&h->w, "read: %ld", got);
	for (long i = 0; i < got / (long)sizeof(*msg); i++) {
		if (msg[i].event == UFFD_EVENT_PAGEFAULT)
			answer(h, uffd, &msg[i]);
		else if (msg[i].event == UFFD_EVENT_FORK)
			adopt(h, uffd, &msg[i]);
		h->events += msg[i].event != UFFD_EVENT_PAGEFAULT;
	}
	return got > 0;
}

/* Until one of them can be read, or for a moment. */
static void wait_for_messages(struct handler *h, struct handlers *all)
{
	struct pollfd fds[UFFDS + CHILDREN];

	pthread_rwlock_rdlock(&all->lock);
	for (int i = 0; i < UFFDS; i++)
		fds[i] = (struct pollfd){ .fd = all->uffd[i] ? samara_uffd_fd(all->uffd[i]) : -1,
					  .events = POLLIN };
	pthread_rwlock_unlock(&all->lock);
	for (int i = 0; i < CHILDREN; i++)
		fds[UFFDS + i] = (struct pollfd){
			.fd = h->child[i] ? samara_uffd_fd(h->child[i]) : -1,
			.events = POLLIN,
		};
	poll(fds, UFFDS + CHILDREN, POLL_MS);
}

static void *handle(void *arg)
{
	struct handler *const h = arg;
	struct handlers *const all = h->w.t->handlers;

	while (!__atomic_load_n(&all->over, __ATOMIC_ACQUIRE)) {
		bool some = false;

		pthread_rwlock_rdlock(&all->lock);
		for (int i = 0; i < UFFDS; i++)
			some |= all->uffd[i] && serve(h, all->uffd[i]);
		pthread_rwlock_unlock(&all->lock);
		for (int i = 0; i < CHILDREN; i++)
			some |= h->child[i] && serve(h, h->child[i]);
		if (!some)
			wait_for_messages(h, all);
	}
	for (int i = 0; i < CHILDREN; i++)
		samara_uffd_put(h->child[i]);
	return NULL;
}

static struct samara_uffd *exchange(struct handlers *all, unsigned long nr,
				    struct samara_uffd *uffd)
{
	struct samara_uffd *old;

	pthread_rwlock_wrlock(&all->lock);
	old = all->uffd[nr];
	all->uffd[nr] = uffd;
	pthread_rwlock_unlock(&all->lock);
	return old;
}

static void *close_now_and_then(void *arg)
{
	struct handler *const h = arg;
	struct handlers *const all = h->w.t->handlers;

	while (!__atomic_load_n(&all->over, __ATOMIC_ACQUIRE)) {
		struct samara_uffd *uffd;

		nap(&h->w, 20000);
		if (roll(&h->w, 2)) {
			samara_uffd_interrupt(h->w.t->mm, 0);
			continue;
		}
		if (!make_uffd(h->w.t, &h->w, &uffd))
			samara_uffd_put(exchange(all, roll(&h->w, UFFDS), uffd));
	}
	return NULL;
}

/* all ------------------------------------------------------------------------------------ */

static int start(struct handlers *all, struct handler *h, void *(*fn)(void *))
{
	int err;

	h->w.t = all->t;
	h->w.random = all->t->asked.seed * 104729 + (uint64_t)all->started;
	h->w.now = OP_REGISTER;
	err = -pthread_create(&h->w.thread, NULL, fn, h);
	all->started += !err;
	return err;
}

int handlers_start(struct torture *t)
{
	struct handlers *const all = calloc(1, sizeof(*all));
	int err = all ? 0 : -ENOMEM;

	if (err)
		return err;
	t->handlers = all;
	all->t = t;
	pthread_rwlock_init(&all->lock, NULL);
	all->closer.w.random = t->asked.seed;
	for (int i = 0; i < UFFDS && !err; i++)
		err = make_uffd(t, &all->closer.w, &all->uffd[i]);
	for (int i = 0; i < HANDLERS && !err; i++)
		err = start(all, &all->handler[i], handle);
	return err ? err : start(all, &all->closer, close_now_and_then);
}

void handlers_stop(struct torture *t, unsigned long *answers, unsigned long *events)
{
	struct handlers *const all = t->handlers;

	if (!all)
		return;
	__atomic_store_n(&all->over, true, __ATOMIC_RELEASE);
	for (int i = 0; i < all->started; i++)
		pthread_join(i < HANDLERS ? all->handler[i].w.thread : all->closer.w.thread, NULL);
	for (int i = 0; i < UFFDS; i++)
		samara_uffd_put(all->uffd[i]);
	for (int i = 0; i < HANDLERS; i++) {
		*answers += all->handler[i].answers;
		*events += all->handler[i].events;
	}
	t->handlers = NULL;
	free(all);
}
