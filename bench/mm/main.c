/* SPDX-License-Identifier: MIT */
/*
 * bench/mm: what `samara bench` measures, by the static library. In an embedder's program the
 * library is linked like this.
 */
#include "mm.h"

int main(int argc, char **argv)
{
	return bench_mm("mm", argc, argv);
}
