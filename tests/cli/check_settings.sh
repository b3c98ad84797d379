#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara check under settings of the whole host: huge pages, layout, least address, overcommit. Every
# program feels them, so this runs only when SAMARA_HOST_SETTINGS=1 allows it, and as root; each
# setting holds for one short run. A process of its own puts it back when the run has ended, in
# whatever way.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
if [ "${SAMARA_HOST_SETTINGS-}" != 1 ] || [ "$(id -u)" != 0 ]; then
	echo "skipped: it changes the host's settings; SAMARA_HOST_SETTINGS=1, as root, allows that"
	exit 0
fi
run=("$SAMARA" check --seqs=8 --ops=100 --seed=5)
thp=/sys/kernel/mm/transparent_hugepage

# put_back FILE VALUE: when the other end of its standard input is closed
put_back() {
	trap '' HUP INT TERM PIPE
	cat >"$tmp/keeper"
	echo "$2" >"$1"
}

# under FILE VALUE OUTCOME...: 0 for no difference, or the reason for status 2
under() {
	local file=$1 value=$2 want=$3 status=0 was
	shift 3
	[ -w "$file" ] || return 0
	was=$(sed 's/.*\[\(.*\)\].*/\1/' "$file")
	exec {keep}> >(put_back "$file" "$was")
	echo "$value" >"$file" || die "$file does not take $value"
	"${run[@]}" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	exec {keep}>&-
	wait $! || true
	[ "$(sed 's/.*\[\(.*\)\].*/\1/' "$file")" = "$was" ] || die "$file is not as it was"
	if [ "$want" = 0 ]; then
		[ $status = 0 ] || die "$file $value: status $status: $(head -n 20 "$tmp/err" "$tmp/out")"
	elif [ $status != 2 ] || ! grep -qe "$want" "$tmp/err"; then
		die "$file $value: status $status, not '$want': $(head -n 20 "$tmp/err" "$tmp/out")"
	fi
}

under $thp/enabled always 0
under $thp/enabled always 0 --profile=pages
under $thp/enabled always 0 --window=2000
under $thp/enabled always 0 --profile=collapse --window=2000
under $thp/enabled never 0
for size in "$thp"/hugepages-*kB; do
	under "$size/enabled" always 0
	under "$size/shmem_enabled" always 'shared memory'
done
under $thp/shmem_enabled advise 'shared memory'
under $thp/shmem_enabled deny 0
under /proc/sys/vm/legacy_va_layout 1 0
under /proc/sys/vm/legacy_va_layout 1 0 --profile=full
under /proc/sys/vm/mmap_min_addr 0 0
under /proc/sys/vm/mmap_min_addr 65536 0
under /proc/sys/vm/mmap_min_addr 2097152 'mmap_min_addr'
under /proc/sys/vm/overcommit_memory 1 0
under /proc/sys/vm/max_map_count 70000 0
under /sys/kernel/mm/ksm/run 1 'ksm'
echo ok
