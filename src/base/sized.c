/* SPDX-License-Identifier: MIT */
/*
 * Copying structs of the caller's size (sized.h).
 */
#include "base/sized.h"

#include <errno.h>
#include <string.h>

int sized_get(void *own, size_t own_size, const void *callers)
{
	const unsigned char *bytes = callers;
	size_t size;

	memcpy(&size, callers, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (size_t i = own_size; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(own, 0, own_size);
	memcpy(own, callers, min(size, own_size));
	memcpy(own, &own_size, sizeof(own_size));
	return 0;
}

int sized_put(void *callers, const void *own, size_t own_size)
{
	unsigned char *bytes = callers;
	size_t size;

	memcpy(&size, callers, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	memcpy(bytes + sizeof(size), (const unsigned char *)own + sizeof(size),
	       min(size, own_size) - sizeof(size));
	if (size > own_size)
		memset(bytes + own_size, 0, size - own_size);
	return 0;
}
