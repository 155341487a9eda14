/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Assembly as people write it: no call frame information at all. */
	.text
	.globl stack_nocfi_call
	.type stack_nocfi_call, @function
stack_nocfi_call:
	push %rbx
	sub $48, %rsp
	call *%rdi
	add $48, %rsp
	pop %rbx
	ret
	.size stack_nocfi_call, . - stack_nocfi_call

	/* A thread in here is always at the first instruction; this one has CFI. */
	.globl stack_spin
	.type stack_spin, @function
stack_spin:
	.cfi_startproc
	jmp stack_spin
	ret
	.cfi_endproc
	.size stack_spin, . - stack_spin
	.section .note.GNU-stack, "", @progbits
