/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libugraft: live-patching of running processes.
 *
 * The words are the kernel's: a *patch* replaces *functions* of *objects* (the executable or
 * shared objects, known by build-id) of a *target* process; it becomes effective by a
 * *transition* in which each thread is switched at a moment when it provably executes none
 * of the functions concerned.
 *
 * Calls that change a target (load, unload, wait, reverse, force, recover) do their work in a helper process of
 * their own, forked inside the call: tracing, SIGCHLD and real-time priority never touch the
 * calling program, and the watchdog that ends a stuck controller ends only the helper. The
 * calls block; they may be made from several threads, also for different targets at once;
 * two for the same target: the second gets -UG_E_LOCKED.
 *
 * Unless a function says otherwise, when it fails the target's text, mappings and registers
 * are as they were.
 */
#ifndef UGRAFT_UGRAFT_H
#define UGRAFT_UGRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ugraft/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define UG_NAME_MAX 64		/* of a patch, with the NUL */
#define UG_VERSION "0.1.0"

/* A log line: the kernel's words verbatim for state changes. Levels as in syslog(3). */
typedef void (*ug_log_fn)(int level, const char *line, void *ctx);

/* A thread that holds up a transition. */
struct ug_blocker {
	pid_t tid;
	char comm[16];
	bool unreliable;	/* the stack could not be checked; `reason` says why */
	char function[64];	/* in which function, "" when unreliable */
	char version[UG_NAME_MAX];	/* of which patch; "": the original */
	char reason[96];
	char chain[256];	/* "parse_uri+0x41 <- handle_conn <- main" with UTF-8 arrows */
	char advice[96];	/* what would help */
};

#define UG_BLOCKERS_MAX 8

struct ug_progress {
	unsigned int threads;	/* alive */
	unsigned int switched;
	unsigned int attempts;
	unsigned int nblockers;	/* entries filled below; threads - switched may be more */
	struct ug_blocker blockers[UG_BLOCKERS_MAX];
};

typedef void (*ug_progress_fn)(const struct ug_progress *progress, void *ctx);

enum ug_opt_flags {
	UG_OPT_SUSPEND_SECCOMP = 1 << 0,	/* exception from G5, see ugraft(1) */
	UG_OPT_NO_SHORT_TRANSFERS = 1 << 1,	/* wait until no blocking transfer could return short,
						 * refuse when the time is up: -UG_E_TRANSFER */
	UG_OPT_KEEP_ON_TIMEOUT = 1 << 2,	/* leave the transition running instead of reversing it */
	UG_OPT_CONTEXTS_NONE = 1 << 3,		/* the administrator asserts: no suspended contexts */
	UG_OPT_NO_WAIT = 1 << 4,		/* return as soon as the transition runs (UG_PENDING);
						 * ug_wait drives it on */
};

struct ug_opts {
	size_t sz;			/* sizeof(struct ug_opts): what the caller knows of it */
	unsigned int flags;		/* enum ug_opt_flags */
	unsigned int timeout_ms;	/* of the transition; 0: 15000 */
	unsigned int max_pause_us;	/* whole-process stop; 0: 10000 + 10 a thread */
	ug_log_fn log;			/* may be NULL; called in the calling thread */
	ug_progress_fn progress;	/* may be NULL; called in the calling thread */
	void *ctx;			/* for both */
	const volatile int *cancel;	/* may be NULL; set to non-zero (also from a signal handler):
					 * back out or reverse, then return -UG_E_INTERRUPTED */
};

enum ug_outcome {
	UG_DONE,
	UG_ALREADY,		/* nothing to do: it was so */
	UG_PENDING,		/* the transition goes on (UG_OPT_KEEP_ON_TIMEOUT) */
};

struct ug_report {
	enum ug_outcome outcome;
	char patch[UG_NAME_MAX];
	unsigned int functions;
	unsigned int threads;		/* at the commit */
	unsigned int switched_at_once;	/* of them at the commit */
	unsigned int stops;		/* of the whole process */
	unsigned int attempts;		/* checks of single threads */
	unsigned int cured;		/* calls restarted that would have seen EINTR */
	unsigned int short_transfers;	/* threads stopped in a transfer that may return short */
	uint64_t max_pause_ns;		/* the longest stop */
	uint64_t total_pause_ns;
	uint64_t wall_ns;		/* the whole operation */
	uint64_t pinned_bytes;		/* unload: what stays mapped, because addresses may have escaped */
	unsigned int recovered;		/* recover: things finished or rolled back */
	unsigned int forced;		/* force: threads declared switched that were still inside */
};

/*
 * Load a patch file into a process and complete its transition.
 * 0: see report->outcome. -UG_E_REVERSED: not in time, reversed, the target is as before.
 * -UG_E_TRANSITION: another patch's transition is running there. Everything else: the target
 * is as before.
 *
 * A patch with the replace flag takes over from all patches that are enabled, in the same
 * transition: functions it does not have go back to the original, and the replaced patches
 * are released. A patch of that name that is just being taken back: that is reversed.
 */
UG_API int ug_load(pid_t pid, const char *file, const struct ug_opts *opts,
		   struct ug_report *report, struct ug_error *err);

/*
 * Take a patch back, by its name, in any order: functions another patch replaces as well keep
 * that one's version, or fall back to it. -UG_E_NO_PATCH when it is not loaded. A patch that
 * is just being applied: that is reversed.
 */
UG_API int ug_unload(pid_t pid, const char *name, const struct ug_opts *opts,
		     struct ug_report *report, struct ug_error *err);

/*
 * The three about a transition that is running, because somebody left it so
 * (UG_OPT_KEEP_ON_TIMEOUT) or was killed. `name`: of the patch it must be about; NULL: any.
 * -UG_E_NO_TRANSITION: there is none, or it is another patch's. When the time is up it goes
 * on: 0 and UG_PENDING.
 */

/* Drive it on. Without a name and without a transition: 0 and UG_ALREADY. */
UG_API int ug_wait(pid_t pid, const char *name, const struct ug_opts *opts,
		   struct ug_report *report, struct ug_error *err);

/* Turn it round, in either direction, any number of times. */
UG_API int ug_reverse(pid_t pid, const char *name, const struct ug_opts *opts,
		      struct ug_report *report, struct ug_error *err);

/*
 * Declare all threads switched and complete it. Consistency is lost for the threads that are
 * still inside the old functions (report->forced), until they have left. Reverse first, if
 * you can. What they are inside of stays mapped and is looked for in every later transition;
 * ug_recover releases it when they have left.
 */
UG_API int ug_force(pid_t pid, const char *name, const struct ug_opts *opts,
		    struct ug_report *report, struct ug_error *err);

/* Every thread a running transition waits for. */
struct ug_blocking {
	pid_t pid;
	char comm[16];
	char patch[UG_NAME_MAX];
	bool patching;			/* towards patched; false: towards unpatched */
	uint64_t since_ns;		/* CLOCK_REALTIME: when the transition was recorded */
	unsigned int threads;		/* of the process */
	size_t n;
	struct ug_blocker *v;
};

/*
 * Look at all threads in one stop that changes nothing. -UG_E_NO_TRANSITION; -UG_E_LOCKED
 * while another controller drives it (its progress says the same).
 */
UG_API int ug_blocking(pid_t pid, const struct ug_opts *opts, struct ug_blocking **ret,
		       struct ug_error *err);
UG_API void ug_blocking_free(struct ug_blocking *blocking);

/*
 * Finish or roll back what a dead controller left, release what is no longer executed.
 * 0 also when there was nothing to do (UG_ALREADY).
 */
UG_API int ug_recover(pid_t pid, const struct ug_opts *opts, struct ug_report *report,
		      struct ug_error *err);

/* ---- looking only: nothing is stopped or changed ---- */

struct ug_func_status {
	char object[64];	/* "" for the executable's own name is never used: always a name */
	char name[96];
	uint64_t address;	/* entry in the target */
	uint64_t new_address;	/* the replacement */
	bool active;		/* this patch's version is the one new calls run */
};

enum ug_patch_state {
	UG_PATCH_ENABLED,
	UG_PATCH_PATCHING,	/* its transition runs */
	UG_PATCH_UNPATCHING,
	UG_PATCH_PREPARED,	/* left by a controller that died before the commit: recover */
	UG_PATCH_LEFT,		/* removed, still executed by some thread: recover releases it */
	UG_PATCH_PINNED,	/* removed, stays mapped: its addresses may have escaped */
};

struct ug_patch_status {
	char name[UG_NAME_MAX];
	char description[160];
	char cves[160];
	enum ug_patch_state state;
	unsigned int order;	/* among those in force or in transition; 1: oldest; 0: neither */
	bool replace;		/* it has replaced, or replaces, all older ones */
	bool forced;		/* left by a force, and perhaps still executed */
	uint64_t bytes;		/* mapped for it */
	size_t nfuncs;
	struct ug_func_status *funcs;
};

struct ug_status {
	pid_t pid;
	char comm[16];
	char exe[256];
	bool patched;			/* there is a registry at all */
	bool needs_recovery;		/* a transition is open and no controller is at work */
	bool is_copy;			/* forked from a patched process; the registry is a copy */
	bool busy;			/* a controller is at work now */
	unsigned int threads;
	bool in_transition;
	char transition_patch[UG_NAME_MAX];
	bool transition_patching;	/* towards patched; false: towards unpatched */
	uint64_t transition_since_ns;	/* CLOCK_REALTIME */
	unsigned int pending_threads;	/* listed in the running transition */
	uint64_t registry_bytes;
	size_t npatches;
	struct ug_patch_status *patches;
	unsigned int log_total;		/* lines ever written; the last nlog of them are there */
	size_t nlog;
	char (*log)[128];		/* "SECONDS text", seconds of CLOCK_REALTIME */
	/* An atomic change of so many processes, with this one, was cut off; 0: none. ug_recover of
	 * any of them brings all to the same end. */
	unsigned int group;
};

UG_API int ug_status(pid_t pid, struct ug_status **ret, struct ug_error *err);
UG_API void ug_status_free(struct ug_status *status);

/* One precondition and its verdict. */
enum ug_check_verdict {
	UG_CHECK_OK,
	UG_CHECK_WARNING,
	UG_CHECK_REFUSED,
};

struct ug_check {
	enum ug_check_verdict verdict;
	int code;			/* of the refusal, 0 otherwise */
	char what[96];			/* "entry of setCommand (redis-server)" */
	char text[384];			/* the finding, in one sentence */
};

struct ug_checks {
	size_t n;
	struct ug_check *v;
	uint64_t predicted_pause_ns;	/* plan only */
};

/* Dry run of a load: every precondition with its verdict. Fails only when it cannot look. */
UG_API int ug_plan(pid_t pid, const char *file, const struct ug_opts *opts,
		   struct ug_checks **ret, struct ug_error *err);

/* Does the memory of the process equal what the registry says? A finding of verdict REFUSED
 * is a difference. */
UG_API int ug_verify(pid_t pid, struct ug_checks **ret, struct ug_error *err);
UG_API void ug_checks_free(struct ug_checks *checks);

/* The code of one patch in a process, for debuggers. */
struct ug_patch_code {
	char name[UG_NAME_MAX];		/* of the patch, as the process has it: any bytes */
	uint64_t address;
	uint64_t bytes;			/* of code */
	uint8_t *image;			/* an ELF file with code, function names, unwind tables */
	size_t image_size;
};

struct ug_patch_codes {
	size_t n;
	struct ug_patch_code *v;
};

/* Of all patches whose code is in the process; none when it is not patched. */
UG_API int ug_patch_code(pid_t pid, struct ug_patch_codes **ret, struct ug_error *err);
UG_API void ug_patch_code_free(struct ug_patch_codes *codes);

/*
 * Tell perf the names of functions of patches: adds to the file perf-PID.map in the /tmp of
 * the process's own file system what is not in it already. *ret_n: lines added; path: where,
 * as we see it. -UG_E_NO_PATCH; -EPERM when the file is a link or no plain file.
 */
UG_API int ug_perf_map(pid_t pid, char *path, size_t size, size_t *ret_n, struct ug_error *err);

struct ug_info_func {
	char object[64];
	char name[96];
	unsigned int pos;
	uint64_t size;
};

struct ug_info_object {
	char name[64];		/* "" : the executable */
	size_t nbuilds;
	char (*builds)[129];	/* hex */
};

struct ug_info_compiler {	/* with these flags: those that change code, without paths */
	char name[256];
	size_t nflags;
	char **flags;
};

struct ug_info_unit {
	char source[256];	/* in its tree */
	char object[64];	/* "" : the executable, or not known */
	size_t compiler;	/* index */
};

struct ug_info {
	char name[UG_NAME_MAX];
	char description[256];
	char cves[256];
	bool replace;
	bool pins_memory;	/* stays mapped after unload */
	uint64_t code_bytes, data_bytes;
	size_t nobjects;
	struct ug_info_object *objects;
	size_t nfuncs;
	struct ug_info_func *funcs;
	char made_by[64];	/* version of ugraft; "" : the file does not say who made it, and how */
	size_t ncompilers;
	struct ug_info_compiler *compilers;
	size_t nunits;
	struct ug_info_unit *units;
};

/* What a patch file says. */
UG_API int ug_info(const char *file, struct ug_info **ret, struct ug_error *err);
UG_API void ug_info_free(struct ug_info *info);

/* 1: the process maps an object the patch file is for; 0: it does not; negative: cannot look. */
UG_API int ug_applicable(pid_t pid, const char *file, struct ug_error *err);

#ifdef __cplusplus
}
#endif

#endif
