#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara show: the map as text and SVG, the tree as Graphviz text.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"
cd "$SRC/traces"

"$SAMARA" show sort >"$tmp/map"
"$SAMARA" replay --quiet --final-map sort >"$tmp/maps"
n=$(($(wc -l <"$tmp/maps") - 1))
rows=$(grep -c '^[0-9a-f]\{16\}  ' "$tmp/map")
[ "$rows" = "$n" ] || die "$rows rows for $n mappings"
grep -q 'H heap' "$tmp/map" || die "no legend"
grep -q "$(printf '\033')" "$tmp/map" && die "colours without a terminal"
grep -q '^[0-9a-f]*  K  *4K  --xp  \[vsyscall\]' "$tmp/map" || die "no gate"
echo "ok: $rows rows"

"$SAMARA" show --svg="$tmp/a.svg" sort >"$tmp/none"
[ ! -s "$tmp/none" ] || die "--svg prints too"
[ "$(grep -c '<title>' "$tmp/a.svg")" = "$n" ] || die "the SVG has another number of mappings"
tail -n 1 "$tmp/a.svg" | grep -q '</svg>' || die "the SVG does not end"
echo "ok: svg"

"$SAMARA" show --line=4 sort >"$tmp/early"
[ "$(grep -c '^[0-9a-f]\{16\}  ' "$tmp/early")" -lt "$rows" ] || die "--line has no effect"
echo "ok: line"

"$SAMARA" show --tree node >"$tmp/dot"
grep -q '^digraph' "$tmp/dot" || die "no Graphviz text"
tail -n 1 "$tmp/dot" | grep -q '^}' || die "the Graphviz text does not end"
[ "$(grep -c -- '->' "$tmp/dot")" -gt 3 ] || die "a tree without edges"
echo "ok: tree"

for args in '' '--pid=1 sort' '--line=x sort' '--line=0 sort' 'sort gcc' '--banana sort' '/nonexistent'; do
	status=0
	# shellcheck disable=SC2086
	"$SAMARA" show $args >/dev/null 2>"$tmp/err" || status=$?
	[ $status = 2 ] || die "samara show $args: $status"
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "samara show $args: $(cat "$tmp/err")"
done
echo "ok: usage"
