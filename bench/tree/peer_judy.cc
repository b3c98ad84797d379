/* SPDX-License-Identifier: MIT */
/*
 * JudyL: a radix tree from a word to a word. The word of a range's first index
 * points to a record with its last index and its value. Records come from
 * chunks with a free list, 16 bytes each, which is kinder than malloc().
 *
 * It has no duplicate: copy() inserts every range again, in order.
 */
#include <Judy.h>

#include <cstdio>
#include <cstdlib>

#include "peer.h"

namespace
{

struct record {
	unsigned long last;
	void *value;
};

class judy
{
      public:
	static constexpr const char *name = "judy";
	static constexpr bool walks = true;

	~judy() { clear(); }

	void *find(unsigned long index) const
	{
		Word_t key = index;
		const record *r = at(JudyLLast(array_, &key, PJE0));

		return r && r->last >= index ? r->value : nullptr;
	}

	void put(const range &r) { put(r.first, r.last, value_of(r.first)); }

	void remove(const range &r)
	{
		PPvoid_t slot = JudyLGet(array_, r.first, PJE0);

		if (!slot)
			return;
		record *gone = static_cast<record *>(*slot);

		JudyLDel(&array_, r.first, PJE0);
		gone->value = free_;
		free_ = gone;
		entries_--;
	}

	uint64_t sum() const
	{
		uint64_t sum = 0;
		Word_t key = 0;

		for (const record *r = at(JudyLFirst(array_, &key, PJE0)); r;
		     r = at(JudyLNext(array_, &key, PJE0)))
			sum += key + r->last + reinterpret_cast<uint64_t>(r->value);
		return sum;
	}

	unsigned long gap(unsigned long from, unsigned long size, unsigned long max) const
	{
		unsigned long at_ = from;
		Word_t key = from;
		const record *r = at(JudyLLast(array_, &key, PJE0));

		if (r && r->last >= at_)
			at_ = r->last + 1;
		key = from;
		for (r = at(JudyLNext(array_, &key, PJE0)); r;
		     r = at(JudyLNext(array_, &key, PJE0))) {
			if (key - at_ >= size)
				return at_ + size - 1 <= max ? at_ : 0;
			at_ = r->last + 1;
		}
		return at_ <= max && max - at_ + 1 >= size ? at_ : 0;
	}

	void clear()
	{
		JudyLFreeArray(&array_, PJE0);
		chunks_.clear();
		free_ = nullptr;
		entries_ = 0;
	}

	judy *copy() const
	{
		judy *to = new judy;
		Word_t key = 0;

		for (const record *r = at(JudyLFirst(array_, &key, PJE0)); r;
		     r = at(JudyLNext(array_, &key, PJE0)))
			to->put(key, r->last, r->value);
		return to;
	}

	void drop() { clear(); }
	double bytes() const
	{
		return static_cast<double>(JudyLMemUsed(array_) + entries_ * sizeof(record));
	}
	double entries() const { return static_cast<double>(entries_); }

      private:
	static constexpr size_t chunk = 4096;

	static const record *at(PPvoid_t slot)
	{
		return slot ? static_cast<const record *>(*slot) : nullptr;
	}

	record *take()
	{
		if (!free_) {
			chunks_.emplace_back(new record[chunk]);
			for (size_t i = chunk; i > 0; i--) {
				chunks_.back()[i - 1].value = free_;
				free_ = &chunks_.back()[i - 1];
			}
		}
		record *r = free_;

		free_ = static_cast<record *>(r->value);
		return r;
	}

	void put(unsigned long first, unsigned long last, void *value)
	{
		PPvoid_t slot = JudyLIns(&array_, first, PJE0);

		if (slot == PPJERR) {
			fprintf(stderr, "bench: JudyLIns: out of memory\n");
			exit(1);
		}
		record *r = take();

		r->last = last;
		r->value = value;
		*slot = r;
		entries_++;
	}

	Pvoid_t array_ = nullptr;
	record *free_ = nullptr;
	size_t entries_ = 0;
	std::vector<std::unique_ptr<record[]>> chunks_;
};

} // namespace

std::unique_ptr<peer> make_judy()
{
	return std::unique_ptr<peer>(new runner<judy>);
}
