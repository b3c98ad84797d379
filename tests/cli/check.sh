#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara check: the named cases of tests/oracle/cases, usage, and, where the
# host's kernel can be the referee, a short random run, a difference that is
# shrunk, and the files it writes.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
cases=$SRC/tests/oracle/cases

# expect STATUS ARGUMENT...: output in $tmp/out and $tmp/err
expect() {
	local want=$1 got=0
	shift
	"$SAMARA" check "$@" >"$tmp/out" 2>"$tmp/err" || got=$?
	[ "$got" = "$want" ] || die "samara check $*: exit status $got, not $want: $(head -n 20 "$tmp/err" "$tmp/out")"
}

says() {
	grep -q -- "$1" "$tmp/out" || die "no \`$1' in: $(head -n 20 "$tmp/out")"
}

one_line_about() {
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "not one line on stderr: $(cat "$tmp/err")"
	grep -q -- "$1" "$tmp/err" || die "no \`$1' in: $(cat "$tmp/err")"
}

json() {
	python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); assert eval(sys.argv[2]), j' "$1" "$2" ||
		die "not so in the JSON: $2"
}

every_case_is_as_expected() {
	expect 0 --case "$cases"/*.case
	[ "$(grep -c 'calls as expected' "$tmp/out")" = "$(find "$cases" -name '*.case' | wc -l)" ] ||
		die "a case was left out"
	expect 0 --case --json "$cases"/*.case
	json "$tmp/out" 'len(j) >= 8 and all(c["as_expected"] for c in j)'
}

# Some cases are about a kernel with a page of zeros, some about one without: on each host all are run,
# and it is asked about what it is.
cases_say_what_kind_of_kernel_they_need() {
	local zero
	for zero in zero_page no_zero_page; do
		printf 'needs %s\nmmap(W, 0x1000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W\nload(W, 1) = 0\n' \
			$zero >"$tmp/$zero.case"
	done
	expect 0 --case "$tmp"/zero_page.case "$tmp"/no_zero_page.case
	[ "$(grep -c '2 calls as expected' "$tmp/out")" = 2 ] || die "a case was left out: $(cat "$tmp/out")"
	! grep -q 'the host: agrees' "$tmp/out" || [ "$(grep -c 'not asked: its zero page' "$tmp/out")" = 1 ] ||
		die "the host is of both kinds: $(cat "$tmp/out")"
	printf 'munmap(W, 1) = 0\nneeds zero_page\n' >"$tmp/late.case"
	expect 2 --case "$tmp/late.case"
	one_line_about 'line 2: '
	printf 'needs luck\nmunmap(W, 1) = 0\n' >"$tmp/luck.case"
	expect 2 --case "$tmp/luck.case"
	one_line_about 'line 1: needs what'
}

# Told that the host is of the other kind, the library answers so.
the_zero_page_is_measured() {
	local zero found=0
	for zero in 0 1; do
		if "$SAMARA" check --seqs=3 --seed=3 --profile=pages --assume=zero_page=$zero \
			>"$tmp/out" 2>"$tmp/err"; then
			found=$((found + 1))
		else
			says 'page .* of process'
		fi
	done
	[ $found = 1 ] || die "the host has a zero page in $found ways: $(cat "$tmp/out" "$tmp/err")"
}

a_wrong_expectation_is_shown_with_both_answers() {
	printf 'mmap(W, 0x1000, READ, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W\nmunmap(W, 0) = 0\n' >"$tmp/wrong.case"
	expect 1 --case "$tmp/wrong.case"
	says 'call 2, munmap(W, 0): the answer differs'
	says '  expected: *0$'
	says '  samara: *-EINVAL$'
	printf 'mmap(W, 0x1000, READ, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W\n| W-W+0x2000 r--p 0 -\n' >"$tmp/wrong.case"
	expect 1 --case "$tmp/wrong.case"
	says '  expected: *| W-W+0x2000 r--p 0 -$'
	says '  samara: *| W-W+0x1000 r--p 0 - (rd mr mw me)$'
	expect 1 --case --json "$tmp/wrong.case" "$cases"/*.case
}

what_one_line_may_cost_is_bounded() {
	local line
	for line in 'file_write(memfd, 0, -14000, 1)' 'file_write(disk, 0x1000, 0x1000001, 1)' \
		    'file_read(memfd, 0, -1)' 'store(W, 0x40000000, 1)' 'load(W, -4096)' 'survey(W, -1)' \
		    'map_crowd(0x480000000000, 0x100001)'; do
		printf 'mmap(W, 0x100000000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED|NORESERVE, -1, 0) = W\n%s\n' \
		       "$line" >"$tmp/costly.case"
		expect 2 --case "$tmp/costly.case"
		one_line_about 'line 2: more than'
	done
	printf 'file_write(memfd, 0, 0x1000000, 1) = 0x1000000\nfile_read(memfd, 0, 0x1000000)\n' >"$tmp/large.case"
	expect 0 --case "$tmp/large.case"
}

bad_usage_is_one_line_and_status_two() {
	local args
	for args in --seqs=0 --pages=0 --mix=store \
		    --seqs=x --ops=-1 --seed= --mix=nothing=1 --mix=none --window=1 --limits=some --jobs=0 \
		    --assume=ram=1 --assume=zero_page=2 --profile=none --overcommit=3 --max-map-count=100 \
		    --no-such --seqs file --case "--case $tmp/absent"; do
		# shellcheck disable=SC2086
		expect 2 $args
		one_line_about 'samara check: '
	done
	for text in 'munmap(W)' 'munmap(W, 1, 2)' 'nothing(1)' 'munmap(W, ?)' 'munmap(W, 1) = EINVAL' \
		    '| W-W+0x1000' 'prose' ''; do
		printf '# a comment\n%s\n' "$text" >"$tmp/bad.case"
		expect 2 --case "$tmp/bad.case"
		one_line_about "$tmp/bad.case: line "
	done
	expect 0 --help
	says 'usage: samara check'
}

a_random_run_finds_no_difference() {
	expect 0 --seqs=12 --ops=150 --seed=7 --jobs=2 --coverage
	says '1800 calls in 12 sequences compared'
	says 'no difference'
	says '^mremap .* EFAULT'
	says '^not asked:'
	expect 0 --seqs=6 --ops=150 --seed=7 --limits=tight --json
	json "$tmp/out" 'j["compared"] == 900 and j["difference"] is None and len(j["coverage"]) > 50'
	expect 0 --seqs=2 --ops=100 --window=2000 --limits=default
	says 'no difference'
	for profile in plain pages guards collapse vast full; do
		expect 0 --seqs=2 --ops=100 --profile=$profile
		says 'no difference'
	done
}

# What was compared of pages is told; a difference is shrunk there too, and its program forks and
# writes as the sequence does.
pages_are_compared() {
	local calls=(--mix=none,mmap=3,store=5,fork_and_stay=1,switch_to=2)
	expect 0 --profile=pages --seqs=6 --ops=200 --seed=3 --pages=2 --jobs=2
	says 'no difference'
	[ "$(sed -n 's/^\([0-9]*\) pages compared.*/\1/p' "$tmp/out")" -gt 1000 ] || die "no pages: $(cat "$tmp/out")"
	! grep -q ' 0 sharing a frame' "$tmp/out" || die "no shared frame: $(cat "$tmp/out")"
	says '^[0-9]* signals: SEGV_MAPERR [1-9]'
	expect 1 --profile=pages --seqs=20 --seed=3 "${calls[@]}" --assume=max_map_count=8 --limits=default \
		--repro="$tmp/pages.c" --save="$tmp/pages.case"
	"${CC:-cc}" -Wall -Wextra -Werror -o "$tmp/pages" "$tmp/pages.c" || die "the program does not compile"
	"$tmp/pages" >"$tmp/out" || die "the program fails"
	says 'samara: -ENOMEM'
	printf '%s\n' 'mmap(W, 0x2000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W' \
		'store(W+0x1ffe, 4, 1) = 2 SIGSEGV 2 W+0x2000' >"$tmp/wrong.case"
	expect 1 --case "$tmp/wrong.case"
	says 'the signal differs'
	says '  samara: *SIGSEGV 1 W+0x2000$'
}

reasons() {
	sed -n '/^## Deviations/,/^## What was compared/p' "$1"
	grep '^\[^' "$1"
}

# Few calls try few cells: what is missing is named, one line each.
the_table_says_what_was_not_tried() {
	local marks
	expect 1 --seqs=4 --ops=200 --compat="$tmp/table.md"
	grep -q '^mseal, .*: neither tried nor explained$' "$tmp/err" || die "nothing missing?"
	grep -q '^Written by .samara check --seqs=4 --ops=200 --seed=1 ' "$tmp/table.md" || die "no command"
	[ "$(grep -c '^### ' "$tmp/table.md")" = 19 ] || die "a call is missing"
	marks=$(grep -o '\*\*?\*\*' "$tmp/table.md" | wc -l)
	[ "$marks" = "$(grep -c 'neither tried nor explained$' "$tmp/err")" ] ||
		die "the table and the messages differ"
	diff <(reasons "$tmp/table.md") <(reasons "$SRC/docs/compatibility.md") ||
		die "docs/compatibility.md was written before notes.c was changed"
	! grep -q '\*\*?\*\*' "$SRC/docs/compatibility.md" || die "docs/compatibility.md leaves something unexplained"
}

# The library is told of a limit that the host does not have.
a_difference_is_shrunk_and_written_down() {
	expect 1 --seqs=20 --assume=max_map_count=8 --limits=default --repro="$tmp/repro.c" --save="$tmp/found.case"
	says '^sequence [0-9]* differs at call'
	says '^  samara: '
	[ "$(grep -c ' = ' "$tmp/found.case")" -le 16 ] || die "not shrunk: $(cat "$tmp/found.case")"
	expect 1 --case "$tmp/found.case"
	"${CC:-cc}" -Wall -Wextra -Werror -o "$tmp/repro" "$tmp/repro.c" || die "the program does not compile"
	"$tmp/repro" >"$tmp/out" || die "the program fails"
	says 'samara: -ENOMEM\|samara: W'
	expect 1 --seqs=20 --assume=max_map_count=8 --json
	json "$tmp/out" 'j["difference"]["host"] and j["difference"]["samara"] and j["difference"]["sequence"]'
}

every_case_is_as_expected
cases_say_what_kind_of_kernel_they_need
a_wrong_expectation_is_shown_with_both_answers
what_one_line_may_cost_is_bounded
bad_usage_is_one_line_and_status_two
got=0
"$SAMARA" check --seqs=1 --ops=8 >"$tmp/out" 2>"$tmp/err" || got=$?
if [ $got = 2 ] && grep -q 'nothing was compared' "$tmp/err"; then
	echo "not compared with the host: $(cat "$tmp/err")"
	exit 0
fi
a_random_run_finds_no_difference
the_zero_page_is_measured
pages_are_compared
the_table_says_what_was_not_tried
a_difference_is_shrunk_and_written_down
echo ok
