# SPDX-License-Identifier: MIT
#
# readme.sh SRC: the program that README.md shows is examples/bus.c, what it is
# said to print is what examples/bus.out (which ctest checks) holds, and links
# between pages lead somewhere.
set -euo pipefail
cd "$1"

# The lines of the first fenced block of that kind.
block()
{
	awk -v kind="$1" '$0 == "```" kind { on = 1; next } on && $0 == "```" { exit } on' README.md
}

diff -u <(tail -n +2 examples/bus.c) <(block c)
diff -u <(grep -v '^exit status' examples/bus.out) <(block text)

# Every relative link of every page leads somewhere.
lost=0
while IFS=: read -r page link; do
	target=$(dirname "$page")/${link%%#*}
	if [ ! -e "$target" ]; then
		echo "$page: no such file: $link"
		lost=1
	fi
done < <(grep -o -E '\]\([^)#][^)]*\)' -- *.md docs/*.md docs/*/*.md traces/*.md 2>/dev/null |
	 sed -e 's/](\(.*\))/\1/' | grep -v -E ':(https?|mailto):')
exit $lost
