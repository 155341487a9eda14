#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Checks the arrows of ARCHITECTURE.md: every #include "dir/file" of a source file must be
# one its directory may use. Prints each offence, exits 1 if there is one.
#
# tools/check-layering.sh --self-test checks this script with a tree that offends.

set -eu

# Lower to higher; a layer may use itself and everything before it.
layers="base process object inject stack text patchfile engine job"

# allowed DIR: what a directory may include, one a line; rt/abi stands for rt/*_abi.h.
allowed()
{
	case $1 in
	lib/*)
		for l in $layers; do
			echo "$l/"
			[ "lib/$l" = "$1" ] && break
		done
		echo ugraft/
		echo rt/abi
		;;
	rt)
		echo rt/abi
		;;
	cli)
		echo ugraft/
		echo builder/build.h
		;;
	builder)
		# It reads objects and writes patch files, but knows no process.
		for l in base object text patchfile; do
			echo "$l/"
		done
		echo ugraft/
		echo builder/
		echo patch_h.inc	# made by the build, from include/ugraft/patch.h
		;;
	include/ugraft)
		echo ugraft/
		;;
	esac
}

# ok DIR INCLUDE: may files of DIR include it?
ok()
{
	case $2 in
	*..*) return 1 ;;
	*/*) ;;
	*) [ -e "$1/$2" ] && return 0 ;;	# of its own directory, by its bare name
	esac
	for prefix in $(allowed "$1"); do
		case $prefix in
		*/) [ "${2#"$prefix"}" != "$2" ] && return 0 ;;
		rt/abi) case $2 in rt/*_abi.h) return 0 ;; esac ;;
		*) [ "$2" = "$prefix" ] && return 0 ;;
		esac
	done
	return 1
}

# "file included-file" of every #include "..." below DIR.
includes()
{
	find "$1" -name '*.[chS]' -exec grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
		sed -E 's/^([^:]*):[^"]*"([^"]*)".*/\1 \2/'
}

check()
{
	bad=0
	dirs="rt cli builder include/ugraft"
	for l in $layers; do
		dirs="$dirs lib/$l"
	done
	for d in lib/*/; do
		d=${d%/}
		case " $dirs " in
		*" $d "*) ;;
		*) [ -z "$(find "$d" -name '*.[chS]')" ] && continue
		   echo "$d: a layer this check does not know"; bad=1 ;;
		esac
	done
	for dir in $dirs; do
		[ -d "$dir" ] || continue
		found=$(includes "$dir")
		while read -r file inc; do
			[ -n "$file" ] || continue
			ok "$dir" "$inc" && continue
			echo "$file: may not include \"$inc\""
			bad=1
		done <<EOF
$found
EOF
	done
	return $bad
}

self_test()
{
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	mkdir -p "$tmp/lib/base" "$tmp/lib/process" "$tmp/lib/engine" "$tmp/cli" "$tmp/rt"
	cd "$tmp"
	: >lib/base/vec.h
	echo '#include "base/vec.h"' >lib/engine/a.c
	echo '#include "rt/gate_abi.h"' >>lib/engine/a.c
	echo '#include "ugraft/ugraft.h"' >cli/a.c
	out=$(check) || { echo "a good tree is refused: $out"; exit 1; }
	echo '#include "engine/x.h"' >lib/process/a.c
	echo '#include "base/vec.h"' >cli/b.c
	echo '#  include "rt/secret.h"' >lib/base/b.c
	echo '#include "base/vec.h"' >rt/a.c
	out=$(check) && { echo "a bad tree passes"; exit 1; }
	[ "$(echo "$out" | wc -l)" = 4 ] || { echo "expected 4 offences: $out"; exit 1; }
}

if [ "${1-}" = --self-test ]; then
	self_test
	exit 0
fi
cd "$(dirname "$0")/.."
check
