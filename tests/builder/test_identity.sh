#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A stripped binary that the build does not make again byte for byte: is it the same program? And
# the stages of a build in a directory that is kept. TAP on stdout.
#
#	test_identity.sh UGRAFT

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

build()
{
	"$ugraft" build -v --src tree --diff fix.diff -o fix.ugp "$@" >out 2>err </dev/null
	status=$?
}

mkdir tree
cat >tree/prog.c <<'EOF'
#include <stdio.h>
int state = 3;
const int table[] = { 5, 7, 11, 13 };
#ifndef MASK
#define MASK 3
#endif
__attribute__((noipa)) int work(int n)
{
	return state + table[n & MASK];
}
__attribute__((noinline)) static const char *name(void)
{
	return VERSION;
}
int main(int argc, char **argv)
{
	puts(name());
	puts("a string behind the version");
	printf("%d\n", work(argc));
	return 0;
}
EOF
cat >tree/Makefile <<'EOF'
VERSION = 2.0
FLAGS =
prog: prog.c
	cc -g -O2 $(FLAGS) -DVERSION='"library $(VERSION) of old"' -Wl,--build-id -o $@ prog.c
EOF

# installed MAKEARGS...: ./prog is what such a build makes, stripped.
installed()
{
	rm -rf made
	cp -a tree made
	make -s -C made "$@" && strip -o prog made/prog
}

sed 's/state + table/1000 + state + table/' tree/prog.c >new.c
diff -u tree/prog.c new.c | sed '1s|^--- [^\t]*|--- a/prog.c|;2s|^+++ [^\t]*|+++ b/prog.c|' >fix.diff

installed VERSION=1.9
build --target prog -- make
point "another string: the same program" says 0 "the same program"
point "the string is named" says 0 'the binary says "library 1.9 of old", the rebuilt "library 2.0 of old"'
point "a patch is made" test -s fix.ugp

installed VERSION=1.9 FLAGS=-DMASK=1
rm -f fix.ugp
build --target prog -- make
point "another function: refused" says 5 "another program: work has other code"
point "no patch is made" test ! -e fix.ugp

installed VERSION=1.9 FLAGS='-DPAD -fno-plt'
build --target prog -- make
point "another layout: refused" says 5 "is another program: its section"

echo 'static int bigger[64] __attribute__((used)) = { 1 };' >extra.h
installed VERSION=1.9 FLAGS="-include $tmp/extra.h"
build --target prog -- make
point "other data: refused" says 5 "another program"

# ---- stages ----

installed
build --to 2 --work work -- make
point "ends after the build" says 0 "stopped after the stage"
point "what is built is there" test -x work/tree/prog
"$ugraft" build --work work --src tree --from 3 --diff fix.diff --target prog --name fix -o staged.ugp >out 2>err
status=$?
point "goes on from there" says 0 "1 function"
build --target prog -- make
point "to the same bytes" cmp -s fix.ugp staged.ugp
"$ugraft" build --work work --src tree --from 3 --diff fix.diff --target prog -o again.ugp >out 2>err
status=$?
point "and again" says 0 "1 function"
build --to 1 --work other -- make
"$ugraft" build --work other --src tree --from 3 --diff fix.diff --target prog -o x.ugp >out 2>err
status=$?
point "not from what is not there" says 1 "cannot go on from stage 3: what is complete in it is the copy"

# ---- names Debian does not know ----

"$ugraft" build --deb no-such-package-here --diff fix.diff -o x.ugp >out 2>err
status=$?
if [ "$(id -u)" -ne 0 ] || ! command -v dpkg-query >/dev/null; then
	n=$((n + 1))
	echo "ok $n - no such package # SKIP needs root and dpkg"
else
	point "no such package" says 5 "no package or source package no-such-package-here is installed"
fi

echo "1..$n"
