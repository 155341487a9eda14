/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * realtime CPU
 *
 * A thread of real-time priority that waits for another one, spinning, on processor CPU: most of
 * the time as a rule, and for as long as that one is held up. Many others sleep, so that it takes a
 * while to stop them all. "value" is answered by the function that tests/scenarios/blocked_fix.c
 * replaces, "priority" says whether it has the priority, "gap" for how many ms it was waited for at
 * most since that was asked last. The thread waited for is the best one to be borrowed.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PRIORITY 10
#define BEAT_NS 3000000
#define SLEEPERS 300

/* Not static: a patch must find them, and callers must not see through them. */
int answer(int wait);
void hold_here(void);

static atomic_uint beats;
static atomic_long longest_us;
static atomic_int failed = -1;
static int cpu;

__attribute__((noipa)) void hold_here(void)
{
}

__attribute__((noipa)) int answer(int wait)
{
	if (wait)
		hold_here();
	return 41;
}

static void nap_ns(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

static bool be_realtime(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0;
}

static long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void *beat(void *arg)
{
	long last, now = now_us();

	(void)be_realtime(PRIORITY + 1);
	for (;;) {
		nap_ns(BEAT_NS);
		beats++;
		last = now;
		now = now_us();
		if (now - last > longest_us)
			longest_us = now - last;
	}
	return arg;
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *spin(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	failed = pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0 ||
		 !be_realtime(PRIORITY);
	for (;;) {
		unsigned int seen = beats;

		nap_ns(BEAT_NS / 3);
		while (!failed && beats == seen)
			;
	}
	return arg;
}

int main(int argc, char **argv)
{
	int (*volatile call)(int) = answer;
	pthread_t t;
	char line[32];
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };

	cpu = argc > 1 ? atoi(argv[1]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&t, NULL, beat, NULL))
		return 1;
	for (int i = 0; i < SLEEPERS; i++)
		if (pthread_create(&t, NULL, sleep_on, NULL))
			return 1;
	if (pthread_create(&t, NULL, spin, NULL))
		return 1;
	while (failed < 0)
		nap_ns(1000000);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev))
		return 1;
	puts("ready");
	/* One line at a time is sent, the next when it is answered. */
	while (epoll_wait(ep, &ev, 1, -1) == 1 && fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "value\n") == 0)
			printf("value=%d\n", call(0));
		else if (strcmp(line, "gap\n") == 0)
			printf("gap=%ld\n", atomic_exchange(&longest_us, 0) / 1000);
		else
			printf("priority=%d\n", failed ? 0 : PRIORITY);
	}
	return 0;
}
