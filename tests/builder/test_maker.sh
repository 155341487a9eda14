#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The compiler and the flags of a patch: recorded, shown, and compared with those of the program that
# runs. TAP on stdout.
#
#	test_maker.sh UGRAFT

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

build()
{
	rm -f fix.ugp
	"$ugraft" build -v --src tree --diff fix.diff -o fix.ugp "$@" >out 2>err </dev/null
	status=$?
}

# target MAKEARGS...: ./prog is what such a build makes.
target()
{
	rm -rf made
	cp -a tree made
	make -s -C made "$@" 2>/dev/null && cp made/prog prog
}

# info EXPRESSION: true of the JSON of fix.ugp.
info()
{
	"$ugraft" info --json fix.ugp >json 2>>err &&
		python3 -c 'import json, sys
p = json.load(open("json"))["patch"]
made = [(c["name"], c["flags"], [s["source"] for s in c["sources"]]) for c in p["compilers"]]
if not eval(sys.argv[1]):
    sys.exit(str((p["made_by"], made)))' "$1" 2>>err
}

# without SECTION...: old.ugp is fix.ugp without them.
without()
{
	python3 - "$@" <<'EOF'
import struct, sys
data = bytearray(open("fix.ugp", "rb").read())
at, = struct.unpack_from("<Q", data, 40)
size, n, names = struct.unpack_from("<HHH", data, 58)
headers = [at + i * size for i in range(n)]
strings, = struct.unpack_from("<Q", data, headers[names] + 24)
gone = 0
for h in headers:
    name, = struct.unpack_from("<I", data, h)
    if data[strings + name:].split(b"\0")[0].decode() in sys.argv[1:]:
        data[h:h + size] = bytes(size)
        gone += 1
assert gone == len(sys.argv) - 1
open("old.ugp", "wb").write(data)
EOF
}

mkdir -p tree/src
cat >tree/src/work.c <<'EOF'
#include <string.h>
int state = 3;
__attribute__((noipa)) int work(int n)
{
	return state + n * 5;
}
EOF
cat >tree/main.c <<'EOF'
#include <stdio.h>
#include <stdlib.h>
int work(int n);
int main(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		printf("%d\n", work(atoi(line)));
		fflush(stdout);
	}
	return sizeof(TEXT) == 0;
}
EOF
cat >tree/Makefile <<'EOF'
CC = gcc
FLAGS = -O2
TEXT = one
prog: src/work.c main.c
	$(CC) -g -Wall -O1 $(FLAGS) -Isrc -D NUMBER=7 -DDIR='"$(CURDIR)/src"' -fno-plt -fplt -c src/work.c
	$(CC) -g -O2 -DTEXT='"$(TEXT)"' -c main.c
	$(CC) -Wl,--build-id -o $@ work.o main.o
EOF
sed 's/state + n/1000 + state + n/' tree/src/work.c >new.c
diff -u tree/src/work.c new.c | sed '1s|^--- [^\t]*|--- a/src/work.c|;2s|^+++ [^\t]*|+++ b/src/work.c|' >fix.diff
version=$("$ugraft" --version | sed 's/^ugraft //;q')
number=$(gcc -dumpfullversion)
gcc=$(echo | gcc -c -x c -o x.o - && readelf -p .comment x.o | sed -n 's/^  \[.*\]  //p')

# ---- recorded, and shown ----

"$ugraft" build --src tree --to 2 --work work -- make -s >out 2>err
cp work/tree/prog prog
build --target prog -- make -s
point "rebuilt identically" says 0 "rebuilt identically"
point "who made it" info "p['made_by'] == '$version'"
point "the compiler, flags and source" info \
	"made == [('$gcc', ['-O2', '-DNUMBER=7', '-DDIR=\"./src\"', '-fplt'], ['src/work.c'])]"
point "no path of this machine is in the patch" test "$(strings -n 4 fix.ugp | grep -c "$tmp")" = 0
"$ugraft" info fix.ugp >out 2>err
status=$?
point "shown: ugraft" says 0 "made by      ugraft $version"
point "shown: the compiler" says 0 "compiled by  $gcc"
point "shown: the flags" says 0 "  with       -O2 -DNUMBER=7 -DDIR=\"./src\" -fplt"
point "shown: the source" says 0 "  from       src/work.c"
cp fix.ugp first.ugp
build --target prog -- make -s
point "the same bytes again" cmp -s first.ugp fix.ugp

# ---- patches without it ----

without .ugraft.made .ugraft.compilers .ugraft.units
"$ugraft" info old.ugp >out 2>err
status=$?
point "an old patch is read" says 0 "work"
point "says nothing of compilers" test "$(grep -c "made by\|compiled by" out)" = 0
mkfifo in
./prog <in >answers &
pid=$!
exec 7>in
ask()
{
	echo "$1" >&7
	while [ "$(wc -l <answers)" -lt "$2" ]; do
		kill -0 $pid 2>/dev/null || return 1
		sleep 0.05
	done
	tail -1 answers
}
point "before" test "$(ask 1 1)" = 8
"$ugraft" load old.ugp $pid >out 2>err
status=$?
point "an old patch is loaded" says 0 ""
point "and works" test "$(ask 1 2)" = 1008
"$ugraft" unload fix $pid >out 2>err
point "unloaded" test "$(ask 1 3)" = 8
exec 7>&-
wait $pid
without .ugraft.units
"$ugraft" info old.ugp >out 2>err
status=$?
point "half of it is no patch" says 1 "the section .ugraft.units is missing"

# ---- compared ----

target TEXT=two
build --target prog -- make -s
point "another build, the same compiler" says 0 "1 function"
point "identity is not proven" says 0 "each function is compared"
target TEXT=two FLAGS=-O3
build --target prog -- make -s
point "other flags, though the code is the same: refused" says 5 "explain=COMPILER"
point "both are named" says 5 "from GNU C17 $number with -O3, this build from GNU C17 $number with -O2"
point "no patch then" test ! -e fix.ugp
build --json --target prog -- make -s
point "a finding, with both" python3 -c 'import json
f, = json.load(open("out"))["findings"]
assert f["code"] == "COMPILER" and f["refuses"] and f["file"] == "src/work.c", f
assert "-O3" in f["what"] and "-O2" in f["what"], f'
build --compiler-ok --target prog -- make -s
point "accepted by the one who knows" says 0 "another compiler or other flags, accepted: "
point "the patch says how it was made" info "made[0][1][0] == '-O2'"
"$ugraft" build --explain=COMPILER >out 2>err
status=$?
point "explained, with the way out" says 0 "--compiler-ok"

target TEXT=two FLAGS="-O2 -fno-inline -fno-strict-aliasing"
build --target prog -- make -s FLAGS="-fno-strict-aliasing -O2 -fno-inline"
point "another order of flags is none" says 0 "1 function"
build --target prog -- make -s FLAGS="-fno-strict-aliasing -finline -O2 -fno-inline"
point "nor what is undone" says 0 "1 function"

if command -v clang >/dev/null; then
	target TEXT=two CC=clang
	build --target prog -- make -s
	point "clang's program, gcc's patch: refused" says 5 "explain=COMPILER"
	point "both are named" grep -Eq 'from Debian clang version [0-9.]+, this build from GNU C17' err
	build --target prog -- make -s CC=clang
	point "clang's program, clang's patch" says 0 "1 function"
	point "says so" info "made[0][0].startswith('Debian clang version')"
fi

# ---- what a program says of itself ----

target TEXT=two FLAGS=-O3
objcopy --only-keep-debug prog prog.debug
strip prog
"$ugraft" build --src tree --diff fix.diff -o fix.ugp --target prog --debug prog.debug -- make -s >out 2>err
status=$?
point "from its debug file" says 5 "with -O3, this build"

printf '\0GCC: (Elsewhere 9.4.0) 9.4.0\0' >comment
target TEXT=two
strip -g prog
build --target prog -- make -s
point "without debug information: .comment" says 0 "1 function"
objcopy --update-section .comment=comment prog
build --target prog -- make -s
point "another compiler there: refused" says 5 \
	"the program is from GCC: (Elsewhere 9.4.0) 9.4.0, this build from $gcc"
objcopy --remove-section .comment prog
build --target prog -- make -s
point "nothing there: said" says 0 "prog does not say which compiler made it"

# ---- a kept build, and a compiler that is another one by now ----

mkdir tools
cat >tools/gcc <<'EOF'
#!/bin/sh
exec /usr/bin/gcc "$@" $(cat "$0.more")
EOF
chmod +x tools/gcc
: >tools/gcc.more
rm -rf work
PATH=$tmp/tools:$PATH "$ugraft" build --src tree --to 2 --work work -- make -s >out 2>err </dev/null
cp work/tree/prog prog
again()
{
	rm -f fix.ugp
	PATH=$tmp/tools:$PATH "$ugraft" build -v --src tree --work work --from 3 --diff fix.diff \
		--target prog -o fix.ugp >out 2>err </dev/null
	status=$?
}
again
point "a kept build, the same compiler" says 0 "1 function"
echo -O3 >tools/gcc.more
again
point "another one by now: refused" says 5 "with -O2, this build from GNU C17 $number with -O3"

# ---- two objects of one source ----

sed -i 's|^\t.*work.c$|&; gcc -g -O3 -c src/work.c -o other.o|' tree/Makefile
target TEXT=two
build --target prog -- make -s
point "of two objects the one made as the program was" says 0 "1 function"
point "it is" info "made[0][1][0] == '-O2' and len(made) == 1"

# ---- other ways to a patch ----

gcc -g -O2 -ffunction-sections -fdata-sections -fplt -c tree/src/work.c -o before.o
gcc -g -O2 -ffunction-sections -fdata-sections -fplt -c new.c -o after.o
"$ugraft" build --before before.o --after after.o --target prog -o fix.ugp >out 2>err
status=$?
point "two objects" says 0 "1 function"
point "their flags are from debug information" info "made[0][0] == '$gcc' and '-O2' in made[0][1] and made[0][2] == ['new.c']"
gcc -g -O3 -ffunction-sections -fdata-sections -fplt -c tree/src/work.c -o before.o
"$ugraft" build --before before.o --after after.o --target prog -o fix.ugp >out 2>err
status=$?
point "made otherwise: refused" says 5 "explain=COMPILER"
cat >author.c <<'EOF'
#include <ugraft/patch.h>
static int new_work(int n) { return n; }
UG_PATCH(fix);
UG_FUNC(UG_EXE, work, new_work);
EOF
"$ugraft" build --source author.c --target prog --cflag="-O1 -DX=1" -o fix.ugp >out 2>err
status=$?
point "an author's file" says 0 "1 function"
point "says how it was compiled" info "made[0][0] == '$gcc' and made[0][2] == ['author.c'] and '-DX=1' in made[0][1]"
point "of two levels the last" info "[f for f in made[0][1] if f[:2] == '-O'] == ['-O1']"

echo "1..$n"
