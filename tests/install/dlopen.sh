# SPDX-License-Identifier: MIT
#
# dlopen.sh PREFIX WORK LIMIT: the shared library can be loaded at run time, be
# used from a thread that was there before it, and needs at most LIMIT bytes of
# the reserve for static thread-locals.
set -euo pipefail
prefix=$1 work=$2 limit=$3
lib=$(dirname "$(find "$prefix" -name libsamara.so)")

mkdir -p "$work"
"$CC" -Wall -Wextra -Werror -I"$prefix/include" "$(dirname "$0")/dlopen.c" -o "$work/dlopen" \
	-pthread -ldl
"$work/dlopen" "$lib/libsamara.so"

tls=$((0x0$(readelf -lW "$lib/libsamara.so" | awk '$1 == "TLS" { sub("0x", "", $6); print $6 }')))
echo "thread-locals: $tls bytes"
[ "$tls" -le "$limit" ]
