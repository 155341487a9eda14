#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Patches a stock redis-server while redis-benchmark loads it, and takes the patch back.
# Needs root (to install redis from Debian, and to trace its process); under two minutes.
#
# Nothing outside a temporary directory and ./build is changed, no running server is touched.

set -euo pipefail
cd "$(dirname "$0")"

port=0 server_pid='' load_pid='' tmp=$(mktemp -d)
requests=20000		# a round of redis-benchmark

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\033[1m' plain=$'\033[0m'
fi

say()
{
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Show a command, then run it.
run()
{
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
	"$@"
}

die()
{
	echo "demo.sh: $*" >&2
	exit 1
}

# Only what this script has started, by its pid.
cleanup()
{
	local status=$?
	touch "$tmp/stop"
	[ -z "$load_pid" ] || wait "$load_pid" 2>/dev/null || :
	if [ -n "$server_pid" ]; then
		kill "$server_pid" 2>/dev/null || :
		wait "$server_pid" 2>/dev/null || :
	fi
	if [ "$status" -ne 0 ] && [ -s "$tmp/redis.log" ]; then
		echo "The end of redis' log:" >&2
		tail -n 20 "$tmp/redis.log" >&2
	fi
	rm -rf "$tmp"
	exit "$status"
}

build()
{
	tools/install-deps.sh demo
	if [ ! -f build/build.ninja ]; then
		meson setup build >"$tmp/setup.log" || { cat "$tmp/setup.log"; return 1; }
	fi
	ninja -C build ugraft >"$tmp/ninja.log" || { cat "$tmp/ninja.log"; return 1; }
}

redis()
{
	redis-cli -p "$port" "$@"
}

# redis-server on the first free port tried; it says so by answering with its own pid.
start_server()
{
	local i
	for _ in 1 2 3 4 5 6 7 8; do
		port=$((20000 + RANDOM % 20000))
		redis-server --port $port --bind 127.0.0.1 --daemonize no --appendonly no --save '' \
			--dir "$tmp" --logfile "$tmp/redis.log" &
		server_pid=$!
		for ((i = 0; i < 100; i++)); do
			kill -0 "$server_pid" 2>/dev/null || break
			if redis info server 2>/dev/null | grep -q "^process_id:$server_pid"; then
				return 0
			fi
			sleep 0.05
		done
		kill "$server_pid" 2>/dev/null || :
		wait "$server_pid" 2>/dev/null || :
		server_pid=''
	done
	die "redis-server does not start"
}

# Rounds of redis-benchmark until $tmp/stop appears; "done" lines and everything else apart.
load()
{
	while [ ! -e "$tmp/stop" ]; do
		if redis-benchmark -p "$port" -t set,get -c 20 -n $requests --csv \
			>>"$tmp/load.csv" 2>>"$tmp/load.err"; then
			echo round >>"$tmp/rounds"
		else
			echo "redis-benchmark failed: status $?" >>"$tmp/load.err"
			return
		fi
	done
}

# Requests answered and failed. redis-benchmark stops at a broken connection (a failed round)
# and names error replies; both end up in load.err.
summary()
{
	local rounds failed
	rounds=$(wc -l <"$tmp/rounds")
	failed=$(grep -ciE 'error|fail|closed' "$tmp/load.err" || :)
	failed=$((failed + $(grep -ciE 'error|fail|closed' "$tmp/load.csv" || :)))
	echo "$((rounds * requests * 2)) requests answered, $failed failed requests"
	[ "$failed" -eq 0 ] && [ "$rounds" -gt 0 ]
}

# lua EXPECTED-PATTERN: what a client gets now.
lua()
{
	local reply
	printf "%s\$ redis-cli eval \"return 'a script has run'\" 0%s\n" "$bold" "$plain"
	reply=$(redis eval "return 'a script has run'" 0 2>&1)
	echo "$reply"
	[[ $reply == *$1* ]] || die "unexpected reply"
}

trap cleanup EXIT
trap 'exit 130' INT TERM

say "Building ugraft"
build
export PATH=$PWD/build:$PATH
ugraft --version

say "The fix: new functions in a C file, for the redis-server that Debian ships"
grep -A 4 '^static void refuse' demo/redis_fix.c
run ugraft build --source demo/redis_fix.c --target /usr/bin/redis-server -o "$tmp/fix.ugp"

start_server
say "redis-server runs as process $server_pid, redis-benchmark keeps it busy"
touch "$tmp/rounds" "$tmp/load.csv" "$tmp/load.err"
load &
load_pid=$!
sleep 1
lua 'a script has run'

say "Would the patch apply?"
run ugraft plan "$tmp/fix.ugp" "$server_pid"

say "Load it"
run ugraft load "$tmp/fix.ugp" "$server_pid"
lua 'Lua scripts are disabled'
run ugraft status "$server_pid"
run ugraft verify -q "$server_pid"
sleep 1

say "Take it back"
run ugraft unload redis-no-lua "$server_pid"
lua 'a script has run'

touch "$tmp/stop"
wait "$load_pid"
load_pid=''
say "What the clients of redis-benchmark have seen meanwhile"
summary || { cat "$tmp/load.err"; die "requests have failed"; }
grep -q "^process_id:$server_pid" <(redis info server) || die "it is not the same server"
echo "The server is the same process, $server_pid, with $(redis info stats |
	sed -n 's/^total_error_replies:\([0-9]*\).*/\1/p') error reply: the script that was refused"
