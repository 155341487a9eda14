/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An entry of a table that the linker makes. */
// also: .*
// finding: SECTION_ENTRY
#include <stdio.h>
struct module { int id; };
#define MODULE(n) static const struct module m##n __attribute__((section("modules"), used)) = { n }
MODULE(1);
#ifdef AFTER
MODULE(2);
#endif
extern const struct module __start_modules[], __stop_modules[];
void probe(int n) { printf("%d\n", (int)(__stop_modules - __start_modules) + n); }
