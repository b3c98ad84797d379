#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A shell script that forks a lot, for tools/capture-shipped: subshells within
# subshells, pipelines, command substitutions and a few programs.
set -eu

depth() {
	[ "$1" -eq 0 ] || ( echo "depth $1"; depth $(($1 - 1)) )
}

count() {
	n=0
	while read -r _; do n=$((n + 1)); done
	echo $n
}

depth 6
for i in 1 2 3 4 5 6 7 8; do
	text=$(printf 'line %s\n' a b c d | tr a-d A-D | count)
	( : ) & ( ( exit "$i" ) || true )
	echo "$i $text"
done
wait
expr 6 '*' 7
seq 1 20 | sort -r | head -n 3
