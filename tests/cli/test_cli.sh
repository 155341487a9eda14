#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The command line: what is said, where, and with which exit status. What happens to targets
# is the subject of tests/scenarios.
#
#	test_cli.sh path/to/ugraft

set -u

ugraft=$(realpath "$1")
tmp=$(mktemp -d)
pids=()
n=0
status=0

cleanup()
{
	[ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
cd "$tmp" || exit 1

# run ARGUMENT...: out, err and status of ugraft.
run()
{
	"$ugraft" "$@" >out 2>err </dev/null
	status=$?
}

show()
{
	sed "s/^/# $1: /" "$1"
}

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
		echo "# status: $status"
		show out
		show err
	fi
}

# One sentence on stderr that contains the text, nothing on stdout, and the status.
says()
{
	[ "$status" = "$1" ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] &&
		grep -q '^ugraft: ' err && grep -qF -- "$2" err
}

prints_nothing()
{
	[ "$status" = "$1" ] && [ ! -s out ] && [ ! -s err ]
}

# A JSON document on stdout of which the python expression is true; nothing on stderr.
json()
{
	[ "$status" = "$1" ] && [ ! -s err ] &&
		python3 -c 'import json, sys
d = json.load(open("out"))
sys.exit(not (d["schema"] == 1 and d["exit"] == int(sys.argv[1]) and eval(sys.argv[2])))' "$@"
}

prints()
{
	[ "$status" = "$1" ] && [ ! -s err ] && grep -qF -- "$2" out
}

same()
{
	[ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; return 1; }
}

# A process to look at, named by its first argument.
start()
{
	bash -c 'exec -a "$0" sleep 300' "$1" &
	pids+=($!)
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(readlink /proc/$!/exe)" = "$(realpath "$(command -v sleep)")" ] && return
		sleep 0.1
	done
}

start ugraft-test-a
start ugraft-test-b
a=${pids[0]} b=${pids[1]}
python3 -c 'import ctypes, time
ctypes.CDLL(None).prctl(15, b"\xff\033[2Jx\n")
time.sleep(300)' ugraft-test-evil &
pids+=($!)
evil=$!
bash -c 'exit 0' &
gone=$!
wait $gone
echo "this is no patch" >text.ugp
verbs="load unload wait reverse force blocking watch status list log info plan verify recover build
	gdb perf-map"

# ---- help, usage ----

run --help
for v in $verbs; do
	point "--help lists $v" prints 0 "  $v"
done
for v in $verbs; do
	run "$v" --help
	point "$v --help" prints 0 "Usage: ugraft $v"
done
run help load
point "help VERB" prints 0 "Usage: ugraft load"
run --version
point "--version" prints 0 "ugraft 0."
run
point "no verb" says 2 "--help"
run bogus
point "unknown verb" says 2 "'bogus'"
run load
point "operands missing" says 2 "usage: ugraft load"
run info a b
point "too many operands" says 2 "usage: ugraft info"
run list --bogus
point "unknown option" says 2 "--bogus"
run list -x
point "unknown letter" says 2 "-x"
run list --timeout 3
point "option of another verb" says 2 "--timeout"
run load --timeout
point "argument of an option missing" says 2 "SECONDS"
for bad in 0 -1 1e3 0x10 "" 1.2.3 99999999; do
	run load "--timeout=$bad" f "$a"
	point "--timeout=$bad" says 2 "--timeout"
done
for bad in 10 0ms 10m 1h ms 60s; do
	run load "--max-pause=$bad" f "$a"
	point "--max-pause=$bad" says 2 "--max-pause"
done
run load --on-timeout=maybe f "$a"
point "--on-timeout=maybe" says 2 "reverse"
run list --json=xml
point "--json=xml" says 2 "--json"
run build
point "build without --source" says 2 "--source"
run build --source text.ugp
point "build without --target" says 2 "--target"
run --json load
point "usage errors are JSON, too" json 2 'd["error"]["code"] == "USAGE"'

# ---- processes ----

for bad in 0 -1 12x 99999999999999999999 name: exe: exe:relative proc ''; do
	run status -- "$bad"
	point "process '$bad'" says 2 "PID, name:GLOB"
done
run status "$gone"
point "status of a process that is gone" says 3 "$gone"
run load text.ugp 'name:no-such-*'
point "a bad file is said before processes are" says 1 "text.ugp"
run status 'name:no-such-*'
point "name: without a match" says 3 "no-such-*"
run status exe:/no/such/file
point "exe: without a match" says 3 "/no/such/file"
run status --json 'name:ugraft-test-[ab]'
point "name: matches the first argument" \
	json 0 "sorted(p['pid'] for p in d['processes']) == sorted([$a, $b])"
run status --json "exe:$(command -v sleep)"
point "exe:" json 0 "{$a, $b} <= {p['pid'] for p in d['processes']}"
run status --json "$a" "$a" name:ugraft-test-a
point "each process once" json 0 "[p['pid'] for p in d['processes']] == [$a]"
run status --json "$b" "$a"
point "in the order given" json 0 "[p['pid'] for p in d['processes']] == [$b, $a]"
run status --json "$a"
point "not patched" json 0 "d['processes'][0]['patched'] is False"
run status "$a"
point "not patched, in words" prints 0 "not patched"
run status "$a" "$gone"
point "one is gone: partial" same "$status" 7
run status --json "$evil"
point "names are cleaned for JSON" json 0 "d['processes'][0]['comm'].startswith('??[2Jx')"
run status "$evil"
point "names are cleaned for terminals" prints 0 "$evil ??[2Jx"
run unload no-such-patch "$a"
point "unload what is not loaded" says 3 "no-such-patch"
run unload no-such-patch all
point "unload, nobody has it" says 3 "no process has a patch of that name"
run recover "$a"
point "nothing to recover" same "$status" 0
run wait "$a"
point "nothing to wait for" prints 0 "no transition is running"
run wait --patch=x "$a"
point "wait for a patch that is not in transition" says 3 "no transition"
run reverse "$a"
point "nothing to reverse" says 3 "no transition"
run force "$a"
point "force without consent" says 2 "--i-accept-inconsistency"
run force --i-accept-inconsistency "$a"
point "nothing to force" says 3 "no transition"
run blocking "$a"
point "nothing blocks" says 3 "no transition"
run blocking --json "$a"
point "nothing blocks, as JSON" json 3 \
	"d['processes'][0]['error']['code'] == 'NO_TRANSITION' and d['exit'] == 3"
run log "$a"
point "log of a process that has none" same "$status" 0
"$ugraft" watch "$a" >out 2>err &
watcher=$!
sleep 0.5
kill -INT "$watcher"
wait "$watcher"
status=$?
point "watch ends when interrupted" prints_nothing 0
run verify "$a"
point "nothing to verify" same "$status" 0

# ---- files ----

for v in load plan; do
	run "$v" /no/such/file "$a"
	point "$v: file missing" says 1 "/no/such/file"
	run "$v" text.ugp "$a"
	point "$v: no patch" says 1 "text.ugp"
done
run info /no/such/file
point "info: file missing" says 1 "/no/such/file"
run info .
point "info: a directory" says 1 "."
: >empty
run info empty
point "info: empty" says 1 "empty"
head -c 100000 /dev/urandom >random
run info random
point "info: random bytes" says 1 "random"
run info --json=short text.ugp
point "errors as JSON" json 1 'd["error"]["message"] and d["verb"] == "info"'
point "in one line" same "$(wc -l <out)" 1
run build --source /no/such.c --target /bin/true
point "build: source missing" says 1 "/no/such.c"
run build --source text.ugp --target /no/such/binary
point "build: target missing" says 1 "/no/such/binary"
"$ugraft" --help >/dev/full 2>err
status=$?
point "a full disk is noticed" same "$status" 1

# ---- permission ----

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	for v in "unload x" recover verify; do
		# shellcheck disable=SC2086 # two words
		setpriv --reuid=65534 --regid=65534 --clear-groups "$ugraft" $v "$a" >out 2>err </dev/null
		status=$?
		point "$v of another user's process" says 6 "root"
	done
else
	n=$((n + 1))
	echo "ok $n - permission # SKIP needs root and setpriv"
fi

# ---- completion ----

"$ugraft" completion >completion.bash
complete_line()
{
	bash -c '. ./completion.bash
		PATH=$0:$PATH
		compopt() { :; }
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_ugraft
		printf "%s\n" "${COMPREPLY[@]}"' "$(dirname "$ugraft")" "$@" 2>&1 | sort | paste -sd' '
}
point "complete a verb" same "$(complete_line ugraft un)" unload
point "complete an option" same "$(complete_line ugraft load --on)" --on-timeout=
point "complete a value" same "$(complete_line ugraft load --on-timeout = k)" keep
point "complete a file" same "$(complete_line ugraft load te)" text.ugp
point "complete a process" same "$(complete_line ugraft load text.ugp na)" name:
point "complete a process, first operand" same "$(complete_line ugraft status a)" all

echo "1..$n"
