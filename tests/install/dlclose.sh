# SPDX-License-Identifier: MIT
#
# dlclose.sh PREFIX WORK: a program may close what it opened, be it the shared
# library or a module that has the archive in it, linked as samara.pc says.
set -euo pipefail
prefix=$1 work=$2
here=$(dirname "$0")
lib=$(dirname "$(find "$prefix" -name libsamara.a)")
export PKG_CONFIG_PATH=$lib/pkgconfig

mkdir -p "$work"
"$CC" -Wall -Wextra -Werror -I"$prefix/include" "$here/dlclose.c" -o "$work/dlclose" -pthread -ldl
"$work/dlclose" "$lib/libsamara.so"

# -l:libsamara.a: beside the shared one the linker would take that.
libs=$(pkg-config --static --libs samara)
"$CC" -shared -o "$work/plugin.so" -Wl,--whole-archive "$lib/libsamara.a" -Wl,--no-whole-archive \
	${libs/-lsamara/}
"$work/dlclose" "$work/plugin.so"
