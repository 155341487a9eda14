/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/transfers.h"

#include <time.h>

#define NAP_NS 2000000

int ug_transfers_await(struct ug_target *t, struct ug_error *err)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	int r;

	if (!(t->flags & UG_OPT_NO_SHORT_TRANSFERS))
		return 0;
	while ((r = ug_proc_check_transfers(&t->proc, err)) == -UG_E_TRANSFER && !ug_target_out_of_time(t))
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	return r;
}

bool ug_transfers_spare(struct ug_target *t, pid_t tid)
{
	struct ug_task_syscall sc;

	return t->flags & UG_OPT_NO_SHORT_TRANSFERS &&
	       ug_task_syscall(&t->proc, tid, &sc, NULL) == 0 && ug_syscall_may_shorten(&sc);
}
