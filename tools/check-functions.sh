#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Functions of more than 100 lines and files of more than 800 fail, unless tools/long-functions
# names them with a reason. An entry that is no longer needed fails, too.
# With --stats: median, 95th percentile and maximum a directory.

set -eu

cd "$(dirname "$0")/.."
max_function=100
max_file=800
list=tools/long-functions
dirs="include lib rt cli builder tests bench"

# "lines file function" of every function.
functions()
{
	# shellcheck disable=SC2086 # a list of directories
	find $dirs -name '*.c' -print0 2>/dev/null |
		xargs -0 ctags --languages=C --c-kinds=f --fields=+ne -x \
			--_xformat='%{line} %{end} %F %N' |
		awk '$2 != "" && $2 + 0 >= $1 { print $2 - $1 + 1, $3, $4 }'
}

stats()
{
	functions | sort -n | awk '
		{ n++; v[n] = $1; split($2, p, "/"); }
		END {
			if (!n) exit 1
			printf "%d functions: median %d, p95 %d, max %d lines\n", n,
				v[int((n + 1) / 2)], v[int(n * 0.95 + 0.5)], v[n]
		}'
}

if ! ctags --version 2>/dev/null | grep -q Universal; then
	echo "universal-ctags is missing" >&2
	exit 77
fi

if [ "${1-}" = --stats ]; then
	stats
	exit
fi

bad=0
long=$(functions | awk -v max=$max_function '$1 > max { print $2 ":" $3, $1 }')
while read -r where lines; do
	[ -n "$where" ] || continue
	grep -q "^${where}[[:space:]]" "$list" && continue
	echo "$where: $lines lines (more than $max_function)"
	bad=1
done <<EOF
$long
EOF
while read -r where reason; do
	case $where in ''|'#'*) continue ;; esac
	if [ -z "$reason" ]; then
		echo "$list: $where has no reason"
		bad=1
	fi
	case "
$long" in
	*"
$where "*) ;;
	*) echo "$list: $where is not needed any more"; bad=1 ;;
	esac
done <"$list"
# shellcheck disable=SC2086
long=$(find $dirs -name '*.[ch]' -exec awk -v max=$max_file '
	FNR == 1 { n = 0 }
	++n == max + 1 { print FILENAME ": more than " max " lines" }' {} +)
if [ -n "$long" ]; then
	echo "$long"
	bad=1
fi
exit $bad
