/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe: 64 threads and more that call the functions of probe.h in every way there is. Each
 * thread is also outside of them now and then, for a thread that never is cannot be switched.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "probe_check.h"

#define PLAIN 32
#define NICED 4
#define SIGNALLED 6
#define PARKERS 8
#define STORMS 6
#define CLONERS 4
#define STEPPERS 4

#define CLONE_STACK 65536
#define ALT_STACK 65536

#define TRAP_FLAG 0x100

static pthread_t signalled[SIGNALLED];

/* Inside an activation: asleep. */
static void sleep_inside(struct probe_act *act)
{
	act->inside = NULL;
	probe_nap_us(act->param);
	probe_nested(act, (unsigned int)act->param);
}

static void burst(struct probe_slot *slot, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		probe_call(slot, NULL, 0);
}

static void *plain(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_PLAIN);

	for (;;) {
		burst(slot, probe_random(slot) % 500);
		if (probe_random(slot) % 4 == 0)
			probe_call(slot, sleep_inside, probe_random(slot) % 1000);
		probe_nap_us(probe_random(slot) % 20000);
	}
	return NULL;
}

/* Preempted wherever it is. */
static void *niced(void *arg)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
	return plain(arg);
}

/* ---- signals ---- */

static __thread struct probe_slot *handler_slot;
static __thread struct probe_act *handler_act;

/* At any instruction, also in a gate: an activation of its own. */
static void on_usr1(int signo)
{
	probe_call(handler_slot, NULL, 0);
}

/* Raised inside an activation: it belongs to it. */
static void on_usr2(int signo)
{
	probe_nested(handler_act, (unsigned int)handler_act->param);
	handler_slot->calls++;
}

static void *take_signals(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_PLAIN);
	uintptr_t index = (uintptr_t)arg;
	static char alt[SIGNALLED][ALT_STACK];
	stack_t ss = { .ss_sp = alt[index], .ss_size = ALT_STACK };

	handler_slot = probe_slot(PROBE_SIGNAL);
	if (index % 2)
		sigaltstack(&ss, NULL);
	for (;;) {
		burst(slot, 1000);
		probe_nap_us(probe_random(slot) % 8000);
	}
	return NULL;
}

static void *send_signals(void *arg)
{
	for (;;) {
		for (unsigned int i = 0; i < SIGNALLED; i++)
			if (signalled[i])
				pthread_kill(signalled[i], SIGUSR1);
		probe_nap_us(2000);
	}
	return NULL;
}

/* ---- staying inside ---- */

static void park(struct probe_act *act)
{
	act->inside = NULL;
	for (unsigned long us = 0; us < act->param; us += 1000) {
		probe_nested(act, (unsigned int)us / 1000);
		handler_act = act;
		raise(SIGUSR2);
		probe_nap_us(1000);
	}
}

/* For a moment, or, two of them, through several transitions. */
static void *stay(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_PARK);
	uint32_t inside = (uintptr_t)arg < 2 ? 0x1fffff : 0x1ffff, outside = inside / 2;

	handler_slot = probe_slot(PROBE_SIGNAL);
	for (;;) {
		probe_call(slot, park, probe_random(slot) & inside);
		burst(slot, 100);
		probe_nap_us(probe_random(slot) & outside);
	}
	return NULL;
}

/* ---- creation and exit ---- */

static void *live_briefly(void *arg)
{
	struct probe_slot *slot = arg;

	burst(slot, probe_random(slot) % 64);
	if (probe_random(slot) % 8 == 0)
		probe_call(slot, sleep_inside, probe_random(slot) % 4000);
	return NULL;
}

static void *storm(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_STORM);

	for (;;) {
		pthread_t t;

		if (pthread_create(&t, NULL, live_briefly, slot) != 0)
			abort();
		/* One writer of the slot at a time. */
		pthread_join(t, NULL);
		probe_nap_us(probe_random(slot) % 4000);
	}
	return NULL;
}

/* ---- a thread pointer of two ---- */

/* It shares errno and all thread-local variables with its creator: it uses none. */
static int share_pointer(void *arg)
{
	struct probe_slot *slot = arg;

	burst(slot, probe_random(slot) % 500);
	probe_call(slot, sleep_inside, probe_random(slot) % 3000);
	burst(slot, probe_random(slot) % 500);
	return 0;
}

static void *make_clones(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_PLAIN), *other = probe_slot(PROBE_CLONE);
	static const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
	_Alignas(64) char stack[CLONE_STACK];	/* part of ours, as its thread pointer is */
	volatile pid_t alive;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (;;) {
		alive = 1;
		if (clone(share_pointer, stack + CLONE_STACK, flags, other, NULL, NULL, &alive) < 0)
			abort();
		while (alive) {
			burst(slot, probe_random(slot) % 200);
			probe_call(slot, sleep_inside, probe_random(slot) % 1000);
			probe_nap_us(probe_random(slot) % 1000);
		}
		probe_nap_us(probe_random(slot) % 10000);
	}
	return NULL;
}

/* ---- held inside gates ---- */

struct stepper {
	struct probe_slot *slot;
	uint64_t gate;			/* in which it is; 0: in none */
	unsigned int steps, hold_after;
};

#define GATE_CODE 104
#define STEPS_MAX 400

static __thread struct stepper stepper;

/* push %rcx; mov LITERAL(%rip),%rcx; mov (%rcx),%rcx */
static int begins_gate(uint64_t pc)
{
	const uint8_t *code = (const uint8_t *)pc;

	return memcmp(code, "\x51\x48\x8b\x0d", 4) == 0 && memcmp(code + 8, "\x48\x8b\x09", 3) == 0;
}

/* After each instruction: the thread that is in a gate is held there, at a random place. */
static void on_trap(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	struct stepper *s = &stepper;

	if (!s->gate && begins_gate(pc)) {
		s->gate = pc;
		s->hold_after = probe_random(s->slot) % 18;
	}
	if (s->gate && pc - s->gate >= GATE_CODE) {
		s->gate = 0;		/* through it, before it was to be held */
	} else if (s->gate && s->hold_after-- == 0) {
		uint32_t random = probe_random(s->slot);

		atomic_fetch_add(&probe_gates, 1);
		probe_nap_us(random % 8 ? random >> 8 & 0x3fff : random >> 8 & 0x3ffff);
		s->gate = 0;
		s->steps = STEPS_MAX;
	}
	if (++s->steps > STEPS_MAX)
		uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void *step(void *arg)
{
	struct probe_slot *slot = probe_slot(PROBE_STEP);

	stepper.slot = probe_slot(PROBE_STEP);
	for (;;) {
		stepper.gate = 0;
		stepper.steps = probe_random(slot) % STEPS_MAX;
		__asm__ volatile("pushf; orl %0, (%%rsp); popf" : : "i"(TRAP_FLAG) : "cc", "memory");
		probe_call(slot, NULL, 0);
		burst(slot, 100);
		probe_nap_us(probe_random(slot) % 3000);
	}
	return NULL;
}

/* ---- */

static void start(unsigned int n, void *(*fn)(void *arg), pthread_t *threads)
{
	for (uintptr_t i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, fn, (void *)i) != 0)
			abort();
		if (threads)
			threads[i] = t;
	}
}

int main(void)
{
	struct sigaction usr1 = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct sigaction usr2 = { .sa_handler = on_usr2 };
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGUSR2, &usr2, NULL);
	sigaction(SIGTRAP, &trap, NULL);
	start(PLAIN, plain, NULL);
	start(NICED, niced, NULL);
	start(SIGNALLED, take_signals, signalled);
	start(PARKERS, stay, NULL);
	start(STORMS, storm, NULL);
	start(CLONERS, make_clones, NULL);
	start(STEPPERS, step, NULL);
	start(1, send_signals, NULL);
	probe_serve();
	return 0;
}
