/* SPDX-License-Identifier: MIT */
/*
 * samara torture: many threads on one address space.
 *
 *   slot 0            slot 1            slot 2  ...      neighbours, so that slots merge
 *   |p0|p1| ... |p15| |p0|p1| ...
 *
 * A thread tries for the lock of a slot, does something to its pages and knows what must come
 * of it: a slot remembers for each page whether it is mapped, its rights, and which pattern it
 * holds. Others meanwhile change the slots beside it, which share its mapping, its page tables
 * and its tree nodes.
 *
 * A page that was written holds one pattern, which follows from its first word, the page's
 * id: the page's number within its slot, and a number that is never used again. So a page
 * that is read without the slot's lock must be zeros, or a whole pattern that was given to a
 * page of this number: a frame that was freed too early, or mapped in a wrong place, shows. Shared
 * memory is also written through other address spaces (children). There a page is not moved at
 * once (<samara/access.h>), so each word is looked at by itself.
 *
 * Memory may fail. With --refuse a call now and then has one of its allocations refused: it says
 * so, and made again it does what it was asked to, whatever the first try had got done. With
 * little RAM frames run out: then an access fails, and the page stays as it is.
 *
 * With --swap pages leave memory: pressure.h. With --uffd accesses wait for a handler: handlers.h.
 */
#ifndef CLI_TORTURE_TORTURE_H
#define CLI_TORTURE_TORTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <samara/access.h>
#include <samara/mm.h>

#define PAGE 4096UL
#define SLOTS 48
#define SLOT_PAGES 16
#define SLOT_BYTES (SLOT_PAGES * PAGE)
#define BASE 0x200000000000UL
#define WORDS (PAGE / sizeof(uint64_t))
#define MOST_THREADS 64

/* SHARED and HOST are shared mappings, of a memfd and of a file of the host. */
enum slot_kind { SLOT_ANON, SLOT_SHARED, SLOT_PRIVATE, SLOT_HOST, SLOT_KINDS };

struct page_state {
	bool mapped, guard;
	bool freed; /* it may have become zeros (MADV_FREE) */
	int prot;
	uint64_t id; /* 0: zeros */
};

struct slot {
	pthread_mutex_t lock;
	enum slot_kind kind;
	struct page_state page[SLOT_PAGES];
	uint64_t in_file[SLOT_PAGES]; /* shared: ids, also while nothing is mapped */
};

enum op {
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_WRITE,
	OP_READ,
	OP_STROLL, /* read a page without its slot's lock */
	OP_DISCARD,
	OP_GUARD,
	OP_MOVE,
	OP_FORK,
	OP_PIN,
	OP_CPU,
	OP_EXCHANGE,
	OP_MAPS,
	OP_HOLE,
	OP_SYNC,
	/* with --swap */
	OP_PAGEOUT,
	OP_FREE,
	/* of threads of their own (pressure.h) */
	OP_SWAPOFF,
	OP_MIGRATE,
	OP_RECLAIM,
	OP_HOG,
	OP_POISON,
	/* with --uffd */
	OP_REGISTER,
	OP_UNREGISTER,
	OP_SHIELD,
	OPS
};
extern const char *const op_names[OPS];

struct torture {
	/* The options. The threads only read them. */
	struct {
		uint64_t seed;
		int secs, threads;
		int refuse; /* one of so many operations has an allocation refused; 0: none */
		int ram;    /* MiB; 0: plenty */
		bool swap, uffd;
	} asked;
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_file *file, *host;
	struct pressure *pressure; /* NULL: nothing leaves memory */
	struct handlers *handlers; /* NULL: nothing waits for one */
	int null;                  /* descriptor of /dev/null */
	struct slot slot[SLOTS];
	uint64_t next_id; /* atomic */
	bool stop;        /* atomic */
	/* The first thing that was wrong. */
	struct {
		pthread_mutex_t lock; /* for text, while the threads run */
		char text[512];       /* empty: nothing is wrong yet */
	} wrong;
};

struct worker {
	struct torture *t;
	pthread_t thread;
	uint64_t random;
	struct samara_cpu *cpu;
	unsigned long done[OPS];
	unsigned long refused, ran_out; /* calls that failed for it */
	unsigned long lost;             /* accesses to pages that could not be read from swap */
	bool armed;                     /* an allocation of this thread is to be refused */
	enum op now;
	uint64_t buf[WORDS];
};

unsigned long roll(struct worker *w, unsigned long n);
/* Remember what is wrong, the first time, and make everybody stop. */
__attribute__((format(printf, 2, 3))) void wrong(struct worker *w, const char *fmt, ...);

/*
 * ret of a call that failed because an allocation was refused on purpose: it is to be made again,
 * and now none is. The same of an access that was told not to wait for a handler any more.
 */
bool again(struct worker *w, long ret);
/* ret of a call that failed because there are no frames left, which is nothing wrong. */
bool ran_out(struct worker *w, long ret);
/* An access that was stopped by fault: swap could not be read, as it was made to. */
bool lost(struct worker *w, const struct samara_fault *fault);

static inline bool is_shared(const struct slot *s)
{
	return s->kind == SLOT_SHARED || s->kind == SLOT_HOST;
}

/* What a slot maps; NULL: anonymous memory. */
static inline struct samara_file *slot_file(const struct torture *t, const struct slot *s)
{
	if (s->kind == SLOT_ANON)
		return NULL;
	return s->kind == SLOT_HOST ? t->host : t->file;
}

static inline unsigned long slot_addr(const struct torture *t, const struct slot *s)
{
	return BASE + (unsigned long)(s - t->slot) * SLOT_BYTES;
}

static inline unsigned long page_addr(const struct torture *t, const struct slot *s, unsigned int i)
{
	return slot_addr(t, s) + i * PAGE;
}

/* An id for a page of this number. */
uint64_t new_id(struct torture *t, unsigned int page);
void fill(uint64_t *words, uint64_t id);
/* Whether words hold the pattern of id (0: zeros); of any id that a page of this number may get. */
bool holds(const uint64_t *words, uint64_t id);
bool holds_any(const uint64_t *words, unsigned int page);
/*
 * Each word for itself is zero, or belongs at its place in a pattern that was given to a page of
 * this number.
 */
bool each_holds_any(const struct torture *t, const uint64_t *words, unsigned int page);

/* Read the page at addr in mm, and say so if it isn't what p says. */
void check_page(struct worker *w, struct samara_mm *mm, unsigned long addr,
		const struct page_state *p);
/* Whether the first word of a page may be that. */
static inline bool may_hold(const struct page_state *p, uint64_t id)
{
	return id == p->id || (p->freed && !id);
}
/* The page was written to, with what was there: now it is known what that is. */
static inline void settle(struct page_state *p, uint64_t id)
{
	p->id = id;
	p->freed = false;
}

/* ops.c, life.c: one operation on a slot that is locked (OP_STROLL, OP_MAPS, OP_SYNC: on none). */
void do_op(struct worker *w, enum op op, struct slot *s);
void op_fork(struct worker *w, struct slot *s);
void op_pin(struct worker *w, struct slot *s);
void op_cpu(struct worker *w, struct slot *s);
void op_exchange(struct worker *w, struct slot *s);
/* A new id for page i, if it can be written. False: memory ran out. */
bool write_page(struct worker *w, struct slot *s, unsigned int i);

#endif
