// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject-tiny: an inject-victim without any C library. Of what can be borrowed it has one
 * `syscall; ret` and the end of one function that returns a value it has kept.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/time_types.h>
#include <signal.h>

#include "tests/victims/inject_shared.h"

#define SHARED_FD 3
#define NAP_NS 8000000

void tiny_call(void);
void tiny_start(void);

asm("	.text\n"
    "	.globl _start\n"
    "_start:\n"
    "	and $-16, %rsp\n"
    "	call tiny_start\n"
    "tiny_call:\n"
    "	syscall\n"
    "	ret\n"
    "	mov %r12, %rax\n"	/* the end of a function nobody calls */
    "	pop %rbx\n"
    "	pop %rbp\n"
    "	pop %r12\n"
    "	ret\n");

static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = 0;
	long ret;

	asm volatile("call tiny_call"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

/* Sleep with a pattern in all registers that calls preserve, and in the red zone. */
static long nap(const struct __kernel_timespec *ts, uint64_t *ret_bad)
{
	uint64_t bad;
	long ret;

	asm volatile("mov $0x11, %%ebx\n mov $0x12, %%r12d\n mov $0x13, %%r13d\n"
		     "mov $0x14, %%r14d\n mov $0x15, %%r15d\n mov $0x16, %%r8d\n"
		     "push %%rbp\n mov $0x17, %%ebp\n movq $0x18, -136(%%rsp)\n"
		     "call tiny_call\n"
		     "xor $0x11, %%rbx\n xor $0x12, %%r12\n xor $0x13, %%r13\n"
		     "xor $0x14, %%r14\n xor $0x15, %%r15\n xor $0x16, %%r8\n"
		     "xor $0x17, %%rbp\n xorq $0x18, -136(%%rsp)\n"
		     "or %%r12, %%rbx\n or %%r13, %%rbx\n or %%r14, %%rbx\n or %%r15, %%rbx\n"
		     "or %%r8, %%rbx\n or %%rbp, %%rbx\n or -136(%%rsp), %%rbx\n pop %%rbp\n"
		     : "=a"(ret), "=&b"(bad)
		     : "a"(SYS_nanosleep), "D"(ts), "S"(NULL)
		     : "rcx", "r8", "r11", "r12", "r13", "r14", "r15", "memory");
	*ret_bad = bad;
	return ret;
}

void tiny_start(void)
{
	static const struct __kernel_timespec ts = { .tv_nsec = NAP_NS };
	struct inject_shared *sh;

	call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	sh = (struct inject_shared *)call(SYS_mmap, 0, sizeof(*sh), PROT_READ | PROT_WRITE,
					  MAP_SHARED, SHARED_FD);
	for (;;) {
		uint64_t bad;
		long ret = nap(&ts, &bad);

		if (bad || (ret && ret != -4)) {
			sh->what = __LINE__;
			sh->errors++;
		}
		sh->eintr += ret == -4;
		sh->ticks++;
	}
}
