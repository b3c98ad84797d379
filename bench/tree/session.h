/* SPDX-License-Identifier: MIT */
/*
 * One run over one size: every structure holds the same ranges at the same
 * time, and each round does each operation on one after the other, so that
 * whatever the machine does meanwhile happens to all of them.
 *
 * The order of things, because changes leave their marks:
 *
 *   resident         each structure built in a child that does nothing else
 *   build            random order, then in order: the tree of the next two
 *   read             lookup, iterate, gaps, duplicate: nothing changes
 *   pairs            the same ranges out and in
 *   grow and shrink  new ranges at free places, then random ranges out
 *   churn            N ranges out and N others in: a tree that has lived
 *   read again
 *   beside           one reader, one writer, two cores (samara only)
 */
#ifndef BENCH_TREE_SESSION_H
#define BENCH_TREE_SESSION_H

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../support/clock.h"
#include "options.h"
#include "peer.h"
#include "rows.h"

class session
{
      public:
	session(const options &o, const bench_clock_state &c, results &r, size_t n);

	/* False: two structures gave different answers. */
	bool run();

      private:
	bool wants(std::initializer_list<row_id> list) const;
	void each(int rounds, const std::function<void(peer &, bool warm)> &step);
	void record(row_id r, const peer &p, bool warm, double elapsed, size_t ops);
	template <class F> double timed(F &&f);
	void agree(const char *what, const std::function<uint64_t(peer &)> &answer);
	void progress(const char *phase) const;
	size_t lookups() const
	{
		return n_ >= 10000000 ? o_.ops / 4 : n_ >= 1000000 ? o_.ops / 2 : o_.ops;
	}
	size_t changes() const { return (n_ >= 1000000 ? o_.ops / 16 : o_.ops / 8) + 1; }
	void record_bytes(row_id r, peer &p, bool warm)
	{
		record(r, p, warm, p.bytes() / p.entries(), 1);
	}
	size_t passes(size_t ops) const { return ops > n_ ? ops / n_ : 1; }

	double resident_growth(peer &p);
	void resident();
	void build();
	void read();
	void duplicate();
	void pairs();
	void grow_and_shrink();
	void churn();
	void read_again();
	void beside();
	double beside_once(peer &p, int mode, double *writer_ns);

	const options &o_;
	bench_clock_state clock_;
	results &results_;
	size_t n_;
	workload work_;
	std::vector<std::unique_ptr<peer>> peers_;
	bool agreed_ = true;
};

#endif
