#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ugraft build --src against a small program whose build copies its sources, makes two objects of
# one of them, and has two files of one name. TAP on stdout.
#
#	test_tree.sh UGRAFT

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

silent_about()
{
	! cat out err | grep -qF -- "$1"
}

build()
{
	"$ugraft" build -v --src tree --target prog -o fix.ugp "$@" >out 2>err </dev/null
	status=$?
}

# edit FILE SED: fix.diff changes that file of the tree so.
edit()
{
	rm -rf a b
	cp -a tree a
	cp -a tree b
	sed -i "$2" "b/$1"
	diff -u "a/$1" "b/$1" >fix.diff
}

# ---- the program ----

mkdir -p tree/src/sub
cat >tree/src/calc.c <<'EOF'
#include <assert.h>
#include "calc.h"

static int total;

static int limit(int n)
{
	if (n > 100)
		return 100;
	return n;
}

__attribute__((noinline)) int work(int n)
{
	total += n;
	return limit(n) * 2;
}

__attribute__((noinline)) int count(int n)
{
	assert(n < 1000000);
	return total;
}
EOF
cat >tree/src/calc.h <<'EOF'
int work(int n);
int count(int n);
int first(int n);
int second(int n);
EOF
for d in "" sub/; do
	f=first
	[ -z "$d" ] || f=second
	cat >"tree/src/${d}same.c" <<EOF
static int state = 1;
static __attribute__((noinline)) int helper(int n) { state += n; return state * ${#f}; }
int $f(int n) { return helper(n) + 1; }
EOF
done
cp "$here/main.c" tree/src/main.c
cat >tree/src/probe.c <<'EOF'
#include <stdio.h>
#include "calc.h"
void probe(int n) { printf("%d %d %d %d\n", work(n), count(n), first(n), second(n)); }
EOF
cat >tree/src/unused.c <<'EOF'
int unused(int n) { return n; }
EOF
cat >tree/Makefile <<'EOF'
CFLAGS = -O2 -g
objects = main.o probe.o calc.o same.o sub/same.o
prog: $(addprefix build/,$(objects)) build/calc.pic.o
	$(CC) -o $@ $(addprefix build/,$(objects)) -Wl,--build-id
build/stamp:
	cp -r src build
	ln -sf $(CURDIR)/src/sub/same.c build/sub/same.c
	touch $@
build/%.pic.o: build/stamp
	$(CC) $(CFLAGS) -fPIC -c -o $@ build/$*.c
build/%.o: build/stamp
	$(CC) $(CFLAGS) -c -o $@ build/$*.c
EOF
echo "read me" >tree/README
(cd tree && make -s >/dev/null && cp prog ..)
rm -rf tree/build tree/prog
(cd tree && find . -type f -exec md5sum {} + | sort) >sums

# ---- what works ----

edit src/calc.c 's/^\tif (n > 100)/\tif (n < 0)\n\t\treturn 0;\n&/'
build --diff fix.diff -- make -s -j2
point "a fix of a copied source" says 0 "1 function"
point "says why" says 0 "inlines limit"
point "lines that moved are no change" silent_about "count"
point "identity is proven" says 0 "rebuilt identically"
first=$(md5sum <fix.ugp)
build --diff fix.diff -- make -s
point "the same bytes again" test "$first" = "$(md5sum <fix.ugp)"
(cd tree && find . -type f -exec md5sum {} + | sort) >sums.after
point "the tree is as it was" cmp -s sums sums.after

mkfifo in
./prog <in >answers &
pid=$!
exec 7>in
ask()
{
	echo "$1" >&7
	while [ "$(grep -c '^\.$' answers)" -lt "$2" ]; do
		kill -0 $pid 2>/dev/null || return 1
		sleep 0.05
	done
	tail -2 answers | head -1
}
point "before: the old answer" test "$(ask -4 1)" = "-8 0 -14 -17"
"$ugraft" load fix.ugp $pid >out 2>err
status=$?
point "it loads" test "$status" = 0
point "after: the new one, with the live state" test "$(ask -4 2)" = "0 -4 -34 -41"
"$ugraft" unload fix $pid >out 2>err
point "unloaded: the old one" test "$(ask -4 3)" = "-8 -8 -54 -65"
exec 7>&-
wait $pid
status=$?
point "it ends as it should" test "$status" = 0

edit src/sub/same.c 's/state += n/state -= n/'
build --diff fix.diff -- make -s
point "the right one of two files of one name" says 0 "helper"
"$ugraft" info fix.ugp >out 2>err
wanted=$(nm prog | awk '$3 == "helper" { print $1 }' | sort)
point "told apart by position" test "$(awk '$1 == "helper" { print $4 }' out)" = 2
point "there are two" test "$(echo "$wanted" | wc -l)" = 2

# A function new in one file, called by a changed one of another.
rm -rf a b
cp -a tree a
cp -a tree b
echo 'int more(int n) { static int calls; return n + 1000 * ++calls; }' >>b/src/same.c
sed -i 's/limit(n) \* 2/more(limit(n))/; s/^static int total/int more(int n);\n&/' b/src/calc.c
diff -ru a b >fix.diff
build --diff fix.diff -- make -s
point "a new function of another file" says 0 "more"
point "comes along" test "$(nm fix.ugp | awk '$3 == "more" { print tolower($2) }')" = t

edit src/calc.c 's/return limit(n) \* 2;/return 2 * limit(n);/'
rm -f fix.ugp
build --diff fix.diff -- make -s
point "other words for the same code" says 0 "no change for this binary"
point "and no patch" test ! -e fix.ugp

edit src/calc.h 's/^int first/\/* a comment *\/\n&/'
build --diff fix.diff -- make -s
point "a header, read by several" says 0 "no change for this binary"

# ---- what is refused ----

edit src/unused.c 's/return n/return n + 1/'
build --diff fix.diff -- make -s
point "a file no compile reads is an error" says 1 "no compile of the build has read src/unused.c"
edit README 's/read/do read/'
build --diff fix.diff -- make -s
point "a text too" says 1 "README"
build --diff fix.diff --ignore=README -- make -s
point "unless it is ignored" says 0 "no change for this binary"

edit src/calc.c 's/^static int total;/static int total = 5;/'
build --diff fix.diff -- make -s
point "changed data" says 5 "DATA_CHANGED"
build --diff fix.diff --json -- make -s
point "as JSON" test "$(python3 -c 'import json
print(json.load(open("out"))["findings"][0]["code"])')" = DATA_CHANGED
"$ugraft" build --explain=data_changed >out 2>err
status=$?
point "explained" says 0 "life of its own"

edit src/calc.c 's/^\tif (n > 100)/\tif (n > 50)/'
build --diff fix.diff -- make -s CFLAGS=-O1
point "another build than the running one" says 5 "explain=COMPILER"
point "says what is other" says 5 "with -O2, this build from GNU C17"
build --diff fix.diff --compiler-ok -- make -s CFLAGS=-O1
point "the code is compared all the same" says 5 "does not run this code"
point "says which function" says 5 "work+"
build --diff fix.diff -- false
point "a build that fails" says 1 "the build failed with status 1"
point "its log is kept" test -d "$(sed -n 's/.*its output is in \(.*\)\/build.log.*/\1/p' err)"
rm -rf "$(sed -n 's/.*its output is in \(.*\)\/build.log.*/\1/p' err)"
build --diff fix.diff -- true
point "a build that compiles nothing" says 1 "compiled nothing"
sed -i 's/n > 100/n > 7777/' fix.diff
build --diff fix.diff -- make -s
point "a diff that does not apply" says 1 "does not apply"
edit src/calc.c 's/n > 100/n >/'
build --diff fix.diff -- make -s
point "a change that does not compile" says 1 "compiling"
build -- make -s
point "no diff" says 2 "--diff"

echo "1..$n"
