/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What inject-victim tells the test, in a shared mapping (descriptor 3 of the victim). */
#ifndef INJECT_SHARED_H
#define INJECT_SHARED_H

#include <stdint.h>

struct inject_shared {
	volatile uint32_t ready;
	volatile uint64_t ticks;	/* rounds of all threads; grows or something is wrong */
	volatile uint32_t eintr;	/* calls that failed with EINTR */
	volatile uint32_t errors;	/* anything else that is not as it should be */
	volatile uint32_t what;		/* line of the first error */
	volatile uint32_t late;		/* longest excess of a timeout, ms */
	volatile uint64_t signals;	/* handled, in order */
};

#endif
