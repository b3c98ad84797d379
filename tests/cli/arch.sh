#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara replay on traces of i386 and aarch64, with the maps that their kernels
# showed; tests/cli/arch/README.md says how they were made.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
here=$SRC/tests/cli/arch

# replay STATUS ARGUMENT...: output in $tmp/out, differences too
replay() {
	local want=$1 got=0
	shift
	"$SAMARA" replay "$@" >"$tmp/out" 2>"$tmp/err" || got=$?
	[ "$got" = "$want" ] || die "replay $*: status $got, not $want: $(cat "$tmp/err" "$tmp/out")"
}

calls_and_maps_are_the_kernel_s() {
	local n=0 t place
	for t in "$here"/*.strace; do
		[ -e "$t.maps" ] || continue
		for place in recorded own; do
			replay 0 --place=$place "$t"
			grep -q 'all answered as recorded; [12] maps compared: all equal' "$tmp/out" ||
				die "$t: $(cat "$tmp/out")"
			[ ! -s "$tmp/err" ] || die "$t: $(cat "$tmp/err")"
		done
		n=$((n + 1))
	done
	[ $n = 6 ] || die "$n traces with maps"
}

each_process_has_its_machine() {
	local t arch
	for t in i386-3g:i386-3g i386:i386 i386-quiet:i386 x86_64-i386:i386 i386-x86_64:x86_64 aarch64:aarch64; do
		arch=${t#*:}
		replay 0 --json "$here/${t%:*}.strace"
		grep -q "\"arch\": \"$arch\"" "$tmp/out" || die "$t: $(cat "$tmp/out")"
	done
}

# Without the maps the machine has to be told by the calls.
traces_alone_are_enough() {
	local t
	for t in "$here"/*.strace; do
		cp "$t" "$tmp/alone"
		replay 0 "$tmp/alone"
		grep -q 'all answered as recorded; no recorded map' "$tmp/out" || die "$t: $(cat "$tmp/out")"
		case $t in
		*-raw*) # old mmap's arguments are in the program's memory: the call is named
			grep -q '1 malformed lines with memory calls: mmap 1' "$tmp/out" || die "$t: $(cat "$tmp/out")"
			;;
		*) grep -q malformed "$tmp/out" && die "$t: $(cat "$tmp/out")" ;;
		esac
	done
	return 0
}

# What the program was told to be above its space is below that of another machine.
the_wrong_machine_differs() {
	cp "$here/i386.strace" "$tmp/alone"
	replay 0 --arch=i386 "$tmp/alone"
	replay 1 --arch=i386-3g "$tmp/alone"
	replay 1 --arch=x86_64 "$tmp/alone"
	cp "$here/aarch64.strace" "$tmp/alone"
	replay 0 --arch=aarch64 "$tmp/alone"
	replay 1 --arch=x86_64 "$tmp/alone"
	refused replay 'not vax' --arch=vax "$tmp/alone"
	refused show 'not vax' --arch=vax "$tmp/alone"
}

for test in $(declare -F | awk '$3 ~ /_/ { print $3 }'); do
	$test
	echo "ok: $test"
done
