/* SPDX-License-Identifier: MIT */
/*
 * A function of the test that samara_fork() or samara_mm_exit() calls at each of its steps, with
 * the locks held that it holds there. Only debug builds have such calls; in others the test is
 * skipped, so the test asks for it before it makes anything that its end has to take away.
 */
#ifndef SUPPORT_FORK_STEPS_H
#define SUPPORT_FORK_STEPS_H

#include "process/exit.h"
#include "process/fork.h"
#include "support/cmocka_all.h"

typedef void (*fork_step_fn)(enum fork_step step, struct samara_mm *parent,
			     struct samara_mm *child);

/* Forks call fn at each step. False: this build tells no steps, and fn is not called. */
static inline bool fork_steps_told(fork_step_fn fn)
{
#ifdef SAMARA_DEBUG
	fork_step_hook = fn;
	return true;
#else
	(void)fn;
	return false;
#endif
}

/* For a test that makes things before it forks. */
static inline void wants_steps(void)
{
	if (!fork_steps_told(NULL))
		skip();
}

static inline void at_fork_steps(fork_step_fn fn)
{
	if (!fork_steps_told(fn))
		skip();
}

static inline void at_fork_steps_end(void)
{
	(void)fork_steps_told(NULL);
}

/* The same of samara_mm_exit(). */
typedef void (*exit_step_fn)(enum exit_step step, struct samara_mm *mm);

static inline bool exit_steps_told(exit_step_fn fn)
{
#ifdef SAMARA_DEBUG
	exit_step_hook = fn;
	return true;
#else
	(void)fn;
	return false;
#endif
}

static inline void at_exit_steps(exit_step_fn fn)
{
	if (!exit_steps_told(fn))
		skip();
}

static inline void at_exit_steps_end(void)
{
	(void)exit_steps_told(NULL);
}

#endif
