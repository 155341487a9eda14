/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What _dl_find_object of glibc is redirected to, so that the target can unwind through the
 * code of patches: template, copied and completed as the gates are.
 *
 *	int _dl_find_object(void *pc, struct dl_find_object *result)
 *
 * For a PC in the code of a patch the answer is made up; all others are left to the original.
 * Lock-free and async-signal-safe, as the original is. Nothing is kept here: the slots of the
 * registry say what there is, and a patch that has somebody inside keeps its slot.
 *
 * A slot can be given to another patch while it is read. Its id is never used again, so it is
 * the same slot all along when id and `ready` are what they were, behind the reads as before.
 */
#include "unwind_abi.h"

	.section .rodata.ug_find_object, "a", @progbits

	.balign UG_HOOK_ALIGN
	.globl	ug_rt_find_object
	.hidden	ug_rt_find_object
	.type	ug_rt_find_object, @object
ug_rt_find_object:
.Lhook:
	mov	.Lhook + UG_HOOK_LIT_ROOT(%rip), %rax
	mov	UG_HOOK_ROOT_USED(%rax), %edx	/* slots ever used */
	add	$UG_HOOK_SLOT_OFF, %rax
.Lnext:
	sub	$1, %edx
	jb	.Lnot_ours
	mov	UG_HOOK_SLOT_ID(%rax), %r8d
	cmpb	$1, UG_HOOK_SLOT_READY(%rax)
	jne	.Lskip
	mov	UG_HOOK_SLOT_CODE(%rax), %rcx
	movzwl	%cx, %r9d
	shl	$12, %r9			/* length */
	shr	$UG_HOOK_CODE_SHIFT, %rcx
	shl	$12, %rcx			/* address */
	mov	%rdi, %r10
	sub	%rcx, %r10
	cmp	%r9, %r10
	jae	.Lskip
	cmpb	$1, UG_HOOK_SLOT_READY(%rax)
	jne	.Lskip
	cmp	UG_HOOK_SLOT_ID(%rax), %r8d
	je	.Lours
.Lskip:
	add	$UG_HOOK_SLOT_SIZE, %rax
	jmp	.Lnext
.Lnot_ours:
	jmp	*.Lhook + UG_HOOK_LIT_ORIGINAL(%rip)

	/* The original answers for itself: flags and link map are then those of a real object. */
.Lours:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rcx, %rbx
	mov	%rsi, %rbp
	lea	(%rcx,%r9), %r12
	mov	.Lhook + UG_HOOK_LIT_SELF(%rip), %rdi
	call	*.Lhook + UG_HOOK_LIT_ORIGINAL(%rip)
	test	%eax, %eax
	jne	.Lout
	mov	%rbx, 8(%rbp)			/* dlfo_map_start */
	mov	%r12, 16(%rbp)			/* dlfo_map_end */
	lea	-UG_HOOK_TABLES_SIZE(%r12), %r12
	mov	%r12, 32(%rbp)			/* dlfo_eh_frame */
.Lout:
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	/* An error here: the code has grown into its literals. */
	.org	.Lhook + UG_HOOK_CODE, 0xcc
	.fill	UG_HOOK_SIZE - UG_HOOK_CODE, 1, 0
	.size	ug_rt_find_object, UG_HOOK_SIZE

	.section .note.GNU-stack, "", @progbits
