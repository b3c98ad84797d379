# SPDX-License-Identifier: MIT
#
# itself.sh DIR: what the scheduler promises, held against its toys in DIR. Preset schedule.
set -euo pipefail
dir=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail()
{
	echo "itself: $*"
	exit 1
}

# Each strategy finds each toy bug and passes each twin. Without old values, bugs of memory order
# are not there, so that they are not found.
for strategy in random pct exhaustive; do
	for toys in toys toys_memory toys_wait; do
		"$dir/$toys" --strategy=$strategy --schedules=500 --quiet ||
			fail "$strategy: $toys"
	done
done
for toy in no-acquire half-fenced buffered two-orders; do
	"$dir/toys_memory" --scenario=$toy --memory=sc --schedules=200 >"$tmp/out" &&
		fail "$toy was found with memory that is sequentially consistent"
	grep -q 'was not found' "$tmp/out" || fail "$toy: $(cat "$tmp/out")"
done

# One seed is one trace, also beside a load.
for strategy in random pct; do
	for seed in 123456789; do
		for toy in toys/grace toys_memory/forwards-of-two; do
			run=("$dir/${toy%/*}" --scenario="${toy#*/}" --strategy=$strategy
				--seed=$seed --schedules=1 --trace)
			"${run[@]}" | sed 's/ in [0-9.]* s, .*//' >"$tmp/one" || true
			(while :; do :; done) &
			load=$!
			"${run[@]}" | sed 's/ in [0-9.]* s, .*//' >"$tmp/two" || true
			kill $load
			wait $load 2>/dev/null || true
			grep -q ' steps, ' "$tmp/one" || fail "no trace: ${run[*]}"
			cmp "$tmp/one" "$tmp/two" || fail "two traces: ${run[*]}"
		done
	done
done

# Many schedules in one process are what each is in a process of its own.
for program in "$dir"/*; do
	[ -f "$program" ] && [ -x "$program" ] || continue
	"$program" --schedules=4 --all | sort >"$tmp/one" || true
	"$program" --schedules=4 --all --alone | sort >"$tmp/two" || true
	grep -q hash "$tmp/one" || fail "no schedule: $program"
	cmp "$tmp/one" "$tmp/two" || fail "not the same schedules alone: $program"
done

# A trace shows what was done.
line=$("$dir/toys" --scenario=lost-update --trace --seed=2 | grep -c 'store .*toys.c') || true
[ "$line" -ge 2 ] || fail "the trace of lost-update shows its stores"

# pct finds a bug of depth d among n threads of k steps at least once in n * k^(d - 1); a fifth less
# is within what 400 seeds differ.
for depth in 1 2 3; do
	"$dir/toys" --scenario=depth-$depth --strategy=pct --depth=$depth --memory=sc --all \
		--schedules=400 >"$tmp/out" || fail "depth $depth: $(cat "$tmp/out")"
	read -r _ found _ all _ _ steps _ <"$tmp/out"
	awk -v f="$found" -v a="$all" -v k="$steps" -v d=$depth 'BEGIN {
		bound = 1 / (2 * k ^ (d - 1))
		printf "pct: depth %d: found %.4f, bound %.4f\n", d, f / a, bound
		exit f / a < bound * 0.8 }' || fail "depth $depth: below the bound"
done

# Exhaustive search says how many schedules there are.
"$dir/toys" --scenario=no-lost-update --strategy=exhaustive --memory=sc --preemptions=9 |
	grep -q '^no-lost-update: all passed after 6 schedules' || fail "orders of two additions"

# A smaller schedule still fails.
"$dir/toys" --scenario=lock-inversion --minimize --strategy=random --seed=2 >"$tmp/out" || true
awk '/^minimize: [0-9]+ of [0-9]+ switches/ { smaller = $2 < $4 }
	/led to another end/ { other = 1 }
	END { exit !smaller || other }' "$tmp/out" || fail "minimize: $(cat "$tmp/out")"

# Bad arguments: one line, status 2.
for bad in --seed=x --strategy=best --depth=0 --scenario=none --memory=1 --no more; do
	status=0
	"$dir/toys" $bad >"$tmp/out" 2>"$tmp/err" || status=$?
	[ $status = 2 ] || fail "$bad: status $status"
	[ "$(wc -l <"$tmp/err")" = 1 ] && [ ! -s "$tmp/out" ] || fail "$bad: not one line"
done
echo "itself: passed"
