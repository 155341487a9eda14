/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Assembler outside of functions. */
// also: .*
// finding: ASM
#include <stdio.h>
#ifdef AFTER
__asm__(".text\n.globl bare\nbare:\n\tmov $2, %eax\n\tret\n");
#else
__asm__(".text\n.globl bare\nbare:\n\tmov $1, %eax\n\tret\n");
#endif
int bare(void);
void probe(int n) { printf("%d\n", bare() + n); }
