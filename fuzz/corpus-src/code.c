/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions of the kinds that lib/text has to do with. */
__attribute__((noinline)) int simple(int x)
{
	return x * 3 + 1;
}

/*
 * simple(x) + 2; make_corpus.c knows where its call is, and its frame. Said by expressions: the
 * frame's address is rsp + 16, rbx is saved 24 below it, rbp is the word at rsp.
 */
int caller(int x);
__asm__(".text\n"
	"	.globl caller\n"
	"	.type caller, @function\n"
	"caller: .cfi_startproc\n"
	"	sub $8, %rsp\n"
	"	.cfi_escape 0x0f, 2, 0x77, 16\n"
	"	.cfi_escape 0x10, 3, 2, 0x48, 0x1c\n"
	"	.cfi_escape 0x16, 6, 3, 0x77, 0, 0x06\n"
	"	call simple\n"
	"	add $8, %rsp\n"
	"	.cfi_def_cfa rsp, 8\n"
	"	add $2, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size caller, . - caller\n");

int table(int x)
{
	switch (x) {
	case 0: return simple(7);
	case 1: return caller(3);
	case 2: return x * 17;
	case 3: return simple(x) - 1;
	case 4: return caller(x) + 9;
	case 5: return -x;
	case 6: return simple(1) ^ 3;
	default: return 0;
	}
}

__attribute__((cold, noinline)) static void failed(int *p)
{
	*p = simple(*p);
}

int loop(int *p, int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++) {
		if (__builtin_expect(p[i] < 0, 0))
			failed(&p[i]);
		sum += p[i];
	}
	return sum;
}

int tail(int (*f)(int), int x)
{
	return f(x + 1);
}

/* Less than a jump takes, and padding before it. */
__asm__(".text\n"
	"	.p2align 4\n"
	"	.globl small\n"
	"	.type small, @function\n"
	"small:	.cfi_startproc\n"
	"	jrcxz 1f\n"
	"	ret\n"
	"1:	mov simple(%rip), %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size small, . - small\n"
	"	.globl _start\n"
	"	.type _start, @function\n"
	"_start: .cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	xor %ebp, %ebp\n"
	"	call caller\n"
	"	hlt\n"
	"	.cfi_endproc\n"
	"	.size _start, . - _start\n"
	/* As libc has it: a return to here is a signal's. */
	"	.globl restorer\n"
	"	.type restorer, @function\n"
	"restorer: mov $15, %eax\n"
	"	syscall\n"
	"	.size restorer, . - restorer\n");
