/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One look at all processes that /proc shows: who is whose child, and which control groups a
 * process is in. A look is no snapshot: processes come and go while it is taken, so whoever
 * must not miss any looks again until nothing new is there.
 */
#ifndef UG_PROCESS_CENSUS_H
#define UG_PROCESS_CENSUS_H

#include "base/error.h"
#include "base/types.h"

struct ug_census_entry {
	pid_t pid, parent;
	uint64_t start_time;		/* with pid: the process */
	/*
	 * Of the program it runs: another value after an execve. Made of where the kernel has
	 * put code and stack, and of the file. 0 when we may not know.
	 */
	uint64_t image;
	bool zombie;			/* the process, not only its first thread */
	bool kernel;			/* a thread of the kernel */
	char comm[16];
};

struct ug_census {
	struct ug_census_entry *v;	/* by pid, ascending */
	size_t n, cap;
};

int ug_census_take(struct ug_census *ret, struct ug_error *err) ug_must_check;
void ug_census_free(struct ug_census *census);

/* The index of a process, or n. */
size_t ug_census_find(const struct ug_census *census, pid_t pid);

/*
 * Is the process in that control group or below it? `group` is a path as /proc/PID/cgroup has
 * it ("/system.slice/nginx.service"), in whichever hierarchy; or, with `unit`, the name of a
 * systemd unit: a component of the path in the hierarchy that systemd keeps (the unified one,
 * or name=systemd). A unit without a suffix is a service. False also when it has gone.
 */
bool ug_cgroup_holds(pid_t pid, const char *group, bool unit);

#endif
