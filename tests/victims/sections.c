/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sections THREADS
 *
 * All threads, the first one as well, count in per-processor counters by restartable sequences
 * (rseq): load, take a while, store. If one is interrupted in the middle and goes on, instead of
 * beginning again, what others have counted on its processor in the meantime is lost. In between
 * they call answer(), and look at a variable of their own. None ever sleeps. Commands on standard
 * input:
 *
 *	value	value=N
 *	sum	counted=N sum=N aborted=N wrong=N; the threads rest for a moment
 *
 * tests/scenarios/blocked_fix.c fits.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/rseq.h>

#define CPUS 1024
#define CPU_SHIFT "9"			/* 512 bytes a processor: cache lines of its own */

/* Of struct rseq (linux/rseq.h). */
#define CPU_ID 4
#define RSEQ_CS 8

/* Not static: a patch must find them. */
int answer(int wait);
void hold_here(void);

static struct counter {
	long n;
	char pad[504];
} counters[CPUS] __attribute__((aligned(512)));

static atomic_long counted, aborted, wrong;
static atomic_int rest, resting;
static int nthreads;
static __thread uint64_t own;

__attribute__((noipa)) void hold_here(void)
{
}

__attribute__((noipa)) int answer(int wait)
{
	if (wait)
		hold_here();
	return 41;
}

/* False: begun anew by the kernel, nothing was counted. */
static __attribute__((noinline)) bool count_one(char *rseq)
{
	asm volatile goto(".pushsection __rseq_cs, \"aw\"\n"
			  ".balign 32\n"
			  "3: .long 0, 0\n"
			  ".quad 1f, 2f - 1f, 4f\n"
			  ".popsection\n"
			  "leaq 3b(%%rip), %%rax\n"
			  "movq %%rax, %c[cs](%[rseq])\n"
			  "1: movl %c[cpu](%[rseq]), %%eax\n"
			  "shlq $" CPU_SHIFT ", %%rax\n"
			  "addq %[counters], %%rax\n"
			  "movq (%%rax), %%rdx\n"
			  "incq %%rdx\n"
			  "movl $60000, %%ecx\n"
			  "5: decl %%ecx\n"
			  "jnz 5b\n"
			  "movq %%rdx, (%%rax)\n"
			  "2:\n"
			  ".pushsection __rseq_failure, \"ax\"\n"
			  ".byte 0x0f, 0xb9, 0x3d\n"
			  ".long %c[sig]\n"
			  "4: jmp %l[again]\n"
			  ".popsection\n"
			  :
			  : [rseq] "r"(rseq), [counters] "r"(counters), [cs] "i"(RSEQ_CS),
			    [cpu] "i"(CPU_ID), [sig] "i"(RSEQ_SIG)
			  : "memory", "cc", "rax", "rcx", "rdx"
			  : again);
	return true;
again:
	return false;
}

static void count_some(void)
{
	char *rseq = (char *)__builtin_thread_pointer() + __rseq_offset;
	int (*volatile call)(int) = answer;
	int value = call(0);

	for (int i = 0; i < 10; i++) {
		if (count_one(rseq))
			counted++;
		else
			aborted++;
		for (volatile int j = 0; j < 5000; j++)
			;
	}
	wrong += value != 41 && value != 1041;
	wrong += own != (uint64_t)(uintptr_t)rseq;
}

static void *count_on(void *arg)
{
	own = (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	for (;;) {
		count_some();
		if (!rest)
			continue;
		resting++;
		while (rest)
			usleep(1000);
		resting--;
	}
	return arg;
}

static void tell_sum(void)
{
	long sum = 0;

	rest = 1;
	while (resting < nthreads)
		usleep(1000);
	for (int i = 0; i < CPUS; i++)
		sum += counters[i].n;
	printf("counted=%ld sum=%ld aborted=%ld wrong=%ld\n", (long)counted, sum, (long)aborted,
	       (long)wrong);
	rest = 0;
	while (resting)
		usleep(1000);
}

int main(int argc, char **argv)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	int (*volatile call)(int) = answer;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (__rseq_size == 0)
		return 1;
	nthreads = argc > 1 ? atoi(argv[1]) : 1;
	for (int i = 0; i < nthreads; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, count_on, NULL) != 0)
			return 1;
	}
	own = (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	puts("ready");
	for (;;) {
		char line[16];
		ssize_t n = poll(&p, 1, 0) > 0 ? read(0, line, sizeof(line)) : -1;

		if (n > 0 && line[0] == 'v')
			printf("value=%d\n", call(0));
		else if (n > 0)
			tell_sum();
		else if (n == 0)
			return 0;
		count_some();
	}
}
