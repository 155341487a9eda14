/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quiet [MODE [N]]
 *
 * A process that does nothing by itself, so that each of its bytes and mappings can be
 * compared: it waits for a line on standard input, answers with what its functions return
 * and where they are, and waits again.
 *
 *	plain
 *	crowded		no address within 2 GiB of it is free
 *	strict		seccomp strict mode
 *	mdwe		PR_SET_MDWE: no memory that is or was writable becomes executable
 *	nowx		the same by a seccomp filter, as MemoryDenyWriteExecute= has it
 *	allow		a seccomp filter that allows everything
 *	forbid N	a seccomp filter that kills who makes system call N
 *	deny N		one by which system call N fails with EPERM
 *	thread N	as forbid, for a second thread only, which sleeps
 *	hidden		PR_SET_DUMPABLE 0: not to be looked at by others of its user
 *	mode32		a second thread executes 32-bit code
 *	nocopy		a thread's memory at %fs:0 does not hold its pointer
 *	nopointer	a thread has no thread pointer
 *	sharer		another process shares its memory
 *	vfork		it waits for a vfork child, which sleeps; does not answer
 *
 * The functions of quiet_forms.S are of the kinds that cannot be replaced.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

int answer(int x);
int twin_caller(int x);
int quiet_tiny(void);
int quiet_call(int x, int (*callee)(int));
int quiet_helper(int x);

/* What the patch of the tests replaces. */
__attribute__((noipa)) int answer(int x)
{
	int sum = 0;

	for (int i = 0; i < x; i++)
		sum += i * 3;
	return sum + 41;
}

/* There is another one of that name in quiet_twin.c. */
__attribute__((noipa, used)) static int twin(int x)
{
	return x * 5 + 1;
}

__attribute__((noipa)) int quiet_helper(int x)
{
	return x + 1;
}

/* Without stdio: strict mode allows read and write only. */
static void say(const char *line)
{
	if (write(1, line, strlen(line)) < 0)
		_exit(1);
}

static void tell(void)
{
	int (*volatile call)(int) = answer;
	char line[256];

	snprintf(line, sizeof(line), "value=%d answer=%lu sum=%d\n", call(0),
		 (unsigned long)(uintptr_t)answer,
		 twin(1) + twin_caller(1) + quiet_tiny() + quiet_call(1, quiet_helper));
	say(line);
}

static void serve(int wait)
{
	struct pollfd pfd = { .fd = 0, .events = POLLIN };
	char line[64];

	for (;;) {
		if (wait && poll(&pfd, 1, -1) < 0)
			continue;
		if (read(0, line, sizeof(line)) <= 0)
			_exit(0);
		tell();
	}
}

/* ---- modes ---- */

static int crowd(void)
{
	const uint64_t page = 4096, reach = (uint64_t)2 << 30;
	uint64_t me = (uint64_t)(uintptr_t)answer & ~(page - 1);
	/* Large pieces first, then what is left between the mappings. */
	for (uint64_t step = (uint64_t)64 << 20; step >= page; step /= 16)
		for (uint64_t at = me - reach - step; at < me + reach + step; at += step)
			(void)mmap((void *)(uintptr_t)(at & ~(step - 1)), step, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				   MAP_FIXED_NOREPLACE, -1, 0);
	return 0;
}

static int filter(const struct sock_filter *code, size_t n)
{
	struct sock_fprog prog = { .len = (unsigned short)n,
				   .filter = (struct sock_filter *)(uintptr_t)code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define RET(what) BPF_STMT(BPF_RET | BPF_K, what)

static int no_wx(void)
{
	static const struct sock_filter code[] = {
		LOAD(nr),
		SKIP_UNLESS(SYS_mmap, 5),
		LOAD(args[2]),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
		SKIP_UNLESS(PROT_WRITE | PROT_EXEC, 1),
		RET(SECCOMP_RET_ERRNO | EPERM),
		RET(SECCOMP_RET_ALLOW),
		SKIP_UNLESS(SYS_mprotect, 4),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
		RET(SECCOMP_RET_ERRNO | EPERM),
		RET(SECCOMP_RET_ALLOW),
		RET(SECCOMP_RET_ALLOW),
	};

	return filter(code, sizeof(code) / sizeof(code[0]));
}

static int forbid(unsigned int nr, unsigned int action)
{
	const struct sock_filter code[] = {
		LOAD(nr),
		SKIP_UNLESS(nr, 1),
		RET(action),
		RET(SECCOMP_RET_ALLOW),
	};

	return filter(code, sizeof(code) / sizeof(code[0]));
}

static int allow_all(void)
{
	static const struct sock_filter code[] = { RET(SECCOMP_RET_ALLOW) };

	return filter(code, 1);
}

static void *sleep_confined(void *arg)
{
	const unsigned int *nr = arg;

	if (forbid(*nr, SECCOMP_RET_KILL_PROCESS) < 0)
		_exit(77);
	say("ready\n");
	for (;;)
		(void)poll(NULL, 0, 1000000);
	return NULL;
}

/* It says "ready" itself, when it has its filter. */
static int start_confined(unsigned int nr)
{
	static unsigned int forbidden;
	pthread_t t;

	forbidden = nr;
	return pthread_create(&t, NULL, sleep_confined, &forbidden) ? -1 : 0;
}

static int sleep_on(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		(void)poll(NULL, 0, -1);
	return 0;
}

static int share_memory(void)
{
	static char stack[65536];

	return clone(sleep_on, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

static int wait_for_vfork(void)
{
	say("ready\n");
	if (vfork() == 0)
		sleep_on(NULL);
	return -1;
}

/* By a far jump to the 32-bit code segment. */
static void *run_in_32(void *code)
{
	const struct { uint32_t offset; uint16_t segment; } to = {
		(uint32_t)(uintptr_t)code, 0x23,
	};

	__asm__ volatile("ljmp *%0" : : "m"(to));
	return NULL;
}

/* Some hypervisors have no such segment: SIGSEGV instead of the SIGILL of `ud2`. */
static int have_32(void *ud2)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		run_in_32(ud2);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGILL;
}

static int enter_32(void)
{
	/* `jmp .` and `ud2`, the same in both modes */
	static const unsigned char insns[] = { 0xeb, 0xfe, 0x0f, 0x0b };
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	pthread_t t;

	if (code == MAP_FAILED)
		return -1;
	memcpy(code, insns, sizeof(insns));
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC) < 0 || !have_32(code + 2))
		return -1;
	return pthread_create(&t, NULL, run_in_32, code) ? -1 : 0;
}

/* Not by poll(): that of libc needs a thread pointer. */
static int sleep_bare(void *arg)
{
	for (;;) {
		long ret = SYS_pause;

		__asm__ volatile("syscall" : "+a"(ret) : : "rcx", "r11", "memory");
	}
	return 0;
}

static int start_bare(void *pointer)
{
	static const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_SETTLS;
	static char stack[65536];

	return clone(sleep_bare, stack + sizeof(stack), flags, NULL, NULL, pointer, NULL);
}

static int enter(const char *mode, unsigned int nr)
{
	static uint64_t block[64];

	if (strcmp(mode, "crowded") == 0)
		return crowd();
	if (strcmp(mode, "strict") == 0)
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	if (strcmp(mode, "mdwe") == 0)
		return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	if (strcmp(mode, "nowx") == 0)
		return no_wx();
	if (strcmp(mode, "allow") == 0)
		return allow_all();
	if (strcmp(mode, "forbid") == 0)
		return forbid(nr, SECCOMP_RET_KILL_PROCESS);
	if (strcmp(mode, "deny") == 0)
		return forbid(nr, SECCOMP_RET_ERRNO | EPERM);
	if (strcmp(mode, "thread") == 0)
		return start_confined(nr);
	if (strcmp(mode, "mode32") == 0)
		return enter_32();
	if (strcmp(mode, "nocopy") == 0)
		return start_bare(block);
	if (strcmp(mode, "nopointer") == 0)
		return start_bare(NULL);
	if (strcmp(mode, "sharer") == 0)
		return share_memory();
	if (strcmp(mode, "vfork") == 0)
		return wait_for_vfork();
	if (strcmp(mode, "hidden") == 0)
		return prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "plain";
	unsigned int nr = argc > 2 ? (unsigned int)atoi(argv[2]) : 0;

	/* In strict mode nothing may be looked up any more. */
	if (strcmp(mode, "strict") == 0)
		say("ready\n");
	if (enter(mode, nr) < 0) {
		say("unsupported\n");
		return 77;
	}
	if (strcmp(mode, "strict") != 0 && strcmp(mode, "thread") != 0)
		say("ready\n");
	serve(strcmp(mode, "strict") != 0);
	return 0;
}
