/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A static function is changed: who calls it, or has its address in a table, is not. */
// expect: changed inner
// run: 1 2 | 3 4
#include <stdio.h>
__attribute__((noinline, noipa)) static int plain(int n) { return n - 1; }
#ifdef AFTER
__attribute__((noinline, noipa)) static int inner(int n) { return n * 5 + 7; }
#else
__attribute__((noinline, noipa)) static int inner(int n) { return n * 3; }
#endif
static int (*const constant[])(int) = { inner, plain };
static int (*live[])(int) = { plain, inner };
__attribute__((noinline)) int direct(int n) { return inner(n) + 1; }
__attribute__((noinline)) int through(volatile int n) { return constant[n & 1](n) + live[n & 1](n); }
void probe(int n) { printf("%d %d\n", direct(n), through(n)); }
