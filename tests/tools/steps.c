// SPDX-License-Identifier: GPL-2.0-or-later
#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

#define FRAMES_MAX 24
#define PROCESSES_MAX 16
#define NAMED_FRAMES 4
#define PLACES 4096		/* a power of two */

/* A chain of callers, and how it is called by people. */
struct chain {
	uint64_t hash;
	int frames, named;
	char names[STEP_NAMES];
};

struct step {
	uint64_t id;
	long nr;
	unsigned long times;
	char call[32], names[STEP_NAMES];
};

static struct {
	pid_t pid;
	Dwfl *dwfl;
} processes[PROCESSES_MAX];

static struct step *steps;
static size_t nsteps, steps_cap;

/* Where a PC is; to find its function takes longer than all else of a step. */
struct place {
	const Dwfl *dwfl;
	Dwarf_Addr pc, start;
	const char *function;	/* of the program itself, or NULL */
};

static struct place places[PLACES];

static pid_t process_of(pid_t tid)
{
	static pid_t last_tid, pid;
	char path[32], line[128];
	FILE *f;

	if (tid == last_tid)
		return pid;
	last_tid = pid = tid;
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

static Dwfl *open_process(pid_t pid)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_linux_proc_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
	};
	Dwfl *dwfl = dwfl_begin(&callbacks);

	if (dwfl && dwfl_linux_proc_report(dwfl, pid) == 0 &&
	    dwfl_report_end(dwfl, NULL, NULL) == 0 && dwfl_linux_proc_attach(dwfl, pid, true) == 0)
		return dwfl;
	if (dwfl)
		dwfl_end(dwfl);
	return NULL;
}

/* Opened once: what it has loaded by its first step is all it loads. */
static Dwfl *find_process(pid_t tid)
{
	pid_t pid = process_of(tid);

	for (size_t i = 0; i < PROCESSES_MAX; i++) {
		if (!processes[i].pid) {
			processes[i].pid = pid;
			processes[i].dwfl = open_process(pid);
		}
		if (processes[i].pid == pid)
			return processes[i].dwfl;
	}
	return NULL;
}

static void mix(uint64_t *hash, uint64_t value)
{
	/* FNV-1a, a word at a time. */
	*hash = (*hash ^ value) * UINT64_C(0x100000001b3);
	*hash ^= *hash >> 29;
}

/* The program's own function: the wrapper in libc says what the call says. */
static void look_up(struct place *p, Dwfl *dwfl, Dwarf_Addr pc)
{
	Dwfl_Module *m = dwfl_addrmodule(dwfl, pc);
	const char *module = NULL;

	*p = (struct place){ .dwfl = dwfl, .pc = pc };
	if (m)
		module = dwfl_module_info(m, NULL, &p->start, NULL, NULL, NULL, NULL, NULL);
	if (module && strstr(module, "ugraft"))
		p->function = dwfl_module_addrname(m, pc);
}

static const struct place *find_place(Dwfl *dwfl, Dwarf_Addr pc)
{
	struct place *p = &places[(pc ^ pc >> 12) & (PLACES - 1)];

	if (p->dwfl != dwfl || p->pc != pc)
		look_up(p, dwfl, pc);
	return p;
}

static void name_frame(struct chain *c, const char *function)
{
	size_t len = strlen(c->names);

	if (!function || c->named == NAMED_FRAMES)
		return;
	snprintf(c->names + len, sizeof(c->names) - len, " < %s", function);
	c->named++;
}

static int add_frame(Dwfl_Frame *frame, void *arg)
{
	struct chain *c = arg;
	const struct place *p;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, NULL))
		return DWARF_CB_ABORT;
	p = find_place(dwfl_thread_dwfl(dwfl_frame_thread(frame)), pc);
	mix(&c->hash, pc - p->start);
	name_frame(c, p->function);
	return ++c->frames < FRAMES_MAX ? DWARF_CB_OK : DWARF_CB_ABORT;
}

uint64_t step_of(pid_t tid, long nr, char names[static STEP_NAMES])
{
	struct chain c = { .hash = UINT64_C(0xcbf29ce484222325) };
	Dwfl *dwfl = find_process(tid);

	names[0] = 0;
	if (!dwfl)
		return 0;
	mix(&c.hash, (uint64_t)nr);
	/* That it cannot unwind the first function of all is no failure. */
	(void)dwfl_getthread_frames(dwfl, tid, add_frame, &c);
	memcpy(names, c.names, sizeof(c.names));
	return c.frames ? c.hash : 0;
}

void step_made(uint64_t id, long nr, const char *call, const char *names)
{
	struct step *s;

	for (size_t i = 0; i < nsteps; i++)
		if (steps[i].id == id) {
			steps[i].times++;
			return;
		}
	if (nsteps == steps_cap) {
		steps_cap = steps_cap ? 2 * steps_cap : 256;
		steps = realloc(steps, steps_cap * sizeof(*steps));
		if (!steps)
			abort();
	}
	s = &steps[nsteps++];
	*s = (struct step){ .id = id, .nr = nr, .times = 1 };
	snprintf(s->call, sizeof(s->call), "%s", call);
	snprintf(s->names, sizeof(s->names), "%s", names);
}

void steps_print(FILE *to)
{
	for (size_t i = 0; i < nsteps; i++)
		fprintf(to, "%016lx %ld %lu %s%s\n", (unsigned long)steps[i].id, steps[i].nr,
			steps[i].times, steps[i].call, steps[i].names);
}
