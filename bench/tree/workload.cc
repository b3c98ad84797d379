/* SPDX-License-Identifier: MIT */
/*
 * Ranges, queries and changes, from one seed. See workload.h.
 */
#include "workload.h"

#include <numeric>
#include <utility>

workload::workload(size_t n, uint64_t seed) : random_{ seed }
{
	unsigned long at = 0x10000000;

	originals_.reserve(n);
	candidates_.reserve(n);
	for (size_t i = 0; i < n; i++) {
		unsigned long pages = 1 + bench_below(&random_, 64);
		unsigned long gap = 1 + bench_below(&random_, gap_pages);

		/* The forced one lets a small tree have a rare gap too. */
		if (bench_below(&random_, 1024) == 0 || i == n * 7 / 8)
			gap = rare_gap_pages;
		originals_.push_back({ at, at + pages * page - 1 });
		at += pages * page;

		unsigned long room = gap > 2 ? gap - 2 : 1;
		unsigned long length = 1 + bench_below(&random_, room < 64 ? room : 64);
		unsigned long skip =
			gap > length + 1 ? 1 + bench_below(&random_, gap - length - 1) : 0;

		candidates_.push_back({ at + skip * page, at + (skip + length) * page - 1 });
		at += gap * page;
	}
	reset();
}

void workload::reset()
{
	present_.resize(originals_.size());
	absent_.resize(originals_.size());
	std::iota(present_.begin(), present_.end(), 0u);
	std::iota(absent_.begin(), absent_.end(), static_cast<uint32_t>(originals_.size()));
}

std::vector<range> workload::shuffled()
{
	std::vector<range> v(originals_);

	for (size_t i = v.size(); i > 1; i--)
		std::swap(v[i - 1], v[bench_below(&random_, i)]);
	return v;
}

std::vector<unsigned long> workload::inside(size_t count)
{
	std::vector<unsigned long> q;

	q.reserve(count);
	for (size_t i = 0; i < count; i++) {
		const range &r = at(present_[bench_below(&random_, present_.size())]);

		q.push_back(r.first + bench_next(&random_) % (r.last - r.first + 1));
	}
	return q;
}

std::vector<unsigned long> workload::anywhere(size_t count)
{
	std::vector<unsigned long> q;

	q.reserve(count);
	for (size_t i = 0; i < count; i++)
		q.push_back((lowest() + bench_next(&random_) % (highest() - lowest())) &
			    ~(page - 1));
	return q;
}

std::vector<range> workload::pick_present(size_t count)
{
	std::vector<range> v;

	v.reserve(count);
	for (size_t i = 0; i < count; i++)
		v.push_back(at(present_[bench_below(&random_, present_.size())]));
	return v;
}

uint32_t workload::move(std::vector<uint32_t> &from, std::vector<uint32_t> &to)
{
	size_t j = bench_below(&random_, from.size());
	uint32_t i = from[j];

	from[j] = from.back();
	from.pop_back();
	to.push_back(i);
	return i;
}

std::vector<range> workload::take_in(size_t count)
{
	std::vector<range> v;

	v.reserve(count);
	for (size_t i = 0; i < count; i++)
		v.push_back(at(move(absent_, present_)));
	return v;
}

std::vector<range> workload::take_out(size_t count)
{
	std::vector<range> v;

	v.reserve(count);
	for (size_t i = 0; i < count; i++)
		v.push_back(at(move(present_, absent_)));
	return v;
}

void workload::swap(size_t count, std::vector<range> &out, std::vector<range> &in)
{
	out.clear();
	in.clear();
	out.reserve(count);
	in.reserve(count);
	for (size_t i = 0; i < count; i++) {
		/* The place is chosen before the other leaves, so that it isn't the same one. */
		uint32_t coming = move(absent_, present_);

		present_.pop_back();
		out.push_back(at(move(present_, absent_)));
		present_.push_back(coming);
		in.push_back(at(coming));
	}
}
