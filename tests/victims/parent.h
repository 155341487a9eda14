/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What parent tells the test, in a file that both map. */
#ifndef PARENT_H
#define PARENT_H

#include <stdatomic.h>

enum { PARENT_SLEEPER, PARENT_FORKER, PARENT_OTHER, PARENT_THREADS };

struct parent_shared {
	atomic_int tids[PARENT_THREADS];
	atomic_int child;	/* the one that lives now */
	atomic_uint reaped;	/* children that have been waited for */
	atomic_uint eintr;	/* epoll_wait that ended with EINTR */
};

#endif
