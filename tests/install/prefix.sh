# SPDX-License-Identifier: MIT
#
# prefix.sh BUILD PREFIX: a fresh installation.
set -euo pipefail
rm -rf "$2"
"$CMAKE" --install "$1" --prefix "$2"
