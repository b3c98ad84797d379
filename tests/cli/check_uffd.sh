#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara check --profile=uffd: no difference; a difference is shrunk and kept as a case that still
# differs; no process is left, however a run ends; where userfaultfds cannot be asked, one line and
# status 2.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
uffd=("$SAMARA" check --profile=uffd)

# cannot_judge WHY COMMAND...: status 2, and one line that says why
cannot_judge() {
	local why=$1 status=0
	shift
	"$@" "${uffd[@]}" --seqs=2 --ops=40 >"$tmp/out" 2>"$tmp/err" || status=$?
	if [ $status != 2 ] || [ "$(wc -l <"$tmp/err")" != 1 ] || ! grep -qe "$why" "$tmp/err"; then
		die "$*: status $status, not one line about '$why': $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

able() {
	"$@" true >/dev/null 2>&1
}

hosts_that_cannot_judge() {
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	cannot_judge 'userfaultfd(2) cannot be asked here: .*not permitted' \
		python3 "$SRC/tests/support/seccomp.py" 323:1
	cannot_judge 'userfaultfd(2) cannot be asked here: .*not implemented' \
		python3 "$SRC/tests/support/seccomp.py" 323:38
	if able "${nobody[@]}" && "${nobody[@]}" test -x "$SAMARA" &&
		"${nobody[@]}" ldd "$SAMARA" >/dev/null 2>&1 &&
		[ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" = 0 ]; then
		cannot_judge 'userfaultfd(2) cannot be asked here: .*not permitted' "${nobody[@]}"
	fi
}

# judged ARGUMENT...: no difference
judged() {
	local out=$tmp/out.$BASHPID status=0
	"${uffd[@]}" "$@" >"$out" 2>"$out.err" || status=$?
	if [ $status != 0 ] || ! grep -q 'no difference' "$out"; then
		die "$*: status $status: $(head -n 30 "$out.err" "$out")"
	fi
}

no_difference_is_found() {
	judged --seqs=6 --ops=200 --seed=1 --jobs=2
	judged --seqs=4 --ops=200 --seed=2 --limits=tight
	judged --seqs=4 --ops=100 --seed=3 --window=16 --pages=1 --every=1
}

# The library is told of a limit that the host does not have.
a_difference_is_shrunk_to_a_case() {
	local status=0
	"${uffd[@]}" --seqs=20 --assume=max_map_count=10 --limits=default --save="$tmp/found.case" \
		--mix=none,mmap=3,uffd_register=3,uffd_unregister=1,uffd_create=1 \
		>"$tmp/out" 2>"$tmp/err" || status=$?
	[ $status = 1 ] || die "a difference: status $status: $(cat "$tmp/err" "$tmp/out")"
	grep -q '^sequence [0-9]* differs at call' "$tmp/out" || die "not told: $(cat "$tmp/out")"
	[ "$(grep -c ' = ' "$tmp/found.case")" -le 20 ] || die "not shrunk: $(cat "$tmp/found.case")"
	status=0
	"$SAMARA" check --case "$tmp/found.case" >"$tmp/out" 2>&1 || status=$?
	[ $status = 1 ] || die "the case does not differ: $(cat "$tmp/out")"
}

cases_have_lanes() {
	cat >"$tmp/lanes.case" <<-'CASE'
		# a read sleeps until it is answered
		mmap(W, 0x4000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W
		uffd_create(0) = 0
		2: uffd_read(0, 1) = -EINVAL
		2: uffd_api(0, 0xaa, MISSING_SHMEM)
		2: uffd_register(0, W, 0x4000, MISSING) = 0 wrote 0x13c
		2: uffd_read(0, 1) = -EAGAIN
		load(W+0x1000, 4) = asleep
		store(W, 4, 1) = -EBUSY
		result_of(0) = asleep
		2: uffd_read(0, 4) = 0x20 fault W+0x1000 read
		2: uffd_zeropage(0, W+0x1000, 0x1000, 1) = 0 wrote 0x1000
		result_of(0) = asleep
		2: uffd_wake(0, W+0x1000, 0x1000) = 0
		result_of(0) = 0
		1: peek(W) = asleep
		2: uffd_close(0) = 0
		1: result_of(1) = 0
		2: uffd_wake(0, W, 0x1000) = -EBADF
	CASE
	"$SAMARA" check --case "$tmp/lanes.case" >"$tmp/out" 2>&1 || die "a case: $(cat "$tmp/out")"
	grep -q 'the host: agrees' "$tmp/out" || die "a case: $(cat "$tmp/out")"
	sed 's/fault W+0x1000 read/fault W+0x1000 write/' "$tmp/lanes.case" >"$tmp/wrong.case"
	"$SAMARA" check --case "$tmp/wrong.case" >"$tmp/out" 2>&1 && die "a wrong message is none"
	grep -q 'samara: *fault W+0x1000 read$' "$tmp/out" || die "a wrong message: $(cat "$tmp/out")"
	printf '3: munmap(W, 0x1000) = 0\n' >"$tmp/bad.case"
	refused check 'line 1: no call of that name' --case "$tmp/bad.case"
	printf 'uffd_copy(0, W, 0x9000, 1, 0) = 0\n' >"$tmp/bad.case"
	refused check 'line 1: more than 32 KiB' --case "$tmp/bad.case"
}

# What is compared as a set is compared: by order where that is known, and whole where it is not.
messages_are_compared() {
	local from=$SRC/tests/oracle/cases/uffd_woken_together_in_any_order.case wrong
	for wrong in 's/fault W+0x2000 read by 1$/fault W+0x1000 read by 0/' \
		's/, fault W+0x2000 read by 1/, fault W+0x3000 read by 1/' 's/0x40 fault/0x20 fault/'; do
		sed "$wrong" "$from" >"$tmp/wrong.case"
		! cmp -s "$from" "$tmp/wrong.case" || die "$wrong changes nothing"
		"$SAMARA" check --case "$tmp/wrong.case" >"$tmp/out" 2>&1 && die "$wrong is not seen"
	done
	for _ in 1 2 3; do
		"$SAMARA" check --case "$from" >"$tmp/out" 2>&1 || die "in some order: $(cat "$tmp/out")"
	done
}

# has_ended PID: it ends, within ten seconds
has_ended() {
	local tries
	for tries in $(seq 1000); do
		[ -e "/proc/$1" ] || return 0
		sleep 0.01
	done
	return 1
}

# children_of PID: processes that it has started, and what these have
children_of() {
	local pid
	for pid in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
		echo "$pid"
		children_of "$pid"
	done
}

# begin_to_check SEED: $check runs; $children are what it has started, of which some are on the host
begin_to_check() {
	local tries
	"${uffd[@]}" --seqs=100000 --seed="$1" >"$tmp/out" 2>"$tmp/err" &
	check=$!
	for tries in $(seq 1000); do
		children=$(children_of "$check")
		[ "$(wc -w <<<"$children")" -lt 3 ] || return 0
		sleep 0.01
	done
	die "seed $1: it starts nothing: '$children', $(cat "$tmp/err")"
}

# The command is killed while calls sleep, maybe: its processes end too.
nothing_is_left_when_it_is_killed() {
	local check children pid seed=$RANDOM
	begin_to_check $seed
	sleep "0.$((RANDOM % 5 + 1))"
	children="$children $(children_of "$check")"
	kill -KILL "$check"
	wait "$check" 2>/dev/null || true
	# Jobs end with the pipe that the command reads; what they started on the host with them.
	for pid in $children; do
		has_ended "$pid" || die "seed $seed: process $pid is left: $(cat "/proc/$pid/stat")"
	done
}

# those_on_the_host PID: of the children of PID
those_on_the_host() {
	local pid
	for pid in $(children_of "$1"); do
		[[ $(cat "/proc/$pid/comm" 2>/dev/null) != memfd:* ]] || echo "$pid"
	done
}

# One that runs a sequence is killed (-1), or the one that starts those (0): that is no difference.
a_killed_process_cannot_be_judged() {
	local check children pid tries those which=$1 status=0 seed=$RANDOM
	begin_to_check $seed
	for tries in $(seq 1000); do
		[ -e "/proc/$check/task/$check/children" ] || break
		mapfile -t those < <(those_on_the_host "$check")
		[ ${#those[@]} = 0 ] || kill -KILL "${those[which]}" 2>/dev/null || true
		sleep 0.01
	done
	wait "$check" || status=$?
	if [ $status != 2 ] || [ "$(wc -l <"$tmp/err")" != 1 ] ||
		! grep -qE 'was killed|a process of the sequence' "$tmp/err"; then
		die "seed $seed: number $which is killed: status $status: $(cat "$tmp/err" "$tmp/out")"
	fi
	for pid in $children; do
		has_ended "$pid" || die "seed $seed: process $pid is left"
	done
}

status=0
"${uffd[@]}" --seqs=1 --ops=40 >"$tmp/out" 2>"$tmp/err" || status=$?
if [ $status = 2 ] && grep -q 'nothing was compared' "$tmp/err"; then
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "not one line: $(cat "$tmp/err")"
	echo "not compared with the host: $(cat "$tmp/err")"
	exit 0
fi
[ $status = 0 ] || die "a plain run: status $status: $(cat "$tmp/err" "$tmp/out")"
hosts_that_cannot_judge
no_difference_is_found
a_difference_is_shrunk_to_a_case
cases_have_lanes
messages_are_compared
nothing_is_left_when_it_is_killed
a_killed_process_cannot_be_judged 0
a_killed_process_cannot_be_judged -1
echo ok
