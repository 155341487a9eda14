#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# C++ in several objects: an inline function is in each of them and once in the program; one that
# comes with the change must come once as well, with its variables. TAP on stdout.
#
#	test_cxx.sh UGRAFT SAMECODE

samecode=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

cat >shared.h <<'CASE'
#include <stdio.h>
#include <string>
struct Log {
	__attribute__((noinline)) static int add(int n)
	{
		static int total;
#ifdef AFTER
		return (total += n) + fresh(n) * 10000;
#else
		return total += n;
#endif
	}
#ifdef AFTER
	__attribute__((noinline, noipa)) static int fresh(int n)
	{
		static int calls;
		return ++calls + 0 * n;
	}
#endif
};
int first(int n);
int second(int n);
CASE
cat >one.cc <<'CASE'
#include "shared.h"
#ifdef AFTER
__attribute__((noinline, noipa)) int first(int n) { volatile int v[4] = { n, n, n, n }; return Log::add(v[n & 3]) * 2 + Log::fresh(n) * 10; }
#else
__attribute__((noinline, noipa)) int first(int n) { volatile int v[4] = { n, n, n, n }; return Log::add(v[n & 3]) * 3; }
#endif
CASE
sed 's/first/second/; s/first/second/' one.cc >two.cc
cat >probe.cc <<'CASE'
#include "shared.h"
extern "C" void probe(int n) { int a = first(n), b = second(n); printf("%d %d\n", a, b); }
CASE

for cc in g++ clang++; do
	command -v $cc >/dev/null || continue
	gcc -O2 -c "$here/main.c" -o main.o || exit 1
	for when in before after; do
		define=
		[ $when = before ] || define=-DAFTER
		for f in one two probe; do
			# shellcheck disable=SC2086 # may be empty
			{
				$cc -w -O2 -fPIE -falign-functions=32 $define -c $f.cc -o $when-$f.o &&
				$cc -w -O2 -fPIE -g -ffunction-sections -fdata-sections $define -c $f.cc -o $when-$f.s.o
			} || exit 1
		done
		$cc -pie -Wl,--build-id main.o $when-one.o $when-two.o $when-probe.o -o $when || exit 1
	done
	"$ugraft" build --before before-one.s.o --after after-one.s.o --before before-two.s.o \
		--after after-two.s.o --target before -o fix.ugp >out 2>err
	status=$?
	point "$cc: a patch of two objects" says 0 "3 functions"
	point "$cc: the new function once" test "$(nm fix.ugp | grep -c 'fresh.*Ei$')" = 1
	point "$cc: its variable once" test "$(nm fix.ugp | grep -c 'fresh.*5calls')" = 1
	"$samecode" fix.ugp after >out 2>err
	status=$?
	point "$cc: the code of the rebuilt program" says 0 "5first"
	rm -f in answers
	mkfifo in
	./before <in >answers &
	pid=$!
	exec 8>in
	echo 1 >&8
	sleep 0.5
	"$ugraft" load fix.ugp $pid >out 2>err
	status=$?
	point "$cc: it loads" test "$status" = 0
	echo 1 >&8
	sleep 0.5
	# total was 2, fresh counts from 1 in one variable: 1 and 2, then 3 and 4.
	point "$cc: one function, one variable" test "$(tail -2 answers | head -1)" = "20026 60048"
	"$ugraft" unload fix $pid >out 2>err
	exec 8>&-
	wait $pid
	status=$?
	point "$cc: it ends as it should" test "$status" = 0
done
echo "1..$n"
