#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ugraft build --lint: one change for each thing it may find, and what it must be silent about.
# TAP on stdout.
#
#	test_lint.sh UGRAFT

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

# lint FILE SED [OPTION...]: looks at that change of the tree.
lint()
{
	local file=$1 change=$2
	shift 2
	rm -rf b
	cp -a tree b
	sed -i "$change" "b/$file"
	diff -ruN tree b >fix.diff
	"$ugraft" build --lint --src tree --diff fix.diff "$@" >out 2>err
	status=$?
}

# finds STATUS CODE [TEXT]: exactly this one finding, with that text in its line.
finds()
{
	[ "$status" = "$1" ] && [ "$(grep -c '\[[A-Z_]*\]$' out)" = 1 ] && grep "\[$2\]\$" out | grep -qF -- "${3-}"
}

mkdir -p tree/inc
cat >tree/inc/calc.h <<'EOF'
#ifndef CALC_H
#define CALC_H
#define LIMIT 100	/* of a table */
#define SHOUT(s) puts(s)
struct item {
	int id;
	char *name;	/* may be; NULL */
	struct { int x, y; } at;
};
typedef struct {
	int a;
} plain;
enum color { RED, GREEN = 4, BLUE };
union both { int i; float f; };
static inline int twice(int n) { return n * 2; }
int work(int n);
#endif
EOF
echo '#include "calc.h"' >tree/inc/all.h
cat >tree/user.c <<'EOF'
#include <all.h>
int user(int n) { return twice(n); }
EOF
cat >tree/start.S <<'EOF'
start:	ret
EOF
echo "read me" >tree/README
cat >tree/calc.c <<'EOF'
#include <pthread.h>
#include "inc/calc.h"
#define STEP 3
#if STEP > 2
int wide = 1;
#endif
static int total = 5, other;
static const int table[] = { 1, 2, 3 };
static const char *names[LIMIT] = { "a;b", "{" };
static int (*handler)(int) = work;
__thread int per_thread = 1;
static struct item start = { .id = STEP };
static pthread_mutex_t mutex;
__asm__(".globl f");

/* { a comment; with a brace } */
static int helper(int n)
{
#ifdef BIG
	if (n > 10) {
#else
	if (n > 20) {
#endif
		static int calls = 2;
		calls++;
	}
	return n;
}

int locked(int n)
{
	pthread_mutex_lock(&mutex);
	n += helper(n);
	pthread_mutex_unlock(&mutex);
	return n;
}

static void serve(int n)
{
	for (;;)
		locked(n);
}

static int parse(int n)
{
	return n + 3;
}

static void setup(int n)
{
	other = parse(n);
}

__attribute__((constructor)) static void early(void)
{
	total = 7;
}

static int spin(int n)
{
	__asm__ volatile("pause");
	return n + 4;
}

int block(int n)
{
	return spin(n) + 11;
}

int main(int argc, char **argv)
{
	setup(argc);
	serve(argc);
	return 0;
}
EOF

# ---- variables ----

lint calc.c 's/total = 5/total = 6/'
point "an initialiser" finds 5 DATA_CHANGED "calc.c:7: may be refused"
lint calc.c 's/1, 2, 3/1, 2, 4/'
point "of a constant" finds 5 DATA_CHANGED "without pointers"
lint calc.c 's/"a;b"/"a;c"/'
point "of a table of strings" finds 5 DATA_CHANGED "names"
lint calc.c 's/= work;/= helper;/'
point "of a pointer to a function" finds 5 DATA_CHANGED "handler"
lint calc.c 's/^static int total/static long total/'
point "another type, of both" says 5 "[DATA_SIZE]"
lint calc.c 's/names\[LIMIT\]/names[7]/'
point "another size" finds 5 DATA_SIZE "names"
lint calc.c 's/^static const int table/static int table/'
point "no longer constant" finds 5 SECTION_KIND table
lint calc.c 's/per_thread = 1/per_thread = 2/'
point "thread-local" finds 5 TLS_CHANGED per_thread
lint calc.c 's/^static pthread_mutex_t/static __thread int mine;\n&/'
point "a new thread-local one" finds 5 TLS_NEW mine
lint calc.c 's/^static pthread_mutex_t/static int mine;\n&/'
point "a new variable" finds 0 NEW_VARIABLE "calc.c:13: note"
lint calc.c '/^int wide/d'
point "a variable is gone" finds 0 VARIABLE_GONE "calc.c:5"
lint calc.c 's/calls = 2/calls = 3/'
point "of a static local one" finds 5 DATA_CHANGED helper.calls
lint calc.c 's/int calls = 2/int count = 2/; s/calls++/count++/'
point "a static local one is renamed" finds 0 STATIC_GONE "helper.calls has gone, helper.count has come"
lint calc.c 's/^\t\tcalls++;/\t\tstatic int more;\n\t\tcalls += more++;/'
point "a new static local one" finds 0 NEW_VARIABLE helper.more

# ---- types ----

lint inc/calc.h 's/^\tint id;/&\n\tint flags;/'
point "a new member" finds 5 LAYOUT "item: new 'int flags'"
lint inc/calc.h '/^\tchar \*name/d'
point "a member is gone" finds 5 LAYOUT "without 'char *name'"
lint inc/calc.h 's/int id/long id/'
point "another type of a member" finds 5 LAYOUT "changed to 'long id'"
lint inc/calc.h 's/int x, y/int y, x/'
point "inside a member" finds 5 LAYOUT item
lint inc/calc.h 's/^\tint a;/&\n\tint b;/'
point "of a type without a tag" finds 5 LAYOUT "plain: new 'int b'"
lint inc/calc.h 's/float f;/double d;/'
point "of a union" finds 5 LAYOUT "both"
lint inc/calc.h 's/RED, /RED, PINK, /'
point "a constant in the middle" finds 5 ENUM "new 'PINK'"
lint inc/calc.h 's/BLUE }/BLUE, PINK }/'
point "a constant at the end" finds 0 ENUM_GROWS "new 'PINK'"

# ---- functions ----

lint calc.c 's/^\tsetup(argc)/\tsetup(argc + 1)/'
point "main()" finds 5 STARTUP main
lint calc.c 's/total = 7/total = 8/'
point "a constructor" finds 5 STARTUP early
lint calc.c 's/__attribute__((constructor)) //'
point "no longer one" says 5 "[CONSTRUCTOR]"
lint calc.c 's/return n + 3/return n + 5/'
point "only main() leads to it" finds 0 START_ONLY "parse"
lint calc.c 's/^\t\tlocked(n)/\t\tlocked(n + 1)/'
point "a loop without an end" says 0 "[LONG_RUNNING]"
lint calc.c 's/^int block(int n)/int block(long n)/'
point "a signature" finds 0 SIGNATURE block
lint calc.c '/^\tn += helper(n);/d; s/^\tpthread_mutex_unlock.*/&\n\tn += helper(n);/'
point "another place, the same locks" says 0 "0 notes"
lint calc.c '/pthread_mutex_unlock/d'
point "locks" finds 0 LOCKS locked
lint calc.c 's/return n + 4/return n + 5/'
point "assembler in a function" finds 0 ASM_INLINE spin
lint calc.c 's/globl f/globl g/'
point "assembler outside of functions" finds 5 ASM "calc.c:14"
lint start.S 's/ret/nop; ret/'
point "a file in assembler" finds 5 ASM start.S

# ---- headers, macros, the preprocessor ----

lint inc/calc.h 's/return n \* 2/return n + n/'
point "a function in a header, and who includes it" finds 0 HEADER_INLINE \
	"twice: 2 source files may include it: "
lint inc/calc.h 's/puts(s)/printf(s)/'
point "a macro in a header" finds 0 HEADER_MACRO SHOUT
lint calc.c 's/STEP 3/STEP 4/'
point "a macro in an initialiser" finds 5 DATA_CHANGED "start, by the macro STEP"
lint calc.c 's/STEP > 2/STEP > 1/'
point "a condition" finds 0 CONDITION "if STEP > 1"
lint README 's/read/do read/'
point "no source at all" finds 5 UNREAD README
lint README 's/read/do read/' --ignore=README
point "unless it is ignored" says 0 "0 notes"

# ---- what is none of these ----

lint calc.c 's/n > 20/n > 30/'
point "a plain fix of a function" says 0 "1 function in 1 file of the diff; 0 changes that may be refused, 0 notes"
point "it claims nothing" grep -q "only a build can tell" out
lint calc.c 's|/\* { a comment; with a brace } \*/|/* another ; } */|; s/^int locked(int n)/int\nlocked(int n)/'
point "comments and lines" says 0 "0 functions in 1 file"
rm -rf b
cp -a tree b
printf 'int more(int n) { return n; }\n' >b/new.c
diff -ruN tree b >fix.diff
"$ugraft" build --lint --src tree --diff fix.diff >out 2>err
status=$?
point "a new function in a new file" says 0 "1 function in 1 file"
lint calc.c 's/total = 5/total = 6/' --json
point "as JSON" test "$(python3 -c 'import json
d = json.load(open("out"))
print(d["exit"], d["findings"][0]["code"], d["findings"][0]["line"])')" = "5 DATA_CHANGED 7"
lint calc.c 's/total = 5/total = 6/' -q
point "quiet: findings only" test "$(wc -l <out)" = 1
sed -i 's/total = 5/total = 77/' fix.diff
"$ugraft" build --lint --src tree --diff fix.diff >out 2>err
status=$?
point "a diff that does not apply" says 1 "does not apply"
"$ugraft" build --lint --src tree >out 2>err
status=$?
point "no diff" says 2 "--diff"
# ---- a real fix: redis, CVE-2025-46818 ----

"$ugraft" build --lint -q --src "$here/lint" --diff "$here/lint/CVE-2025-46818.diff" >out 2>err
status=$?
point "a real fix that no patch can be made of" says 5 "redisServer: new 'int lua_enable_deprecated_api'"
sed 's|.*\[||; s|\]$||' out | sort | uniq -c | awk '{ print $2, $1 }' | paste -sd' ' >codes
point "all that is in it, and no more" test "$(cat codes)" = \
	"DATA_CHANGED 3 LAYOUT 1 NEW_VARIABLE 1 VARIABLE_GONE 1"

for code in NEW_VARIABLE VARIABLE_GONE ENUM_GROWS SIGNATURE HEADER_INLINE HEADER_MACRO START_ONLY LONG_RUNNING \
	LOCKS ASM_INLINE CONDITION UNCLEAR; do
	"$ugraft" build --explain=$code >out 2>err
	status=$?
	point "$code is explained" says 0 "$code: "
done

echo "1..$n"
