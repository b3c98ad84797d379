/* SPDX-License-Identifier: MIT */
/*
 * What is measured, what it is held against, and the figures of one run.
 */
#ifndef BENCH_TREE_ROWS_H
#define BENCH_TREE_ROWS_H

#include <cstddef>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "../support/sample.h"

enum row_id {
	ROW_BUILD_SEQ,
	ROW_BUILD_RANDOM,
	ROW_LOOKUP,
	ROW_LOOKUP_CHAIN,
	ROW_ITERATE,
	ROW_GAP,
	ROW_GAP_RARE,
	ROW_DUP,
	ROW_DESTROY,
	ROW_STORE,
	ROW_ERASE,
	ROW_PAIR,
	ROW_CHURN,
	ROW_LOOKUP_CHURNED,
	ROW_ITERATE_CHURNED,
	ROW_BYTES_SEQ,
	ROW_BYTES_RANDOM,
	ROW_BYTES_CHURNED,
	ROW_RESIDENT,
	ROW_READER_ALONE,
	ROW_READER_PAIRS,
	ROW_READER_CHURN,
	ROW_WRITER_PAIRS,
	ROW_WRITER_CHURN,
	NR_ROWS,
};

/*
 * goal: for 1k, 100k and 1M; 0 where there is none. times_absl: samara's median
 * may be at most this many times absl's; 0 for no such check. share_of_alone:
 * at least this part of ROW_READER_ALONE.
 */
struct row {
	const char *key; /* for --only and --json */
	const char *title;
	const char *unit;
	double goal[3] = { 0, 0, 0 };
	double times_absl = 0;
	double share_of_alone = 0;
};

extern const struct row rows[]; /* NR_ROWS, by row_id */

class results
{
      public:
	void add(row_id r, size_t n, const std::string &peer, double value)
	{
		cells_[r][n][peer].add(value);
	}
	const struct sample *find(row_id r, size_t n, const std::string &peer) const;

	void table(FILE *out, const std::vector<size_t> &sizes,
		   const std::vector<std::string> &peers) const;
	void json(FILE *out, const std::vector<size_t> &sizes) const;

	/* From one process to another. */
	void send(FILE *to) const;
	void receive(FILE *from);

	std::map<size_t, long> huge_mib; /* at the end of each size */

      private:
	void lines(FILE *out, row_id r, const std::vector<size_t> &sizes,
		   const std::vector<std::string> &peers) const;
	void checks(FILE *out, row_id r, const std::vector<size_t> &sizes) const;

	std::map<size_t, std::map<std::string, sample>> cells_[NR_ROWS];
};

#endif
