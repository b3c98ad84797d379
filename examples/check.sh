# SPDX-License-Identifier: MIT
#
# check.sh PROGRAM EXPECTED: does PROGRAM succeed and print what EXPECTED holds?
set -euo pipefail
diff -u "$2" <("$1"; echo "exit status $?")
