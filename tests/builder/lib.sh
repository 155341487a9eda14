# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of this folder share; read with `.` by a script that was given UGRAFT. They run
# in an empty directory of their own: the output of the last run is in `out` and `err`, its
# exit status in $status. TAP on stdout.

set -u

# shellcheck disable=SC2034 # used by those who read this
ugraft=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
n=0 status=

# point NAME CONDITION...: one TAP line.
point()
{
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' out err 2>/dev/null
	fi
}

# says STATUS TEXT: the last run ended so, with that text somewhere.
says()
{
	[ "$status" = "$1" ] && cat out err | grep -qF -- "$2"
}
