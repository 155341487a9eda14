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
 *	nommap		a seccomp filter that kills who maps memory
 *	exit N, exec N	after N microseconds it exits, or executes itself (with mode plain)
 *	fork		forks children that exit, again and again, instead of waiting
 *
 * The functions of quiet_forms.S are of the kinds that cannot be replaced.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

int answer(int x);
int twin_caller(int x);
int quiet_tiny(void);
int quiet_call(int x);
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
		 twin(1) + twin_caller(1) + quiet_tiny() + quiet_call(1));
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

static int no_mmap(void)
{
	static const struct sock_filter code[] = {
		LOAD(nr),
		SKIP_UNLESS(SYS_mmap, 1),
		RET(SECCOMP_RET_KILL_PROCESS),
		RET(SECCOMP_RET_ALLOW),
	};

	return filter(code, sizeof(code) / sizeof(code[0]));
}

static void pause_us(long us)
{
	struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

/* The children call the function, too: a copy of a half-patched process must work. */
static void fork_for_ever(void)
{
	int (*volatile call)(int) = answer;

	for (;;) {
		pid_t pid = fork();
		int status = 0, value;

		if (pid == 0) {
			value = call(0);
			_exit(value == 41 || value == 1041 ? 0 : 1);
		}
		if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
			_exit(3);
		pause_us(200);
	}
}

static int enter(const char *mode)
{
	if (strcmp(mode, "crowded") == 0)
		return crowd();
	if (strcmp(mode, "strict") == 0)
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	if (strcmp(mode, "mdwe") == 0)
		return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	if (strcmp(mode, "nowx") == 0)
		return no_wx();
	if (strcmp(mode, "nommap") == 0)
		return no_mmap();
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "plain";
	long n = argc > 2 ? atol(argv[2]) : 0;

	/* In strict mode nothing may be looked up any more. */
	if (strcmp(mode, "strict") == 0)
		say("ready\n");
	if (enter(mode) < 0) {
		say("unsupported\n");
		return 77;
	}
	if (strcmp(mode, "strict") != 0)
		say("ready\n");
	if (strcmp(mode, "fork") == 0)
		fork_for_ever();
	if (strcmp(mode, "exit") == 0) {
		pause_us(n);
		return 0;
	}
	if (strcmp(mode, "exec") == 0) {
		pause_us(n);
		execl("/proc/self/exe", argv[0], "plain", NULL);
		return 1;
	}
	serve(strcmp(mode, "strict") != 0);
	return 0;
}
