# SPDX-License-Identifier: MIT
#
# consume.sh PREFIX WAY WORK: builds consumer/ against an installed samara in
# one of the four ways, runs it, and checks which library it really uses.
set -euo pipefail
prefix=$1 way=$2 work=$3
consumer=$(dirname "$0")/consumer
lib=$(dirname "$(find "$prefix" -name libsamara.a)")
warn="-Wall -Wextra -Werror"

rm -rf "$work"
mkdir -p "$work"
export PKG_CONFIG_PATH=$lib/pkgconfig

case $way in
pkg-config-shared)
	$CC $warn "$consumer/main.c" -o "$work/consumer" $(pkg-config --cflags --libs samara)
	;;
pkg-config-static)
	$CC $warn -static "$consumer/main.c" -o "$work/consumer" \
		$(pkg-config --static --cflags --libs samara)
	;;
find-package-*)
	"$CMAKE" -S "$consumer" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" \
		-DCMAKE_C_COMPILER="$CC" -DWAY="${way##*-}" >"$work/log" || { cat "$work/log"; exit 1; }
	"$CMAKE" --build "$work/build"
	mv "$work/build/consumer" "$work/consumer"
	;;
esac

needs=$(readelf -d "$work/consumer" | sed -n 's/.*(NEEDED).*\[\(libsamara.*\)\]/\1/p')
case $way in
*-shared) [ "$needs" = libsamara.so.0 ] ;;
*-static) [ -z "$needs" ] ;;
esac || { echo "$way: needs '$needs'"; exit 1; }

LD_LIBRARY_PATH=$lib "$work/consumer"
