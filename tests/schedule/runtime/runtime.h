/* SPDX-License-Identifier: MIT */
/*
 * The deterministic scheduler: what its files share. docs/concurrency.md explains it.
 *
 *   main.c      the loop over schedules, reports                     parent (main.h)
 *   child.c     one schedule: a forked child                         both
 *   threads.c   threads, of which one runs                           child, as all that follows
 *   seats.c     real threads, which serve the scheduled ones
 *   wait.c      futex(2), joining, RCU: what threads sleep for
 *   choose.c    the strategies: which choice a schedule makes
 *   tsan.c      what the compiler calls for each access
 *   memory.c    atomic words: which stores a load can see
 *   race.c      plain words: which accesses are not ordered
 *   shadow.c    what is known of each word
 *   heap.c      malloc(3), mmap(2), memcpy(3) and the like of the program
 *   reset.c     the process as it was, for the next schedule
 *   names.c     names of words, for reports                          both
 *
 * These files are compiled without instrumentation. Exactly one thread of the child runs, so they
 * need no locks.
 */
#ifndef SCHEDULE_RUNTIME_H
#define SCHEDULE_RUNTIME_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schedule/schedule.h"

#define THREADS_MAX 16
#define SEATS 10 /* real threads; not more than THREADS_MAX */
#define KEYS_MAX 32
#define CALLS_MAX 128
#define CHOICES_MAX (1U << 18)
#define EVENTS_MAX (1U << 18)

#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Vector clocks: what of each thread happened before. */
struct clock {
	unsigned int t[THREADS_MAX];
};

/* Operations at which threads change. */
enum op_kind {
	OP_LOAD,
	OP_STORE,
	OP_RMW,
	OP_FENCE,
	OP_WAIT,
	OP_WAKE,
	OP_RELAX,
	OP_RCU_LOCK,
	OP_RCU_UNLOCK,
	OP_RCU_WAIT,
	OP_START,
	OP_END,
	OP_CREATE,
	OP_JOIN,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	unsigned char size;  /* of the word, in bytes; 0: none */
	unsigned char order; /* __ATOMIC_... */
	uintptr_t addr;
	uintptr_t place; /* where in the program: a return address */
};

enum thread_state {
	THREAD_READY,
	THREAD_SLEEPS,   /* in futex_wait() */
	THREAD_NAPS,     /* the same, with a time-out */
	THREAD_IN_GRACE, /* waits for readers */
	THREAD_JOINS,
	THREAD_DONE,
};

struct thread {
	unsigned int id;
	enum thread_state state;
	const char *name;
	bool daemon;  /* not one of the scenario's: nothing waits for its end */
	bool relaxed; /* the others go first */
	void *(*fn)(void *arg);
	void *arg, *result;
	void *key[KEYS_MAX];
	/* What it does, or will do first when it runs. */
	struct op op;
	int sleep_bits;
	unsigned int joins;
	/* memory.c */
	struct clock clock;       /* what happened before its next operation */
	struct clock fence_seen;  /* stores that its last seq_cst fence made visible */
	struct clock unacquired;  /* what an acquire fence would add to clock */
	unsigned int release;     /* clock of its last release fence; 0: none */
	unsigned int fence_time;  /* of its last seq_cst fence */
	unsigned int fresh_clock; /* clock_keep() of the current epoch; 0: none yet */
	/* RCU */
	unsigned int rcu_depth, rcu_section;
	unsigned int grace_section[THREADS_MAX]; /* sections that it waits for; 0: none */
	struct clock grace_clock;                /* what the end of its grace period comes after */
	struct clock section_clock;              /* the end of its last section */
	/* strategies */
	unsigned int priority;
	unsigned long last_run;  /* step */
	unsigned long run_since; /* the step since which no other ran */
	unsigned int own_step;
	/* who called: return addresses */
	unsigned int depth;
	uintptr_t call[CALLS_MAX];
};

/* choices ----------------------------------------------------------------- */

enum choice_kind {
	CHOICE_THREAD,
	CHOICE_STORE,    /* how old a value a load sees: 0 is the newest */
	CHOICE_WEAK,     /* 1: a weak compare-and-exchange fails */
	CHOICE_SPURIOUS, /* 1: futex_wait() returns for no reason */
	CHOICE_SLEEPER,  /* which of several sleepers is woken */
};

struct choice {
	unsigned char kind, taken, usual;
	unsigned char thread; /* that ran, and how many steps it had made */
	unsigned int own_step;
	unsigned short ready, reluctant; /* of threads: masks; else ready is how many there are */
	unsigned int place;              /* what the thread was about to do */
	bool stays;                      /* of threads: the one that ran could go on */
};

/*
 * REPLAY: the choices in shared->forced, one after another. RECIPE: those in shared->recipe, each
 * when its thread comes to that step. Where these say nothing, the usual choice.
 */
enum strategy { RANDOM, PCT, REPLAY, RECIPE };
enum memory_model { MEMORY_SC, MEMORY_C11 };

/* One schedule: what it depends on. */
struct plan {
	enum strategy strategy;
	enum memory_model memory;
	uint64_t seed;
	unsigned int depth;  /* pct */
	unsigned int length; /* pct: expected steps of the whole */
	unsigned int max_steps;
	unsigned int forced; /* REPLAY, RECIPE: how many there are */
	bool events;         /* note them all */
};

/* results ----------------------------------------------------------------- */

enum verdict {
	PASSED,
	NOT_HELD, /* a requirement */
	DATA_RACE,
	DEADLOCK,
	TOO_LONG,
	CRASHED,
	USED_FREED,
	BROKEN, /* the scheduler itself, or the host */
	VERDICTS
};

struct event {
	unsigned char thread, kind, size, order;
	unsigned char stale; /* a load: how many newer stores there were */
	uintptr_t addr, place, caller;
	uint64_t value;
};

struct name {
	uintptr_t addr;
	char text[40];
};

#define NAMES_MAX 64

/* A page that parent and child share. */
struct shared {
	struct plan plan;
	enum verdict verdict;
	char text[1024];    /* {0x...} is a place, <0x...> a word */
	unsigned int steps; /* of the threads; those of setup and check do not count */
	unsigned int alone_steps;
	unsigned int switches, choices, events, names;
	uint64_t hash; /* of the order of threads and values seen */
	uintptr_t world;
	size_t world_size;
	char thread_name[THREADS_MAX][24];
	struct name name[NAMES_MAX];
	unsigned char forced[CHOICES_MAX];
	struct choice recipe[CHOICES_MAX];
	struct choice choice[CHOICES_MAX];
	struct event event[EVENTS_MAX];
};

extern struct shared *shared;
extern const struct plan *plan;

/* child.c: runs it in a child and waits. The result is in *shared, its stderr in a file. */
void schedule_run(const struct scenario *scenario, const struct plan *plan);
/* The same, in a child that has run no other schedule. Whether the last one was such. */
void schedule_run_alone(const struct scenario *scenario, const struct plan *plan);
bool schedule_was_first(void);
void schedule_prepare(void);
int schedule_stderr(void);

/* Of the child, by any thread: the schedule ends here. */
__attribute__((noreturn))
PRINTF_LIKE(2, 3) void fail(enum verdict verdict, const char *format, ...);

/* threads.c --------------------------------------------------------------- */

extern __thread struct thread *self;
extern struct thread *threads[THREADS_MAX];
extern unsigned int thread_count;
extern bool alone; /* setup and check: the main thread runs as long as it can */

void threads_prepare(void);
void threads_begin(void);
struct thread *thread_new(const char *name, void *(*fn)(void *arg), void *arg);
/* The main thread: run the others until they have ended. */
void threads_run(void);
/* The calling thread is about to do op: perhaps others go first. */
void yield_point(struct op op);
/* The same, and it cannot go on until thread_ready() says so. */
void thread_block(enum thread_state state);
bool thread_can_run(const struct thread *t);
/* Whether there are no other threads yet: then nothing needs to be known of memory. */
bool is_only_thread(void);
void event_value(uint64_t value, unsigned int stale);

/* seats.c */
void seats_prepare(void);
void seats_begin(void);
void seats_clear(void);
void seat_take(struct thread *t);
void turn_give(const struct thread *t);
void turn_wait(const struct thread *t);
/* threads.c: all that it does, on its seat. */
void thread_serve(struct thread *t);

/* The child's ends of its pipes, above all that a scenario opens. */
enum { FD_ORDERS = 200, FD_RESULTS };

/* reset.c, heap.c, shadow.c: for the next schedule of this process. */
void reset_begin(void);
void reset(void);
void heap_prepare(void);
void *heap_world(size_t size);
void heap_reset(void);
void shadow_reset(void);

/* wait.c */
bool grace_is_over(const struct thread *t);

/* choose.c */
void choose_begin(void);
/* The index of a mask's nth bit that is set, from 0 on. */
unsigned int nth_bit(unsigned int mask, unsigned int n);
unsigned int choose(enum choice_kind kind, unsigned int among);
struct thread *choose_thread(unsigned int ready, unsigned int reluctant);

/* memory.c ---------------------------------------------------------------- */

uint64_t memory_load(struct op op);
void memory_store(struct op op, uint64_t value);
/* The halves of a read-modify-write: the newest value, and what takes its place. */
uint64_t memory_rmw_load(struct op op);
void memory_rmw_store(struct op op, uint64_t value);
void memory_fence(int order);
/* The newest value, as the kernel reads it. */
uint64_t memory_newest(uintptr_t addr, unsigned int size);
/* A word's stores are forgotten: a plain store, or it was freed. */
void memory_forget(unsigned int location);

void clock_join(struct clock *clock, const struct clock *other);
void clock_tick(struct thread *t);

/* race.c */
enum access { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_ATOMIC = 2, ACCESS_FREE = 5 };
void race_access(uintptr_t addr, size_t size, enum access access, uintptr_t place);
void race_freed(uintptr_t addr, size_t size, uintptr_t place);
void race_fresh(uintptr_t addr, size_t size);

/* shadow.c ---------------------------------------------------------------- */

#define CELLS 4

/* An access of some bytes of a word. */
struct cell {
	unsigned int epoch, place;
	unsigned char thread, bytes, access;
};

/* What is known of 8 aligned bytes. */
struct word {
	struct cell cell[CELLS];
	unsigned int location; /* memory.c: the first of its atomic words; 0: none */
	unsigned int freed;    /* the place; 0: it is not */
};

struct word *shadow_word(uintptr_t addr);
/* NULL: nothing is known of its page yet. */
struct word *shadow_find(uintptr_t addr);
/* size bytes of zeros that the child gets lazily; before the first fork. */
void *lazy_memory(size_t size);
void shadow_prepare(void);
void memory_prepare(void);

/* names.c: describe an address for fail(). */
void describe_word(uintptr_t addr, char *out, size_t size);

#endif
