/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scanwalk.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/target.h"
#include "object/cfi.h"
#include "stack/internal.h"

#define FRAMES_MAX 256
#define PAUSE_NS 300000		/* between two stops: the process has to get on */

struct walk {
	struct ug_target *t;
	struct ug_stack_ctx ctx;
	struct scanwalk *ret;
	struct ug_rangeset set;		/* functions of the frames of one thread */
	unsigned int frames;
};

/* The function of a frame, as one that a patch would replace. */
static bool collect(const struct ug_unwind_frame *f, void *arg)
{
	struct walk *w = arg;
	const ug_raddr_t in = f->exact ? f->pc : f->pc - 1;
	const struct ug_object *obj = ug_objects_find(&w->t->objects, in);
	const struct ug_fde *fde = obj ? ug_cfi_fde(obj, in) : NULL;
	struct ug_range r = { .kind = UG_RANGE_CALLED, .id = w->frames };

	if (!fde || w->frames == FRAMES_MAX)
		return true;
	r.start = fde->start;
	r.end = fde->end;
	/* Interrupted at its first instruction: inside all the same. */
	if (f->pc == fde->start)
		r.kind = UG_RANGE_JUMPED;
	w->frames++;
	return ug_rangeset_add(&w->set, r, NULL) == 0;
}

static void note_missed(struct walk *w, const struct ug_thread *t, unsigned int id)
{
	if (w->ret->missed++)
		return;
	for (size_t i = 0; i < w->set.n; i++)
		if (w->set.v[i].id == id)
			(void)snprintf(w->ret->what, sizeof(w->ret->what), "thread %d is in the function "
				       "at %#llx, frame %u, and the scan did not see it", t->tid,
				       (unsigned long long)w->set.v[i].start, id);
}

static int look(struct ug_stop *s, struct ug_thread *t, void *arg, struct ug_error *err)
{
	struct walk *w = arg;
	uint64_t hits[FRAMES_MAX / 64] = { 0 };
	struct ug_stack_report report;
	const char *reason = "";
	ug_raddr_t where = 0;

	w->set.n = 0;
	w->frames = 0;
	w->ret->samples++;
	if (!ug_unwind(&w->ctx, t, collect, w, &reason, &where)) {
		if (!w->ret->unreliable++)
			(void)snprintf(w->ret->why, sizeof(w->ret->why), "%s at %#llx", reason,
				       (unsigned long long)where);
		return 0;
	}
	w->ret->frames += w->frames;
	ug_rangeset_seal(&w->set);
	ug_stack_check(&w->ctx, t, &w->set, false, hits, FRAMES_MAX, &report);
	for (unsigned int i = 0; i < w->frames; i++)
		if (!(hits[i / 64] >> (i % 64) & 1))
			note_missed(w, t, i);
	return 0;
}

static int one_stop(struct walk *w, struct ug_error *err)
{
	struct ug_stop_opts opts = { .budget_us = 200000 };
	struct ug_stop *stop;
	int r;

	ug_maps_free(&w->t->maps);
	r = ug_maps_read(&w->t->proc, &w->t->maps, err);
	if (r == 0)
		r = ug_stop_create(&w->t->proc, &opts, &stop, err);
	if (r < 0)
		return r;
	r = ug_stop_all(stop, look, w, err);
	ug_stop_resume(stop);
	ug_stop_destroy(stop);
	return r == -UG_E_UNSTOPPABLE || r == -UG_E_VFORK ? 0 : r;
}

static int walk_all(struct walk *w, unsigned long samples, struct ug_error *err)
{
	const struct timespec nap = { .tv_nsec = PAUSE_NS };
	int r = 0;

	w->ctx = (struct ug_stack_ctx){
		.proc = &w->t->proc, .maps = &w->t->maps, .objects = &w->t->objects,
		.main_stack_top = w->t->main_stack_top,
	};
	while (r == 0 && w->ret->samples < samples) {
		r = one_stop(w, err);
		nanosleep(&nap, NULL);
	}
	ug_rangeset_free(&w->set);
	return r;
}

static int in_child(pid_t pid, unsigned long samples, struct scanwalk *ret)
{
	struct ug_target target;
	struct walk w = { .t = &target, .ret = ret };
	struct ug_error err = { 0 };
	int r = ug_target_open(pid, UG_TARGET_LOCK | UG_TARGET_OBJECTS, &target, &err);

	if (r == 0) {
		r = ug_target_load_cfi(&target, &err);
		if (r == 0)
			r = walk_all(&w, samples, &err);
		ug_target_close(&target);
	}
	if (r < 0)
		(void)snprintf(ret->what, sizeof(ret->what), "%.150s", err.message);
	return r;
}

int scanwalk_run(pid_t pid, unsigned long samples, struct scanwalk *ret)
{
	struct scanwalk *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t child;

	memset(ret, 0, sizeof(*ret));
	if (shared == MAP_FAILED)
		return -1;
	(void)snprintf(shared->what, sizeof(shared->what), "killed, perhaps by the watchdog");
	child = fork();
	if (child == 0) {
		shared->what[0] = 0;
		_exit(in_child(pid, samples, shared) < 0);
	}
	if (child > 0)
		(void)waitpid(child, &status, 0);
	*ret = *shared;
	munmap(shared, sizeof(*shared));
	return status == 0 ? 0 : -1;
}
