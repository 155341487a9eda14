/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of lib/process share: children, and victims that sleep or count. */
#ifndef PROCESS_HELP_H
#define PROCESS_HELP_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "process/internal.h"
#include "process/maps.h"

#define MAX_THREADS 128

static struct shared {
	_Atomic unsigned long spins[MAX_THREADS];
	_Atomic int ready;
	_Atomic int eintr[4];
	_Atomic int handled;
	_Atomic int rounds;
	_Atomic int held;
	_Atomic int quit;
	_Atomic uint64_t began;
} *sh;

static struct ug_error e;
static pid_t target;	/* of the tracer bodies */

/* In a child: say where, and fail. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "# line %d: %s (%s)\n", __LINE__, #cond, e.message);       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void msleep(unsigned int ms)
{
	usleep(ms * 1000);
}

static inline pid_t spawn(void (*body)(long), long arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	body(arg);
	_exit(0);
}

static inline pid_t spawn_victim(void (*body)(long), long arg, int ready)
{
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	pid = spawn(body, arg);
	for (int i = 0; i < 5000 && sh->ready < ready; i++)
		msleep(1);
	assert_true(sh->ready >= ready);
	msleep(5);
	return pid;
}

static inline void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Run the tracing side and require that it exits with 0 in time. */
static inline void run_tracer(void (*body)(long), long arg)
{
	pid_t pid = spawn(body, arg);
	int status = -1;

	for (int i = 0; i < 15000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		msleep(1);
	if (status == -1)
		end(pid);
	assert_int_equal(status, 0);
}

static inline char state_of(pid_t pid, pid_t tid)
{
	char path[64], buf[512], *close_bracket;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	close_bracket = strrchr(buf, ')');
	return close_bracket ? close_bracket[2] : 0;
}

static inline bool untraced(pid_t pid)
{
	struct ug_proc p;
	struct ug_tasks tasks;
	bool free_of_tracers = true;

	if (ug_proc_open(pid, &p, NULL) < 0)
		return false;
	assert_int_equal(ug_tasks_list(&p, &tasks, NULL), 0);
	for (size_t i = 0; i < tasks.n; i++)
		free_of_tracers = free_of_tracers && ug_task_tracer(&p, tasks.v[i].tid) <= 0;
	ug_tasks_free(&tasks);
	ug_proc_close(&p);
	return free_of_tracers;
}

/* ---- victims ---- */

static inline void *spin(void *arg)
{
	_Atomic unsigned long *count = arg;

	sh->ready++;
	for (;;)
		(*count)++;
	return NULL;
}

static inline void *doze(void *arg)
{
	sh->ready++;
	for (;;)
		pause();
	return arg;
}

static inline void thread(void *(*body)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, body, arg))
		_exit(2);
	pthread_detach(t);
}

/* n threads: the leader counts, and every 16th; the others sleep. */
static inline void victim_mixed(long n)
{
	for (long i = 1; i < n; i++)
		thread(i % 16 ? doze : spin, &sh->spins[i]);
	spin(&sh->spins[0]);
}

static inline void victim_idle(long arg)
{
	sh->ready++;
	for (;;)
		pause();
}

static inline void victim_sleepers(long n)
{
	for (long i = 1; i < n; i++)
		thread(doze, NULL);
	victim_idle(0);
}

static inline void note(int i, bool failed)
{
	if (failed && errno == EINTR)
		sh->eintr[i]++;
}

static inline void *in_epoll(void *arg)
{
	int fd = epoll_create1(0);
	struct epoll_event ev;

	for (sh->ready++;;)
		note(0, epoll_wait(fd, &ev, 1, -1) < 0);
	return arg;
}

static inline void *in_semop(void *arg)
{
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf op = { 0, -1, 0 };

	for (sh->ready++;;) {
		note(1, semop(id, &op, 1) < 0);
		if (sh->quit) {
			semctl(id, 0, IPC_RMID);
			sh->rounds++;
			pause();
		}
	}
	return arg;
}

static inline void *in_sigtimedwait(void *arg)
{
	struct timespec ts = { 1000, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	for (sh->ready++;;)
		note(2, sigtimedwait(&set, NULL, &ts) < 0);
	return arg;
}

static inline void *in_recv(void *arg)
{
	struct timeval tv = { 1000, 0 };
	int sv[2];
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) ||
	    setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)))
		_exit(2);
	for (sh->ready++;;)
		note(3, recv(sv[0], &c, 1, 0) < 0);
	return arg;
}

static inline void victim_class_e(long arg)
{
	thread(in_epoll, NULL);
	thread(in_semop, NULL);
	thread(in_sigtimedwait, NULL);
	thread(in_recv, NULL);
	victim_idle(0);
}

static inline bool map_shared(void)
{
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return sh != MAP_FAILED;
}

#endif
