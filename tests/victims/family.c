/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * family
 *
 * A process with children, all of which call f again and again and write down, in memory they
 * share, of which version it was. A thread of the first process can be parked inside f, and
 * can fork there. Commands on standard input, one answer line each:
 *
 *	fork, exec	a child that calls f; that executes this program anew and calls f
 *	other, zombie, stopped	a child that executes sleep(1); has ended; calls f, and is stopped
 *	orphan		a child of a child that has ended
 *	storm MS [exec]	a child that has a child as above every few milliseconds for so long
 *	park, release	the thread is inside f; it, and whoever it has forked there, leave
 *	inside		the parked thread forks: the child is inside f
 *	versions	old=N new=N: of the processes that run, by their last call
 *	quit
 *
 * The answer to what makes a child is pid=N. tests/scenarios/family_fix.c replaces f.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OLD 1
#define NEW 2
#define SLOTS 4096

enum { CALL, PARK };

/* External, so that nothing is known about who calls them. */
void park_here(void);
int f(int how);

struct shared {
	struct { atomic_int pid, version; } slots[SLOTS];
	atomic_int used;
	atomic_int parked;	/* who is inside f */
	atomic_int hold;	/* they stay there */
	atomic_int fork_inside;	/* wanted; the answer is the child's pid, negative */
};

static struct shared *sh;
static int sh_fd;
static pid_t first;
static char self[4096];

static void nap_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void __attribute__((noreturn)) leaf(void);

__attribute__((noipa)) void park_here(void)
{
	atomic_fetch_add(&sh->parked, 1);
	while (atomic_load(&sh->hold)) {
		int want = 1;

		if (atomic_compare_exchange_strong(&sh->fork_inside, &want, 2)) {
			pid_t pid = fork();

			if (pid == 0)
				atomic_fetch_add(&sh->parked, 1);
			else
				atomic_store(&sh->fork_inside, -pid);
		}
		nap_ms(1);
	}
	atomic_fetch_sub(&sh->parked, 1);
}

__attribute__((noipa)) int f(int how)
{
	if (how == PARK)
		park_here();
	return OLD;
}

/* Nobody outlives the first process, whoever its parent is. */
static void leave_with_first(void)
{
	if (kill(first, 0) < 0)
		_exit(0);
}

static void leaf(void)
{
	int slot = atomic_fetch_add(&sh->used, 1);
	int (*volatile call)(int) = f;

	atomic_store(&sh->slots[slot].version, call(CALL));
	atomic_store(&sh->slots[slot].pid, getpid());
	for (;;) {
		atomic_store(&sh->slots[slot].version, call(CALL));
		leave_with_first();
		nap_ms(2);
	}
}

static void __attribute__((noreturn)) execute_anew(void)
{
	char fd[16], pid[16];

	snprintf(fd, sizeof(fd), "%d", sh_fd);
	snprintf(pid, sizeof(pid), "%d", first);
	execl(self, self, fd, pid, (char *)NULL);
	_exit(127);
}

static void __attribute__((noreturn)) storm(long ms, int anew)
{
	struct timespec start, now;
	long passed;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (fork() == 0) {
			if (anew)
				execute_anew();
			leaf();
		}
		nap_ms(15);
		clock_gettime(CLOCK_MONOTONIC, &now);
		passed = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
	} while (passed < ms);
	leaf();
}

static void __attribute__((noreturn)) orphan(int to)
{
	pid_t pid = fork();

	if (pid == 0)
		leaf();
	if (write(to, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	_exit(0);
}

static void *worker(void *arg)
{
	int (*volatile call)(int) = f;
	pid_t mine = getpid();

	for (;;) {
		if (atomic_load(&sh->hold))
			(void)call(PARK);
		if (getpid() != mine)
			leaf();
		nap_ms(1);
	}
	return NULL;
}

static void child(const char *what)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		/* For those that do not look after themselves: asleep, stopped. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (strcmp(what, "exec") == 0)
			execute_anew();
		if (strcmp(what, "other") == 0) {
			execlp("sleep", "sleep", "600", (char *)NULL);
			_exit(127);
		}
		if (strcmp(what, "zombie") == 0)
			_exit(0);
		if (strcmp(what, "orphan") == 0)
			orphan(ends[1]);
		if (strncmp(what, "storm ", 6) == 0)
			storm(atol(what + 6), strstr(what, "exec") != NULL);
		leaf();
	}
	if (strcmp(what, "stopped") == 0) {
		siginfo_t si;

		nap_ms(20);
		kill(pid, SIGSTOP);
		waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOWAIT);
	}
	if (strcmp(what, "orphan") == 0) {
		waitpid(pid, NULL, 0);
		if (read(ends[0], &pid, sizeof(pid)) != sizeof(pid))
			exit(1);
	}
	close(ends[0]);
	close(ends[1]);
	printf("pid=%d\n", pid);
}

static void versions(void)
{
	int count[3] = { 0 }, used;

	nap_ms(30);
	used = atomic_load(&sh->used);
	for (int i = 0; i < used && i < SLOTS; i++) {
		int version = atomic_load(&sh->slots[i].version);
		pid_t pid = atomic_load(&sh->slots[i].pid);

		if (pid && kill(pid, 0) == 0)
			count[version == NEW ? NEW : OLD]++;
	}
	printf("old=%d new=%d\n", count[OLD], count[NEW]);
}

static void park(void)
{
	atomic_store(&sh->hold, 1);
	while (!atomic_load(&sh->parked))
		nap_ms(1);
	printf("parked\n");
}

static void release(void)
{
	atomic_store(&sh->hold, 0);
	while (atomic_load(&sh->parked))
		nap_ms(1);
	printf("released\n");
}

static void inside(void)
{
	int pid;

	atomic_store(&sh->fork_inside, 1);
	while ((pid = atomic_load(&sh->fork_inside)) > 0)
		nap_ms(1);
	printf("pid=%d\n", -pid);
}

static void serve(void)
{
	char line[64];

	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strcmp(line, "park") == 0)
			park();
		else if (strcmp(line, "release") == 0)
			release();
		else if (strcmp(line, "inside") == 0)
			inside();
		else if (strcmp(line, "versions") == 0)
			versions();
		else if (strcmp(line, "quit") == 0)
			break;
		else
			child(line);
	}
}

int main(int argc, char **argv)
{
	pthread_t t;
	ssize_t n;

	sh_fd = argc > 2 ? atoi(argv[1]) : memfd_create("family", 0);
	first = argc > 2 ? atoi(argv[2]) : getpid();
	if (argc <= 2 && ftruncate(sh_fd, sizeof(*sh)) < 0)
		return 1;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, sh_fd, 0);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (sh == MAP_FAILED || n < 0)
		return 1;
	self[n] = 0;
	if (argc > 2)
		leaf();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&t, NULL, worker, NULL) != 0)
		return 1;
	serve();
	return 0;
}
