#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara torture: two seconds of it, with memory refused, with little of it, with pages that leave it,
# and with handlers; its options.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"

# Arguments: options of a run that must find nothing.
run() {
	"$SAMARA" torture "$@" >"$tmp/out" 2>&1 ||
		die "torture $*: status $?: $(tail -n 20 "$tmp/out")"
	! grep -q 'WARN' "$tmp/out" || die "torture $*: $(grep WARN "$tmp/out")"
}

run --secs=2 --seed=5
grep -q '^nothing wrong, nothing left$' "$tmp/out" || die "something is wrong or left"
grep -q '^[1-9][0-9]* operations by [1-9][0-9]* threads in 2 s:.* fork [1-9]' "$tmp/out" ||
	die "no summary, or nobody forked"
echo "ok: two seconds"

run --secs=1 --seed=6 --refuse=4 --threads=3
grep -q '^[1-9][0-9]* of them had an allocation refused' "$tmp/out" || die "nothing was refused"
grep -q ' by 3 threads in 1 s' "$tmp/out" || die "--threads has no effect"
run --secs=1 --seed=7 --ram=1
grep -q '^[1-9][0-9]* times there was no frame left' "$tmp/out" || die "1 MiB of RAM was enough"
echo "ok: refused, and out of frames"
run --secs=2 --seed=8 --swap
grep -q '^[1-9][0-9]* operations .* pageout [1-9].* swapoff [1-9].* migrate [1-9].* poison [0-9]' "$tmp/out" ||
	die "no thread made pages leave: $(cat "$tmp/out")"
grep -q '^[0-9]* victims, ' "$tmp/out" || die "no word of victims"
run --secs=1 --seed=9 --swap --ram=2 --refuse=8
echo "ok: pages that leave"

run --secs=2 --seed=10 --uffd
grep -q '^[1-9][0-9]* operations .* register [1-9].* unregister [1-9].* shield [1-9]' "$tmp/out" ||
	die "nothing was registered: $(cat "$tmp/out")"
grep -q '^[1-9][0-9]* page faults answered, [1-9][0-9]* events read$' "$tmp/out" ||
	die "no handler had work: $(cat "$tmp/out")"
run --secs=1 --seed=11 --uffd --swap --refuse=8
echo "ok: handlers"

"$SAMARA" torture --secs=1 --seed=8 --threads=2 --refuse=9 --json >"$tmp/out" || die "status $?"
python3 - "$tmp/out" <<'PYTHON' || die "the JSON is not what it should be"
import json, sys

out = json.load(open(sys.argv[1]))
assert (out["seed"], out["seconds"], out["threads"], out["refuse"]) == (8, 1, 2, 9)
assert out["wrong"] == "" and out["live_objects"] == 0
assert sum(out["operations"].values()) > 0 and out["operations"]["fork"] >= 0
PYTHON
echo "ok: JSON"

refused torture 'nonsense' --nonsense
refused torture '--secs=0' --secs=0
refused torture '--secs=x' --secs=x
refused torture '--seed=x' --seed=x
refused torture '--threads=65' --threads=65
refused torture '--refuse=0' --refuse=0
refused torture '--ram=' --ram=
refused torture 'secs' --secs
refused torture 'takes no argument' file
"$SAMARA" torture --help | grep -q '^usage: samara torture' || die "--help"
echo "ok: options"
