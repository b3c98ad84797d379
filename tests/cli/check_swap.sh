#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara check --profile=swap: no difference, with several at once too; the host's swap areas are as
# they were in the end, however a run ends; where the host cannot swap, one line and status 2.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
swap=("$SAMARA" check --profile=swap)

# cannot_swap WHY COMMAND...: status 2, and one line that says why; nothing is made
cannot_swap() {
	local why=$1 status=0
	shift
	"$@" "${swap[@]}" --seqs=2 --ops=40 >"$tmp/out" 2>"$tmp/err" || status=$?
	if [ $status != 2 ] || [ "$(wc -l <"$tmp/err")" != 1 ] || ! grep -qe "$why" "$tmp/err"; then
		die "$*: status $status, not one line about '$why': $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

able() {
	"$@" true >/dev/null 2>&1
}

hosts_that_cannot_swap() {
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	if able "${nobody[@]}" && "${nobody[@]}" test -x "$SAMARA" &&
		"${nobody[@]}" ldd "$SAMARA" >/dev/null 2>&1; then
		cannot_swap 'the host cannot swap: .*not permitted' "${nobody[@]}"
	fi
	cannot_swap 'the host cannot swap: .*not permitted' python3 "$SRC/tests/support/seccomp.py" 168:1
	cannot_swap 'the host cannot swap: swapon' python3 "$SRC/tests/support/seccomp.py" 167:22
	if able unshare -m sh -c "mount -t tmpfs none /var/tmp"; then
		cannot_swap 'the host cannot swap: swapon' unshare -m sh -c 'mount -t tmpfs none /var/tmp; exec "$@"' -
		cannot_swap 'the host cannot swap: a file of 32 MiB' \
			unshare -m sh -c 'mount -t tmpfs -o size=20m none /var/tmp; exec "$@"' -
	fi
}

# judged ARGUMENT...: no difference, and pages have left on the host
judged() {
	local out=$tmp/out.$BASHPID status=0
	"${swap[@]}" "$@" >"$out" 2>"$out.err" || status=$?
	[ $status = 0 ] || die "$*: status $status: $(head -n 20 "$out.err" "$out")"
	grep -q '^[1-9][0-9]* of them in swap on the host' "$out" || die "nothing left: $(cat "$out")"
}

several_at_once() {
	local pids=() pid
	for seed in 1 2; do
		judged --seqs=6 --ops=200 --seed=$seed --jobs=2 &
		pids+=($!)
	done
	judged --seqs=4 --ops=200 --seed=3 --limits=tight --window=600
	for pid in "${pids[@]}"; do
		wait "$pid" || die "one of several checks at once"
	done
}

cases_have_an_area_too() {
	cat >"$tmp/swap.case" <<-'CASE'
		# pages leave, and come back
		mmap(W, 0x4000, READ|WRITE, PRIVATE|ANONYMOUS|FIXED, -1, 0) = W
		swapoff() = -EINVAL
		swapon(0) = 0
		swapon(1) = -EBUSY
		store(W, 0x4000, 3) = 0x4000
		madvise(W, 0x4000, PAGEOUT) = 0
		fork_and_stay() = 0
		store(W+0x1000, 8, 4) = 8
		switch_to(1) = 0
		swapoff() = 0
		munmap(W, 0x1000) = 0
		swapon(2) = 0
		madvise(W+0x1000, 0x3000, PAGEOUT) = 0
		drop_caps() = 0
		swapoff() = -EPERM
	CASE
	"$SAMARA" check --case "$tmp/swap.case" >"$tmp/out" 2>&1 || die "a case: $(cat "$tmp/out")"
	grep -q 'the host: agrees' "$tmp/out" || die "a case: $(cat "$tmp/out")"
}

# The newest child of process $1.
last_child() {
	local all
	all=$(cat "/proc/$1/task/$1/children" 2>/dev/null || true)
	all=${all% }
	echo "${all##* }"
}

# The last child's last child ... of the command $1, $2 generations below; keeper: its first child.
victim_of() {
	local pid=$1
	if [ "$2" = keeper ]; then
		cut -d' ' -f1 "/proc/$1/task/$1/children" 2>/dev/null || true
		return
	fi
	for _ in $(seq "$2"); do
		pid=$(last_child "$pid")
		[ "$pid" ] || return 0
	done
	echo "$pid"
}

# killed GENERATION DELAY: a process of the run is killed while its area is on, or may be. 0: the
# command itself; 1: a job; 2: its child on the host; 3: the process of a sequence; keeper: who would
# tidy up, and then a job. /var/tmp is a folder of the test's own there: the file can be removed only
# once the area is off.
killed() {
	local check status=0 tries
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind "$1" /var/tmp; shift; exec "$@"' - "$folder" \
		"${swap[@]}" --seqs=1000 --seed=$RANDOM --patience=5 >"$tmp/out" 2>"$tmp/err" &
	check=$!
	for tries in $(seq 1000); do
		[ "$(victim_of $check 3)" ] && break
		sleep 0.01
	done
	[ "$(find "$folder" -type f | wc -l)" = 1 ] || die "no swap file, or several"
	sleep "$2"
	for tries in $(seq 1000); do
		kill -KILL "$(victim_of $check "$1")" 2>/dev/null && break
		sleep 0.01
	done
	[ "$tries" -lt 1000 ] || die "no process of generation $1: $(cat "$tmp/err" "$tmp/out")"
	[ "$1" != keeper ] || kill -KILL "$(victim_of $check 1)"
	wait $check 2>/dev/null || status=$?
	[ $status = 2 ] || [ $status = 137 ] ||
		die "generation $1 was killed: status $status: $(cat "$tmp/err" "$tmp/out")"
	for tries in $(seq 1000); do
		[ "$(find "$folder" -type f | wc -l)" = 0 ] && return
		sleep 0.01
	done
	die "the swap file is left after generation $1 was killed"
}

swap_is_off_however_it_ends() {
	local generation
	if ! able unshare -m sh -c "mount --bind $tmp /var/tmp"; then
		echo "not killed: no mount namespace of its own"
		return
	fi
	folder=$(mktemp -d /var/tmp/check-swap-test-XXXXXX)
	trap 'rm -rf "$tmp" "$folder"' EXIT
	for generation in 0 1 2 3 keeper; do
		killed $generation 0.0$((RANDOM % 10))
	done
}

# waits_in_vain ARGUMENT...: status 2, and one line that says that others have the lock
waits_in_vain() {
	local status=0
	"${swap[@]}" --patience=1 "$@" >"$tmp/out" 2>"$tmp/err" 9<&- || status=$?
	if [ $status != 2 ] || [ "$(wc -l <"$tmp/err")" != 1 ] || ! grep -q 'for 1 s' "$tmp/err"; then
		die "waited: status $status: $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

# The lock is another's before the run, and from somewhere in it on.
waiting_has_an_end() {
	local pid
	exec 9</proc/swaps
	flock 9
	waits_in_vain --seqs=2 --ops=40
	flock -u 9
	waits_in_vain --seqs=100000 --ops=40 &
	pid=$!
	sleep 0.3
	flock 9
	wait $pid || die "a run that lost the lock"
	exec 9<&-
}

status=0
"${swap[@]}" --seqs=1 --ops=40 >"$tmp/out" 2>"$tmp/err" || status=$?
if [ $status = 2 ] && grep -q 'nothing was compared' "$tmp/err"; then
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "not one line: $(cat "$tmp/err")"
	echo "not compared with the host: $(cat "$tmp/err")"
	exit 0
fi
[ $status = 0 ] || die "a plain run: status $status: $(cat "$tmp/err" "$tmp/out")"
hosts_that_cannot_swap
several_at_once
waiting_has_an_end
cases_have_an_area_too
swap_is_off_however_it_ends
echo ok
