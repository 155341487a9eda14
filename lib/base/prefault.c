/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/prefault.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/types.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23		/* linux/mman.h; glibc 2.35 */
#endif

/* No huge pages: the kernel may move those of others, and so of the target, to make one. */
void ug_prefault(void *mem, size_t len)
{
	uintptr_t start = ug_align_up((uintptr_t)mem, UG_PAGE_SIZE);
	uintptr_t end = ((uintptr_t)mem + len) & ~(UG_PAGE_SIZE - 1);

	if (start < end)
		(void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);
}
