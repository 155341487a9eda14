/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Only a string differs. */
// expect: changed greet
// also: probe
// run: 1 | 1 2
#include <stdio.h>
#ifdef AFTER
#define TEXT "good evening"
#else
#define TEXT "good morning"
#endif
__attribute__((noinline)) const char *greet(void) { return TEXT; }
__attribute__((noinline)) const char *other(void) { return "unchanged"; }
void probe(int n) { printf("%s %s %d\n", greet(), other(), n); }
