#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz/make-corpus.sh BUILD: makes fuzz/corpus anew, but for corpus/patchfile and what a fuzzer has
# found (found-*). BUILD has been configured with the tests.

set -euo pipefail
cd "$(dirname "$0")"
build=$(realpath "../$1" 2>/dev/null || realpath "$1")
dir=$PWD/corpus
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

ninja -C "$build" fuzz/make-corpus >/dev/null
for name in registry object text unwind dwarf bpf maps source record objdiff; do
	mkdir -p "$dir/$name"
done

# ---- code: text and unwind ----

gcc -O2 -fno-pic -fno-pie -fexceptions -c -o "$tmp/code.o" corpus-src/code.c
g++ -O2 -fno-pic -fno-pie -c -o "$tmp/throw.o" corpus-src/throw.cc
ld -T corpus-src/corpus.lds --unresolved-symbols=ignore-all -o "$tmp/code" "$tmp/code.o" "$tmp/throw.o"
"$build/fuzz/make-corpus" "$dir" "$tmp/code"

# ---- objects ----

cflags="-O2 -nostdlib -Wl,-z,noseparate-code -Wl,--hash-style=gnu -Wl,-z,max-page-size=4096"
# shellcheck disable=SC2086 # a list of options
{
	gcc $cflags -shared -fPIC -Wl,--build-id -Wl,-soname,libtiny.so.1 \
		-Wl,--version-script=corpus-src/tiny.map -o "$dir/object/tiny.so" corpus-src/tiny.c
	gcc $cflags -static -no-pie -Wl,--build-id -o "$dir/object/tiny.exe" corpus-src/tiny.c -DPROGRAM
	gcc $cflags -g -gz -fno-asynchronous-unwind-tables -static-pie -o "$tmp/debug" corpus-src/tiny.c -DPROGRAM
}
# Only .debug_frame; the local symbols only in .gnu_debugdata.
nm "$tmp/debug" --format=posix | awk '{ print $1 }' >"$tmp/keep"
objcopy --strip-debug --keep-section=.debug_frame "$tmp/debug" "$dir/object/debug_frame.exe"
objcopy --only-keep-debug --strip-debug "$tmp/debug" "$tmp/mini"
xz --check=crc32 --lzma2=dict=64KiB "$tmp/mini"	# a large dictionary is a slow test
strip --strip-all -o "$tmp/stripped" "$tmp/debug"
objcopy --add-section .gnu_debugdata="$tmp/mini.xz" "$tmp/stripped" "$dir/object/debugdata.exe"

# ---- pairs of objects ----

le32()
{
	local hex
	hex=$(printf %08x "$1")
	printf '%b' "\\x${hex:6:2}\\x${hex:4:2}\\x${hex:2:2}\\x${hex:0:2}"
}

pair()
{
	local name=$1
	shift
	gcc -O2 -ffunction-sections -fdata-sections "$@" -c -o "$tmp/a.o" corpus-src/pair.c
	gcc -O2 -ffunction-sections -fdata-sections "$@" -DAFTER -c -o "$tmp/b.o" corpus-src/pair.c
	{ le32 "$(stat -c %s "$tmp/a.o")"; cat "$tmp/a.o" "$tmp/b.o"; } >"$dir/objdiff/$name"
}
pair plain
pair debug -g

# ---- texts ----

{ cat corpus-src/pair.c; printf '\0'; sed 's/AFTER/BEFORE/; s/int/long/' corpus-src/pair.c; } \
	>"$dir/source/pair"
{ printf 'int f(void)\n{\n\treturn 1;\n}\n\0'
  printf '#define X(a) \\\n\ta\nstruct s { int a, b; };\nenum e { A, B };\nint f(void)\n{\n\treturn X(2);\n}\n'; } \
	>"$dir/source/small"

cat >"$dir/maps/program" <<'END'
00400000-00401000 r--p 00000000 fd:01 1234                               /usr/bin/program
00401000-00404000 r-xp 00001000 fd:01 1234                               /usr/bin/program
00404000-00405000 rw-p 00004000 fd:01 1234                               /usr/bin/program (deleted)
01a3c000-01a5d000 rw-p 00000000 00:00 0                                  [heap]
7f1200000000-7f1200021000 rw-p 00000000 00:00 0 
7f1200021000-7f1204000000 ---p 00000000 00:00 0 
7f1210000000-7f1210001000 rw-s 00000000 00:01 77                         /memfd:a\012b (deleted)
7ffd5a000000-7ffd5a021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
END

# A record: head (arguments, variables, bytes), then strings (builder/capture/wrapper.h).
printf '%s\0' / '' /usr/bin/gcc -c -O2 -o x.o /etc/passwd.c -x c /etc/passwd LANG=C >"$tmp/strings"
{ le32 8; le32 1; le32 "$(stat -c %s "$tmp/strings")"; cat "$tmp/strings"; } >"$dir/record/log"
cat >"$dir/record/database.json" <<'END'
[ { "directory": "/etc", "command": "gcc -c -I'a b' -x c passwd -o \"x y.o\"", "file": "passwd" },
  { "directory": "/etc", "arguments": ["cc", "-c", "-DX=\"1\"", "hosts.c"], "file": "hosts.c" } ]
END
cat >"$dir/record/fix.diff" <<'END'
--- a/src/x.c	2024-01-01
+++ b/src/x.c	2024-01-02
@@ -1,3 +1,3 @@
 int f(void)
-{ return 1; }
+{ return 2; }
END
du -sb "$dir"
