# SPDX-License-Identifier: MIT
#
# What the tests of the command have in common: a folder $tmp that goes in the end, die(), and
# what bad usage has to look like. Sourced; $SAMARA is the command.
# shellcheck shell=bash
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

die() {
	echo "FAILED: $*" >&2
	exit 1
}

# refused COMMAND WHAT ARGUMENT...: status 2 and one line on standard error, which says WHAT.
refused() {
	local command=$1 what=$2 status=0
	shift 2
	"$SAMARA" "$command" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 2 ] || die "$command $*: status $status, not 2"
	[ ! -s "$tmp/out" ] || die "$command $*: prints to standard output"
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "$command $*: not one line on standard error"
	grep -qe "$what" "$tmp/err" || die "$command $*: does not say '$what'"
}
