/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inject/remote.h"
#include "object/cfi.h"
#include "stack/stack.h"

/* AT_HWCAP2 bit of x86: the kernel lets user code execute rdfsbase (Linux 5.9). */
#define HWCAP2_FSGSBASE (1u << 1)

static bool is_forked(struct ug_proc *p)
{
	struct ug_task leader;

	return ug_task_read(p, p->pid, &leader, NULL) == 0 && (leader.flags & UG_PF_FORKNOEXEC);
}

static bool read_rdfsbase(struct ug_proc *p)
{
	ug_autoclose int fd = ug_proc_open_mm_file(p->dirfd, "auxv", O_RDONLY);
	Elf64_auxv_t v[64];
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, v, sizeof(v));
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(v[0]); i++)
		if (v[i].a_type == AT_HWCAP2)
			return v[i].a_un.a_val & HWCAP2_FSGSBASE;
	return false;
}

int ug_target_load_cfi(struct ug_target *t, struct ug_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->objects.n; i++)
		r = ug_object_cfi(t->objects.v[i], err);
	return r;
}

int ug_target_reason(struct ug_target *t, int r, struct ug_error *err)
{
	struct ug_error gone;

	if (r >= 0 || r == -UG_E_GONE || ug_proc_check(&t->proc, &gone) != -UG_E_GONE)
		return r;
	if (err)
		*err = gone;
	return -UG_E_GONE;
}

int ug_target_open(pid_t pid, unsigned int what, struct ug_target *ret, struct ug_error *err)
{
	struct ug_target t = { 0 };
	int r;

	r = ug_proc_open(pid, &t.proc, err);
	if (r < 0)
		return r;
	if (what & UG_TARGET_LOCK)
		r = ug_proc_lock(&t.proc, err);
	if (r == 0)
		r = ug_maps_read(&t.proc, &t.maps, err);
	if (r == 0)
		r = ug_registry_read(&t.proc, &t.maps, &t.reg, err);
	if (r == 0 && (what & UG_TARGET_OBJECTS))
		r = ug_objects_load(&t.proc, &t.maps, &t.objects, err);
	if (r == 0)
		r = ug_stack_main_top(&t.proc, &t.maps, &t.main_stack_top, err);
	t.forked = is_forked(&t.proc);
	t.rdfsbase = read_rdfsbase(&t.proc);
	if (r < 0) {
		r = ug_target_reason(&t, r, err);
		ug_target_close(&t);
		if (err)
			err->pid = pid;
		return r;
	}
	*ret = t;
	return 0;
}

void ug_target_close(struct ug_target *t)
{
	ug_registry_free(&t->reg);
	ug_objects_free(&t->objects);
	ug_maps_free(&t->maps);
	ug_proc_close(&t->proc);
}

int ug_target_reload(struct ug_target *t, struct ug_error *err)
{
	struct ug_maps maps = { 0 };
	struct ug_registry reg = { 0 };
	int r;

	r = ug_maps_read(&t->proc, &maps, err);
	if (r < 0)
		return r;
	r = ug_registry_read(&t->proc, &maps, &reg, err);
	if (r < 0) {
		ug_maps_free(&maps);
		return r;
	}
	ug_maps_free(&t->maps);
	ug_registry_free(&t->reg);
	t->maps = maps;
	t->reg = reg;
	return 0;
}

const char *ug_target_object_name(const struct ug_target *t, ug_raddr_t addr)
{
	const struct ug_object *obj = ug_objects_find(&t->objects, addr);

	return obj ? obj->name : "?";
}

bool ug_target_cancelled(const struct ug_target *t)
{
	return t->notify && t->notify->cancelled && t->notify->cancelled(t->notify->ctx);
}

bool ug_target_out_of_time(const struct ug_target *t)
{
	return ug_now_ns() >= t->deadline_ns || ug_target_cancelled(t);
}

int ug_target_borrow(struct ug_target *t, struct ug_remote **ret, struct ug_error *err)
{
	struct ug_remote_opts opts = { 0 };

	if (t->flags & UG_OPT_SUSPEND_SECCOMP)
		opts.flags |= UG_REMOTE_SUSPEND_SECCOMP;
	return ug_remote_open(&t->proc, &t->maps, &opts, ret, err);
}
