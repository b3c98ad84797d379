#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara check wherever it may be started: it finds no difference, or says in one line why it cannot
# judge, and ends with 0 or 2. What a caller can change without touching the host's settings is tried:
# users, capabilities, personalities, namespaces, limits, filters, signals, descriptors. (Settings of
# the whole host: check_settings.sh. Facts no host here has: tests/unit/cli/judge.c.)
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 # it needs ptrace, which filters and users forbid
run=("$SAMARA" check --seqs=4 --ops=60 --seed=5)
pages=("$SAMARA" check --seqs=2 --ops=80 --seed=5 --profile=pages)
tried=0

# try COMMAND...: its status, output in $tmp/out and $tmp/err
try() {
	[ "${VERBOSE-}" ] && echo "$EPOCHREALTIME $*"
	status=0
	"$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	tried=$((tried + 1))
}

# judged COMMAND...: no difference
judged() {
	try "$@"
	if [ $status != 0 ] || ! grep -q '^no difference$' "$tmp/out"; then
		die "$*: status $status: $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

# cannot_judge WHY COMMAND...: status 2, and one line that says why
cannot_judge() {
	local why=$1
	shift
	try "$@"
	if [ $status != 2 ] || [ "$(wc -l <"$tmp/err")" != 1 ] || ! grep -qe "$why" "$tmp/err"; then
		die "$*: status $status, not one line about '$why': $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

# either COMMAND...: the one or the other
either() {
	try "$@"
	[ $status = 0 ] || { [ $status = 2 ] && grep -qe 'cannot judge\|nothing was compared' "$tmp/err"; } ||
		die "$*: status $status: $(head -n 20 "$tmp/err" "$tmp/out")"
}

able() {
	"$@" true >/dev/null 2>&1
}

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# refusing NR:ERRNO COMMAND...: a seccomp filter answers that system call
refusing() {
	python3 "$SRC/tests/support/seccomp.py" "$@"
}

without_privilege() {
	if able as_nobody && as_nobody test -x "$SAMARA" && as_nobody ldd "$SAMARA" >/dev/null 2>&1; then
		judged as_nobody "${run[@]}"
		judged as_nobody "${pages[@]}"
		grep -q 'were not shown to this process' "$tmp/out" || die "nobody sees frames: $(cat "$tmp/out")"
		either as_nobody prlimit --nproc=1 "${run[@]}"
		either as_nobody prlimit --nproc=4 "${pages[@]}"
	fi
	if able setpriv --bounding-set=-all --inh-caps=-all; then
		judged setpriv --bounding-set=-all --inh-caps=-all "${pages[@]}"
	fi
	judged setpriv --no-new-privs "${run[@]}"
	judged "${pages[@]}" --mix=drop_caps=40
	judged "${run[@]}" --mix=drop_caps=40
}

personalities() {
	judged setarch -L "${run[@]}"
	judged setarch -L "${run[@]}" --profile=full
	judged setarch -X -Z -S -T "${run[@]}"
	judged setarch -3 "${run[@]}"
	judged setarch linux32 "${run[@]}"
	judged setarch --uname-2.6 "${run[@]}"
	try setarch -L "$SAMARA" check --case "$SRC"/tests/oracle/cases/b*.case
	[ $status = 0 ] || die "cases under setarch -L: $(cat "$tmp/out" "$tmp/err")"
}

# The sanitizers' runtime reads /proc by itself, and has lines of its own to print without it.
sanitized() {
	grep -qa -e __asan_init -e __tsan_init "$SAMARA"
}

namespaces() {
	if able unshare -U -r; then
		judged unshare -U -r "${run[@]}"
		judged unshare -U -r "${pages[@]}"
		either unshare -U "${run[@]}"
	fi
	if able unshare -p -f --mount-proc; then
		judged unshare -p -f --mount-proc "${run[@]}"
		sanitized || cannot_judge 'no /proc' unshare -p -f "${run[@]}"
		either unshare -p -f --mount-proc sh -c 'echo 1 >/proc/sys/vm/memfd_noexec; exec "$@"' - "${run[@]}"
		either unshare -p -f --mount-proc sh -c 'echo 2 >/proc/sys/vm/memfd_noexec; exec "$@"' - "${run[@]}"
	fi
	if able unshare -m; then
		sanitized ||
			cannot_judge 'no /proc' unshare -m sh -c 'umount -l /proc; exec "$@"' - "${run[@]}"
		judged unshare -m sh -c 'mount -t tmpfs none /sys; exec "$@"' - "${run[@]}"
		cannot_judge '/var/tmp' unshare -m sh -c 'mount -t tmpfs -o ro none /var/tmp; exec "$@"' - "${run[@]}"
		cannot_judge '/var/tmp' unshare -m sh -c 'mount -t tmpfs -o size=64k none /var/tmp; exec "$@"' - \
			"${pages[@]}"
		judged unshare -m sh -c 'mount -t tmpfs -o noexec none /var/tmp; exec "$@"' - "${run[@]}"
	fi
}

limits() {
	local limit
	cannot_judge 'RLIMIT_FSIZE' prlimit --fsize=1000000 "${run[@]}"
	cannot_judge 'RLIMIT_NOFILE' prlimit --nofile=40 "${run[@]}"
	judged prlimit --nofile=80 "${run[@]}"
	judged prlimit --fsize=4096:unlimited --nofile=32:4096 --as=unlimited "${run[@]}"
	for limit in memlock=0 memlock=65536 stack=131072 stack=unlimited core=0 nice=0; do
		judged prlimit --$limit "${run[@]}"
	done
	# What a sanitizer sets aside for itself is more than these.
	! sanitized || return 0
	for limit in as=20000000 as=400000000 data=12000000 data=400000000; do
		either prlimit --$limit "${run[@]}"
	done
}

filters() {
	judged refusing 135:1 "${run[@]}" # personality: addresses are random
	judged refusing 135:1 "${run[@]}" --profile=full
	cannot_judge 'mseal is refused here (ENOSYS); --mix=mseal=0 leaves' refusing 462:38 "${run[@]}"
	judged refusing 462:38 "${run[@]}" --mix=mseal=0
	cannot_judge 'mremap is refused here (EPERM)' refusing 25:1 "${run[@]}"
	cannot_judge 'drop_caps is refused' refusing 126:1 "${run[@]}"
	cannot_judge 'PR_SET_THP_DISABLE' refusing 157:1 "${run[@]}"
	cannot_judge 'does not start' refusing 322:38 "${run[@]}"
	cannot_judge 'could not be measured' refusing 56:11 "${run[@]}"
}

# Blocked and ignored signals, closed descriptors: what a careless caller leaves behind.
callers() {
	judged sh -c 'trap "" HUP INT QUIT PIPE TERM CHLD XFSZ SEGV BUS; exec "$@"' - "${pages[@]}"
	judged python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])' "${pages[@]}"
	judged sh -c 'exec "$@" <&-' - "${run[@]}"
	try sh -c 'exec "$@" >&- 2>&-' - "${run[@]}"
	[ $status = 0 ] || die "without standard output: status $status"
}

# The first child of each process in turn, $2 generations below $1.
descendant() {
	local pid=$1
	for _ in $(seq "$2"); do
		pid=$(cut -d' ' -f1 "/proc/$pid/task/$pid/children" 2>/dev/null || true)
		[ "$pid" ] || return 0
	done
	echo "$pid"
}

# ends PID: within five seconds
ends() {
	for _ in $(seq 50); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}

# signalled SIGNAL GENERATION WHY: the check's host side gets that signal while it works.
# Generations: a job, its child on the host, the process of a sequence. One that had just ended by
# itself is not missed: then the next one gets it.
signalled() {
	local check victim hits=0
	"$SAMARA" check --seqs=1000000 --profile=pages --patience=1 >"$tmp/out" 2>"$tmp/err" &
	check=$!
	for _ in $(seq 600); do
		kill -0 $check 2>/dev/null || break
		[ "$(descendant $check 3)" ] && victim=$(descendant $check "$2") && [ "$victim" ] &&
			kill -s "$1" "$victim" 2>/dev/null && hits=$((hits + 1)) && ends $check && break
		sleep 0.01
	done
	if kill -0 $check 2>/dev/null; then
		kill -KILL $check
		die "generation $2 was sent $1 $hits times, and the check goes on"
	fi
	status=0
	wait $check || status=$?
	# A process that is killed may show first by what it no longer shares with the others.
	if [ $status != 2 ] || ! grep -qe "$3" -e 'but not when made again' "$tmp/err"; then
		die "generation $2 sent $1: status $status: $(head "$tmp/err" "$tmp/out")"
	fi
	tried=$((tried + 1))
}

killed_and_stopped_processes() {
	signalled KILL 3 'killed by signal 9'
	signalled KILL 2 'the host.s child was killed'
	signalled STOP 2 'does not answer'
	signalled KILL 1 'a job ended with status 0x9'
}

"${run[@]}" >"$tmp/out" 2>"$tmp/err" || {
	if grep -q 'nothing was compared' "$tmp/err"; then
		echo "not compared with the host: $(cat "$tmp/err")"
		exit 0
	fi
	die "a plain run: $(cat "$tmp/err" "$tmp/out")"
}
without_privilege
personalities
namespaces
limits
filters
callers
killed_and_stopped_processes
echo "ok: $tried ways to start it"
