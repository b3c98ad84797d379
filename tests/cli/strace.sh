#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The same program under each of strace's options, and its output as mail,
# terminals, journals and other systems hand it on: the replay must find the
# same processes, the same calls and the same map in all of them.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"

if ! setarch -R strace -o /dev/null true 2>/dev/null; then
	echo "skipped: no strace here, or it may not trace"
	exit 0
fi

# capture FILE OPTION...: false when this strace does not know the option
capture() {
	local file=$1
	shift
	setarch -R strace -f "$@" -o "$file" /bin/sh -c '/bin/ls / >/dev/null; /bin/true' >"$tmp/said" 2>&1
}

# found FILE: what of it must be the same in each form
found() { # of what is in $2
	local what=${2:-$1}
	"$SAMARA" replay --json "$1" >"$tmp/json" 2>"$tmp/err" || die "$what: $(cat "$tmp/err" "$tmp/json")"
	[ ! -s "$tmp/err" ] || die "$what: $(head -n 5 "$tmp/err")"
	grep -E '"(command|calls|call_differences|malformed|assumed|processes)"' "$tmp/json"
	"$SAMARA" replay -q --final-map "$1" | tail -n +2
}

same() {
	found "$1" "$2" >"$tmp/found"
	diff "$tmp/plain.found" "$tmp/found" || die "$2: not what the plain capture has"
}

plain=$tmp/plain
capture "$plain" -y
found "$plain" >"$tmp/plain.found"
grep -q '"command": "ls"' "$tmp/plain.found" || die "no ls in $(cat "$tmp/plain.found")"
grep -q '"malformed": 0' "$tmp/plain.found" || die "malformed lines in the plain capture"

every_option_gives_the_same_calls() {
	local options n=0
	while read -r options; do
		# shellcheck disable=SC2086
		if ! capture "$tmp/t" -y $options; then
			echo "   this strace has no $options"
			continue
		fi
		same "$tmp/t" "strace $options"
		n=$((n + 1))
	done <<-'END'
		-Y
		--decode-pids=pidns
		--decode-pids=comm,pidns
		--secontext
		--secontext=full
		-yy
		-k
		-i
		-n
		-i -n
		-r
		-t
		-tt
		-ttt
		-r -t
		-r -ttt
		-T
		-ttt -T -i -n
		-X raw
		-X verbose
		-x
		-xx
		-v
		-a 1
		-a 120
		-s 0
		-q
		-qq
		-C
		-D
		-e raw=munmap,mprotect,brk,access
		-e verbose=none
		-e inject=mmap:delay_exit=1
		-e trace=all -e signal=none
	END
	[ $n -ge 20 ] || die "only $n options"
}

# Without -o: [pid N], strace's own messages, lines cut in two.
on_the_terminal_it_is_the_same() {
	setarch -R strace -f -y /bin/sh -c '/bin/ls / >/dev/null; /bin/true' 2>"$tmp/t" || true
	same "$tmp/t" "strace without -o"
	setarch -R strace -f -y -Y /bin/sh -c '/bin/ls / >/dev/null; /bin/true' 2>"$tmp/t" || true
	same "$tmp/t" "strace -Y without -o"
}

a_file_for_each_process_is_the_same() {
	local options
	for options in "" -ttt "-tt -Y"; do
		rm -f "$tmp"/set.*
		# shellcheck disable=SC2086
		capture "$tmp/set" -ff -y $options
		same "$tmp/set" "strace -ff $options"
	done
}

handed_on_it_is_the_same() {
	local esc=$'\033'
	sed 's/$/\r/' "$plain" >"$tmp/t"
	same "$tmp/t" CRLF
	{ printf '\357\273\277'; cat "$plain"; } >"$tmp/t"
	same "$tmp/t" "a byte order mark"
	sed 's/^/> /' "$plain" >"$tmp/t"
	same "$tmp/t" "a quotation"
	sed 's/^/ > > /' "$plain" >"$tmp/t"
	same "$tmp/t" "a quotation, indented"
	sed "s/\([a-z0-9_]*\)(/${esc}[1;32m\1${esc}[0m(/; s/= \(.*\)/= ${esc}[31m\1${esc}[m${esc}[K/" "$plain" >"$tmp/t"
	same "$tmp/t" colours
	sed 's/^/Nov 28 16:29:48 host strace[4711]: /' "$plain" >"$tmp/t"
	same "$tmp/t" "the journal"
	sed 's/^/2026-11-28T16:29:48.123456+01:00 host strace[4711]: /' "$plain" >"$tmp/t"
	same "$tmp/t" "the journal, ISO"
	sed 's/^/2026-11-28T16:29:48.123456789Z stderr F /' "$plain" >"$tmp/t"
	same "$tmp/t" "a container's log"
	sed 's/^/web_1  | /' "$plain" >"$tmp/t"
	same "$tmp/t" "docker compose"
	paste -d ' ' - - <"$plain" >"$tmp/t" # two lines in one
	same "$tmp/t" "two calls on a line"
}

# Whatever is in a trace, no control character reaches the terminal.
no_escape_sequence_comes_through() {
	local esc=$'\033' bad='[\x00-\x08\x0b-\x1f\x7f]'
	{
		printf '7  execve("/bin/\\33]0;evil\\7\\n\\33[31mx", ["x"], 0x1 /* 1 var */) = 0\n'
		printf '7  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3</tmp/\\33[31m\\2331m\\n>, 0) = 0x7f0000000000\n'
		printf '7  munmap(0x7f0000001001, 4096\x01\x07\x9b31m) = 0\n'
		printf '7  mremap(0x7f0000000000, 4096, 4096, MREMAP_MAYMOVE\302\2331m) = 5\n'
		printf '7  munmap(0x7f0000000001, 1) = 0\n'
		printf '7  %s[31mmunmap(\x9b31m, many) = 0\n' "$esc"
		printf '7  ioctl(3, UFFDIO_\x1b\x1b[31mX\x07, 0) = 0\n'
		printf 'what \x07 is %s%s[2J this\n' "$esc" "$esc"
		printf '7  brk(NULL) = 0x1000 and \x07 more\n'
	} >"$tmp/evil"
	for args in "" "--final-map" "--json" "--place=own"; do
		# shellcheck disable=SC2086
		"$SAMARA" replay $args "$tmp/evil" >"$tmp/out" 2>&1 || true
		[ -s "$tmp/out" ] || die "nothing printed"
		LC_ALL=C grep -nP "$bad" "$tmp/out" && die "replay $args prints control characters"
		iconv -f UTF-8 -t UTF-8 "$tmp/out" >/dev/null || die "replay $args prints what is no UTF-8"
	done
	for args in --map --svg=-; do
		"$SAMARA" show $args "$tmp/evil" >"$tmp/out" 2>&1 || true
		LC_ALL=C grep -nP "$bad" "$tmp/out" && die "show $args prints control characters"
		iconv -f UTF-8 -t UTF-8 "$tmp/out" >/dev/null || die "show $args prints what is no UTF-8"
	done
	cp "$tmp/evil" "$tmp/e${esc}[31mvil"
	"$SAMARA" replay "$tmp/e${esc}[31mvil" "$tmp/n${esc}[31mothing" >"$tmp/out" 2>&1 || true
	LC_ALL=C grep -nP "$bad" "$tmp/out" && die "a file's name prints control characters"
	return 0
}

nothing_about_memory_is_passed_over() {
	{
		echo '7  execve("/bin/x", ["x"], 0x1 /* 1 var */) = 0'
		echo '7  map_shadow_stack(0, 4096, SHADOW_STACK_SET_TOKEN) = 0x7f0000000000'
		echo '7  process_madvise(3, [{iov_base=0x1000, iov_len=4096}], 1, MADV_COLD, 0) = 4096'
		echo '7  mbind(0x7f0000000000, 4096, MPOL_BIND, [0], 1, 0) = 0'
		echo '7  mbind(0x7f0000000000, 4096, MPOL_BIND, [0], 1, 0) = -1 EINVAL (Invalid argument)'
		echo '7  syscall_0x200(0x1) = 0'
		echo '7  brk(NULL) = 0x555555576000 munmap(0x7f0000001000, 4096) = 0'
		echo '7  brk(NULL) = 0x555555576000 mprotect(0x7f, 4096'
		echo 'lost: mmap(NULL, 40'
		echo '7  mlock(0x7f0000001000, 4096) = 0 (INJECTED)'
	} >"$tmp/t"
	"$SAMARA" replay "$tmp/t" >"$tmp/out" 2>"$tmp/err" || die "$(cat "$tmp/out")"
	grep -q ' 3 calls: all answered' "$tmp/out" || die "$(cat "$tmp/out")"
	grep -q '4 calls about memory that are not made here: map_shadow_stack 1, process_madvise 1,' "$tmp/out" &&
		grep -q ' mbind 1, syscall_0x200 1$' "$tmp/out" || die "$(cat "$tmp/out")"
	grep -q '2 malformed lines with memory calls: mprotect 1, mmap 1$' "$tmp/out" || die "$(cat "$tmp/out")"
	grep -q '1 calls answered by strace (INJECTED)' "$tmp/out" || die "$(cat "$tmp/out")"
	grep -q ':8: text behind a result: `mprotect(' "$tmp/err" || die "$(cat "$tmp/err")"
	"$SAMARA" replay --json "$tmp/t" >"$tmp/out" 2>/dev/null || die "$(cat "$tmp/out")"
	for word in '"map_shadow_stack": 1' '"not_modelled": 4' '"injected": 1' '"malformed": 2' '"mprotect": 1'; do
		grep -q "$word" "$tmp/out" || die "no $word in $(cat "$tmp/out")"
	done
	printf '\377\376x\0' >"$tmp/t"
	refused replay UTF-16 "$tmp/t"
}

for test in $(declare -F | awk '$3 ~ /_/ { print $3 }'); do
	$test
	echo "ok: $test"
done
