/* SPDX-License-Identifier: MIT */
/*
 * Rounds of one measurement, and what a table shows of them.
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <algorithm>
#include <vector>

struct sample {
	std::vector<double> rounds;

	void add(double v) { rounds.push_back(v); }
	bool empty() const { return rounds.empty(); }
	double min() const { return *std::min_element(rounds.begin(), rounds.end()); }
	double max() const { return *std::max_element(rounds.begin(), rounds.end()); }

	double median() const
	{
		std::vector<double> v(rounds);
		size_t half = v.size() / 2;

		std::sort(v.begin(), v.end());
		return v.size() % 2 ? v[half] : (v[half - 1] + v[half]) / 2;
	}
};

#endif
