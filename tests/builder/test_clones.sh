#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A thread that sleeps in a clone to which its caller has jumped is in no function the stack tells
# of but the clone itself. A change of the clone, and a change that lets it vanish, must wait for
# it. TAP on stdout.
#
#	test_clones.sh UGRAFT

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

if ! command -v gcc >/dev/null; then
	echo "1..0 # SKIP no gcc: clang makes no clones"
	exit 0
fi

cat >case.c <<'CASE'
#include <stdio.h>
#include <unistd.h>
static volatile int seen;
static volatile char got;
__attribute__((noinline, noipa)) static int step(int n) { return n + ++seen; }
/* Waits for a byte when the number is large. */
__attribute__((noinline, noipa)) static int park(int n)
{
	char byte = 'x';

	if (n >= 100 && read(7, &byte, 1) != 1)
		return -1;
	got = byte;
	return n;
}
#ifdef GONE
__attribute__((noinline, noclone, noipa))
#endif
int work(const int *p)
{
	int sum = 0;

	if (!p)
		return 0;
	sum = park(*p);
	for (int i = 0; i < (*p & 7); i++)
		sum += step(i) * step(i + 1) - step(i + 2) + step(step(i)) * step(*p - i) + step(i * 3);
#ifdef CHANGED
	sum += 1000000;
#endif
	return sum + 0 * step(1) * step(2) * step(3) * step(4) * step(5);
}
__attribute__((noinline)) int jumps(const int *p) { seen = 0; return work(p); }
__attribute__((noinline)) int also(const int *p) { seen = 0; return work(p); }
void probe(int n) { printf("%d %d\n", jumps(&n), n & 1 ? also(&n) : 0); }
CASE
flags="-O2 -g"
# shellcheck disable=SC2086 # lists of words
{
	gcc $flags -Wl,--build-id case.c "$here/main.c" -o prog &&
	gcc $flags -ffunction-sections -fdata-sections -c case.c -o b.o &&
	gcc $flags -ffunction-sections -fdata-sections -DCHANGED -c case.c -o changed.o &&
	gcc $flags -ffunction-sections -fdata-sections -DCHANGED -DGONE -c case.c -o gone.o
} || exit 1
point "the clone is reached by a jump" grep -q "jmp.*work.part.0" <(objdump -d prog)

start()
{
	rm -f in parked answers
	mkfifo in parked
	exec 7<>parked
	./prog <in >answers 7<&7 &
	pid=$!
	exec 8>in
}

ask()
{
	echo "$1" >&8
}

answered()
{
	for _ in $(seq 200); do
		[ "$(grep -c '^\.$' answers)" -lt "$1" ] || return 0
		sleep 0.05
	done
	return 1
}

for kind in changed gone; do
	"$ugraft" build --before b.o --after $kind.o --target prog -o fix.ugp >out 2>err
	status=$?
	point "$kind: a patch" says 0 "function"
	if [ $kind = changed ]; then
		point "$kind: of the clone alone" says 0 "1 function"
	else
		point "$kind: says that the old code comes along" says 0 "explain=OLD_CODE"
	fi
	"$ugraft" info fix.ugp >out 2>err
	status=$?
	point "$kind: the clone is one of its functions" says 0 "work.part.0"
	start
	ask 2
	point "$kind: answers" answered 1
	first=$(head -1 answers)
	ask 100
	sleep 0.5
	"$ugraft" load --timeout 2 fix.ugp $pid >out 2>err
	status=$?
	point "$kind: who sleeps in the clone holds the load up" test "$status" != 0
	point "$kind: which is said" grep -q "work.part.0" out err
	"$ugraft" load --timeout 30 fix.ugp $pid >out 2>err &
	load=$!
	sleep 1
	point "$kind: and again" kill -0 $load
	echo >&7
	wait $load
	status=$?
	point "$kind: then it loads" test "$status" = 0
	ask 2
	answered 3
	point "$kind: the new answer" test "$(tail -2 answers | head -1)" = "$((${first% *} + 1000000)) 0"
	"$ugraft" verify $pid >out 2>err
	status=$?
	point "$kind: verified" test "$status" = 0
	"$ugraft" unload fix $pid >out 2>err
	status=$?
	point "$kind: unloads" test "$status" = 0
	ask 2
	answered 4
	point "$kind: the old answer" test "$(tail -2 answers | head -1)" = "$first"
	exec 8>&-
	wait $pid
	status=$?
	point "$kind: ends as it should" test "$status" = 0
	exec 7>&-
done
echo "1..$n"
