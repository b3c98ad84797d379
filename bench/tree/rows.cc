/* SPDX-License-Identifier: MIT */
/*
 * The table: a block for each operation, a line for each structure, a column
 * for each size; under it what was to be reached, and whether it was.
 */
#include "rows.h"

/*
 * The goals are half (lookup, iterate, gap) or a quarter (store, erase, pair,
 * duplicate) of what a user-space build of Linux's tree takes on such a machine.
 */
static constexpr double third = 1.0 / 3;

const struct row rows[] = {
	{ "build-seq", "build in order, per entry", "ns" },
	{ "build-random", "build in random order, per entry", "ns" },
	{ "lookup", "lookup", "ns", { 30.5, 87, 197 }, 1 },
	{ "lookup-chain", "lookup, each waiting for the last", "ns" },
	{ "iterate", "iterate, per entry", "ns", { 4.4, 11, 21.5 }, 1.5 },
	{ "gap", "gap search, 1 gap in 64 fits", "ns", { 48.5, 110, 237.5 } },
	{ "gap-rare", "gap search, 1 gap in 1024 fits", "ns", { 48.5, 110, 237.5 }, third },
	{ "dup", "duplicate, per entry", "ns", { 3.175, 7.25, 7.5 } },
	{ "destroy", "destroy, per entry", "ns" },
	{ "store", "store at a new place (RCU)", "ns", { 142.75, 243.75, 298.75 } },
	{ "erase", "erase (RCU)", "ns", { 171.25, 380, 460.25 } },
	{ "pair", "erase and store again (RCU)", "ns", { 268.5, 462, 613.5 }, 2 },
	{ "churn", "erase, store elsewhere (RCU)", "ns" },
	{ "lookup-churned", "lookup after N such changes", "ns", { 0, 0, 0 }, 1 },
	{ "iterate-churned", "iterate after N such changes", "ns", { 0, 0, 0 }, 1.5 },
	{ "bytes-seq", "bytes per range, built in order", "B", { 32, 32, 32 } },
	{ "bytes-random", "bytes per range, built in random order", "B", { 32, 32, 32 } },
	{ "bytes-churned", "bytes per range, after N changes", "B", { 32, 32, 32 } },
	{ "resident", "resident memory per range, built in order", "B" },
	{ "reader-alone", "reader alone", "M/s" },
	{ "reader-pairs", "reader beside a writer of pairs", "M/s", { 0, 0, 0 }, 0, 0.7 },
	{ "reader-churn", "reader beside a writer that churns", "M/s", { 0, 0, 0 }, 0, 0.7 },
	{ "writer-pairs", "pairs beside a reader", "ns" },
	{ "writer-churn", "erase, store elsewhere, beside a reader", "ns" },
};

static_assert(sizeof(rows) / sizeof(rows[0]) == NR_ROWS, "a row for each row_id, in its order");

static constexpr int column = 24;

const struct sample *results::find(row_id r, size_t n, const std::string &peer) const
{
	auto sizes = cells_[r].find(n);

	if (sizes == cells_[r].end())
		return nullptr;
	auto cell = sizes->second.find(peer);

	return cell == sizes->second.end() ? nullptr : &cell->second;
}

void results::send(FILE *to) const
{
	for (const auto &[n, mib] : huge_mib)
		fprintf(to, "huge %zu %ld\n", n, mib);
	for (int i = 0; i < NR_ROWS; i++) {
		for (const auto &[n, peers] : cells_[i]) {
			for (const auto &[peer, s] : peers) {
				for (double v : s.rounds)
					fprintf(to, "%d %zu %s %.17g\n", i, n, peer.c_str(), v);
			}
		}
	}
}

void results::receive(FILE *from)
{
	char line[160], peer[32];

	while (fgets(line, sizeof(line), from)) {
		size_t n;
		double v;
		long mib;
		int r;

		if (sscanf(line, "huge %zu %ld", &n, &mib) == 2)
			huge_mib[n] = mib;
		else if (sscanf(line, "%d %zu %31s %lf", &r, &n, peer, &v) == 4 && r >= 0 &&
			 r < NR_ROWS)
			add(static_cast<row_id>(r), n, peer, v);
	}
}

static std::string size_name(size_t n)
{
	if (n % 1000000 == 0)
		return std::to_string(n / 1000000) + "M";
	if (n % 1000 == 0)
		return std::to_string(n / 1000) + "k";
	return std::to_string(n);
}

static double goal(row_id r, size_t n)
{
	return n == 1000    ? rows[r].goal[0] :
	       n == 100000  ? rows[r].goal[1] :
	       n == 1000000 ? rows[r].goal[2] :
			      0;
}

static std::string number(double v)
{
	char s[32];

	snprintf(s, sizeof(s), "%.*f", v < 10 ? 2 : v < 100 ? 1 : 0, v);
	return s;
}

static std::string figure(const sample &s)
{
	return number(s.median()) + " (" + number(s.min()) + ".." + number(s.max()) + ")";
}

static std::string verdict(const char *than, double wanted, bool reached)
{
	return than + number(wanted) + (reached ? " pass" : " MISS");
}

static void cell(FILE *out, const std::string &s)
{
	fprintf(out, " %*s", column, s.c_str());
}

static void marks(FILE *out, const char *title, const std::map<size_t, std::string> &line,
		  const std::vector<size_t> &sizes)
{
	if (line.empty())
		return;
	fprintf(out, "  %-14s", title);
	for (size_t n : sizes) {
		auto at = line.find(n);

		cell(out, at == line.end() ? "" : at->second);
	}
	fprintf(out, "\n");
}

void results::lines(FILE *out, row_id r, const std::vector<size_t> &sizes,
		    const std::vector<std::string> &peers) const
{
	for (const std::string &peer : peers) {
		bool any = false;

		for (size_t n : sizes)
			any |= find(r, n, peer) != nullptr;
		if (!any)
			continue;
		fprintf(out, "  %-14s", peer.c_str());
		for (size_t n : sizes) {
			const sample *s = find(r, n, peer);

			cell(out, s ? figure(*s) : "");
		}
		fprintf(out, "\n");
	}
}

/* Under the figures: samara beside absl, beside the goal, and beside the lone reader. */
void results::checks(FILE *out, row_id r, const std::vector<size_t> &sizes) const
{
	const struct row &row = rows[r];
	std::map<size_t, std::string> ratio, goals, alone;

	for (size_t n : sizes) {
		const sample *own = find(r, n, "samara"), *absl = find(r, n, "absl");
		const sample *lone = find(ROW_READER_ALONE, n, "samara");
		double x;

		if (own && absl) {
			x = own->median() / absl->median();
			ratio[n] = number(x);
			if (row.times_absl > 0)
				ratio[n] += verdict(" <= ", row.times_absl, x <= row.times_absl);
		}
		if (own && goal(r, n) > 0) {
			x = own->median();
			goals[n] = verdict("<= ", goal(r, n), x <= goal(r, n));
		}
		if (own && lone && row.share_of_alone > 0) {
			x = own->median() / lone->median();
			alone[n] = number(x) +
				   verdict(" >= ", row.share_of_alone, x >= row.share_of_alone);
		}
	}
	marks(out, "samara/absl", ratio, sizes);
	marks(out, "goal", goals, sizes);
	marks(out, "of alone", alone, sizes);
}

void results::table(FILE *out, const std::vector<size_t> &sizes,
		    const std::vector<std::string> &peers) const
{
	for (int i = 0; i < NR_ROWS; i++) {
		row_id r = static_cast<row_id>(i);

		if (cells_[r].empty())
			continue;
		fprintf(out, "\n%s, %s\n  %-14s", rows[r].title, rows[r].unit, "");
		for (size_t n : sizes)
			cell(out, size_name(n));
		fprintf(out, "\n");
		lines(out, r, sizes, peers);
		checks(out, r, sizes);
	}
}

void results::json(FILE *out, const std::vector<size_t> &sizes) const
{
	const char *comma = "";

	fprintf(out, "[\n");
	for (int i = 0; i < NR_ROWS; i++) {
		for (size_t n : sizes) {
			auto at = cells_[i].find(n);

			if (at == cells_[i].end())
				continue;
			for (const auto &[peer, s] : at->second) {
				fprintf(out, "%s  {\"row\": \"%s\", \"unit\": \"%s\", ", comma,
					rows[i].key, rows[i].unit);
				fprintf(out, "\"n\": %zu, \"peer\": \"%s\", ", n, peer.c_str());
				fprintf(out, "\"rounds\": %zu, \"median\": %.3f, ", s.rounds.size(),
					s.median());
				fprintf(out, "\"min\": %.3f, \"max\": %.3f}", s.min(), s.max());
				comma = ",\n";
			}
		}
	}
	fprintf(out, "\n]\n");
}
