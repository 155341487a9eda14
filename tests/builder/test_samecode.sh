#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests/tools/samecode: is the code of a patch that of the program rebuilt with the fix? A change of
# one thing in the rebuilt program must show. TAP on stdout.
#
#	test_samecode.sh UGRAFT SAMECODE

samecode=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

cat >case.c <<'CASE'
#include <stdio.h>
#include <stdlib.h>
#ifndef FACTOR
#define FACTOR 5
#endif
#ifndef SAY
#define SAY "after"
#endif
#ifndef CALLEE
#define CALLEE one
#endif
#ifndef TABLE
#define TABLE 3
#endif
#ifndef NAMES
#define NAMES "a", "b", "c"
#endif
#ifndef VARIABLE
#define VARIABLE left
#endif
#ifndef TWENTY
#define TWENTY 20
#endif
#ifndef IMPORT
#define IMPORT rand
#endif
static int left, right;
/* The entry of the PLT for it is in .plt.got, where they are half as long as in .plt, and the last there. */
int (*volatile taken)(void);
void take(void) { taken = rand; }
__attribute__((noinline, noipa)) static int one(int n) { return left += n; }
__attribute__((noinline, noipa)) static int two(int n) { return right += n; }
__attribute__((noinline, cold)) static void complain(const char *s) { puts(s); two(1); }
/* Large, so that jumps over it are near ones in one build only. */
#define MANY(x) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8)
#define STEP(k) n += one(n ^ k);
__attribute__((noinline)) int f(int n)
{
#ifdef AFTER
	if (__builtin_expect(n < 0, 0)) {
		complain(SAY);
		return -1;
	}
	switch (n) {
	case 0: n = one(2); break;
	case 1: n = two(30); puts("x"); break;
	case 2: n = one(400) * 3; break;
	case 3: n = two(TABLE); break;
	case 4: n = one(n) + two(n); break;
	case 5: {
		static const char *const names[] = { NAMES };
		puts(names[(unsigned int)right % 3]);
		break;
	}
	case 6: n = TWENTY; break;
	case 7: n = IMPORT(); break;
	}
	if (n & 1) {
		MANY(STEP)
	}
	return CALLEE(n * FACTOR) + VARIABLE;
#else
	return one(n) + two(n) + printf("%d\n", n);
#endif
}
void probe(int n) { printf("%d %d\n", f(n), right); }
CASE

for cc in gcc clang; do
	command -v $cc >/dev/null || continue
	for model in "-fPIE -pie" "-fno-pic -no-pie" "-fPIC -shared"; do
		flags="-O2 ${model%% -*}" link="-${model##* -}"
		main="$here/main.c"
		[ "$link" != -shared ] || main=
		compile()
		{
			# shellcheck disable=SC2086 # lists of words
			$cc -w $flags -Wl,--build-id $link "$@" $main
		}
		where="$cc $model"
		compile case.c -o old && compile -DAFTER case.c -o new || exit 1
		# shellcheck disable=SC2086
		$cc -w $flags -g -ffunction-sections -fdata-sections -c case.c -o b.o
		# shellcheck disable=SC2086
		$cc -w $flags -g -ffunction-sections -fdata-sections -DAFTER -c case.c -o a.o
		"$ugraft" build --before b.o --after a.o --target old -o fix.ugp >out 2>err
		status=$?
		point "$where: a patch" says 0 ""
		"$samecode" fix.ugp new >out 2>err
		status=$?
		point "$where: the rebuilt one" says 0 " f"
		point "$where: nothing is left out" test "$(grep -c "^different" out)" = 0
		strip -o stripped new
		"$samecode" fix.ugp stripped new >out 2>err
		status=$?
		point "$where: stripped, with its symbols" says 0 " f"
		for other in FACTOR=6 'SAY="other"' CALLEE=two TABLE=4 'NAMES="a","d","c"' VARIABLE=right TWENTY=21 IMPORT=random; do
			compile -DAFTER "-D$other" case.c -o changed || exit 1
			"$samecode" fix.ugp changed >out 2>err
			status=$?
			point "$where: $other shows" says 1 "different"
		done
		"$samecode" fix.ugp old >out 2>err
		status=$?
		point "$where: the old one is another" says 1 "different f"
	done
done
"$samecode" fix.ugp case.c >out 2>err
status=$?
point "no ELF file is an error" says 2 "samecode:"
echo "1..$n"
