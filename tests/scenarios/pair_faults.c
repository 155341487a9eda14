/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pair_faults.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/operation.h"
#include "engine/run.h"
#include "lib/scenario.h"

struct fault *fault;

/* Of the stores that are made now; the outermost function counts. */
static enum store kind = STORE_OTHER;

void fault_init(void)
{
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault == MAP_FAILED)
		scenario_die("mmap");
}

void fault_set(enum fault_act act, enum store what, unsigned int nth)
{
	*fault = (struct fault){ .act = act, .kind = what, .nth = nth };
}

const char *store_name(enum store what)
{
	static const char *const names[STORES] = { "any", "other", "arm", "word", "finish", "forget" };

	return names[what];
}

static bool is_hit(void)
{
	enum store own = fault->kind == STORE_ANY ? STORE_ANY : kind;

	return !fault->hit && fault->act != FAULT_NONE && fault->kind == own &&
	       fault->made[own] + 1 == fault->nth;
}

/* True: the store is to fail. */
static bool happen(void)
{
	if (is_hit()) {
		fault->hit = true;
		fault->worker = getpid();
		if (fault->act == FAULT_DIE_WITH_HOST)
			kill(getppid(), SIGKILL);
		if (fault->act == FAULT_FAIL)
			return true;
		kill(getpid(), fault->act == FAULT_STOP ? SIGSTOP : SIGKILL);
	}
	if (!fault->hit || fault->act == FAULT_FAIL) {
		fault->made[kind]++;
		fault->made[STORE_ANY]++;
	}
	return false;
}

int __real_ug_proc_write(struct ug_proc *p, ug_raddr_t addr, const void *buf, size_t len,
			 struct ug_error *err);
int __wrap_ug_proc_write(struct ug_proc *p, ug_raddr_t addr, const void *buf, size_t len,
			 struct ug_error *err);
int __wrap_ug_proc_write(struct ug_proc *p, ug_raddr_t addr, const void *buf, size_t len,
			 struct ug_error *err)
{
	if (happen())
		return ug_err(err, -UG_E_UNWRITABLE, "a store was made to fail");
	return __real_ug_proc_write(p, addr, buf, len, err);
}

#define WHILE(kind_, call)                                                                         \
	enum store outer = kind;                                                                   \
	int r;                                                                                     \
                                                                                                   \
	if (kind == STORE_OTHER)                                                                   \
		kind = (kind_);                                                                    \
	r = (call);                                                                                \
	kind = outer;                                                                              \
	return r

int __real_ug_run_arm(struct ug_run *run, struct ug_error *err);
int __wrap_ug_run_arm(struct ug_run *run, struct ug_error *err);
int __wrap_ug_run_arm(struct ug_run *run, struct ug_error *err)
{
	WHILE(STORE_ARM, __real_ug_run_arm(run, err));
}

int __real_ug_run_set_word(struct ug_run *run, uint64_t word, struct ug_error *err);
int __wrap_ug_run_set_word(struct ug_run *run, uint64_t word, struct ug_error *err);
int __wrap_ug_run_set_word(struct ug_run *run, uint64_t word, struct ug_error *err)
{
	WHILE(STORE_WORD, __real_ug_run_set_word(run, word, err));
}

int __real_ug_run_finish(struct ug_run *run, struct ug_error *err);
int __wrap_ug_run_finish(struct ug_run *run, struct ug_error *err);
int __wrap_ug_run_finish(struct ug_run *run, struct ug_error *err)
{
	WHILE(STORE_FINISH, __real_ug_run_finish(run, err));
}

int __real_ug_seg_unmark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
			 struct ug_error *err);
int __wrap_ug_seg_unmark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
			 struct ug_error *err);
int __wrap_ug_seg_unmark(struct ug_proc *p, struct ug_registry *reg, struct ug_seg *seg, uint8_t mark,
			 struct ug_error *err)
{
	WHILE(STORE_FORGET, __real_ug_seg_unmark(p, reg, seg, mark, err));
}

int __real_ug_operation_prepare_load(struct ug_target *t, struct ug_patch *patch, uint32_t *ret_id,
				     struct ug_error *err);
int __wrap_ug_operation_prepare_load(struct ug_target *t, struct ug_patch *patch, uint32_t *ret_id,
				     struct ug_error *err);
int __wrap_ug_operation_prepare_load(struct ug_target *t, struct ug_patch *patch, uint32_t *ret_id,
				     struct ug_error *err)
{
	if (fault->refuse == t->proc.pid)
		return ug_err(err, -UG_E_SECCOMP, "process %d was made to refuse", t->proc.pid);
	return __real_ug_operation_prepare_load(t, patch, ret_id, err);
}
