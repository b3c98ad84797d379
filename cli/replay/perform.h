/* SPDX-License-Identifier: MIT */
/*
 * One recorded call, made in the library.
 */
#ifndef CLI_REPLAY_PERFORM_H
#define CLI_REPLAY_PERFORM_H

#include "replay/world.h"

enum placing {
	PLACE_RECORDED, /* areas go where the kernel put them */
	PLACE_OWN,      /* the library chooses; later uses are translated */
};

struct attempt {
	struct world *w;
	struct space *space;
	const struct call *call;
	unsigned long line;     /* of the trace */
	unsigned long recorded; /* the kernel's answer: a value, or -errno */
	enum placing place;
	bool accept; /* PLACE_OWN: another address than the recorded one will do */
};

enum verdict {
	VERDICT_SAME,
	VERDICT_DIFFERS,
	VERDICT_REFUSED, /* by the recording, for a reason outside the map: it is not made here */
	VERDICT_NOT_MODELLED, /* the library has no such call */
};

struct outcome {
	unsigned long got; /* the library's answer, in the same form */
	enum verdict verdict;
	bool moved;                /* PLACE_OWN: succeeded at another address */
	bool elsewhere;            /* PLACE_OWN: it lay at another address and was taken back */
	bool untouched;            /* nothing has changed here: the call may be tried again */
	unsigned long assumed;     /* areas put in because a map's beginning is not known */
	struct map_range writable; /* what the program may write now and could not before */
};

#define MEMORY_DECIDES \
	(64UL << 20) /* bytes: whether so much is given is up to the machine's memory */

void perform(const struct attempt *a, struct outcome *out);

/* perform.c: the call in a->space, without a judgement on its answer. */
void make_call(const struct attempt *a, struct outcome *out);

/* refused.c: did the kernel refuse it? Then how it is made and judged. */
bool refused(const struct attempt *a);
void perform_refused(const struct attempt *a, struct outcome *out);
/* What a call that the recording alone refused has changed before it was. */
void perform_refused_part(const struct attempt *a);

/*
 * touch.c: the program has written to pages of that range, in recorded addresses;
 * or it may write to that range from now on, in ours.
 */
void touch_range(struct space *s, struct map_range range);
void touch_written(struct space *s, struct map_range range); /* the first, in ours */
void touch_writable(struct world *w, const struct process *p, struct map_range range);
/* A snapshot has been passed; what had not been written to by then may be from now on. */
void touch_again(struct world *w, const struct process *p, const struct snapshot *passed);

/* populate.c: private pages are given back; a written one leaves its mapping written to. */
void pages_give_back(struct samara_mm *mm, unsigned long start, unsigned long end);
void touch_page(struct samara_mm *mm, unsigned long addr);
/* The kernel granted it: it gives its pages back, and has not failed for want of any. */
void pages_filled(const struct attempt *a, struct outcome *out);

/* own.c: recorded addresses to ours. own_set: 0 or -ENOMEM */
unsigned long own_address(const struct space *s, unsigned long recorded);
int own_set(struct space *s, unsigned long start, unsigned long len, unsigned long to);
/* Is every address of the space still the recorded one? */
bool own_same(const struct space *s);
/* How many bytes from recorded on are moved by the same distance. */
unsigned long own_extent(const struct space *s, unsigned long recorded);

#endif
