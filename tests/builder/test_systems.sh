#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ugraft build --src with the ways programs are built: are all compiles recorded, and is it known
# what they read? Each program is made here. TAP on stdout.
#
#	test_systems.sh UGRAFT

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

export CCACHE_DIR=$tmp/ccache
unset CC CXX

skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# needs NAME PROGRAM...: are they there?
needs()
{
	local name=$1 p
	shift
	for p in "$@"; do
		command -v "$p" >/dev/null || { skip "$name" "$p is not installed"; return 1; }
	done
}

# edit FILE SED...: fix.diff changes those files of the tree so.
edit()
{
	rm -rf a b
	cp -a tree a
	cp -a tree b
	while [ $# -gt 0 ]; do
		sed -i "$2" "b/$1"
		shift 2
	done
	diff -ru a b >fix.diff
	grep -q '^+[^+]' fix.diff || echo "# the diff is empty" >&2
}

# record COMMAND...: the plain build, recorded, in `work`.
record()
{
	rm -rf work
	"$ugraft" build -v --src tree --work work --to 2 -- "$@" >out 2>err </dev/null
	status=$?
	[ $status = 0 ] || tail -5 work/build.log >>err
}

# fix TARGET [OPTION...]: the patch for a file of that build.
fix()
{
	local target=$1
	shift
	[ "$status" = 0 ] || return
	cp "work/tree/$target" "$(basename "$target")"
	rm -f fix.ugp
	"$ugraft" build -v --src tree --work work --from 3 --diff fix.diff --target "$(basename "$target")" \
		-o fix.ugp "$@" >out 2>err </dev/null
	status=$?
}

# patches FUNCTION...: the last run made a patch for exactly these.
patches()
{
	[ "$status" = 0 ] || return
	"$ugraft" info --json=short fix.ugp | python3 -c 'import json, sys
print(*sorted(f["name"] for f in json.load(sys.stdin)["patch"]["functions"]))' >functions
	[ "$(cat functions)" = "$(printf '%s\n' "$@" | sort | paste -sd' ')" ] || { cat functions >>err; false; }
}

# asks N: so many compilers had to be asked what they read.
asks()
{
	grep -qF "; $1 compilers were asked)" out err
}

# Two sources in two directories that include one header from theirs, and a main.
make_calc()
{
	mkdir -p tree/sub
	cat >tree/calc.h <<'EOF'
#ifndef CALC_H
#define CALC_H
static inline int scale(int n) { return n * 3 + 1; }
int work(int n);
int more(int n);
#endif
EOF
	cat >tree/calc.c <<'EOF'
#include "calc.h"
__attribute__((noipa)) int work(int n) { return scale(n) + 5; }
EOF
	cat >tree/sub/more.c <<'EOF'
#include "../calc.h"
__attribute__((noipa)) int more(int n) { return scale(n) + 7; }
EOF
	cat >tree/main.c <<'EOF'
#include <stdio.h>
#include "calc.h"
int main(int argc, char **argv) { printf("%d %d\n", work(argc), more(argc)); return 0; }
EOF
}

# ---- make ----

make_calc
cat >tree/Makefile <<'EOF'
CC = gcc
CFLAGS = -O2 -g
DEPS =
objects = obj/calc.o sub/more.o obj/main.o
prog: $(objects)
	$(CC) -o $@ $(objects) -Wl,--build-id
obj/%.o: %.c
	@mkdir -p obj
	$(CC) $(CFLAGS) $(DEPS) -c -o $@ $<
sub/more.o: sub/more.c
	cd sub && $(MAKE) -f ../sub.mk
export CC CFLAGS DEPS
EOF
cat >tree/sub.mk <<'EOF'
more.o: more.c
	$(CC) $(CFLAGS) $(DEPS) -c more.c
EOF
edit calc.c 's/+ 5/+ 6/'
cp fix.diff source.diff
edit calc.h 's/n \* 3/n * 4/'
cp fix.diff header.diff

# make_with NAME ARGUMENT...: the header is read by all three.
make_with()
{
	local name=$1
	shift
	record make -s -j2 "$@"
	fix prog
	point "make, $name: all are recorded" says 0 "3 compiles recorded"
	point "make, $name: who reads the header" patches more work
}

make_with "plain"
point "the build has said what was read" asks 0
point "the summary says what was added" grep -Eq '^ugraft took [0-9.]+ s: copy' out
rm -rf work
"$ugraft" build --src tree --work work --to 2 -- sh -c 'make -s obj/calc.o obj/main.o && false' >out 2>err </dev/null
status=$?
point "make, ends half-way" says 1 "the build failed with status 1"
"$ugraft" build -v --src tree --work work --from 2 --to 2 -- make -s >out 2>err </dev/null
status=$?
fix prog
point "make, goes on: all are recorded" says 0 "3 compiles recorded"
point "make, goes on: who reads the header" patches more work
make_with "-MMD" DEPS=-MMD
point "that too" asks 0
point "the file for make is there" test -s work/tree/obj/calc.d
# shellcheck disable=SC2016 # of make
make_with "-MD -MF -MP" DEPS='-MD -MF $(notdir $@).dep -MP'
point "that too" asks 0
# shellcheck disable=SC2016
make_with "-Wp,-MMD" DEPS='-Wp,-MMD,$(notdir $@).dep'
make_with "absolute compiler" CC=/usr/bin/gcc
if needs "clang" clang; then
	make_with "clang" CC=clang
fi
if needs "ccache" ccache; then
	make_with "CC=ccache gcc" CC='ccache gcc'
	make_with "CC=/usr/bin/ccache gcc, again" CC='/usr/bin/ccache gcc'
	PATH=/usr/lib/ccache:$PATH make_with "ccache in PATH" CC=gcc
	make_with "ccache under the compiler's name" CC=/usr/lib/ccache/gcc
fi
# What is built is what make alone builds.
cp -a tree clean
make -s -C tree
cp tree/prog .
rm -rf tree
mv clean tree
"$ugraft" build -v --src tree --diff source.diff --target prog -o fix.ugp -- make -s -j2 DEPS=-MMD >out 2>err
status=$?
point "recording changes nothing in the program" says 0 "rebuilt identically"
point "the seconds of the build and ours" grep -Eq '^built in [0-9.]+ s; ugraft added [0-9.]+ s' out

# ---- what a hand-written makefile does ----

rm -rf tree
mkdir -p tree/inc tree/src
printf '#define STEP 2\n#define RSP(n) ((n) * STEP)\n' >tree/inc/forced.h
echo '#define FROM_ENV(n) ((n) + 11)' >tree/inc/env.h
echo '__attribute__((noipa)) int rsp(int n) { return RSP(n) + 21; }' >tree/src/rsp.c
echo '__attribute__((noipa)) int one(int n) { return n + 31; }' >tree/src/one.c
echo '__attribute__((noipa)) int two(int n) { return n + 41; }' >tree/src/two.c
echo '__attribute__((noipa)) int part(int n) { return n + 51; }' >tree/src/part.c
echo '#include "part.c"' >tree/src/unity.c
printf '#include <env.h>\n__attribute__((noipa)) int env(int n) { return FROM_ENV(n); }\n' >tree/src/env.c
echo '__attribute__((noipa)) int odd(int n) { return n + 61; }' >tree/src/odd.inc
echo '__attribute__((noipa)) int copied(int n) { return n + 71; }' >tree/src/copied.c
echo '#define GEN 81' >tree/gen.in
printf '#include "gen.h"\n__attribute__((noipa)) int gen(int n) { return n + GEN; }\n' >tree/src/gen.c
cat >tree/src/main.c <<'EOF'
#include <stdio.h>
int rsp(int), one(int), two(int), part(int), env(int), odd(int), copied(int), gen(int);
int main(int argc, char **argv)
{
	printf("%d\n", rsp(argc) + one(argc) + two(argc) + part(argc) + env(argc) + odd(argc) +
	       copied(argc) + gen(argc));
	return 0;
}
EOF
cat >tree/Makefile <<'EOF'
CFLAGS = -O2 -g
prog: o/rsp.o one.o o/unity.o o/env.o o/odd.o o/copied.o o/gen.o o/main.o
	gcc -o $@ *.o o/*.o -Wl,--build-id
o:
	mkdir o
	cp gen.in o/gen.h
	cp src/copied.c o/made.c
o/rsp.o: | o
	printf '%s\n' '-O2 -g -include "inc/forced.h"' '-c src/rsp.c -o o/rsp.o' >o/args
	gcc @o/args
	rm o/args
one.o: | o
	gcc $(CFLAGS) -c src/one.c src/two.c
o/env.o: | o
	CPATH=inc gcc $(CFLAGS) -c -o $@ src/env.c
o/odd.o: | o
	gcc $(CFLAGS) -x c -c -o $@ src/odd.inc
o/copied.o: | o
	cd o && gcc $(CFLAGS) -c -o ../o/copied.o made.c
o/%.o: src/%.c | o
	gcc $(CFLAGS) -Io -c -o $@ $<
EOF
edit inc/forced.h 's/STEP 2/STEP 3/' src/one.c 's/31/32/' src/two.c 's/41/42/' src/part.c 's/51/52/' \
	inc/env.h 's/11/12/' src/odd.inc 's/61/62/' src/copied.c 's/71/72/'
record make -s -j2
fix prog
point "response file, -include, several sources, unity, CPATH, -x, copy" \
	patches copied env odd one part rsp two
point "nine compiles" says 0 "9 compiles recorded"
edit src/gen.c 's/+ GEN/+ GEN + 1/'
fix prog
point "a source with a generated header" patches gen
rm -rf b
cp -a tree b
echo '#define GEN 91' >b/src/gen.h
diff -ruN a b >fix.diff
fix prog
point "a new file that is found before one that was read" patches gen

# ---- cmake ----

rm -rf tree
make_calc
cat >tree/CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.18)
project(x C)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_executable(prog main.c calc.c sub/more.c)
target_include_directories(prog PRIVATE ${CMAKE_SOURCE_DIR})
target_link_options(prog PRIVATE -Wl,--build-id)
if(UNITY)
	set_property(TARGET prog PROPERTY UNITY_BUILD ON)
	target_precompile_headers(prog PRIVATE calc.h)
endif()
EOF
edit calc.h 's/n \* 3/n * 4/'

cmake_with()
{
	record sh -c "cmake -S . -B b -DCMAKE_BUILD_TYPE=RelWithDebInfo $* && cmake --build b -j2"
	fix b/prog
}

if needs "cmake, Makefiles" cmake make; then
	cmake_with -G "'Unix Makefiles'"
	point "cmake, Makefiles" patches more work
	point "the build has said what was read" asks 0
	# The same without a build: from its compilation database, whose compilers are the wrappers.
	sed "s|\"command\": \"[^ ]*|\"command\": \"$(command -v cc)|" work/tree/b/compile_commands.json >db.json
	mv tree source
	mv work/tree tree
	"$ugraft" build -v --src tree --compile-commands db.json --diff fix.diff --target prog -o fix.ugp \
		>out 2>err </dev/null
	status=$?
	rm -rf tree
	mv source tree
	point "compile_commands.json" patches more work
	point "three compiles" says 0 "3 compiles recorded"
	echo '[ { "file": "calc.c" } ]' >db.json
	"$ugraft" build --src tree --compile-commands db.json --diff fix.diff --target prog >out 2>err
	status=$?
	point "one without commands" says 1 "entry 0 has no directory and command"
fi
if needs "cmake, Ninja, unity build, precompiled header" cmake ninja; then
	cmake_with -G Ninja -DUNITY=1
	point "cmake, Ninja, unity build, precompiled header" patches more work
	point "it is one compile" says 0 " 1 of them read"
fi

# ---- meson ----

cat >tree/meson.build <<'EOF'
project('x', 'c', default_options: ['buildtype=debugoptimized'])
lib = shared_library('calc', 'calc.c', 'sub/more.c', include_directories: '.', link_args: '-Wl,--build-id')
executable('prog', 'main.c', link_with: lib)
EOF
if needs "meson, a shared library" meson ninja; then
	record sh -c "meson setup b && ninja -C b"
	fix b/libcalc.so
	point "meson, a shared library" patches more work
	point "the build has said what was read" asks 0
fi

# ---- autotools and libtool ----

cat >tree/configure.ac <<'EOF'
AC_INIT([x], [1])
AM_INIT_AUTOMAKE([foreign subdir-objects])
AC_PROG_CC
LT_INIT([disable-static])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
EOF
cat >tree/Makefile.am <<'EOF'
AM_LDFLAGS = -Wl,--build-id
lib_LTLIBRARIES = libcalc.la
libcalc_la_SOURCES = calc.c sub/more.c
bin_PROGRAMS = prog
prog_SOURCES = main.c
prog_LDADD = libcalc.la
EOF
if needs "libtool, out of the tree" autoreconf libtoolize automake make; then
	(cd tree && autoreconf -i) >out 2>err
	record sh -c "mkdir b && cd b && ../configure -q && make -s -j2"
	fix b/.libs/libcalc.so.0.0.0
	point "libtool, out of the tree" patches more work
	point "the build has said what was read" asks 0
fi

# ---- C++ ----

rm -rf tree
mkdir tree
echo 'struct calc { int base; int work(int n) const; };' >tree/calc.hh
cat >tree/calc.cc <<'EOF'
#include "calc.hh"
__attribute__((noipa)) int calc::work(int n) const { return base + n; }
EOF
cat >tree/main.cpp <<'EOF'
#include <cstdio>
#include "calc.hh"
int main(int argc, char **argv) { std::printf("%d\n", calc{ 3 }.work(argc)); }
EOF
printf 'prog: calc.cc main.cpp\n\tg++ -O2 -g -o $@ calc.cc main.cpp -Wl,--build-id\n' >tree/Makefile
edit calc.cc 's/base + n/base + n * 2/'
if needs "g++" g++; then
	record make -s
	fix prog
	point "g++" patches _ZNK4calc4workEi
fi

echo "1..$n"
