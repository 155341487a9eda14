#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The UG_API functions of the public headers are exactly those of lib/libugraft.map, and the
# version is the same in meson.build and ugraft.h.

set -eu

cd "$(dirname "$0")/.."
bad=0
declared=$(sed -nE 's/^UG_API .*[ *](ug_[a-z_]+)\(.*/\1/p' include/ugraft/*.h | sort)
exported=$(sed -nE 's/^\t(ug_[a-z_]+);.*/\1/p' lib/libugraft.map | sort)
if [ "$declared" != "$exported" ]; then
	echo "include/ugraft and lib/libugraft.map differ:"
	a=$(mktemp) b=$(mktemp)
	echo "$declared" >"$a"
	echo "$exported" >"$b"
	diff "$a" "$b" || :
	rm -f "$a" "$b"
	bad=1
fi
header=$(sed -nE 's/^#define UG_VERSION "(.*)"/\1/p' include/ugraft/ugraft.h)
if ! grep -q "version: '$header'" meson.build; then
	echo "meson.build has another version than ugraft.h ($header)"
	bad=1
fi
if ! grep -q "^UGRAFT_${header%.*} {" lib/libugraft.map; then
	echo "lib/libugraft.map has no version UGRAFT_${header%.*}"
	bad=1
fi
exit $bad
