# SPDX-License-Identifier: MIT
#
# headers.sh PREFIX: each public header compiles alone, in C and in C++, with
# warnings as errors; and without the Linux names it leaves these to others.
set -euo pipefail
include=$1/include
strict=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$include")

tu()
{
	printf '#include <%s>\ntypedef int not_empty;\n' "$1"
}

for header in "$include"/samara/*.h; do
	name=samara/${header##*/}
	tu "$name" | "$CC" -std=c11 "${strict[@]}" -xc -
	tu "$name" | "$CC" -std=gnu17 "${strict[@]}" -xc -
	tu "$name" | "$CXX" -std=c++17 "${strict[@]}" -xc++ -
	echo "$name compiles alone"
done

"$CC" -std=gnu17 "${strict[@]}" -DSAMARA_NO_LINUX_NAMES -xc - <<-'C'
	#include <samara/maple_tree.h>
	/* Somebody else's tree in the same file. */
	int mtree_load(int a, int b, int c);
	int mas_find(void);
	void mtree_destroy(void);
C
echo "without Linux names: compiles beside another tree"
