// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject-victim MODE: does one thing over and over, and checks itself that nobody disturbs it.
 * See modes[] at the end. Every round checks signal mask and alternate stack as well.
 * With NO_HANDLERS it has no handler of signals, and with a static libc no rt_sigreturn either.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/victims/inject_shared.h"

#define SHARED_FD 3
#define ALT_SIZE 32768

static struct inject_shared *sh;
static __thread stack_t alt;
static int idle_pipe[2];
static sigset_t mask;

static void error_at(uint32_t line)
{
	if (!__atomic_fetch_add(&sh->errors, 1, __ATOMIC_SEQ_CST))
		sh->what = line;
}

#define CHECK(c) ((c) ? (void)0 : error_at(__LINE__))

static void tick(void)
{
	__atomic_fetch_add(&sh->ticks, 1, __ATOMIC_SEQ_CST);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A call that was to take `ms` began at `begin` and has returned `ret`. */
static void timed(long ret, uint64_t begin, uint64_t ms)
{
	uint64_t took = now_ms() - begin;

	if (ret < 0 && errno == EINTR)
		__atomic_fetch_add(&sh->eintr, 1, __ATOMIC_SEQ_CST);
	CHECK(took + 1 >= ms);
	if (took > ms && took - ms > sh->late)
		sh->late = (uint32_t)(took - ms);
}

static void surroundings(void)
{
	stack_t now;
	sigset_t set;

	CHECK(!sigaltstack(NULL, &now) && now.ss_sp == alt.ss_sp && now.ss_size == alt.ss_size &&
	      !(now.ss_flags & SS_DISABLE));
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &set) && sigismember(&set, SIGUSR2) == 1 &&
	      sigismember(&set, SIGTERM) == 0 && sigismember(&set, SIGHUP) == 0);
	tick();
}

static void set_surroundings(void)
{
	alt.ss_sp = malloc(ALT_SIZE);
	alt.ss_size = ALT_SIZE;
	CHECK(!sigaltstack(&alt, NULL));
	CHECK(!pthread_sigmask(SIG_SETMASK, &mask, NULL));
}

/* ---- registers ---- */

struct pattern {
	_Alignas(64) uint8_t zmm[16][64];
	uint64_t k[4];
	double x87[3];
	uint32_t mxcsr;
	uint16_t x87_cw;
};

/*
 * All registers hold a pattern while rcx counts down; then they are looked at. Nothing but
 * the loop runs in between, so any difference was made from outside.
 */
#define LOOPS 200000
#define GENERAL                                                                                    \
	"mov %[loops], %%rcx\n mov $0x1111111111111111, %%rax\n mov $0x2222222222222222, %%rdx\n"  \
	"lea 3(%%rax), %%r8\n lea 4(%%rax), %%r9\n lea 5(%%rax), %%r10\n lea 6(%%rax), %%r11\n"    \
	"lea 7(%%rax), %%r12\n lea 8(%%rax), %%r13\n"                                              \
	"movq $0x77, -8(%%rsp)\n movq $0x88, -128(%%rsp)\n"                                        \
	"1: dec %%rcx\n jnz 1b\n"                                                                  \
	"xor %%ecx, %%ecx\n"                                                                       \
	"cmpq $0x77, -8(%%rsp)\n setne %%cl\n cmpq $0x88, -128(%%rsp)\n setne %%ch\n"              \
	"sub %%rax, %%r8\n cmp $3, %%r8\n jne 2f\n sub %%rax, %%r9\n cmp $4, %%r9\n jne 2f\n"      \
	"sub %%rax, %%r10\n cmp $5, %%r10\n jne 2f\n sub %%rax, %%r11\n cmp $6, %%r11\n jne 2f\n"  \
	"sub %%rax, %%r12\n cmp $7, %%r12\n jne 2f\n sub %%rax, %%r13\n cmp $8, %%r13\n jne 2f\n"  \
	"mov $0x1111111111111111, %%r8\n cmp %%r8, %%rax\n jne 2f\n"                               \
	"add %%r8, %%r8\n cmp %%r8, %%rdx\n je 3f\n"                                               \
	"2: or $4, %%ecx\n3:\n"
#define CLOBBERS                                                                                   \
	"rax", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "memory", "cc", "xmm0", "xmm1",      \
	"xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",          \
	"xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)"
#define X87_IN "fldcw %[cw]\n fldl %[f0]\n fldl %[f1]\n fldl %[f2]\n ldmxcsr %[csr]\n"
#define X87_OUT                                                                                    \
	"fstpl %[f2]\n fstpl %[f1]\n fstpl %[f0]\n fnstcw %[cw]\n stmxcsr %[csr]\n"                \
	"fldcw %[cw0]\n ldmxcsr %[csr0]\n"
#define OPERANDS                                                                                   \
	[f0] "+m"(p->x87[0]), [f1] "+m"(p->x87[1]), [f2] "+m"(p->x87[2]), [csr] "+m"(p->mxcsr),   \
	[cw] "+m"(p->x87_cw), "=&c"(bad)
#define INPUTS                                                                                     \
	[in] "r"(p->zmm), [k] "r"(p->k), [loops] "i"(LOOPS), [cw0] "m"(cw0), [csr0] "m"(csr0)
#define EACH16(X)                                                                                  \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

static const uint16_t cw0 = 0x37f;
static const uint32_t csr0 = 0x1f80;

static uint64_t hold_sse(struct pattern *p)
{
	uint64_t bad;

#define IN(n) "movups " #n "*64(%[in]), %%xmm" #n "\n"
#define OUT(n) "movups %%xmm" #n ", " #n "*64(%[in])\n"
	asm volatile(X87_IN EACH16(IN) GENERAL EACH16(OUT) X87_OUT : OPERANDS : INPUTS : CLOBBERS);
#undef IN
#undef OUT
	return bad;
}

__attribute__((target("avx"))) static uint64_t hold_avx(struct pattern *p)
{
	uint64_t bad;

#define IN(n) "vmovups " #n "*64(%[in]), %%ymm" #n "\n"
#define OUT(n) "vmovups %%ymm" #n ", " #n "*64(%[in])\n"
	asm volatile(X87_IN EACH16(IN) GENERAL EACH16(OUT) X87_OUT "vzeroupper\n"
		     : OPERANDS : INPUTS : CLOBBERS);
#undef IN
#undef OUT
	return bad;
}

__attribute__((target("avx512f,avx512bw"))) static uint64_t hold_avx512(struct pattern *p)
{
	uint64_t bad;

#define OUT1(n, m) "vmovups %%zmm" #n ", " #m "*64(%[in])\n"
#define IN1(n, m) "vmovups " #m "*64(%[in]), %%zmm" #n "\n"
	asm volatile(X87_IN
		     IN1(0, 0) IN1(5, 1) IN1(15, 2) IN1(16, 3) IN1(17, 4) IN1(23, 5) IN1(30, 6)
		     IN1(31, 7)
		     "kmovq (%[k]), %%k1\n kmovq 8(%[k]), %%k7\n"
		     GENERAL
		     OUT1(0, 0) OUT1(5, 1) OUT1(15, 2) OUT1(16, 3) OUT1(17, 4) OUT1(23, 5)
		     OUT1(30, 6) OUT1(31, 7)
		     "kmovq %%k1, (%[k])\n kmovq %%k7, 8(%[k])\n"
		     X87_OUT "vzeroupper\n"
		     : OPERANDS : INPUTS : CLOBBERS, "xmm16", "xmm17", "xmm23", "xmm30", "xmm31",
		       "k1", "k7");
	return bad;
}

static void spin(void)
{
	uint64_t (*hold)(struct pattern *) = hold_sse;
	struct pattern want = { .x87 = { 1.5, -2.25, 1e300 }, .mxcsr = 0x7f80, .x87_cw = 0xb7f };

	if (__builtin_cpu_supports("avx"))
		hold = hold_avx;
	if (__builtin_cpu_supports("avx512bw") && getpid() % 2)
		hold = hold_avx512;
	for (uint8_t round = 1;; round++) {
		struct pattern p;

		for (unsigned int i = 0; i < sizeof(want.zmm); i++)
			want.zmm[i / 64][i % 64] = (uint8_t)(i * 7 + round);
		want.k[0] = 0x123456789abcdefULL * round;
		want.k[1] = ~want.k[0];
		memcpy(&p, &want, sizeof(p));
		CHECK(!hold(&p));
		CHECK(!memcmp(p.zmm, want.zmm, sizeof(p.zmm)));
		CHECK(!memcmp(p.k, want.k, sizeof(p.k)));
		CHECK(!memcmp(p.x87, want.x87, sizeof(p.x87)));
		CHECK((p.mxcsr & ~0x3fu) == want.mxcsr && p.x87_cw == want.x87_cw);
		surroundings();
	}
}

/* ---- sleeping ---- */

static void nap(void)
{
	for (;;) {
		struct timespec ts = { 0, 8000000 };
		uint64_t begin = now_ms();

		timed(nanosleep(&ts, NULL), begin, 8);
		surroundings();
	}
}

static void poll_ms(int ms)
{
	for (;;) {
		struct pollfd fd = { .fd = idle_pipe[0], .events = POLLIN };
		uint64_t begin = now_ms();

		timed(poll(&fd, 1, ms), begin, (uint64_t)ms);
		surroundings();
	}
}

static void poll_short(void)
{
	poll_ms(8);
}

static void poll_long(void)
{
	poll_ms(600);
}

static void futex_wait(void)
{
	static uint32_t word;

	for (;;) {
		struct timespec ts = { 0, 10000000 };
		uint64_t begin = now_ms();
		long ret = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0);

		CHECK(ret < 0 && (errno == ETIMEDOUT || errno == EINTR));
		timed(ret, begin, 10);
		surroundings();
	}
}

static void epoll_ms(int ms)
{
	int ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, idle_pipe[0], &ev));
	for (;;) {
		uint64_t begin = now_ms();

		timed(epoll_wait(ep, &ev, 1, ms), begin, (uint64_t)(ms < 0 ? 0 : ms));
		surroundings();
	}
}

static void epoll_short(void)
{
	epoll_ms(15);
}

/* A thread writes a number each 3 ms, another one reads it. */
static int busy_pipe[2];

static void *writer(void *arg)
{
	set_surroundings();
	for (uint32_t i = 0;; i++) {
		struct timespec ts = { 0, 3000000 };

		CHECK(write(busy_pipe[1], &i, sizeof(i)) == sizeof(i));
		nanosleep(&ts, NULL);
	}
	return arg;
}

static void reader(void)
{
	pthread_t t;

	CHECK(!pipe(busy_pipe) && !pthread_create(&t, NULL, writer, NULL));
	for (uint32_t want = 0;; want++) {
		uint32_t got;
		ssize_t n = read(busy_pipe[0], &got, sizeof(got));

		if (n < 0 && errno == EINTR)
			sh->eintr++;
		CHECK(n == sizeof(got) && got == want);
		surroundings();
	}
}

/* ---- many threads ---- */

static void *run(void *mode)
{
	set_surroundings();
	(*(void (**)(void))mode)();
	return NULL;
}

static void threads(void)
{
	static void (*const modes[])(void) = {
		nap, poll_short, futex_wait, epoll_short, spin, nap, futex_wait,
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		pthread_t t;
		void *arg;

		memcpy(&arg, &(const void *){ &modes[i] }, sizeof(arg));
		CHECK(!pthread_create(&t, NULL, run, arg));
	}
	poll_short();
}

/* ---- signals ---- */

#ifndef NO_HANDLERS
static volatile uint32_t next_value;

/* Queued by the test with consecutive numbers: none may be lost, none come twice. */
static void on_signal(int sig, siginfo_t *si, void *uc)
{
	char here;

	CHECK((uint32_t)si->si_value.sival_int == next_value);
	CHECK(&here >= (char *)alt.ss_sp && &here < (char *)alt.ss_sp + alt.ss_size);
	next_value++;
	sh->signals++;
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	CHECK(!sigaction(SIGRTMIN, &sa, NULL));
}

static void signals_spin(void)
{
	install();
	spin();
}

static void signals_nap(void)
{
	install();
	for (;;) {
		struct timespec ts = { 0, 5000000 };

		/* EINTR is the program's own here. */
		nanosleep(&ts, NULL);
		surroundings();
	}
}
#endif

/* ---- seccomp ---- */

static void filter(int nr, uint32_t action)
{
	struct sock_filter prog[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = { 4, prog };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog));
}

static void seccomp_allow(void)
{
	filter(-2, SECCOMP_RET_KILL_PROCESS);
	filter(-3, SECCOMP_RET_KILL_PROCESS);
	nap();
}

static void seccomp_mmap(void)
{
	filter(SYS_mmap, SECCOMP_RET_KILL_PROCESS);
	nap();
}

static void seccomp_sigreturn(void)
{
	filter(SYS_rt_sigreturn, SECCOMP_RET_KILL_PROCESS);
	filter(-2, SECCOMP_RET_KILL_PROCESS);
	nap();
}

static void seccomp_strict(void)
{
	char c;

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	for (;;) {
		sh->ticks++;
		if (read(idle_pipe[0], &c, 1) != 1)
			sh->errors++;
	}
}

static void leak(void)
{
	CHECK((int)syscall(SYS_memfd_create, "ugraft-leaked", 1) >= 0);
	CHECK((int)syscall(SYS_memfd_create, "ugraft-other", 1) >= 0);
	nap();
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "spin", spin }, { "nanosleep", nap }, { "poll", poll_short }, { "poll-long", poll_long },
	{ "futex", futex_wait }, { "epoll", epoll_short }, { "read", reader },
	{ "threads", threads },
#ifndef NO_HANDLERS
	{ "signals-spin", signals_spin }, { "signals-nap", signals_nap },
#endif
	{ "allow", seccomp_allow }, { "no-mmap", seccomp_mmap },
	{ "no-sigreturn", seccomp_sigreturn }, { "strict", seccomp_strict }, { "leak", leak },
};

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	if (sh == MAP_FAILED || argc < 2 || pipe(idle_pipe))
		return 2;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	set_surroundings();
	sh->ready = 1;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, argv[1]))
			modes[i].run();
	return 2;
}
