/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layout shared by rt/gate.S (in the target) and lib/text/gate.c (in the controller).
 * Usable from assembly: plain numbers only. lib/text/gate.h explains it. */
#ifndef UG_RT_GATE_ABI_H
#define UG_RT_GATE_ABI_H

/* Word, from and to share the second cache line with the end of the code; `before` is used
 * only while the word is ALL. */
#define UG_GATE_SIZE 192
#define UG_GATE_ALIGN 64
#define UG_GATE_LITERALS 104		/* offset of the literals */
#define UG_GATE_LIT_WORD 104
#define UG_GATE_LIT_FROM 112
#define UG_GATE_LIT_TO 120
#define UG_GATE_LIT_BEFORE 128

#define UG_WORD_NULL 0
#define UG_WORD_ALL 1

#define UG_TABLE_BUCKETS 256
#define UG_TABLE_SHIFT 12		/* bucket = (pointer >> 12) & 255 */
#define UG_TABLE_MAX 60000

#endif
