/* SPDX-License-Identifier: MIT */
/*
 * The phases of a run. See session.h.
 */
#include "session.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

session::session(const options &o, const bench_clock_state &c, results &r, size_t n)
    : o_(o), clock_(c), results_(r), n_(n), work_(n, 0x5a3a7a + n)
{
	std::unique_ptr<peer> (*makers[])() = { make_samara, make_absl, make_std, make_judy };

	for (auto *make : makers) {
		std::unique_ptr<peer> p = make();

		if (p && std::find(o.peers.begin(), o.peers.end(), p->name()) != o.peers.end())
			peers_.push_back(std::move(p));
	}
}

bool session::wants(std::initializer_list<row_id> list) const
{
	if (o_.only.empty())
		return true;
	for (row_id r : list) {
		if (std::find(o_.only.begin(), o_.only.end(), rows[r].key) != o_.only.end())
			return true;
	}
	return false;
}

void session::progress(const char *phase) const
{
	if (o_.progress)
		fprintf(stderr, "%zu ranges: %s\n", n_, phase);
}

/* The first round warms up. Each round starts with another structure. */
void session::each(int rounds, const std::function<void(peer &, bool warm)> &step)
{
	for (int round = -1; round < rounds; round++) {
		for (size_t i = 0; i < peers_.size(); i++)
			step(*peers_[(i + static_cast<size_t>(round + 1)) % peers_.size()],
			     round < 0);
	}
}

void session::record(row_id r, const peer &p, bool warm, double elapsed, size_t ops)
{
	if (!warm && wants({ r }))
		results_.add(r, n_, p.name(), elapsed / static_cast<double>(ops));
}

template <class F> double session::timed(F &&f)
{
	double start = bench_read(&clock_);

	f();
	return bench_elapsed(&clock_, start, bench_read(&clock_));
}

void session::agree(const char *what, const std::function<uint64_t(peer &)> &answer)
{
	uint64_t first = 0;

	for (size_t i = 0; i < peers_.size(); i++) {
		uint64_t a = answer(*peers_[i]);

		if (i && a != first) {
			fprintf(stderr, "bench: %s of %zu ranges: %s and %s differ\n", what, n_,
				peers_[0]->name(), peers_[i]->name());
			agreed_ = false;
		}
		first = i ? first : a;
	}
}

/* Anonymous memory: the pages of the program's files come and go by themselves. */
static double resident_bytes()
{
	long size, resident = 0, file = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld %ld", &size, &resident, &file) < 3)
		resident = file = 0;
	if (f)
		fclose(f);
	return static_cast<double>(resident - file) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/* What building the tree adds to the memory of a process; 0 when that cannot be told. */
double session::resident_growth(peer &p)
{
	int fds[2];
	double grown = 0;

	if (pipe(fds))
		return 0;
	pid_t child = fork();

	if (!child) {
		double before = resident_bytes();

		p.put(work_.originals().data(), n_);
		grown = resident_bytes() - before;
		_exit(::write(fds[1], &grown, sizeof(grown)) != sizeof(grown));
	}
	close(fds[1]);
	if (child > 0) {
		if (::read(fds[0], &grown, sizeof(grown)) != sizeof(grown))
			grown = 0;
		waitpid(child, nullptr, 0);
	}
	close(fds[0]);
	return grown;
}

/* Whole pages say nothing about a small tree. */
void session::resident()
{
	progress("resident memory");
	for (auto &p : peers_) {
		double grown = n_ >= 100000 ? resident_growth(*p) : 0;

		if (grown > 0)
			record(ROW_RESIDENT, *p, false, grown, n_);
	}
}

void session::build()
{
	std::vector<range> random = work_.shuffled();
	const std::vector<range> &order = work_.originals();
	bool both = wants({ ROW_BUILD_RANDOM, ROW_BYTES_RANDOM }),
	     repeat = wants({ ROW_BUILD_SEQ, ROW_BUILD_RANDOM });
	int rounds = !repeat || n_ >= 10000000 ? 0 :
		     n_ >= 1000000             ? std::min(o_.rounds, 3) :
						 o_.rounds;
	size_t times = repeat ? passes(o_.ops / 8) : 1;

	progress("build");
	/* The largest is built once, and that once counts. */
	each(rounds, [&](peer &p, bool warm) {
		double seq = 0, rnd = 0;

		warm = warm && rounds > 0;
		for (size_t i = 0; i < times; i++) {
			if (both) {
				p.clear();
				rnd += timed([&] { p.put(random.data(), n_); });
				if (!i)
					record_bytes(ROW_BYTES_RANDOM, p, warm);
			}
			p.clear();
			seq += timed([&] { p.put(order.data(), n_); });
		}
		if (both)
			record(ROW_BUILD_RANDOM, p, warm, rnd, n_ * times);
		record(ROW_BUILD_SEQ, p, warm, seq, n_ * times);
		record_bytes(ROW_BYTES_SEQ, p, warm);
	});
	agree("entries", [](peer &p) { return p.iterate(); });
}

void session::read()
{
	bool lookup = wants({ ROW_LOOKUP }), chain = wants({ ROW_LOOKUP_CHAIN }),
	     walk = wants({ ROW_ITERATE });
	bool gap = wants({ ROW_GAP }), rare = wants({ ROW_GAP_RARE });
	std::vector<unsigned long> in = work_.inside(lookup || chain ? lookups() : 256);
	std::vector<unsigned long> from = work_.anywhere(gap || rare ? o_.ops / 8 + 256 : 256);
	unsigned long max = work_.highest();
	size_t sink = 0;

	progress("read");
	agree("lookup", [&](peer &p) { return p.lookup(in.data(), in.size()); });
	agree("gap", [&](peer &p) { return p.gaps(from.data(), 256, gap_pages * page, max); });
	agree("rare gap",
	      [&](peer &p) { return p.gaps(from.data(), 256, rare_gap_pages * page, max); });
	each(lookup ? o_.rounds : -1, [&](peer &p, bool warm) {
		record(ROW_LOOKUP, p, warm, timed([&] { sink += p.lookup(in.data(), in.size()); }),
		       in.size());
	});
	each(chain ? o_.rounds : -1, [&](peer &p, bool warm) {
		record(ROW_LOOKUP_CHAIN, p, warm,
		       timed([&] { sink += p.lookup_chain(in.data(), in.size()); }), in.size());
	});
	each(walk ? o_.rounds : -1, [&](peer &p, bool warm) {
		size_t times = passes(o_.ops * 2);
		auto all = [&] {
			for (size_t i = 0; i < times; i++)
				sink += p.iterate();
		};

		record(ROW_ITERATE, p, warm, timed(all), n_ * times);
	});
	/* A structure that walks to find a gap is asked less often: it takes that much longer. */
	each(gap ? o_.rounds : -1, [&](peer &p, bool warm) {
		size_t n = p.finds_gaps_by_walking() ? from.size() / 4 : from.size();

		record(ROW_GAP, p, warm,
		       timed([&] { sink += p.gaps(from.data(), n, gap_pages * page, max); }), n);
	});
	each(rare ? o_.rounds : -1, [&](peer &p, bool warm) {
		size_t n = from.size() / (p.finds_gaps_by_walking() ? 64 : 1);

		record(ROW_GAP_RARE, p, warm,
		       timed([&] { sink += p.gaps(from.data(), n, rare_gap_pages * page, max); }),
		       n);
	});
	__asm__ volatile("" : : "r"(sink));
}

void session::duplicate()
{
	size_t times = passes(o_.ops / 4);

	progress("duplicate");
	for (auto &p : peers_)
		p->copy();
	agree("duplicate", [](peer &p) { return p.sum_copy(); });
	for (auto &p : peers_)
		p->drop_copy();
	each(o_.rounds, [&](peer &p, bool warm) {
		double made = 0, gone = 0;

		for (size_t i = 0; i < times; i++) {
			made += timed([&] { p.copy(); });
			gone += timed([&] { p.drop_copy(); });
		}
		record(ROW_DUP, p, warm, made, n_ * times);
		record(ROW_DESTROY, p, warm, gone, n_ * times);
	});
}

void session::pairs()
{
	progress("pairs");
	each(o_.rounds,
	     [&, list = std::vector<range>(), turn = size_t{ 0 }](peer &p, bool warm) mutable {
		     if (turn++ % peers_.size() == 0)
			     list = work_.pick_present(changes());
		     record(ROW_PAIR, p, warm, timed([&] { p.pairs(list.data(), list.size()); }),
			    list.size());
	     });
	agree("entries after pairs", [](peer &p) { return p.iterate(); });
}

/* A quarter of the tree's size in new ranges comes, and as many random ones leave again. */
void session::grow_and_shrink()
{
	size_t step = std::max<size_t>(1, std::min(n_ / 4, changes()));
	size_t cycles = std::max<size_t>(1, changes() / step);
	std::vector<range> in, out;
	size_t turn = 0;

	progress("grow and shrink");
	each(o_.rounds, [&](peer &p, bool warm) {
		if (turn++ % peers_.size() == 0) {
			in.clear();
			out.clear();
			for (size_t i = 0; i < cycles; i++) {
				std::vector<range> a = work_.take_in(step),
						   b = work_.take_out(step);

				in.insert(in.end(), a.begin(), a.end());
				out.insert(out.end(), b.begin(), b.end());
			}
		}
		double store = 0, erase = 0;

		for (size_t i = 0; i < cycles; i++) {
			store += timed([&] { p.put(&in[i * step], step); });
			erase += timed([&] { p.remove(&out[i * step], step); });
		}
		record(ROW_STORE, p, warm, store, cycles * step);
		record(ROW_ERASE, p, warm, erase, cycles * step);
	});
	agree("entries after growing and shrinking", [](peer &p) { return p.iterate(); });
}

void session::churn()
{
	int rounds = std::max<int>(o_.rounds, static_cast<int>(n_ / changes()));
	std::vector<range> in, out;
	size_t turn = 0;

	progress("churn");
	each(rounds, [&](peer &p, bool warm) {
		if (turn++ % peers_.size() == 0)
			work_.swap(changes(), out, in);
		record(ROW_CHURN, p, warm,
		       timed([&] { p.churn(out.data(), in.data(), in.size()); }), in.size());
	});
	agree("entries after churn", [](peer &p) { return p.iterate(); });
	for (auto &p : peers_)
		record_bytes(ROW_BYTES_CHURNED, *p, false);
}

void session::read_again()
{
	std::vector<unsigned long> in = work_.inside(lookups());
	size_t sink = 0;

	progress("read again");
	agree("lookup after churn", [&](peer &p) { return p.lookup(in.data(), in.size()); });
	each(o_.rounds, [&](peer &p, bool warm) {
		record(ROW_LOOKUP_CHURNED, p, warm,
		       timed([&] { sink += p.lookup(in.data(), in.size()); }), in.size());
	});
	each(o_.rounds, [&](peer &p, bool warm) {
		size_t times = passes(o_.ops * 2);
		auto all = [&] {
			for (size_t i = 0; i < times; i++)
				sink += p.iterate();
		};

		record(ROW_ITERATE_CHURNED, p, warm, timed(all), n_ * times);
	});
	__asm__ volatile("" : : "r"(sink));
}

bool session::run()
{
	bool churned = wants({ ROW_LOOKUP_CHURNED, ROW_ITERATE_CHURNED, ROW_BYTES_CHURNED });

	/* First: no other thread may have been started before the forks. */
	if (wants({ ROW_RESIDENT }))
		resident();
	build();
	read();
	if (wants({ ROW_DUP, ROW_DESTROY }))
		duplicate();
	if (wants({ ROW_PAIR }))
		pairs();
	if (wants({ ROW_STORE, ROW_ERASE }))
		grow_and_shrink();
	if (churned || wants({ ROW_CHURN }))
		churn();
	if (churned)
		read_again();
	if (wants({ ROW_READER_ALONE, ROW_READER_PAIRS, ROW_READER_CHURN, ROW_WRITER_PAIRS,
		    ROW_WRITER_CHURN }))
		beside();
	return agreed_;
}
