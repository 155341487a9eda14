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

	/*
	 * Calls rdi on the stack that ends at rsi, and says that this is the end of the walk, as
	 * coroutine libraries do. It is not the end of the thread.
	 */
	.globl stack_call_on
	.type stack_call_on, @function
stack_call_on:
	.cfi_startproc
	.cfi_undefined rip
	push %rbp
	mov %rsp, %rbp
	mov %rsi, %rsp
	call *%rdi
	mov %rbp, %rsp
	pop %rbp
	ret
	.cfi_endproc
	.size stack_call_on, . - stack_call_on

	.section .note.GNU-stack, "", @progbits
