/* SPDX-License-Identifier: MIT */
/*
 * The range tree, through its public header: gaps tracked, readers allowed
 * beside the writer (MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU), each call taking
 * the tree's own lock as the normal API does.
 *
 * Nothing here waits for a grace period but drop() and clear(), where a user
 * who tears down knows that no reader is left and says so: mt_clear_in_rcu().
 */
#include <cstdio>
#include <cstdlib>

#include "peer.h"

#include <samara/maple_tree.h>

namespace
{

class samara_tree
{
      public:
	static constexpr const char *name = "samara";
	static constexpr bool walks = false;

	samara_tree() { mt_init_flags(&mt_, flags); }
	~samara_tree() { drop(); }

	void *find(unsigned long index) { return mtree_load(&mt_, index); }

	void put(const range &r)
	{
		int err = mtree_store_range(&mt_, r.first, r.last, value_of(r.first), GFP_KERNEL);

		if (__builtin_expect(err != 0, 0))
			stop("mtree_store_range", err);
	}

	void remove(const range &r) { mtree_erase(&mt_, r.first); }

	uint64_t sum()
	{
		struct ma_state mas;
		uint64_t sum = 0;
		void *entry;

		samara_rcu_read_lock();
		mas_init(&mas, &mt_, 0);
		mas_for_each(&mas, entry, ULONG_MAX)
			sum += mas.index + mas.last + reinterpret_cast<uint64_t>(entry);
		samara_rcu_read_unlock();
		return sum;
	}

	unsigned long gap(unsigned long from, unsigned long size, unsigned long max)
	{
		struct ma_state mas;
		int err;

		mtree_lock(&mt_);
		mas_init(&mas, &mt_, 0);
		err = mas_empty_area(&mas, from, max, size);
		mtree_unlock(&mt_);
		return err ? 0 : mas.index;
	}

	void clear()
	{
		drop();
		mt_init_flags(&mt_, flags);
	}

	samara_tree *copy()
	{
		samara_tree *to = new samara_tree;
		int err = mtree_dup(&mt_, &to->mt_, GFP_KERNEL);

		if (err)
			stop("mtree_dup", err);
		return to;
	}

	void drop()
	{
		mtree_lock(&mt_);
		mt_clear_in_rcu(&mt_);
		mtree_unlock(&mt_);
		mtree_destroy(&mt_);
	}

	double bytes() { return static_cast<double>(stats().bytes); }
	double entries() { return static_cast<double>(stats().entries); }

      private:
	static constexpr unsigned int flags = MT_FLAGS_ALLOC_RANGE | MT_FLAGS_USE_RCU;

	[[noreturn]] static void stop(const char *what, int err)
	{
		fprintf(stderr, "bench: %s: %d\n", what, err);
		exit(1);
	}

	struct samara_tree_stats stats()
	{
		struct samara_tree_stats st;

		mtree_lock(&mt_);
		samara_mtree_stats(&mt_, &st);
		mtree_unlock(&mt_);
		return st;
	}

	struct maple_tree mt_;
};

} // namespace

std::unique_ptr<peer> make_samara()
{
	return std::unique_ptr<peer>(new runner<samara_tree>);
}
