/* SPDX-License-Identifier: MIT */
/*
 * One reader on one core; on the other nothing, a writer that takes ranges out
 * and puts them back, or one that takes ranges out and puts others in
 * elsewhere, so that nodes split, empty and are replaced under the reader.
 *
 * Samara only: the other structures would need a lock, and then the reader's
 * rate is the lock's. With --clock=cpu each of the two counts its own thread's
 * CPU time.
 */
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

#include "../support/pin.h"
#include "session.h"

namespace
{

enum bench_clock thread_clock(const options &o)
{
	return o.clock == BENCH_CLOCK_CPU ? BENCH_CLOCK_THREAD : BENCH_CLOCK_WALL;
}

constexpr double span_ns = 200e6; /* of one measurement */
constexpr size_t batch = 256;

struct both {
	std::atomic<int> ready{ 0 };
	std::atomic<bool> stop{ false };
};

void meet(both &b, int threads)
{
	b.ready.fetch_add(1);
	while (b.ready.load() < threads)
		__builtin_ia32_pause();
}

/* Lookups a nanosecond. Ends after span_ns, or with the writer. */
double read_for_a_while(peer &p, const std::vector<unsigned long> &q, both &b, int threads,
			enum bench_clock kind)
{
	bench_clock_state clock = bench_clock_open(kind);
	size_t at = 0, done = 0;
	uint64_t sink = 0;

	meet(b, threads);
	double start = bench_read(&clock), now = start;

	while (now - start < span_ns && !b.stop.load(std::memory_order_relaxed)) {
		for (int i = 0; i < 16; i++) {
			sink += p.lookup(&q[at], batch);
			done += batch;
			at = at + 2 * batch <= q.size() ? at + batch : 0;
		}
		now = bench_read(&clock);
	}
	b.stop.store(true);
	__asm__ volatile("" : : "r"(sink));
	return static_cast<double>(done) / (now - start);
}

} // namespace

/* mode 0: alone, 1: pairs, 2: churn. Returns million lookups a second. */
double session::beside_once(peer &p, int mode, double *writer_ns)
{
	size_t changes = mode == 1 ? 65536 : 1u << 20;
	std::vector<unsigned long> q = work_.inside(1u << 20);
	std::vector<range> out, in;
	both b;
	double rate = 0;

	if (mode == 1)
		out = work_.pick_present(changes);
	else if (mode == 2)
		work_.swap(changes, out, in);

	std::thread reader([&] {
		bench_pin(o_.reader_cpu);
		rate = read_for_a_while(p, q, b, mode ? 2 : 1, thread_clock(o_));
	});
	if (mode) {
		bench_clock_state clock = bench_clock_open(thread_clock(o_));
		size_t done = 0, step = 64;

		meet(b, 2);
		double start = bench_read(&clock);

		while (!b.stop.load(std::memory_order_relaxed) && (mode == 1 || done < changes)) {
			if (mode == 1)
				p.pairs(&out[done % changes], step);
			else
				p.churn(&out[done], &in[done], step);
			done += step;
		}
		*writer_ns = (bench_read(&clock) - start) / static_cast<double>(done);
		b.stop.store(true);
		/* What the list has left, so that population and tree agree. */
		if (mode == 2)
			p.churn(out.data() + done, in.data() + done, changes - done);
	}
	reader.join();
	return rate * 1e3;
}

void session::beside()
{
	peer *own = nullptr;

	for (auto &p : peers_) {
		if (!strcmp(p->name(), "samara"))
			own = p.get();
	}
	if (!own)
		return;
	progress("reader beside writer");
	for (int round = -1; round < o_.rounds; round++) {
		static const row_id readers[] = { ROW_READER_ALONE, ROW_READER_PAIRS,
						  ROW_READER_CHURN };
		static const row_id writers[] = { NR_ROWS, ROW_WRITER_PAIRS, ROW_WRITER_CHURN };

		for (int mode = 0; mode < 3; mode++) {
			double writer_ns = 0, rate = beside_once(*own, mode, &writer_ns);

			record(readers[mode], *own, round < 0, rate, 1);
			if (mode)
				record(writers[mode], *own, round < 0, writer_ns, 1);
		}
	}
}
