/* SPDX-License-Identifier: MIT */
/*
 * What the calling thread remembers of a refused folio_alloc(), for store_make_room(), which it
 * calls when it has dropped all locks. Part of frame.h, which includes it.
 */
#ifndef FRAME_LACKED_H
#define FRAME_LACKED_H

/*
 * How often the calling thread was given NULL because no frame was free. An operation that fails
 * and finds it changed lacked frames; if not, it lacked what no freed frame gives. A refusal that
 * was asked for (samara/inject.h) is none of these.
 */
extern __thread unsigned long frames_refused __attribute__((tls_model("initial-exec")));
/* Whether it has changed since *refused was taken from it, which is done again. */
static inline bool frames_were_refused(unsigned long *refused)
{
	const bool were = *refused != frames_refused;

	*refused = frames_refused;
	return were;
}
/*
 * PGSTEAL (vm_event.h) as it was when the calling thread last found no frame free. If it is larger
 * now, reclaim has freed frames since. (They are free before they are counted.)
 */
extern __thread unsigned long long frames_stolen __attribute__((tls_model("initial-exec")));
/*
 * How many frames the calling thread's operation had, and gave back, when it was refused another
 * one: that many free frames are not enough for it. A refusal sets it to 0, or FRAMES_NO_BLOCK if
 * a block of several was asked for; an operation that holds frames adds them.
 */
#define FRAMES_NO_BLOCK (1UL << 62)
extern __thread unsigned long frames_returned __attribute__((tls_model("initial-exec")));

#endif
