/* SPDX-License-Identifier: MIT */
/*
 * A program outside the tree. It has a USDT probe of its own and functions
 * named like internal ones of the library: neither may collide.
 */
#include <samara/inject.h>
#include <samara/maple_tree.h>
#include <stdio.h>
#include <sys/sdt.h>

#define N 1000ul

int report_broken(void);
void *cache_alloc(void);

int report_broken(void)
{
	return 1;
}

void *cache_alloc(void)
{
	return NULL;
}

static int fail(const char *what)
{
	fprintf(stderr, "consumer: %s\n", what);
	return 1;
}

int main(void)
{
	struct maple_tree tree;
	MA_STATE(mas, &tree, 0, 0);
	unsigned long i, seen = 0;
	void *entry;

	mt_init_flags(&tree, MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU);
	DTRACE_PROBE1(consumer, start, N);
	for (i = 0; i < N; i++)
		if (mtree_store_range(&tree, i * 10, i * 10 + 6, xa_mk_value(i), GFP_KERNEL))
			return fail("a store failed");
	for (i = 0; i < N * 10; i++)
		if (mtree_load(&tree, i) != (i % 10 <= 6 ? xa_mk_value(i / 10) : NULL))
			return fail("a load differs");

	mas_lock(&mas);
	mas_for_each(&mas, entry, ULONG_MAX) {
		if (mas.index != seen * 10 || mas.last != seen * 10 + 6)
			return fail("the iteration is on another range");
		if (xa_to_value(entry) != seen)
			return fail("the iteration differs");
		seen++;
	}
	mas_unlock(&mas);
	if (seen != N)
		return fail("the iteration ended early");

	mtree_destroy(&tree);
	mt_cache_shrink();
	if (samara_live_objects())
		return fail("something was not freed");
	printf("consumer: %lu ranges stored, loaded and walked\n", seen);
	return report_broken() && !cache_alloc() ? 0 : 1;
}
