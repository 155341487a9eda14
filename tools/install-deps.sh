#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tools/install-deps.sh [build|demo|test|bench]...
#
# Installs the Debian packages that are missing, and nothing when none is. Services that
# packages would start are not started; servers that already run are not touched.

set -euo pipefail

build="meson ninja-build pkg-config gcc libc6-dev binutils libelf-dev libdw-dev liblzma-dev
	libzydis-dev libjansson-dev libsmartcols-dev libcmocka-dev"
demo="$build redis-server redis-tools"
tests="$demo clang g++ patch ccache cmake autoconf automake libtool musl-tools nginx-light memcached haproxy postgresql-15 wrk strace gdb valgrind python3-minimal
	universal-ctags shellcheck procps util-linux man-db spin"
bench="$build redis-server nginx-light mariadb-server-core"

policy=/usr/sbin/policy-rc.d
policy_saved=

wanted()
{
	local group
	for group in "${@:-build}"; do
		case $group in
		build) echo "$build" ;;
		demo) echo "$demo" ;;
		test) echo "$tests" ;;
		bench) echo "$bench" ;;
		*) echo "usage: $0 [build|demo|test|bench]..." >&2; exit 2 ;;
		esac
	done
}

missing()
{
	local package
	for package in $(wanted "$@"); do
		# shellcheck disable=SC2016 # dpkg's variable
		dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
			echo "$package"
	done | sort -u
}

# invoke-rc.d asks this program whether it may start a service: 101 is no.
forbid_services()
{
	if [ -e "$policy" ]; then
		policy_saved=$(mktemp)
		cp -p "$policy" "$policy_saved"
	fi
	trap allow_services EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

allow_services()
{
	if [ -n "$policy_saved" ]; then
		cp -p "$policy_saved" "$policy"
		rm -f "$policy_saved"
	else
		rm -f "$policy"
	fi
}

apt_install()
{
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install()
{
	local log
	log=$(mktemp)
	forbid_services
	# Package lists are fetched only when those at hand do not do.
	if ! apt_install "$@" >"$log" 2>&1; then
		if ! { apt-get update && apt_install "$@"; } >>"$log" 2>&1; then
			tail -n 30 "$log" >&2
			rm -f "$log"
			return 1
		fi
	fi
	rm -f "$log"
}

mapfile -t packages < <(missing "$@")
if [ "${#packages[@]}" -eq 0 ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing; install them as root: ${packages[*]}" >&2
	exit 1
fi
echo "Installing ${packages[*]}"
install "${packages[@]}"
