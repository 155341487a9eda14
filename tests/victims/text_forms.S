/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of every form that the planner tells apart. See tests/unit/test_text.c. */
	.text

.macro func name, align=16
	.balign \align, 0xcc
	.globl \name
	.type \name, @function
\name:
.L\name:			/* to be called without the PLT */
	.cfi_startproc
.endm

.macro endfunc name
	.cfi_endproc
	.size \name, . - \name
.endm

	func short_ret
	ret
	endfunc short_ret

	func loop_entry
	sub	$1, %rdi
	jnz	.Lloop_entry
	mov	$7, %eax
	ret
	endfunc loop_entry

	func loop_second
	xor	%eax, %eax
1:	add	%rdi, %rax
	sub	$1, %rdi
	jnz	1b
	ret
	endfunc loop_second

	func call_fifth
	sub	$8, %rsp
	call	.Lshort_ret
	lea	3(%rdi), %rax
	add	$8, %rsp
	ret
	endfunc call_fifth

	func call_first
	call	.Ladd_one
	lea	(%rax,%rdi), %rax
	ret
	endfunc call_first

	/* As a linker relaxes a call through the GOT. */
	func call_addr32
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	.byte	0x67
	call	.Ladd_one
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	ret
	endfunc call_addr32

	func call_through
	call	*pointer(%rip)
	lea	(%rax,%rdi), %rax
	ret
	endfunc call_through

	/* Returns where it returns to. */
	func call_below
	push	%rdi
	.cfi_adjust_cfa_offset 8
	call	.Lwhere
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	ret
	endfunc call_below

	func where
	mov	(%rsp), %rax
	ret
	endfunc where

	func add_one
	lea	1(%rdi), %rax
	ret
	endfunc add_one

	func syscall_third
	mov	$39, %al			/* getpid */
	syscall
	ret
	endfunc syscall_third

	func jrcxz_first
	mov	%rdx, %rcx
	jrcxz	1f
	lea	1(%rdi), %rax
	ret
1:	lea	2(%rdi), %rax
	ret
	endfunc jrcxz_first

	func rip_first
	mov	number(%rip), %rax
	add	%rdi, %rax
	ret
	endfunc rip_first

	func rip_imm
	cmpl	$77, number(%rip)
	sete	%al
	movzbl	%al, %eax
	ret
	endfunc rip_imm

	func jcc_first
	test	%rdi, %rdi
	js	1f
	mov	%rsi, %rax
	ret
1:	lea	(%rsi,%rsi), %rax
	ret
	endfunc jcc_first

	func jmp_first
	jmp	1f
	.fill	200, 1, 0x90
1:	lea	9(%rdi), %rax
	ret
	endfunc jmp_first

	func endbr_first
	endbr64
	mov	%rdi, %rax
	add	$1, %rax
	ret
	endfunc endbr_first

	func nops_first
	endbr64
	.byte	0x0f, 0x1f, 0x44, 0x00, 0x00	/* nopl 0(%rax,%rax,1) */
	lea	4(%rdi), %rax
	ret
	endfunc nops_first

	func entered_by_other
	xor	%eax, %eax
	inc	%rax
	mov	%rax, %rdx
	ret
	endfunc entered_by_other

	func enters_other
	mov	%rdi, %rax
	jmp	.Lentered_by_other + 2
	endfunc enters_other

	/* Only its jump table leads into the first five bytes. */
	func entered_by_table
	xor	%eax, %eax
.Lby_table:
	cmp	$1, %rdi
	ja	1f
	lea	.Ltable(%rip), %rdx
	movslq	(%rdx,%rdi,4), %rcx
	add	%rdx, %rcx
	jmp	*%rcx
1:	lea	6(%rax), %rax
	ret
	endfunc entered_by_table

	.section .rodata
	.balign 4
.Ltable:
	.long	.Lby_table - .Ltable
	.long	1b - .Ltable
	.text

	func doubtful
	push	%rbx
	.cfi_def_cfa_offset 16
	mov	%rdi, %rbx
	mov	(%rbx), %rax
	jmp	*%rax
	endfunc doubtful

	/* No padding within reach of these. */
	func no_padding
	.fill	200, 1, 0x90
	ret
	endfunc no_padding
	func tight_ret, 1
	ret
	endfunc tight_ret
	func tight_loop, 1
	xor	%eax, %eax
1:	sub	$1, %rdi
	jnz	1b
	ret
	endfunc tight_loop
	/* Its callee would return to the fourth byte. */
	func tight_call, 1
	xor	%eax, %eax
	call	*%rdi
	ret
	endfunc tight_call
	/* The address of its callee is where the return address would be pushed. */
	func tight_call_stack, 1
	nop
	call	*-8(%rsp)
	ret
	endfunc tight_call_stack
	func tight_syscall, 1
	mov	%edi, %eax
	syscall
	ret
	endfunc tight_syscall
	func tight_two_entries, 1
	nop
	nop
	.globl	tight_second_entry
	.type	tight_second_entry, @function
tight_second_entry:
	mov	%rdi, %rax
	ret
	.size	tight_second_entry, . - tight_second_entry
	endfunc tight_two_entries
	func tight_undecodable, 1
	.byte	0x06, 0x06, 0x06, 0x06, 0x06
	ret
	endfunc tight_undecodable
	func tight_end, 1
	.fill	200, 1, 0x90
	ret
	endfunc tight_end

	/* Five bytes would cross a page, two do not. */
	.balign	4096, 0xcc
	.fill	4093, 1, 0xcc
	func page_end, 1
	mov	%edi, %eax
	add	$5, %eax
	nop
	ret
	endfunc page_end

	.data
	.balign 8
number:	.quad	77
	.section .data.rel.local, "aw"
	.balign 8
pointer:
	.quad	.Ladd_one

	.section .note.GNU-stack, "", @progbits
