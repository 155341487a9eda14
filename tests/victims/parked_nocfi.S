/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Assembly as people write it: no call frame information at all. */
	.text
	.globl parked_nocfi_call
	.type parked_nocfi_call, @function
parked_nocfi_call:
	push %rbx
	sub $48, %rsp
	call *%rdi
	add $48, %rsp
	pop %rbx
	ret
	.size parked_nocfi_call, . - parked_nocfi_call

	.section .note.GNU-stack, "", @progbits
