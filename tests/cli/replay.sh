#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara replay on the shipped traces, on the same in strace's other forms, and
# on what is no trace.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
traces=$SRC/traces

# expect STATUS ARGUMENT...: output in $tmp/out and $tmp/err
expect() {
	local want=$1 got=0
	shift
	"$SAMARA" "$@" >"$tmp/out" 2>"$tmp/err" || got=$?
	[ "$got" = "$want" ] || die "samara $*: exit status $got, not $want: $(head -n 5 "$tmp/err" "$tmp/out")"
}

one_line_about() {
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "not one line on stderr: $(cat "$tmp/err")"
	grep -q -- "$1" "$tmp/err" || die "no \`$1' in: $(cat "$tmp/err")"
	grep -q -- "$2" "$tmp/err" || die "no \`$2' in: $(cat "$tmp/err")"
}

every_shipped_trace_matches() {
	local n=0
	for t in "$traces"/*/; do
		for place in recorded own; do
			expect 0 replay --place=$place "$t"
			grep -q 'maps compared: all equal' "$tmp/out" || die "$t: no map was compared"
			grep -q 'all answered as recorded' "$tmp/out" || die "$t: answers differ"
		done
		n=$((n + 1))
	done
	[ $n -ge 18 ] || die "only $n traces"
}

# Refused there by a file's rights and by a filter, and not made here; refused by limits and by the
# map itself, and refused here as well. What each of them left behind is in the recorded map.
what_the_recording_refused_is_not_made() {
	local t=$SRC/tests/cli/traces/refused
	for place in recorded own; do
		expect 0 replay --place=$place "$t"
		grep -q '50 calls: 6 refused by the recording, the others answered as recorded; 2 maps' \
		     "$tmp/out" || die "$place: $(tail -n 5 "$tmp/out")"
		grep -q 'maps compared: all equal' "$tmp/out" || die "$place: a map differs"
		[ "$(grep -c ': refused by the recording$' "$tmp/out")" = 6 ] || die "not each of them is shown"
	done
	expect 0 replay --json "$t"
	grep -q '"from_trace": 6,' "$tmp/out" || die "not counted in the JSON"
	# the same calls, granted: then the map is another one
	zstd -qdc "$t/trace.strace.zst" | sed '/mprotect.*EACCES/s/= -1.*/= 0/' >"$tmp/granted"
	expect 1 replay --maps="$t/maps.zst" "$tmp/granted"
	grep -q 'the map differs' "$tmp/out" || die "no difference seen"
}

# Change one thing in the recorded maps of gcc, or in its trace: it must be seen.
a_changed_map_differs() {
	zstd -qdc "$traces/gcc/maps.zst" >"$tmp/maps"
	for change in '/kind exit/,$s/ r-xp / rwxp /' '/kind exit/,$s/ 00:00 0  /&[heap]/' \
		      '/kind exit/,$s/^\(7ffff7f[0-9a-f]*\)000-/\1001-/' '/kind exit/,$s/fe:00 3/fe:00 4/'; do
		sed "$change" "$tmp/maps" >"$tmp/changed"
		cmp -s "$tmp/maps" "$tmp/changed" && die "sed $change changes nothing"
		expect 1 replay --maps="$tmp/changed" "$traces/gcc"
		grep -q 'the map differs (exit snapshot)' "$tmp/out" || die "no difference shown for $change"
		grep -q '^  > ' "$tmp/out" || die "not side by side: $change"
	done
}

a_changed_answer_differs() {
	zstd -qdc "$traces/sort/trace.strace.zst" >"$tmp/t"
	# a munmap that the kernel did becomes one that it refused
	sed '0,/munmap(\(.*\)) *= 0/s//munmap(\1) = -1 EINVAL (Invalid argument)/' "$tmp/t" >"$tmp/changed"
	expect 1 replay --maps="$traces/sort/maps.zst" "$tmp/changed"
	grep -q 'another answer' "$tmp/out" || die "the answer's difference is not shown"
	grep -q -- '-1 EINVAL' "$tmp/out" || die "the recorded answer is not shown"
}

packed_or_not_is_the_same() {
	zstd -qdc "$traces/gcc/trace.strace.zst" >"$tmp/plain"
	gzip -c "$tmp/plain" >"$tmp/packed"
	head -n 100 "$tmp/plain" | gzip -c >"$tmp/members"
	tail -n +101 "$tmp/plain" | gzip -c >>"$tmp/members"
	for f in plain packed members; do
		expect 0 replay --maps="$traces/gcc/maps.zst" "$tmp/$f"
		sed 1s/.*gcc.// "$tmp/out" | tail -n +2 >"$tmp/$f.out"
		cmp "$tmp/plain.out" "$tmp/$f.out" || die "$f differs"
	done
}

what_is_no_trace_is_said_in_one_line() {
	head -c 1500 "$traces/gcc/trace.strace.zst" >"$tmp/truncated.zst"
	zstd -qdc "$traces/gcc/trace.strace.zst" | gzip -c | head -c 2000 >"$tmp/truncated.gz"
	: >"$tmp/empty"
	: | zstd -qc >"$tmp/empty.zst"
	head -c 3000 "$SAMARA" >"$tmp/binary"
	yes 'some prose' | head -n 100 >"$tmp/prose" || true
	{ zstd -qdc "$traces/gcc/trace.strace.zst" | zstd -qc | head -c 2000; head -c 500 "$SAMARA"; } >"$tmp/damaged"
	expect 2 replay "$tmp/truncated.zst"
	one_line_about "$tmp/truncated.zst" 'truncated'
	expect 2 replay "$tmp/truncated.gz"
	one_line_about "$tmp/truncated.gz" 'truncated'
	expect 2 replay "$tmp/empty"
	one_line_about "$tmp/empty" 'empty'
	expect 2 replay "$tmp/empty.zst"
	one_line_about "$tmp/empty.zst" 'empty'
	expect 2 replay "$tmp/binary"
	one_line_about "$tmp/binary" 'binary'
	expect 2 replay "$tmp/damaged"
	one_line_about "$tmp/damaged" 'damaged'
	expect 2 replay "$tmp/prose"
	one_line_about "$tmp/prose" 'not strace output'
	expect 2 replay "$tmp/nothing"
	one_line_about "$tmp/nothing" 'No such file'
	expect 2 replay "$tmp"
	one_line_about "$tmp" 'directory'
	expect 2 replay --maps="$tmp/prose" "$traces/gcc"
	one_line_about "$tmp/prose" 'not a maps file'
}

malformed_lines_are_told_and_the_rest_is_replayed() {
	zstd -qdc "$traces/gcc/trace.strace.zst" | sed '50s/.*/what is this/;60s/$/x(/' >"$tmp/t"
	sed -i '70,$!b;0,/munmap(0x[0-9a-f]*, [0-9]*)/s//munmap(0x1000, many)/' "$tmp/t"
	expect 1 replay --maps="$traces/gcc/maps.zst" "$tmp/t" # calls are missing: the maps must differ
	grep -q "^$tmp/t:50: neither a call nor an event" "$tmp/err" || die "line 50: $(cat "$tmp/err")"
	grep -q 'malformed lines' "$tmp/out" || die "not counted"
}

bad_usage_is_refused() {
	expect 2 replay
	one_line_about replay FILE
	expect 2 replay --place=elsewhere x
	one_line_about replay elsewhere
	expect 2 replay --banana x
	one_line_about replay banana
	expect 2 replay --final-map=x x
	one_line_about replay 'no process number'
	expect 2 nothing
	one_line_about samara nothing
	expect 0 --help
	expect 0 --version
	expect 0 replay --help
	expect 0 show --help
}

json_says_the_same() {
	expect 0 replay --json "$traces/gcc" "$traces/git"
	[ "$(grep -c '"same": true' "$tmp/out")" = 3 ] || die "same: $(head "$tmp/out")"
	grep -q '"command": "cc1"' "$tmp/out" || die "no process in the JSON"
	[ ! -s "$tmp/err" ] || die "stderr: $(cat "$tmp/err")"
}

final_map_is_the_recorded_one() {
	expect 0 replay --quiet --final-map "$traces/sort"
	tail -n +2 "$tmp/out" >"$tmp/ours"
	zstd -qdc "$traces/sort/maps.zst" | sed -n '/kind exit/,$p' | grep -v '^[@~]' >"$tmp/kernel"
	diff "$tmp/ours" "$tmp/kernel" || die "the printed map is not the kernel's text"
	expect 2 replay --quiet --final-map=1 "$traces/sort"
	one_line_about sort 'no process 1'
}

for test in $(declare -F | awk '$3 ~ /_/ && $3 != "one_line_about" { print $3 }'); do
	$test
	echo "ok: $test"
done
