/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of inject/ share; the interface of the layer is remote.h and seccomp.h. */
#ifndef UG_INJECT_INJECT_H
#define UG_INJECT_INJECT_H

#include "inject/remote.h"
#include "inject/seccomp.h"

/* What the kernel leaves in rax of an interrupted call (include/linux/errno.h); never seen by
 * programs, hence in no header of theirs. */
#define UG_ERESTARTSYS 512
#define UG_ERESTARTNOINTR 513
#define UG_ERESTARTNOHAND 514
#define UG_ERESTART_RESTARTBLOCK 516

#define UG_SYSCALL_INSN_LEN 2
#define UG_RED_ZONE 128
#define UG_USER_CS 0x33
#define UG_XSTATE_MAX (16 * 1024)	/* more than AMX needs: 11 KiB */

/* Scratch on the borrowed stack: the upper half is the caller's (ug_remote_push), the lower
 * half holds the names of our own calls. */
#define UG_PUSH_SIZE 256
#define UG_SCRATCH_SIZE (2 * UG_PUSH_SIZE)

#define UG_GADGET_MAX 16	/* bytes of one */
#define UG_CHAIN_MAX (1 + UG_GADGET_MAX)	/* words: its address, and one for each pop */

/*
 * Existing instructions of the target. The call returns to `sigreturn`, which is one of
 *	mov $15,%eax (or %rax); syscall
 *	rax from the stack or from a register that calls preserve, pops, ret (a chain)
 * A chain returns to the system call instruction of `syscall_ret`. It is fed with 15 wherever
 * it takes something from: the words it pops, and all registers that calls preserve.
 */
struct ug_gadgets {
	ug_raddr_t syscall_ret;		/* syscall; ret */
	ug_raddr_t sigreturn;
	uint8_t code[UG_GADGET_MAX];	/* the bytes there */
	unsigned int len;
	unsigned int chain;		/* words below the signal frame, 0: not a chain */
};

/* From where rt_sigreturn(2) is called, as a seccomp filter sees it: behind the instruction. */
ug_raddr_t ug_gadgets_sigreturn_ip(const struct ug_gadgets *g);

/* Search all file-backed executable mappings, libc's first. Reads memory plainly (may block):
 * nothing may be stopped. */
int ug_gadgets_find(struct ug_proc *p, const struct ug_maps *maps, struct ug_gadgets *ret,
		    struct ug_error *err) ug_must_check;

/* Are they still there? Never blocks. */
bool ug_gadgets_verify(struct ug_proc *p, const struct ug_gadgets *g);

/* Is there such code? Of another session, which may have found other places. Never blocks. */
bool ug_gadgets_is_syscall(struct ug_proc *p, ug_raddr_t at);
bool ug_gadgets_is_sigreturn(struct ug_proc *p, ug_raddr_t at, unsigned int *ret_chain);

/* The state of a stopped thread: all that sigreturn has to put back. */
struct ug_context {
	struct user_regs_struct regs;
	uint64_t sigmask;
	size_t xstate_len;	/* what is in use of it */
	size_t xstate_room;	/* what rt_sigreturn must be able to read from its start on */
	_Alignas(64) uint8_t xstate[UG_XSTATE_MAX];
};

int ug_context_read(struct ug_context *c, pid_t tid, const struct user_regs_struct *regs,
		    struct ug_error *err) ug_must_check;

/* Where frame and scratch lie on the borrowed stack; see the picture in frame.c. */
struct ug_frame {
	ug_raddr_t addr;	/* rsp while a call is made: the chain, or the frame */
	ug_raddr_t sigframe;
	ug_raddr_t fpstate;
	ug_raddr_t scratch;	/* UG_SCRATCH_SIZE bytes */
	ug_raddr_t top;		/* the first byte above: the red zone */
};

void ug_frame_place(const struct ug_context *c, const struct ug_gadgets *g, struct ug_frame *ret);

/* Write the frame; `restart_nr` is the number of the interrupted call, -1 for none. */
int ug_frame_write(struct ug_proc *p, const struct ug_context *c, const struct ug_frame *f,
		   const struct ug_gadgets *g, long restart_nr, struct ug_error *err) ug_must_check;

/*
 * Is a thread there about to make a call of a session, and has that frame to come back by? Only
 * a dead controller leaves one so (remote.h, ug_remote_disarm). Never blocks.
 */
bool ug_frame_is_armed(struct ug_proc *p, ug_raddr_t pc, ug_raddr_t sp);

/* These are the registers of such a thread? Then put them behind the call. */
bool ug_frame_skip_call(struct ug_proc *p, struct user_regs_struct *regs);

/* Choose, stop and examine a thread; on success it is held by *ret_stop. */
struct ug_borrowed {
	struct ug_stop *stop;
	struct ug_thread *t;
	struct ug_context ctx;
	struct ug_frame frame;
};

int ug_borrow(struct ug_proc *p, const struct ug_maps *maps, const struct ug_gadgets *g,
	      unsigned int flags, uint64_t timeout_us, struct ug_borrowed *ret,
	      struct ug_error *err) ug_must_check;

/* May this stopped thread be borrowed? 0, a hard refusal (-UG_E_SECCOMP, -UG_E_SHADOW_STACK),
 * or -UG_E_NO_THREAD: this one, now, not. *ret_restart: see ug_frame_write. */
int ug_examine(struct ug_proc *p, const struct ug_maps *maps, const struct ug_gadgets *g,
	       unsigned int flags, struct ug_borrowed *b, long *ret_restart,
	       struct ug_error *err) ug_must_check;

/* The number of the call a restart_syscall(2) stands for, from the code around pc; -1. */
long ug_restarted_nr(struct ug_proc *p, ug_raddr_t pc);

/* Does this kernel name anonymous memory (CONFIG_ANON_VMA_NAME)? Tried on ourselves. */
bool ug_anon_names_known(void);

/* As ug_seccomp_check, with the addresses the calls would be made from. */
int ug_seccomp_check_at(struct ug_proc *p, pid_t tid, const struct ug_gadgets *g,
			struct ug_error *err) ug_must_check;

/* May this stopped thread call userfaultfd(2)? A call that not every session makes. */
int ug_seccomp_check_userfault(struct ug_proc *p, pid_t tid, uint64_t flags,
			       struct ug_error *err) ug_must_check;

/* Copy a string to our own half of the scratch space, replacing the one before. */
int ug_remote_name(struct ug_remote *r, const char *name, ug_raddr_t *ret,
		   struct ug_error *err) ug_must_check;
struct ug_proc *ug_remote_proc(struct ug_remote *r);

/* Would unmapping this range take away what the session itself stands on? */
bool ug_remote_uses(const struct ug_remote *r, ug_raddr_t addr, size_t len);

#endif
