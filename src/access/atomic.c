/* SPDX-License-Identifier: MIT */
/*
 * Compare and exchange of a guest's word: the host's own, on the frame's bytes, so that it is
 * atomic against CPUs that run outside the library as well.
 */
#include <errno.h>

#include "access/page_access.h"

#define EXCHANGE(type, at, expected, desired) \
	({ \
		type was_ = (type) * (expected); \
		const bool same_ = try_cmpxchg_seq_cst((type *)(at), &was_, (type)(desired)); \
		*(expected) = was_; \
		same_; \
	})

static int exchange(void *at, unsigned int size, uint64_t *expected, uint64_t desired)
{
	switch (size) {
	case 1:
		return EXCHANGE(uint8_t, at, expected, desired);
	case 2:
		return EXCHANGE(uint16_t, at, expected, desired);
	case 4:
		return EXCHANGE(uint32_t, at, expected, desired);
	default:
		return EXCHANGE(uint64_t, at, expected, desired);
	}
}

int samara_cmpxchg(struct samara_mm *mm, unsigned long addr, unsigned int size, uint64_t *expected,
		   uint64_t desired, struct samara_fault *fault)
{
	struct samara_fault ignored;
	struct access_at at;
	int ret = mm_call(mm);

	if (ret)
		return ret;
	if (!fault)
		fault = &ignored;
	*fault = (struct samara_fault){ 0 };
	if ((size != 1 && size != 2 && size != 4 && size != 8) || !IS_ALIGNED(addr, size))
		return -EINVAL;
	while (!access_begin(mm, addr, SAMARA_ACCESS_WRITE, &at)) {
		ret = access_fault(mm, addr, SAMARA_ACCESS_WRITE, fault);
		if (ret)
			return ret;
	}
	ret = exchange(at.host, size, expected, desired);
	access_end(&at);
	return ret;
}
