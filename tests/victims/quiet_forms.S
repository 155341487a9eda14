/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions that cannot be replaced; see quiet.c. */
	.text

/* Too short: the next function follows at once, and there is no padding within reach. */
	.p2align 4
	.skip 160, 0xf4
	.globl quiet_tiny
	.type quiet_tiny, @function
quiet_tiny:
	ret
	.size quiet_tiny, . - quiet_tiny
	.globl quiet_next
	.type quiet_next, @function
quiet_next:
	.skip 160, 0xf4
	ret
	.size quiet_next, . - quiet_next

/* A call that returns into the first five bytes, and no padding within reach either. */
	.p2align 4, 0xf4
	.globl quiet_call
	.type quiet_call, @function
quiet_call:
	push %rbx
	call *%rsi
	pop %rbx
	ret
	.size quiet_call, . - quiet_call
	.skip 160, 0xf4

	.section .note.GNU-stack, "", @progbits
