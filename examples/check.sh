# SPDX-License-Identifier: MIT
#
# check.sh PROGRAM EXPECTED: does PROGRAM succeed and print what EXPECTED holds? Exit status 77: it
# says why it cannot be run here.
set -euo pipefail
status=0
out=$("$1") || status=$?
if [ "$status" = 77 ]; then
	echo "$out"
	exit 77
fi
diff -u "$2" <(echo "$out"; echo "exit status $status")
