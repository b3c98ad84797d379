/* SPDX-License-Identifier: MIT */
/*
 * What every structure is given to do: the same ranges, the same queries, the
 * same changes, in the same order.
 *
 *   originals   |<- 1-64 pages ->|   gap: 1-64 pages    |<- 1-64 pages ->|
 *   candidates                       |<- some of it ->|
 *
 * N originals with random gaps make up the tree that is built. One gap in 1024
 * has 128 pages. In every gap lies one candidate, which is not in the tree at
 * first: a random free place where a new range can be stored. Changes draw
 * from these 2N ranges, and the population remembers which are in the tree.
 *
 * Queries and changes are arrays made before the clock starts and read in
 * sequence while it runs: 8 or 16 bytes an operation, which the hardware
 * fetches ahead, the same for all structures.
 */
#ifndef BENCH_TREE_WORKLOAD_H
#define BENCH_TREE_WORKLOAD_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../support/random.h"

struct range {
	unsigned long first;
	unsigned long last;
};

constexpr unsigned long page = 4096;
constexpr unsigned long gap_pages = 64;       /* one gap in 64 has as many */
constexpr unsigned long rare_gap_pages = 128; /* one gap in 1024 has as many */

/* A range's value: not NULL, low bits free, different for every range. */
static inline void *value_of(unsigned long first)
{
	return reinterpret_cast<void *>(first >> 4);
}

class workload
{
      public:
	workload(size_t n, uint64_t seed);

	size_t size() const { return originals_.size(); }
	unsigned long lowest() const { return originals_.front().first; }
	unsigned long highest() const { return originals_.back().last; }
	const std::vector<range> &originals() const { return originals_; }
	std::vector<range> shuffled(); /* the originals in random order */

	/* An index inside a random range that is in the tree. */
	std::vector<unsigned long> inside(size_t count);
	/* Any index between the lowest and the highest. */
	std::vector<unsigned long> anywhere(size_t count);

	/* Ranges that are in the tree; the tree stays as it is. */
	std::vector<range> pick_present(size_t count);
	/* Random ranges that come in (out): the population follows. */
	std::vector<range> take_in(size_t count);
	std::vector<range> take_out(size_t count);
	/* out[i] leaves, then in[i] comes: the size stays. */
	void swap(size_t count, std::vector<range> &out, std::vector<range> &in);
	size_t present() const { return present_.size(); }
	void reset(); /* the originals are in the tree, and nothing else */

      private:
	const range &at(uint32_t i) const
	{
		return i < originals_.size() ? originals_[i] : candidates_[i - originals_.size()];
	}
	uint32_t move(std::vector<uint32_t> &from, std::vector<uint32_t> &to);

	bench_random random_;
	std::vector<range> originals_, candidates_;
	std::vector<uint32_t> present_, absent_;
};

#endif
