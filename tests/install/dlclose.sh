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
for program in dlclose dlclose_swap; do
	"$CC" -Wall -Wextra -Werror -I"$prefix/include" "$here/$program.c" -o "$work/$program" \
		-pthread -ldl
	"$work/$program" "$lib/libsamara.so"
done

# -l:libsamara.a: beside the shared one the linker would take that.
libs=$(pkg-config --static --libs samara)
"$CC" -shared -o "$work/plugin.so" -Wl,--whole-archive "$lib/libsamara.a" -Wl,--no-whole-archive \
	${libs/-lsamara/}
"$work/dlclose" "$work/plugin.so"
"$work/dlclose_swap" "$work/plugin.so"
