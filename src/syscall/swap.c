/* SPDX-License-Identifier: MIT */
/*
 * The doors of <samara/reclaim.h> to swap areas: argument checks.
 */
#include <errno.h>

#include <samara/reclaim.h>

#include "base/sized.h"
#include "core/mm.h"
#include "reclaim/reclaim.h"
#include "store/file.h"
#include "store/swap.h"

int samara_swapon(struct samara_machine *machine, int fd, int flags, struct samara_swap **out)
{
	const int refused = gate_check(machine->gate);

	if (refused)
		return refused;
	return swap_flags_valid(flags) ? swap_on_file(machine->store, fd, flags, out) : -EINVAL;
}

int samara_swapon_ops(struct samara_machine *machine, const struct samara_swap_ops *ops, void *priv,
		      unsigned long pages, int flags, struct samara_swap **out)
{
	struct samara_swap_ops own;
	const struct swap_ops_desc desc = {
		.ops = &own,
		.priv = priv,
		.pages = pages,
		.flags = flags,
	};
	int err = gate_check(machine->gate);

	if (!err)
		err = sized_get(&own, sizeof(own), ops);
	if (err)
		return err;
	if (!own.read || !own.write || !pages || pages > SWAP_PAGES_MAX || !swap_flags_valid(flags))
		return -EINVAL;
	return swap_on_ops(machine->store, &desc, out);
}

int samara_swapon_compressed(struct samara_machine *machine, unsigned long bytes,
			     const char *algorithm, struct samara_swap **out)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : swap_on_compressed(machine->store, bytes, algorithm, out);
}

int samara_swapoff(struct samara_swap *swap)
{
	const int refused = gate_check(&swap_area_store(swap)->gate);

	return refused ? refused : swapoff(swap);
}

int samara_print_swaps(struct samara_machine *machine, int fd)
{
	const int refused = gate_check(machine->gate);

	return refused ? refused : swap_print(machine->store, fd);
}
