# SPDX-License-Identifier: MIT
#
# symbols.sh PREFIX: what the two libraries show to the linker starts with
# samara_, every declared function is among it, and the shared one has its
# SONAME.
set -euo pipefail
prefix=$1
lib=$(dirname "$(find "$prefix" -name libsamara.a)")
failed=0

# Defined and external, of whatever kind: weak ones and variables count too.
declare -A shown
shown[shared]=$(nm -D --defined-only --extern-only -P "$lib/libsamara.so" | awk '{ print $1 }')
shown[static]=$(nm --defined-only --extern-only -P "$lib/libsamara.a" | awk 'NF > 1 { print $1 }')

declared=$("${CC:-cc}" -E -P -I"$prefix/include" -include stddef.h \
		-xc <(cd "$prefix/include" && printf '#include <%s>\n' samara/*.h) |
	sed -e 's/__attribute__/\n&/g' |
	grep -o 'visibility("default").*' | grep -o 'samara_[a-z0-9_]*(' | tr -d '(' | sort -u)
[ -n "$declared" ]

for kind in shared static; do
	count=$(grep -c '^samara_' <<<"${shown[$kind]}") || true
	foreign=$(grep -v '^samara_' <<<"${shown[$kind]}") || true
	missing=$(comm -23 <(echo "$declared") <(sort -u <<<"${shown[$kind]}"))
	echo "$kind: $count samara_ symbols"
	if [ -n "$foreign" ]; then
		echo "$kind: visible, and not samara_:" $foreign
		failed=1
	fi
	if [ -n "$missing" ]; then
		echo "$kind: declared in a public header and not there:" $missing
		failed=1
	fi
done

soname=$(readelf -d "$lib/libsamara.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
echo "SONAME: $soname"
[[ $soname =~ ^libsamara\.so\.[0-9]+$ ]] && [ -e "$lib/$soname" ] || failed=1
exit $failed
