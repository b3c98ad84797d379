#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara replay reads what the strace installed here writes, in each of its
# forms. Without snapshots only the answers are compared; every line must be
# readable. Where there is no strace, or it may not trace, nothing is tested.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
cd "$tmp"

if ! command -v strace setarch >/dev/null || ! strace -o probe true 2>/dev/null; then
	echo "skipped: strace cannot be used here"
	exit 0
fi

# flavour NAME OPTION...: the trace is in NAME, or in NAME.PID
flavour() {
	local name=$1
	shift
	setarch -R strace "$@" sh -c '(true); echo a | cat; ls' >/dev/null 2>"$name.stderr"
	"$SAMARA" replay "$name" >"$name.result" 2>"$name.bad" || die "$*: $(head -n 5 "$name.result" "$name.bad")"
	[ ! -s "$name.bad" ] || die "$*: $(head -n 5 "$name.bad")"
	grep -q '[1-9][0-9]* calls: all answered as recorded' "$name.result" || die "$*: $(cat "$name.result")"
	echo "ok: strace $*: $(head -n 1 "$name.result" | sed 's/^[^:]*: //')"
}

flavour one -o one
flavour f -f -o f
flavour y -f -y -o y
flavour yy -f -yy -o yy
flavour t -f -t -o t
flavour tt -f -tt -T -o tt
flavour ttt -f -ttt -o ttt
flavour r -f -r -o r
flavour i -f -i -o i
flavour raw -f -X raw -o raw
flavour verbose -f -v -X verbose -o verbose
flavour ff -ff -o ff
flavour ffttt -ff -ttt -y -o ffttt
flavour ffr -ff -r -o ffr

# without -o it goes to stderr, between the messages of strace itself
for options in -f '-f -y -tt -T'; do
	# shellcheck disable=SC2086
	setarch -R strace $options sh -c '(true); echo a | cat; ls' >/dev/null 2>mixed
	"$SAMARA" replay mixed >mixed.result 2>mixed.bad || die "stderr: $(cat mixed.result mixed.bad)"
	[ ! -s mixed.bad ] || die "stderr: $(head -n 5 mixed.bad)"
	grep -q 'all answered as recorded' mixed.result || die "stderr: $(cat mixed.result)"
	echo "ok: strace $options, on stderr"
done

# a set, packed
gzip ffttt.*[0-9]
"$SAMARA" replay ffttt >/dev/null || die "a packed set"
echo "ok: a packed set"
