/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate: template of the code that an entry jumps to while a transition runs. It is data
 * for the controller, which copies it into the target and fills in the literals
 * (lib/text/gate.h has the model, gate_abi.h the layout).
 *
 * It must not change any register or flag: code compiled with -fipa-ra keeps live values in
 * every register its callee is known not to touch. Hence only push, pop, mov, lea, movz,
 * bswap, jrcxz, jmp and rdfsbase, none of which writes a flag.
 *
 * The word is read once. A thread preempted anywhere in here goes on with what it has read:
 * word and table are frozen for as long as that may happen.
 *
 * Both variants have the same offsets, so that nobody who finds an instance in memory needs
 * to know which one it was made from. ug_rt_gate_depth says for each change how many bytes
 * lie on the stack from that offset on (unwinding through an interrupted gate).
 */
#include "gate_abi.h"

	.section .rodata.ug_gate, "a", @progbits

/* From here on `bytes` lie between rsp and the return address. */
.macro mark record, bytes
	.if	\record
.Lat\@:
	.pushsection .rodata.ug_gate_depth, "a", @progbits
	.byte	.Lat\@ - .Lbase_ug_rt_gate_rdfsbase, \bytes
	.popsection
	.endif
.endm

.macro gate name, record
	.balign UG_GATE_ALIGN
	.globl \name
	.hidden \name
	.type \name, @object
\name:
.Lbase_\name:
	push	%rcx
	mark	\record, 8
	mov	.Lbase_\name + UG_GATE_LIT_WORD(%rip), %rcx
	mov	(%rcx), %rcx
	jrcxz	.Lto_1_\name			/* UG_WORD_NULL */
	lea	-UG_WORD_ALL(%rcx), %rcx
	jrcxz	.Lbefore_\name
	push	%rax
	mark	\record, 16
	push	%rdx
	mark	\record, 24
	.if	\record
	rdfsbase %rax
	.byte	0x0f, 0x1f, 0x40, 0x00		/* nop: as long as the other variant */
	.else
	mov	%fs:0, %rax
	.endif
	/* Bits 12..19 of the thread pointer to 16..23, then into %dh by bswap. The table is
	 * addressed by rcx + 1: UG_WORD_ALL is still subtracted. */
	lea	(,%rax,8), %edx
	lea	(%rdx,%rdx), %edx
	bswap	%edx
	movzbl	%dh, %edx
	movzwl	UG_WORD_ALL(%rcx,%rdx,2), %edx
	lea	UG_WORD_ALL(%rcx,%rdx,8), %rdx
.Lnext_\name:
	mov	(%rdx), %rcx
	jrcxz	.Lto_3_\name			/* end of the bucket */
	lea	(%rcx,%rax), %rcx		/* slots are negated: 0 is "found" */
	jrcxz	.Lfrom_\name
	lea	8(%rdx), %rdx
	jmp	.Lnext_\name

.Lto_3_\name:
	pop	%rdx
	mark	\record, 16
	pop	%rax
	mark	\record, 8
.Lto_1_\name:
	pop	%rcx
	mark	\record, 0
	jmp	*.Lbase_\name + UG_GATE_LIT_TO(%rip)

.Lfrom_\name:
	mark	\record, 24
	pop	%rdx
	mark	\record, 16
	pop	%rax
	mark	\record, 8
	pop	%rcx
	mark	\record, 0
	jmp	*.Lbase_\name + UG_GATE_LIT_FROM(%rip)

.Lbefore_\name:
	mark	\record, 8
	pop	%rcx
	mark	\record, 0
	jmp	*.Lbase_\name + UG_GATE_LIT_BEFORE(%rip)

	/* An error here: the code has grown into its literals. */
	.org	.Lbase_\name + UG_GATE_LITERALS, 0xcc
	.fill	UG_GATE_SIZE - UG_GATE_LITERALS, 1, 0
	.size	\name, UG_GATE_SIZE
.endm

	.pushsection .rodata.ug_gate_depth, "a", @progbits
	.globl	ug_rt_gate_depth
	.hidden	ug_rt_gate_depth
	.type	ug_rt_gate_depth, @object
ug_rt_gate_depth:
	.popsection

	gate	ug_rt_gate_rdfsbase, 1
	gate	ug_rt_gate_fs0, 0

	.pushsection .rodata.ug_gate_depth, "a", @progbits
	.byte	0xff, 0xff			/* ends the list */
	.size	ug_rt_gate_depth, . - ug_rt_gate_depth
	.popsection

	.section .note.GNU-stack, "", @progbits
