/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 32-bit program: says that it is ready, and waits. Built by gcc -m32 -nostdlib. */
	.globl _start
_start:
	movl $4, %eax
	movl $1, %ebx
	movl $ready, %ecx
	movl $6, %edx
	int $0x80
1:	movl $29, %eax
	int $0x80
	jmp 1b
	.data
ready:	.ascii "ready\n"
	.section .note.GNU-stack, "", @progbits
