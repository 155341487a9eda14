// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The frame that lets a borrowed thread restore itself: what the kernel would have pushed for
 * a signal handler, made from outside. rt_sigreturn(2) takes everything from it.
 *
 *	rsp of the thread  ->  +------------------------------+
 *	                       | red zone, 128 bytes          |  not ours
 *	f->top             ->  +------------------------------+
 *	                       | scratch, 512 bytes           |  names, structs for the calls
 *	f->scratch         ->  +------------------------------+
 *	                       | FP_XSTATE_MAGIC2             |
 *	                       | XSAVE area, standard format  |
 *	f->fpstate         ->  +------------------------------+  64-byte aligned (XRSTOR)
 *	                       | siginfo (not read)           |
 *	                       | ucontext: regs, mask, stack  |
 *	                       | address of mov $15; syscall  |  of a chain: of syscall
 *	f->sigframe        ->  +------------------------------+
 *	                       | the chain, if there is one   |  its address, then 15s to pop
 *	f->addr            ->  +------------------------------+  rsp at `syscall; ret`
 *
 * `ret` pops the first word, so rt_sigreturn finds the frame at rsp - 8, as after a handler.
 * The frame is no larger than what the kernel itself pushes for a signal (which saves every
 * state component, in use or not), so a stack fit for signals is fit for it.
 *
 * The XSAVE area is written as far as it is in use, but has room for all components: XRSTOR
 * may touch those too, and on a fault the kernel wants to read all of them. Where a stack ends
 * soon above (musl: its thread control block is the last thing in the mapping), that would be
 * a bad frame, and the thread would die of it.
 *
 * Layouts: arch/x86/include/uapi/asm/{ucontext,sigcontext}.h and asm/sigframe.h.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "inject/inject.h"

#define UC_FP_XSTATE 0x1
#define UC_SIGCONTEXT_SS 0x2
#define UC_STRICT_RESTORE_SS 0x4
#define UC_OURS (UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS)

/*
 * An invalid flag word: rt_sigreturn ignores that restore_altstack fails and leaves the
 * setting alone. The setting cannot be read from outside, and SS_DISABLE would erase it.
 */
#define BAD_SS_FLAGS 7

#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define XSTATE_FX_SIZE 512
#define XSTATE_HDR_SIZE 64
#define XSTATE_MIN (XSTATE_FX_SIZE + XSTATE_HDR_SIZE)
#define XSTATE_SW_OFF 464	/* bytes reserved for software in the FXSAVE area */
#define XSTATE_XCR0_OFF XSTATE_SW_OFF	/* PTRACE_GETREGSET puts the mask of features there */
#define XSTATE_BV_OFF XSTATE_FX_SIZE
#define XSTATE_XCOMP_OFF (XSTATE_FX_SIZE + 8)
#define XFEATURE_FIRST_EXT 2	/* x87 and SSE are in the FXSAVE area */
#define XFEATURES_MAX 63

struct sigcontext64 {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

struct rt_sigframe64 {
	uint64_t pretcode;
	uint64_t uc_flags;
	uint64_t uc_link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_pad;
	uint64_t ss_size;
	struct sigcontext64 mc;
	uint64_t sigmask;
	uint8_t info[128];
};

_Static_assert(sizeof(struct sigcontext64) == 256, "struct sigcontext_64 of the kernel");
_Static_assert(sizeof(struct rt_sigframe64) == 440, "struct rt_sigframe of the kernel");

struct fpx_sw_bytes {
	uint32_t magic1;
	uint32_t extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t padding[7];
};

_Static_assert(sizeof(struct fpx_sw_bytes) == 48, "struct _fpx_sw_bytes of the kernel");

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * How much of the area is in use: up to the end of the last component that is not in its
 * initial state. Not the whole regset, because with AMX that is larger than the kernel's
 * user_size of a thread without permission for it, and the kernel then restores x87 and SSE
 * only. Components beyond are initialised by XRSTOR, which is what they were. 0: malformed.
 */
static size_t used_size(const uint8_t *xstate, size_t len)
{
	uint64_t bv = get64(xstate + XSTATE_BV_OFF);
	size_t end = XSTATE_MIN;

	for (unsigned int i = XFEATURE_FIRST_EXT; i < XFEATURES_MAX; i++) {
		unsigned int size, off, c, d;

		if (!(bv >> i & 1))
			continue;
		if (!__get_cpuid_count(0xd, i, &size, &off, &c, &d) || !size)
			return 0;
		if (end < (size_t)off + size)
			end = (size_t)off + size;
	}
	return end <= len ? end : 0;
}

int ug_context_read(struct ug_context *c, pid_t tid, const struct user_regs_struct *regs,
		    struct ug_error *err)
{
	struct iovec iov = { c->xstate, sizeof(c->xstate) };

	c->regs = *regs;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(c->sigmask), &c->sigmask))
		return ug_err_errno(err, "cannot read the signal mask of thread %d", tid);
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov))
		return ug_err_errno(err, "cannot read the vector registers of thread %d", tid);
	c->xstate_room = iov.iov_len;
	if (iov.iov_len < XSTATE_MIN)
		return ug_err(err, -UG_E_UNSUPPORTED, "thread %d has no XSAVE state", tid);
	c->xstate_len = used_size(c->xstate, iov.iov_len);
	if (!c->xstate_len)
		return ug_err(err, -UG_E_UNSUPPORTED,
			      "thread %d has vector state of an unknown layout", tid);
	return 0;
}

void ug_frame_place(const struct ug_context *c, const struct ug_gadgets *g, struct ug_frame *f)
{
	f->top = c->regs.rsp - UG_RED_ZONE;
	f->scratch = ug_align_down(f->top - UG_SCRATCH_SIZE, 16);
	f->fpstate = ug_align_down(f->scratch - c->xstate_room - sizeof(uint32_t), 64);
	/* As the kernel aligns it: 16 bytes, less the pushed return address. */
	f->sigframe = ug_align_down(f->fpstate - sizeof(struct rt_sigframe64), 16) - 8;
	f->addr = f->sigframe - g->chain * sizeof(uint64_t);
}

static void fill_regs(struct sigcontext64 *mc, const struct user_regs_struct *r, long restart_nr)
{
	*mc = (struct sigcontext64){
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11,
		.r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
		.di = r->rdi, .si = r->rsi, .bp = r->rbp, .bx = r->rbx,
		.dx = r->rdx, .ax = r->rax, .cx = r->rcx, .sp = r->rsp,
		.ip = r->rip, .flags = r->eflags,
		.cs = (uint16_t)r->cs, .gs = (uint16_t)r->gs,
		.fs = (uint16_t)r->fs, .ss = (uint16_t)r->ss,
	};
	/*
	 * rt_sigreturn does not restart: an interrupted call is encoded as not yet made.
	 * By its own number also for -516: sigreturn resets the restart block, and
	 * restart_syscall would end in EINTR (a full timeout again is late, never an error).
	 */
	if (restart_nr >= 0) {
		mc->ip -= UG_SYSCALL_INSN_LEN;
		mc->ax = (uint64_t)restart_nr;
	}
}

/* What the kernel checks before it believes that there is more than the FXSAVE area. */
static void fill_xstate(uint8_t *buf, const struct ug_context *c)
{
	const uint32_t magic2 = XSTATE_MAGIC2;
	const struct fpx_sw_bytes sw = {
		.magic1 = XSTATE_MAGIC1,
		.extended_size = (uint32_t)(c->xstate_len + sizeof(magic2)),
		/* All features: those not in use must be put into their initial state. */
		.xfeatures = get64(c->xstate + XSTATE_XCR0_OFF),
		.xstate_size = (uint32_t)c->xstate_len,
	};

	memcpy(buf, c->xstate, c->xstate_len);
	memcpy(buf + XSTATE_SW_OFF, &sw, sizeof(sw));
	/* xcomp_bv and the reserved rest of the header: zero is the standard format. */
	memset(buf + XSTATE_XCOMP_OFF, 0, XSTATE_HDR_SIZE - 8);
	memcpy(buf + c->xstate_len, &magic2, sizeof(magic2));
}

int ug_frame_write(struct ug_proc *p, const struct ug_context *c, const struct ug_frame *f,
		   const struct ug_gadgets *g, long restart_nr, struct ug_error *err)
{
	uint8_t xstate[UG_XSTATE_MAX + sizeof(uint32_t)];
	struct rt_sigframe64 frame = {
		.pretcode = g->chain ? g->syscall_ret : g->sigreturn,
		.uc_flags = UC_OURS,
		.ss_flags = BAD_SS_FLAGS,
		.sigmask = c->sigmask,
	};
	uint64_t chain[UG_CHAIN_MAX] = { g->sigreturn };
	int ret;

	for (unsigned int i = 1; i < g->chain; i++)
		chain[i] = SYS_rt_sigreturn;
	fill_regs(&frame.mc, &c->regs, restart_nr);
	frame.mc.fpstate = f->fpstate;
	fill_xstate(xstate, c);
	ret = ug_proc_write(p, f->fpstate, xstate, c->xstate_len + sizeof(uint32_t), err);
	if (!ret)
		ret = ug_proc_write(p, f->sigframe, &frame, sizeof(frame), err);
	return ret ? ret : ug_proc_write(p, f->addr, chain, g->chain * sizeof(*chain), err);
}

/* No frame of the kernel's has such flags, or its vector state that close behind it. */
static bool is_frame(struct ug_proc *p, ug_raddr_t at, ug_raddr_t pretcode)
{
	struct rt_sigframe64 f;

	return !ug_proc_read_present(p, at, &f, sizeof(f), false, NULL) && f.pretcode == pretcode &&
	       f.uc_flags == UC_OURS && !f.uc_link && f.ss_flags == BAD_SS_FLAGS &&
	       f.mc.fpstate - at >= sizeof(f) && f.mc.fpstate - at < sizeof(f) + 64 + 16;
}

bool ug_frame_is_armed(struct ug_proc *p, ug_raddr_t pc, ug_raddr_t sp)
{
	ug_raddr_t first;
	unsigned int chain;

	/* A stale frame may be above a stack pointer; a return address into sigreturn with it, not. */
	return ug_gadgets_is_syscall(p, pc) &&
	       !ug_proc_read_present(p, sp, &first, sizeof(first), false, NULL) &&
	       ug_gadgets_is_sigreturn(p, first, &chain) &&
	       is_frame(p, sp + chain * sizeof(uint64_t), chain ? pc : first);
}

bool ug_frame_skip_call(struct ug_proc *p, struct user_regs_struct *regs)
{
	if (!ug_frame_is_armed(p, regs->rip, regs->rsp))
		return false;
	regs->rip += UG_SYSCALL_INSN_LEN;
	return true;
}
