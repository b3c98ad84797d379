/* SPDX-License-Identifier: MIT */
/*
 * One structure under test, behind an interface whose calls do whole batches,
 * so that the indirect call costs nothing per operation.
 *
 * runner<T> turns a small adapter T into a peer. The loops are written once;
 * what differs is in T:
 *
 *   void *find(unsigned long index)                value of the range there, or NULL
 *   void put(const range &), void remove(const range &)
 *   uint64_t sum()                                 of every first, last and value, by its iterator
 *   unsigned long gap(from, size, max)             first index of the lowest fit, 0 for none
 *   void clear(), T *copy(), void drop()           empty; duplicate; free a duplicate
 *   double bytes(), double entries()
 */
#ifndef BENCH_TREE_PEER_H
#define BENCH_TREE_PEER_H

#include <cstdint>
#include <memory>
#include <vector>

#include "workload.h"

class peer
{
      public:
	virtual ~peer() = default;
	virtual const char *name() const = 0;
	virtual bool finds_gaps_by_walking() const = 0;

	virtual uint64_t lookup(const unsigned long *q, size_t n) = 0;
	/* Each lookup waits for the one before: latency instead of throughput. */
	virtual uint64_t lookup_chain(const unsigned long *q, size_t n) = 0;
	virtual uint64_t iterate() = 0;
	virtual uint64_t gaps(const unsigned long *from, size_t n, unsigned long size,
			      unsigned long max) = 0;

	virtual void put(const range *r, size_t n) = 0;
	virtual void remove(const range *r, size_t n) = 0;
	/* Each range is taken out and put back. */
	virtual void pairs(const range *r, size_t n) = 0;
	/* out[i] is taken out, in[i] is put in. */
	virtual void churn(const range *out, const range *in, size_t n) = 0;

	virtual void copy() = 0;
	virtual void drop_copy() = 0;
	virtual uint64_t sum_copy() = 0;
	virtual void clear() = 0;
	virtual double bytes() = 0;
	virtual double entries() = 0;
};

template <class T> class runner : public peer
{
      public:
	const char *name() const override { return T::name; }
	bool finds_gaps_by_walking() const override { return T::walks; }

	uint64_t lookup(const unsigned long *q, size_t n) override
	{
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += reinterpret_cast<uint64_t>(t_.find(q[i]));
		return sum;
	}

	uint64_t lookup_chain(const unsigned long *q, size_t n) override
	{
		uint64_t sum = 0, before = 0;

		for (size_t i = 0; i < n; i++) {
			/* Values stay below 2^63, which the compiler cannot know. */
			before = reinterpret_cast<uint64_t>(t_.find(q[i] + (before >> 63)));
			sum += before;
		}
		return sum;
	}

	uint64_t iterate() override { return t_.sum(); }

	uint64_t gaps(const unsigned long *from, size_t n, unsigned long size,
		      unsigned long max) override
	{
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += t_.gap(from[i], size, max);
		return sum;
	}

	void put(const range *r, size_t n) override
	{
		for (size_t i = 0; i < n; i++)
			t_.put(r[i]);
	}

	void remove(const range *r, size_t n) override
	{
		for (size_t i = 0; i < n; i++)
			t_.remove(r[i]);
	}

	void pairs(const range *r, size_t n) override
	{
		for (size_t i = 0; i < n; i++) {
			t_.remove(r[i]);
			t_.put(r[i]);
		}
	}

	void churn(const range *out, const range *in, size_t n) override
	{
		for (size_t i = 0; i < n; i++) {
			t_.remove(out[i]);
			t_.put(in[i]);
		}
	}

	void copy() override { copy_.reset(t_.copy()); }
	void drop_copy() override
	{
		copy_->drop();
		copy_.reset();
	}
	uint64_t sum_copy() override { return copy_->sum(); }
	void clear() override { t_.clear(); }
	double bytes() override { return t_.bytes(); }
	double entries() override { return t_.entries(); }

      private:
	T t_;
	std::unique_ptr<T> copy_;
};

std::unique_ptr<peer> make_samara();
std::unique_ptr<peer> make_absl();
std::unique_ptr<peer> make_std();
std::unique_ptr<peer> make_judy();

#endif
