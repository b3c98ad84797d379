#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# samara bench: that it measures, its three outputs, its options. What it measures here is nothing.
set -euo pipefail
# shellcheck source=tests/support/cli.sh
. "$SRC/tests/support/cli.sh"

"$SAMARA" bench --quick --rounds=1 --only-calls >"$tmp/out" || die "status $?"
grep -q '^mmap+munmap, one page  *1000 .* 1/[0-9.]*  *[a-zA-Z]* (1/10)$' "$tmp/out" ||
	die "no row that compares mmap with the kernel's"
! grep -q 'fault' "$tmp/out" || die "--only-calls measures faults too"
echo "ok: a table"

"$SAMARA" bench --quick --rounds=1 --svg="$tmp/growth.svg" --json >"$tmp/out" || die "status $?"
python3 - "$tmp" <<'PYTHON' || die "the JSON or the picture is not what it should be"
import json, sys
import xml.etree.ElementTree as xml

out = json.load(open(sys.argv[1] + "/out"))
rows = {row["name"]: row for row in out["figures"]}
assert out["rounds"] == 1 and out["clock"] == "wall"
for name in ("mmap+munmap, one page", "mprotect, middle page", "anonymous write fault", "fork"):
    assert rows[name]["samara_ns"]["median"] > 0, name
for name in ("mmap+munmap, one page", "anonymous write fault", "fork"):
    row = rows[name]
    ratio = row["samara_ns"]["median"] / row["host_ns"]["median"]
    assert abs(row["ratio"] - ratio) < 0.01 + ratio / 100, name
assert any(check["goal"] == 3 and check["is"] > 0 for check in out["checks"])
assert xml.parse(sys.argv[1] + "/growth.svg").getroot().tag.endswith("svg")
PYTHON
echo "ok: JSON and a picture"

"$SAMARA" bench --help | grep -q '^usage: samara bench' || die "no help"
refused bench 'nonsense' --nonsense
refused bench 'needs a value' --rounds
refused bench '--rounds=x' --rounds=x
refused bench '--rounds=0' --rounds=0
refused bench '--clock=sun' --clock=sun
refused bench 'argument' extra
refused bench 'only one' --only-calls --only-pages
refused bench 'only-growth' --only-calls --svg="$tmp/x.svg"
refused bench 'cannot be written' --svg="$tmp/none/x.svg"
echo "ok: bad usage"
