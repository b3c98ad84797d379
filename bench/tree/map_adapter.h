/* SPDX-License-Identifier: MIT */
/*
 * An ordered map used as a range map, in the way a user of one would: the key
 * is a range's first index, the value holds its last index and its pointer.
 * For std::map and absl::btree_map, which share their interface.
 *
 * bytes() counts all maps of a type; it is asked while there is only one.
 */
#ifndef BENCH_TREE_MAP_ADAPTER_H
#define BENCH_TREE_MAP_ADAPTER_H

#include <memory>

#include "peer.h"

static size_t allocated_bytes; /* one adapter in a source file */

struct held {
	unsigned long last;
	void *value;
};

/*
 * The default allocator, and a count of what it gave: one addition a node.
 * malloc() itself takes 8 bytes more and rounds to 16; its own count would
 * include the freed pieces that it keeps for the thread.
 */
template <class T> struct counting_allocator {
	using value_type = T;

	counting_allocator() = default;
	template <class U> counting_allocator(const counting_allocator<U> &) {}

	static size_t cost(size_t n)
	{
		size_t size = (n * sizeof(T) + 8 + 15) & ~size_t{ 15 };

		return size < 32 ? 32 : size;
	}

	T *allocate(size_t n)
	{
		allocated_bytes += cost(n);
		return std::allocator<T>().allocate(n);
	}

	void deallocate(T *p, size_t n)
	{
		allocated_bytes -= cost(n);
		std::allocator<T>().deallocate(p, n);
	}

	template <class U> bool operator==(const counting_allocator<U> &) const { return true; }
	template <class U> bool operator!=(const counting_allocator<U> &) const { return false; }
};

template <class Map> class map_adapter
{
      public:
	static constexpr bool walks = true;

	map_adapter() : map_(new Map) {}
	explicit map_adapter(const Map &from) : map_(new Map(from)) {}

	void *find(unsigned long index) const
	{
		auto it = map_->upper_bound(index);

		if (it == map_->begin())
			return nullptr;
		--it;
		return it->second.last >= index ? it->second.value : nullptr;
	}

	void put(const range &r) { map_->emplace(r.first, held{ r.last, value_of(r.first) }); }
	void remove(const range &r) { map_->erase(r.first); }

	uint64_t sum() const
	{
		uint64_t sum = 0;

		for (const auto &e : *map_)
			sum += e.first + e.second.last + reinterpret_cast<uint64_t>(e.second.value);
		return sum;
	}

	unsigned long gap(unsigned long from, unsigned long size, unsigned long max) const
	{
		auto it = map_->upper_bound(from);
		unsigned long at = from;

		if (it != map_->begin()) {
			auto before = it;

			--before;
			if (before->second.last >= at)
				at = before->second.last + 1;
		}
		for (; it != map_->end(); ++it) {
			if (it->first - at >= size)
				return at + size - 1 <= max ? at : 0;
			at = it->second.last + 1;
		}
		return at <= max && max - at + 1 >= size ? at : 0;
	}

	void clear() { map_.reset(new Map); }
	void drop() { map_.reset(); }
	double bytes() const { return static_cast<double>(allocated_bytes); }
	double entries() const { return static_cast<double>(map_->size()); }

      protected:
	std::unique_ptr<Map> map_;
};

#endif
