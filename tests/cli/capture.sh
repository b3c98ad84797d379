#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tools/capture on a small program, and the replay of what it recorded.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"

# captured NAME PROGRAM...: recorded in $tmp/NAME and replayed both ways
captured() {
	local name=$1 place
	shift
	"$SRC/tools/capture" --hold 100 -o "$tmp/$name" "$@" >"$tmp/out" 2>"$tmp/err" ||
		die "capture of $name: $(tail -n 5 "$tmp/err")"
	for place in recorded own; do
		"$SAMARA" replay --place=$place "$tmp/$name" >"$tmp/out" || die "$name: $(head -n 20 "$tmp/out")"
		grep -q 'all answered as recorded; .* all equal' "$tmp/out" || die "$name: $(cat "$tmp/out")"
	done
}

if ! strace -o "$tmp/trace" -e trace=none true 2>"$tmp/err"; then
	echo "nothing was captured: strace cannot trace here: $(head -n 1 "$tmp/err")"
	exit 0
fi
captured small sh -c 'true | sort'
zstd -qdc "$tmp/small/maps.zst" >"$tmp/maps"
if grep -q '^touched calls$' "$tmp/maps"; then
	grep -q ' kind touch tid ' "$tmp/maps" || die "nothing was written to?"
else
	echo "what was written to is not recorded here"
fi
echo ok
