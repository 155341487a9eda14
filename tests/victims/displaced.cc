/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * displaced
 *
 * A C++ program that unwinds while `through` is being patched: by its first thread, and by one that
 * is held inside of it all the time, whose calls are therefore those of the original, by way of
 * its displaced instructions. Commands, one answer line each; "held ..." is done by that thread:
 *
 *	hold		it goes inside
 *	release		it leaves
 *	[held] throw	an exception from below it: version=N destroyed=N
 *	[held] trace	a backtrace from below it: version=N found=N (is who began it in it)
 *	[held] step	a call instruction by instruction, a backtrace at each, by a signal handler:
 *			version=N steps=N ours=N lost=N foreign=N
 *	halt N		the held thread does that, and waits in its handler at the N-th of `ours`
 *	go		it goes on: as "held step"
 *
 * ours: instructions in memory of ugraft. lost: backtraces that did not come to who began. foreign: those
 * of them that began outside of that memory.
 */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <ucontext.h>

#define KEEP __attribute__((noinline, noclone, noipa, used))
#define STEPS_MAX 8192
#define TRAP_FLAG 0x100

enum { NOTHING, THROW, TRACE, HOLD };

extern "C" {
int through(int what);
int below(int what, int version);
}

struct carried {
	int version;
};

struct counted {
	std::atomic<int> *count;
	~counted() { ++*count; }
};

static int (*volatile call)(int) = through;
static std::atomic<int> destroyed;
static char answer[256];

/* ---- what is unwound to ---- */

static thread_local void *began;	/* return address of who began */

static KEEP bool comes_back(void)
{
	void *frames[64];
	int n = backtrace(frames, 64);

	for (int i = 0; i < n; i++)
		if (frames[i] == began)
			return true;
	return false;
}

/* ---- step by step ---- */

struct step {
	uintptr_t pc;
	bool found;
};

static step steps[STEPS_MAX];
static std::atomic<int> nsteps;
static int halt_at;			/* of ours; 0: nowhere */
static sem_t halted, go_on;

struct region {
	uintptr_t start, end;
};

static region ours[64];
static int nours;

/* Before the first step: nothing of ours is mapped while a call is stepped. */
static void find_ours(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	nours = 0;
	while (f && nours < 64 && fgets(line, sizeof(line), f))
		if (strstr(line, "/memfd:ugraft (deleted)") && strstr(line, "r-xp") &&
		    sscanf(line, "%lx-%lx", &ours[nours].start, &ours[nours].end) == 2)
			nours++;
	if (f)
		fclose(f);
}

static bool is_ours(uintptr_t pc)
{
	for (int i = 0; i < nours; i++)
		if (pc >= ours[i].start && pc < ours[i].end)
			return true;
	return false;
}

static int count_ours(void)
{
	int n = 0;

	for (int i = 0; i < nsteps; i++)
		n += is_ours(steps[i].pc);
	return n;
}

static void one_step(int, siginfo_t *, void *context)
{
	ucontext_t *uc = static_cast<ucontext_t *>(context);
	int i = nsteps;

	if (i == STEPS_MAX)
		return;
	steps[i].pc = static_cast<uintptr_t>(uc->uc_mcontext.gregs[REG_RIP]);
	steps[i].found = comes_back();
	nsteps = i + 1;
	if (halt_at && is_ours(steps[i].pc) && count_ours() == halt_at) {
		sem_post(&halted);
		while (sem_wait(&go_on) < 0)
			;
	}
}

/* Raised in front of what is to be stepped, and behind it. */
static void toggle(int, siginfo_t *, void *context)
{
	static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL] ^= TRAP_FLAG;
}

static KEEP int stepped_call(void)
{
	int version;

	raise(SIGUSR1);
	version = call(NOTHING);
	raise(SIGUSR1);
	return version;
}

static void step_through(void)
{
	int version, lost = 0, foreign = 0;

	nsteps = 0;
	find_ours();
	version = stepped_call();
	for (int i = 0; i < nsteps; i++) {
		lost += !steps[i].found;
		foreign += !steps[i].found && !is_ours(steps[i].pc);
	}
	snprintf(answer, sizeof(answer), "version=%d steps=%d ours=%d lost=%d foreign=%d", version,
		 nsteps.load(), count_ours(), lost, foreign);
}

/* ---- the rest of what threads do ---- */

static KEEP int catch_one(void)
{
	counted c = { &destroyed };

	try {
		counted d = { &destroyed };

		call(THROW);
	} catch (const carried &e) {
		return e.version;
	}
	return 0;
}

static KEEP void act(const char *what)
{
	began = __builtin_return_address(0);
	if (strcmp(what, "step") == 0) {
		step_through();
	} else if (strcmp(what, "throw") == 0) {
		destroyed = 0;
		int version = catch_one();

		snprintf(answer, sizeof(answer), "version=%d destroyed=%d", version,
			 destroyed.load());
	} else {
		int both = call(TRACE);

		snprintf(answer, sizeof(answer), "version=%d found=%d", both / 100, both % 100);
	}
}

/* ---- the thread that is held ---- */

static const char *job;			/* NULL: leave */
static sem_t to_do, done;
static pthread_t holder;

static KEEP void work_inside(void)
{
	for (;;) {
		sem_post(&done);
		while (sem_wait(&to_do) < 0)
			;
		if (!job)
			return;
		act(job);
	}
}

extern "C" KEEP int below(int what, int version)
{
	if (what == THROW)
		throw carried{ version };
	if (what == TRACE)
		return version * 100 + comes_back();
	if (what == HOLD)
		work_inside();
	return version;
}

#ifdef BEGINS_WITH_CALL
/* The same, but its first instruction is a call, as of `__fentry__`. */
asm(".text\n"
    ".globl through\n"
    ".type through, @function\n"
    "through:\n"
    "	.cfi_startproc\n"
    "	call	paces\n"
    "	sub	$8, %rsp\n"
    "	.cfi_adjust_cfa_offset 8\n"
    "	mov	$1, %esi\n"
    "	call	below\n"
    "	add	$8, %rsp\n"
    "	.cfi_adjust_cfa_offset -8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    "	.size through, . - through\n"
    ".type paces, @function\n"
    "paces:\n"
    "	.cfi_startproc\n"
    "	nop\n"
    "	ret\n"
    "	.cfi_endproc\n"
    "	.size paces, . - paces\n");
#else
extern "C" KEEP int through(int what)
{
	volatile int copy = what;

	/* Not its last call by a jump: it is to stay on the stack. */
	copy = below(copy, 1);
	return copy;
}
#endif

static void *hold(void *arg)
{
	call(HOLD);
	return arg;
}

static void await(sem_t *what)
{
	while (sem_wait(what) < 0)
		;
}

static void give(const char *what)
{
	job = what;
	sem_post(&to_do);
}

static void set_up(void)
{
	struct sigaction sa = {};

	sa.sa_flags = SA_SIGINFO | SA_RESTART;
	sa.sa_sigaction = one_step;
	sigaction(SIGTRAP, &sa, nullptr);
	sa.sa_sigaction = toggle;
	sigaction(SIGUSR1, &sa, nullptr);
	sem_init(&halted, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&to_do, 0, 0);
	sem_init(&done, 0, 0);
	/* What the unwinder loads when it is used for the first time. */
	act("throw");
	act("trace");
	setvbuf(stdout, nullptr, _IOLBF, 0);
}

static void command(char *line)
{
	answer[0] = 0;
	halt_at = 0;
	if (strcmp(line, "hold") == 0) {
		if (pthread_create(&holder, nullptr, hold, nullptr) != 0)
			abort();
		await(&done);
	} else if (strcmp(line, "release") == 0) {
		give(nullptr);
		pthread_join(holder, nullptr);
	} else if (sscanf(line, "halt %d", &halt_at) == 1) {
		give("step");
		await(&halted);
	} else if (strcmp(line, "go") == 0) {
		sem_post(&go_on);
		await(&done);
	} else if (strncmp(line, "held ", 5) == 0) {
		give(line + 5);
		await(&done);
	} else {
		act(line);
	}
	puts(answer[0] ? answer : "done");
}

int main(void)
{
	char line[64];

	set_up();
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		command(line);
	}
	return 0;
}
