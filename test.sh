#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs what is missing, builds, runs every test and check, and sums up. As root: the
# tests trace processes and start servers of their own on loopback ports.
#
#	./test.sh [SUITE...]	only these suites of meson
#
# The last line is "N passed, N failed, N skipped"; the exit status says whether any failed.

# shellcheck disable=SC2317 # functions are called through check()

set -uo pipefail
cd "$(dirname "$0")" || exit 1

build=build
passed=0 failed=0 skipped=0
failures=()

# check NAME COMMAND...: one point; exit status 77 means skipped.
check()
{
	local name=$1 output status
	shift
	output=$("$@" 2>&1)
	status=$?
	case $status in
	0) passed=$((passed + 1)); echo "ok      $name" ;;
	77) skipped=$((skipped + 1)); echo "skipped $name: $output" ;;
	*) failed=$((failed + 1)); failures+=("$name")
	   echo "FAILED  $name"
	   printf '        %s\n' "${output//$'\n'/$'\n'        }" ;;
	esac
	return $status
}

finish()
{
	echo
	if [ "${#failures[@]}" -gt 0 ]; then
		echo "Failed:"
		printf '  %s\n' "${failures[@]}"
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

configure()
{
	if [ -f "$build"/build.ninja ]; then
		return 0
	fi
	meson setup "$build"
}

scripts()
{
	command -v shellcheck >/dev/null || { echo "shellcheck is missing"; return 77; }
	find . \( -name '*.sh' -o -path ./.ci/run \) -not -path './build/*' -print0 |
		xargs -0 shellcheck
}

completion()
{
	"$build"/ugraft completion >"$build"/ugraft.bash-completion &&
		bash -n "$build"/ugraft.bash-completion &&
		{ ! command -v shellcheck >/dev/null ||
		  shellcheck "$build"/ugraft.bash-completion; }
}

manual()
{
	command -v man >/dev/null || { echo "man is missing"; return 77; }
	local page verb warnings
	for page in man/*.1 "$build"/man/*.1; do
		warnings=$(MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
		[ -z "$warnings" ] || { echo "$page: $warnings"; return 1; }
	done
	for verb in $("$build"/ugraft --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		grep -q "^\.SS $verb " man/ugraft.1 ||
			{ echo "ugraft.1 does not explain '$verb'"; return 1; }
	done
}

run_tests()
{
	local suite args=() line
	for suite in "$@"; do
		args+=(--suite "$suite")
	done
	if [ $# -eq 0 ]; then
		args+=(--no-suite campaign)
		echo "NOT RUN: suite 'campaign' (probe-long: docs/probe.md; kill-table-all, kill-table-steps, signals-long: docs/without-a-trace.md; pair-*-all: docs/groups.md)"
	fi
	rm -f "$build"/meson-logs/testlog.json
	# The timeouts are for a machine that does nothing else; a busy one gets more.
	meson test -C "$build" --no-rebuild --print-errorlogs --num-processes 2 \
		--timeout-multiplier 4 "${args[@]}"
	if [ ! -f "$build"/meson-logs/testlog.json ]; then
		failed=$((failed + 1))
		failures+=("meson test left no log")
		return
	fi
	{
		read -r p f s
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		while read -r line; do
			failures+=("$line")
		done
	} < <(python3 tools/count-tests.py "$build"/meson-logs/testlog.json || echo 0 1 0)
}

check "packages" tools/install-deps.sh test || finish
check "configure" configure || finish
check "compile" ninja -C "$build" || finish
check "layering" tools/check-layering.sh
check "layering check itself" tools/check-layering.sh --self-test
check "functions and files of bearable length" tools/check-functions.sh
check "exported symbols" tools/check-exports.sh
check "shell scripts" scripts
check "completion" completion
check "manual" manual
run_tests "$@"
finish
