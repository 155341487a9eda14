#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Strip a program as distributions do, its symbols kept in a place of their own.
# usage: object_strip.sh debugdata|debuglink PROGRAM OUTPUT
set -eu

how=$1 program=$2 output=$3
case $how in
debugdata)
	objcopy -S "$program" "$output.tmp"
	objcopy --only-keep-debug "$program" "$output.mini"
	objcopy --strip-debug "$output.mini"
	xz -f "$output.mini"
	objcopy --add-section .gnu_debugdata="$output.mini.xz" "$output.tmp"
	rm -f "$output.mini.xz"
	;;
debuglink)
	objcopy --only-keep-debug "$program" "$output.debug"
	objcopy -S --add-gnu-debuglink="$output.debug" "$program" "$output.tmp"
	;;
esac
mv "$output.tmp" "$output"
