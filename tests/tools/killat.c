// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * killat N CMD ARGS...	run CMD; SIGKILL it and all it has created by fork, vfork and clone
 *			when their N-th system call (counted together) is about to begin
 * killat -c CMD ARGS...	print how many system calls CMD makes
 * killat -p ...	count from the first ptrace(2) call on
 * killat -n NR ...	count only the calls with that number
 * killat -f -n NR ...	the same, much faster: by a seccomp filter, which CMD then has; so it cannot
 *			read those of others
 * killat -w COMM ...	count only the calls of processes with that name, kill only the one which
 *			makes the N-th; the others go on, and CMD's exit status is printed, too
 * killat -s SIGNAL ...	with -w: send that signal instead (19: SIGSTOP)
 * killat -l FILE -c ...	list the steps of CMD (steps.h) in FILE
 * killat -k STEP ...	count only the calls that are this step of the list; with -n, its number, the
 *			others need not be looked at
 * killat -x SCRIPT ...	kill nobody: run SCRIPT by sh(1) while the one that makes the N-th call is
 *			held before it; then let all go on untraced, and print for how many
 *			milliseconds it was held, and CMD's exit status
 *
 * The name of the N-th call is printed. Exit: 0 killed or done, 3 CMD ended before, 1 error.
 * Processes that CMD itself traces are not touched, unless they are its children.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "steps.h"

#define TRACKED_MAX 256
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define OPTIONS                                                                                    \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |  \
	 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL)

static pid_t tracked[TRACKED_MAX];
static size_t n_tracked;
static unsigned long count, fatal;
static bool from_ptrace, counting, print_count, started;
static const char *only;	/* -w */
static long only_nr = -1;	/* -n */
static bool filtering;		/* -f */
static const char *list;	/* -l */
static uint64_t only_step;	/* -k */
static int signo = SIGKILL;	/* -s */
static const char *script;	/* -x */

static const char *call_name(long nr)
{
	static const struct { long nr; const char *name; } names[] = {
#define N(x) { SYS_##x, #x }
		N(read), N(write), N(open), N(openat), N(close), N(fstat), N(newfstatat), N(lseek),
		N(mmap), N(mprotect), N(munmap), N(brk), N(rt_sigaction), N(rt_sigprocmask),
		N(ioctl), N(pread64), N(pwrite64), N(access), N(clone), N(clone3), N(fork),
		N(vfork), N(execve), N(exit), N(exit_group), N(wait4), N(waitid), N(kill),
		N(tgkill), N(fcntl), N(flock), N(getdents64), N(readlink), N(readlinkat),
		N(ptrace), N(prctl),
		N(futex), N(nanosleep), N(clock_nanosleep), N(mlockall), N(sched_setscheduler),
		N(sched_getparam), N(sched_getscheduler), N(timer_create), N(timer_settime),
		N(timer_delete), N(rt_sigtimedwait), N(pidfd_open), N(kcmp), N(process_vm_readv),
		N(madvise), N(unlink), N(unlinkat), N(getpid), N(gettid), N(rseq),
		N(set_robust_list), N(prlimit64), N(getrandom), N(poll), N(ppoll), N(pipe2),
		N(socketpair), N(faccessat), N(faccessat2), N(sched_setparam), N(arch_prctl), N(set_tid_address),
#undef N
	};
	static char other[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].nr == nr)
			return names[i].name;
	snprintf(other, sizeof(other), "syscall_%ld", nr);
	return other;
}

static void add(pid_t tid)
{
	for (size_t i = 0; i < n_tracked; i++)
		if (tracked[i] == tid)
			return;
	if (n_tracked < TRACKED_MAX)
		tracked[n_tracked++] = tid;
}

static void drop(pid_t tid)
{
	for (size_t i = 0; i < n_tracked; i++)
		if (tracked[i] == tid) {
			tracked[i] = tracked[--n_tracked];
			return;
		}
}

/* All of them, then wait until they are dead: who calls us looks at what they left behind. */
static void kill_all(void)
{
	int status;

	for (size_t i = 0; i < n_tracked; i++)
		kill(tracked[i], SIGKILL);
	while (n_tracked) {
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == ECHILD)
			return;
		if (tid > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
			drop(tid);
	}
}

static bool is_named(pid_t tid, const char *name)
{
	char path[32], comm[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	fclose(f);
	comm[strcspn(comm, "\n")] = 0;
	return strcmp(comm, name) == 0;
}

/* Does it count, as far as that is a matter of how it came about? */
static bool is_step(pid_t tid, long nr)
{
	char names[STEP_NAMES];
	uint64_t step;

	if (!list && !only_step)
		return true;
	step = step_of(tid, nr, names);
	if (list)
		step_made(step, nr, call_name(nr), names);
	return !only_step || step == only_step;
}

/* A system call stop: true when it is the fatal one. */
static bool counted(pid_t tid)
{
	struct __ptrace_syscall_info info;

	/* The number comes first with either. */
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 ||
	    (info.op != PTRACE_SYSCALL_INFO_ENTRY && info.op != PTRACE_SYSCALL_INFO_SECCOMP))
		return false;
	if (info.entry.nr == SYS_ptrace)
		counting = true;
	if (!counting || (only && !is_named(tid, only)) ||
	    (only_nr >= 0 && only_nr != (long)info.entry.nr) ||
	    !is_step(tid, (long)info.entry.nr) || ++count != fatal)
		return false;
	printf("%s\n", call_name((long)info.entry.nr));
	return true;
}

/* Go on from a stop; true when all is to be killed. */
static bool handle(pid_t tid, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);
	unsigned long child;

	if ((sig == SYSCALL_STOP || event == PTRACE_EVENT_SECCOMP) && counted(tid))
		return true;
	if (event == PTRACE_EVENT_EXEC && !started) {
		started = true;
		counting = !from_ptrace;
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		   event == PTRACE_EVENT_CLONE) {
		if (!ptrace(PTRACE_GETEVENTMSG, tid, 0, &child))
			add((pid_t)child);
	}
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP)
		ptrace(PTRACE_LISTEN, tid, 0, 0);
	else
		ptrace(filtering ? PTRACE_CONT : PTRACE_SYSCALL, tid, 0,
		       event || sig == SYSCALL_STOP ? 0 : (long)sig);
	return false;
}

static void let_go(pid_t tid, int status)
{
	bool signal_stop = !(status >> 16) && WSTOPSIG(status) != SYSCALL_STOP;

	ptrace(PTRACE_DETACH, tid, 0, signal_stop ? (long)WSTOPSIG(status) : 0);
}

static unsigned long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long)ts.tv_sec * 1000 + (unsigned long)ts.tv_nsec / 1000000;
}

/* What the script has set off needs a moment to happen, or to get stuck in a stop. */
static void run_script(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	unsigned long start = now_ms();

	if (system(script) != 0)
		printf("the script failed\n");
	nanosleep(&moment, NULL);
	printf("held=%lu\n", now_ms() - start);
}

/*
 * Signal the process of `tid`, or run the script; let all go their way, and tell how CMD
 * ends. Its parent learns of a death only when we have reaped it.
 */
static int disturb(pid_t tid, pid_t first)
{
	int status;
	pid_t pid;

	if (script)
		run_script();
	else
		kill(tid, signo);
	for (size_t i = 0; i < n_tracked; i++)
		if (ptrace(PTRACE_DETACH, tracked[i], 0, 0))
			ptrace(PTRACE_INTERRUPT, tracked[i], 0, 0);
	while ((pid = waitpid(-1, &status, __WALL)) != first || WIFSTOPPED(status)) {
		if (pid < 0 && errno != EINTR)
			return 1;
		if (pid > 0 && WIFSTOPPED(status))
			let_go(pid, status);
	}
	printf("status=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

static int print_list(void)
{
	FILE *f = fopen(list, "we");

	if (!f) {
		perror(list);
		return -1;
	}
	steps_print(f);
	return fclose(f) == 0 ? 0 : -1;
}

static int trace(pid_t first)
{
	int status, result = 1;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			add(tid);
			if (handle(tid, status)) {
				if (only || script)
					return disturb(tid, first);
				kill_all();
				return 0;
			}
			continue;
		}
		drop(tid);
		if (tid == first)
			result = 3;
	}
	if (list && print_list() < 0)
		return 1;
	if (print_count)
		printf("%lu\n", count);
	return print_count && result == 3 ? 0 : result;
}

/* Stop before the calls that count, and before the first ptrace(2), from which on they do. */
static void filter_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)only_nr, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(127);
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		raise(SIGSTOP);
		if (filtering)
			filter_calls();
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid ||
	    ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) || kill(pid, SIGCONT))
		return -1;
	add(pid);
	/* To the event stop of SIGCONT, or the group stop: both end up in handle(). */
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pid;
	int opt;

	while ((opt = getopt(argc, argv, "+cfk:l:n:ps:w:x:")) != -1) {
		if (opt == '?')
			return 1;
		print_count |= opt == 'c';
		from_ptrace |= opt == 'p';
		filtering |= opt == 'f';
		if (opt == 'n')
			only_nr = atol(optarg);
		if (opt == 'k')
			only_step = strtoull(optarg, NULL, 16);
		if (opt == 'l')
			list = optarg;
		if (opt == 'w')
			only = optarg;
		if (opt == 's')
			signo = atoi(optarg);
		if (opt == 'x')
			script = optarg;
	}
	if (!print_count && optind < argc)
		fatal = strtoul(argv[optind++], NULL, 10);
	if (optind >= argc || (!print_count && !fatal) || (filtering && only_nr < 0)) {
		fprintf(stderr, "usage: killat [-p] [[-f] -n NR] [-k STEP] [-l FILE] [-w COMM [-s SIGNAL]] "
				"[-x SCRIPT] N|-c CMD ARGS...\n");
		return 1;
	}
	pid = start(argv + optind);
	if (pid < 0) {
		perror("killat");
		return 1;
	}
	return trace(pid);
}
