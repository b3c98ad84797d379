/* SPDX-License-Identifier: MIT */
/*
 * The requests of uffd_pair.h.
 */
#include <string.h>

#include "support/uffd_pair.h"

static const unsigned long numbers[PAIR_REQUESTS] = {
	[PAIR_MOVE] = UFFDIO_MOVE,         [PAIR_POISON] = UFFDIO_POISON,
	[PAIR_COPY] = UFFDIO_COPY,         [PAIR_ZEROPAGE] = UFFDIO_ZEROPAGE,
	[PAIR_CONTINUE] = UFFDIO_CONTINUE, [PAIR_WRITEPROTECT] = UFFDIO_WRITEPROTECT,
};

unsigned long pair_request_of(union pair_request *r, const struct pair_side *side,
			      const struct pair_step *s)
{
	const struct uffdio_range range = { side->base + s->at, s->len };

	memset(r, 0, sizeof(*r));
	switch (s->what) {
	case PAIR_MOVE:
		r->move = (struct uffdio_move){ range.start, side->base + s->from, s->len, s->mode,
						99 };
		break;
	case PAIR_POISON:
		r->poison = (struct uffdio_poison){ range, s->mode, 99 };
		break;
	case PAIR_COPY:
		r->copy = (struct uffdio_copy){ range.start, side->source + s->from, s->len,
						s->mode, 99 };
		break;
	case PAIR_ZEROPAGE:
		r->zero = (struct uffdio_zeropage){ range, s->mode, 99 };
		break;
	case PAIR_CONTINUE:
		r->cont = (struct uffdio_continue){ range, s->mode, 99 };
		break;
	default:
		r->wp = (struct uffdio_writeprotect){ range, s->mode };
	}
	return numbers[s->what];
}

long long pair_field_of(const union pair_request *r, enum pair_what what)
{
	switch (what) {
	case PAIR_MOVE:
		return r->move.move;
	case PAIR_POISON:
		return r->poison.updated;
	case PAIR_COPY:
		return r->copy.copy;
	case PAIR_ZEROPAGE:
		return r->zero.zeropage;
	case PAIR_CONTINUE:
		return r->cont.mapped;
	default:
		return 0;
	}
}
