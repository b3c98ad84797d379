/* SPDX-License-Identifier: MIT */
/*
 * std::map: a red-black tree, one allocation per range.
 */
/* Without the map's own assertions, as its users ship it. */
#ifndef NDEBUG
#define NDEBUG
#endif

#include <functional>
#include <map>
#include <utility>

#include "map_adapter.h"

namespace
{

using map = std::map<unsigned long, held, std::less<unsigned long>,
		     counting_allocator<std::pair<const unsigned long, held>>>;

struct std_map : map_adapter<map> {
	static constexpr const char *name = "std";
	using map_adapter::map_adapter;

	std_map *copy() const { return new std_map(*map_); }
};

} // namespace

std::unique_ptr<peer> make_std()
{
	return std::unique_ptr<peer>(new runner<std_map>);
}
