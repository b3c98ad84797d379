/* SPDX-License-Identifier: MIT */
/*
 * absl::btree_map: a B-tree with nodes of 256 bytes. No readers beside writers.
 */
/* Without the map's own assertions, as its users ship it. */
#ifndef NDEBUG
#define NDEBUG
#endif

#include <absl/container/btree_map.h>

#include <functional>
#include <utility>

#include "map_adapter.h"

namespace
{

using map = absl::btree_map<unsigned long, held, std::less<unsigned long>,
			    counting_allocator<std::pair<const unsigned long, held>>>;

struct absl_map : map_adapter<map> {
	static constexpr const char *name = "absl";
	using map_adapter::map_adapter;

	absl_map *copy() const { return new absl_map(*map_); }
};

} // namespace

std::unique_ptr<peer> make_absl()
{
	return std::unique_ptr<peer>(new runner<absl_map>);
}
