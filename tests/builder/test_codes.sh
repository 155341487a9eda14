#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every reason that `ugraft build` can give is provoked here, and a reason without a case is an error:
# the cases run over `--explain=list`. What refuses is provoked in the builder itself, with a program to
# be patched; what only `--lint` says, there. TAP on stdout.
#
#	test_codes.sh UGRAFT [CODE...]

# shellcheck disable=SC2317 # the cases are called by their names

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

# ---- ways to ask ----

# x.c without and with -DAFTER, and the program of the first (main.c beside it).
pair()
{
	local common="-g -O2 -w -fPIE -ffunction-sections -fdata-sections"
	# shellcheck disable=SC2086 # several words
	gcc $common -c x.c -o before.o && gcc $common -DAFTER -c x.c -o after.o &&
		gcc -g -O2 -w -fPIE -pie x.c main.c -Wl,--build-id -o prog
	ask --before before.o --after after.o --target prog
}

ask()
{
	rm -f fix.ugp
	"$ugraft" build --json -o fix.ugp "$@" >out 2>err </dev/null
	status=$?
}

# corpus NAME: a case of corpus.py.
corpus()
{
	cp "$here/corpus/$1.c" x.c
	cp "$here/main.c" main.c
	pair
}

# small: the text of x.c from stdin, with a function f(int *) that main calls.
small()
{
	cat >x.c
	echo 'int f(int *p); int main(void) { int n = 1; return f(&n); }' >main.c
	pair
}

# lint OLD NEW [NAME]: a look at the change of one file.
lint()
{
	local name=${3-x.c}
	rm -rf a b
	mkdir a b
	printf '#include "%s"\nint user(int n) { return n; }\n' "$name" | tee a/user.c >b/user.c
	printf '%b\n' "$1" >"a/$name"
	printf '%b\n' "$2" >"b/$name"
	diff -ru a b >fix.diff
	"$ugraft" build --lint --json --src a --diff fix.diff >out 2>err
	status=$?
}

# ---- what refuses ----

case_DATA_CHANGED() { corpus refuse_data; }
case_DATA_SIZE() { corpus refuse_size; }
case_SECTION_KIND() { corpus refuse_const; }
case_TLS_CHANGED() { corpus refuse_tls_changed; }
case_TLS_NEW() { corpus refuse_tls_new; }
case_LAYOUT() { corpus refuse_layout; }
case_ENUM() { corpus refuse_enum; }
case_ASM() { corpus refuse_asm; }
case_STARTUP() { corpus refuse_constructor_changed; }
case_CONSTRUCTOR() { corpus refuse_constructor; }
case_SECTION_ENTRY() { corpus refuse_section; }
case_IFUNC() { corpus refuse_ifunc; }

case_STATIC_LOCAL()
{
	small <<'EOF'
int f(int *p)
{
	if (*p > 1) { static int state = 10; return state += *p; }
#ifdef AFTER
	{ static int state = 20; return state += *p; }
#endif
	return *p;
}
EOF
}

case_RELOCATION()
{
	small <<'EOF'
__attribute__((noipa)) int g(int n) { return n * 5 + 1; }
int f(int *p)
{
	long at = 0;
#ifdef AFTER
	__asm__ volatile("lea g+1(%%rip), %0" : "=r"(at));
#endif
	return g(*p) + (at != 0);
}
EOF
}

case_NOT_THERE()
{
	small <<'EOF'
#ifdef AFTER
int not_in_any_library(int);
int f(int *p) { return not_in_any_library(*p); }
#else
int f(int *p) { return *p; }
#endif
EOF
}

case_FAR_DATA()
{
	small <<'EOF'
extern int optind;
int f(int *p)
{
#ifdef AFTER
	return *p + optind;
#endif
	return *p;
}
EOF
}

make_tree()
{
	rm -rf a b
	mkdir a
	echo 'int f(int *p) { return *p * STEP; }' >a/x.c
	echo 'int f(int *p); int main(void) { int n = 1; return f(&n); }' >a/main.c
	echo 'read me' >a/README
	# shellcheck disable=SC2016 # of make
	printf 'prog: x.c main.c\n\tgcc -g $(LEVEL) -DSTEP=$(STEP) -Wl,--build-id -o $@ x.c main.c\n' >a/Makefile
	cp -a a b
	make -s -C a LEVEL=-O2 STEP=3 && mv a/prog prog
}

case_UNREAD()
{
	make_tree
	echo 'do read me' >b/README
	diff -ru a b >fix.diff
	ask --src a --diff fix.diff --target prog -- make LEVEL=-O2 STEP=3
}

case_COMPILER()
{
	make_tree
	sed -i 's/return/return 1 +/' b/x.c
	diff -ru a b >fix.diff
	ask --src a --diff fix.diff --target prog -- make LEVEL=-O1 STEP=3
}

case_DIFFERENT()
{
	make_tree
	sed -i 's/return/return 1 +/' b/x.c
	diff -ru a b >fix.diff
	ask --src a --diff fix.diff --target prog -- make LEVEL=-O2 STEP=5
}

case_LTO()
{
	make_tree
	sed -i 's/return/return 1 +/' b/x.c
	diff -ru a b >fix.diff
	make -s -B -C a LEVEL='-O2 -flto' STEP=3 && mv a/prog prog
	ask --src a --diff fix.diff --target prog -- make LEVEL='-O2 -flto' STEP=3
}

# ---- what is said of a patch ----

case_CONST_COPIED() { corpus const_table_changed; }
case_OLD_CODE() { corpus clone_part_gone; }

case_STATIC_GONE()
{
	small <<'EOF'
__attribute__((noipa)) int g(int n) { return n; }
int f(int *p)
{
#ifdef AFTER
	static int counter;
	return g(*p) + ++counter;
#else
	static int cnt;
	return g(*p) + ++cnt;
#endif
}
EOF
}

# ---- what a look at the diff says ----

case_NEW_VARIABLE() { lint 'int a;' 'int a;\nstatic int b;'; }
case_VARIABLE_GONE() { lint 'int a;\nint b;' 'int a;'; }
case_ENUM_GROWS() { lint 'enum e { A, B };' 'enum e { A, B, C };'; }
case_SIGNATURE() { lint 'int g(int n) { return n; }' 'int g(long n) { return n; }'; }
case_HEADER_INLINE() { lint 'static inline int g(int n) { return n; }' 'static inline int g(int n) { return n + 1; }' x.h; }
case_HEADER_MACRO() { lint '#define STEP 1' '#define STEP 2' x.h; }
case_START_ONLY()
{
	lint 'static int g(int n) { return n; }\nint main(void) { return g(1); }' \
		'static int g(int n) { return n + 1; }\nint main(void) { return g(1); }'
}
case_LONG_RUNNING() { lint 'void g(int n) { for (;;) h(n); }' 'void g(int n) { for (;;) h(n + 1); }'; }
case_LOCKS() { lint 'void g(void) { lock(&a); unlock(&a); }' 'void g(void) { lock(&a); }'; }
case_ASM_INLINE() { lint 'int g(int n) { asm("nop"); return n; }' 'int g(int n) { asm("nop"); return n + 1; }'; }
case_CONDITION() { lint '#if A > 1\nint a;\n#endif' '#if A > 2\nint a;\n#endif'; }
case_UNCLEAR() { lint 'int a;\nint b;' 'int b;\nint a;'; }

# ---- all of them ----

# said CODE refused|note: the last run has given that reason, and acted on it.
said()
{
	python3 - "$1" "$2" "$status" <<'EOF'
import json, os, sys
code, kind, status = sys.argv[1:]
d = json.load(open("out"))
found = [f for f in d["findings"] if f["code"] == code]
refused = kind == "refused"
problem = None
if not found and f"--explain={code}'" not in d.get("error", {}).get("message", ""):
    problem = "the reason is not given"
elif any(f["refuses"] != refused for f in found):
    problem = "it counts for the other kind"
elif refused and (status == "0" or os.path.exists("fix.ugp")):
    problem = "it does not refuse"
elif not refused and status != "0":
    problem = "it refuses"
if problem:
    print(problem, json.dumps(d, indent=1), file=sys.stderr)
sys.exit(problem is not None)
EOF
}

# provoked CODE refused|note
provoked()
{
	if ! declare -F "case_$1" >/dev/null; then
		echo "there is no case for it in this file" >err
		return 1
	fi
	rm -f fix.ugp
	"case_$1" 2>compile || return 1
	said "$1" "$2" 2>>err
}

"$ugraft" build --explain=list >list 2>err
status=$?
point "the list of reasons" test "$status" = 0 -a "$(wc -l <list)" -gt 30
while read -r code kind _; do
	[ $# -gt 1 ] && [[ " ${*:2} " != *" $code "* ]] && continue
	point "$code" provoked "$code" "$kind"
	"$ugraft" build --explain="$code" >out 2>err </dev/null
	status=$?
	point "$code is explained" says 0 "$code: "
done <list
for case in $(declare -F | sed -n 's/.* case_//p'); do
	grep -q "^$case " list || stale="${stale-} $case"
done
point "no case without a reason${stale-}" test -z "${stale-}"

echo "1..$n"
