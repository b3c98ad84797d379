/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the engine (engine.c, steps.c, tell.c) have in common.
 */
#ifndef CLI_REPLAY_STEPS_H
#define CLI_REPLAY_STEPS_H

#include "replay/engine.h"

/* steps.c: steps that wait are copies; these take and give them back. 0 or -ENOMEM. */
int step_queue(struct thread *t, struct step *st); /* at the end; takes st's snapshot over */
int step_wait(struct world *w, struct thread *t, struct step *st); /* t waits for a call from now */
struct step *step_take(struct world *w, struct thread *t);         /* the first; t runs again */
int step_put_back(struct world *w, struct thread *t, struct step *st);
void step_free(struct step *st);

/* engine.c: a step that belongs to its event's thread. Its snapshot is taken over when it waits. */
int replay_step(struct replay *r, struct step *st);

enum urgency {
	URGENCY_NONE,  /* the call may wait */
	URGENCY_FORCE, /* it is done now, whatever comes of it */
};

/* engine.c: do what thread tid has waiting, as far as it goes; urgency is the first step's. */
int run_waiting(struct replay *r, int tid, enum urgency urgency);

/* order.c */
void order_fed(struct world *w, struct thread *t, struct step *st);
bool order_must_wait(const struct replay *r, const struct thread *t, const struct step *st,
		     const struct call *c);
int order_settle(struct replay *r, struct space *s); /* what is decided there; 0 or -errno */

/* tell.c */
__attribute__((format(printf, 2, 3))) void replay_tell(struct replay *r, const char *fmt, ...);
void replay_tell_early(struct replay *r); /* the malformed lines before the first good one */
enum told { TOLD_ANSWER, TOLD_ADDRESS, TOLD_REFUSED };
void replay_tell_call(struct replay *r, const struct step *st, const struct process *p,
		      unsigned long got, enum told what);
int replay_compare(struct replay *r, struct process *p, const struct step *st);

#endif
