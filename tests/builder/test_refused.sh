#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Reasons that need something special to come up: other flags, a program to link with. TAP on stdout.
#
#	test_refused.sh UGRAFT

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# attempt FLAGS...: x.c with -DNEW and without, and the program of the latter.
attempt()
{
	local common="-g -O2 -w -ffunction-sections -fdata-sections"
	rm -f x.ugp
	# shellcheck disable=SC2086 # several words
	cc $common "$@" -c x.c -o before.o && cc $common "$@" -DNEW -c x.c -o after.o &&
		cc -g -O2 -w "$@" x.c main.c -Wl,--build-id -o prog || echo "# it does not compile" >&2
	"$ugraft" build --before before.o --after after.o --target prog -o x.ugp >out 2>err
	status=$?
}

cat >main.c <<'EOF'
int f(int *p);
int main(void) { int n = 1; return f(&n); }
EOF

cat >x.c <<'EOF'
int state;
#ifdef NEW
int f(int *p) { return *p + state + 1; }
#else
int f(int *p) { return *p + state; }
#endif
EOF
attempt -flto
point "objects for link-time optimisation" says 5 "link-time optimisation"
attempt
point "and without the flag a patch" says 0 "1 function"

cat >x.c <<'EOF'
__attribute__((noipa)) int g(int n) { return n * 5 + 1; }
int f(int *p)
{
	long at = 0;
#ifdef NEW
	__asm__ volatile("lea g+1(%%rip), %0" : "=r"(at));
#endif
	return g(*p) + (at != 0);
}
EOF
attempt
point "an address inside a function that stays" says 5 "explain=RELOCATION"
point "no patch then" test ! -e x.ugp

cat >x.c <<'EOF'
int not_in_any_library(int);
#ifdef NEW
int f(int *p) { return not_in_any_library(*p); }
#else
int f(int *p) { return *p; }
#endif
EOF
attempt
point "a function that is nowhere" says 5 "explain=NOT_THERE"
point "no patch then" test ! -e x.ugp
sed -i 's/not_in_any_library/getpagesize/' x.c
attempt
point "a function of a library of the program" says 0 "1 function"

cat >x.c <<'EOF'
void done(int *p);
int g(int);
static inline void cleaned(int *p) { done(p); }
int f(int *p)
{
	__attribute__((cleanup(cleaned))) int n = *p;
#ifdef NEW
	g(7);
#endif
	return g(n);
}
__attribute__((noipa)) void done(int *p) { }
__attribute__((noipa)) int g(int n) { return n; }
EOF
attempt -fexceptions
point "a function that handles exceptions" says 0 "1 function"

cat >x.c <<'EOF'
__attribute__((noipa)) int g(int n) { return n; }
int f(int *p)
{
#ifdef NEW
	static int counter;
	return g(*p) + ++counter;
#else
	static int cnt;
	return g(*p) + ++cnt;
#endif
}
EOF
attempt
point "a renamed static local variable is made known" says 0 "explain=STATIC_GONE"

cat >x.c <<'EOF'
#ifdef NEW
#define ADD 3
#else
#define ADD 2
#endif
__attribute__((noipa)) int g(int n) { return n; }
int f(int *p)
{
	if (!p)
		return 0;
	for (int i = 0; i < *p; i++)
		*p += g(i) * g(i + 1) - g(i + ADD) + g(g(i)) * g(*p - i) + g(i * 3) + g(i * 5) + g(i * 7);
	return g(*p) + g(*p + 1) * g(*p + ADD) + g(11) + g(12) + g(13) + g(14);
}
int h(int *p) { return f(p) + 1; }
int k(int *p) { return f(p) + 2; }
EOF
attempt
point "a clone that is reached by a jump" says 0 "f.part.0"
sed -i 's/^int f(/#ifdef NEW\n__attribute__((noinline, noclone, noipa))\n#endif\n&/' x.c
attempt
point "a clone that is reached by a jump and gone" says 0 "explain=OLD_CODE"

for code in OLD_CODE RELOCATION STATIC_GONE NOT_THERE; do
	"$ugraft" build --explain=$code >out 2>err
	status=$?
	point "$code is explained" says 0 "$code: "
done

echo "1..$n"
