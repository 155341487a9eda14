// SPDX-License-Identifier: LGPL-2.1-or-later
#include "process/writes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

/* struct page_region, struct pm_scan_arg */
struct region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan_arg)
#define SCAN_PROTECT (UINT64_C(1) << 0)		/* PM_SCAN_WP_MATCHING */
#define IS_WRITTEN (UINT64_C(1) << 1)
#define IS_PRESENT (UINT64_C(1) << 3)
#define IS_SWAPPED (UINT64_C(1) << 4)

#define REGIONS 256

int ug_writes_begin(int uffd, struct ug_error *err)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };

	if (ioctl(uffd, UFFDIO_API, &api) == 0)
		return 0;
	return ug_err(err, -UG_E_UNSUPPORTED, "this kernel does not tell which pages are written to "
		      "(userfaultfd with asynchronous write protection, Linux 6.7)");
}

bool ug_writes_known(void)
{
	ug_autoclose int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	ug_autoclose int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct scan_arg arg = { .size = sizeof(arg), .category_mask = IS_WRITTEN,
				.return_mask = IS_WRITTEN };

	return uffd >= 0 && ug_writes_begin(uffd, NULL) == 0 && pagemap >= 0 &&
	       ioctl(pagemap, SCAN, &arg) >= 0;
}

void ug_writes_watch(int uffd, ug_raddr_t start, ug_raddr_t end)
{
	struct uffdio_register reg = {
		.range = { .start = start, .len = end - start },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	ug_ignore(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

int ug_writes_find(struct ug_proc *p, ug_raddr_t *at, ug_raddr_t end, bool protect,
		   struct ug_written *v, size_t max, struct ug_error *err)
{
	struct region regions[REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg), .flags = protect ? SCAN_PROTECT : 0,
		.start = *at, .end = end,
		.vec = (uintptr_t)regions, .vec_len = max < REGIONS ? max : REGIONS,
		.category_mask = IS_WRITTEN, .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
		.return_mask = IS_WRITTEN,
	};
	int n = ioctl(p->pagemap_fd, SCAN, &arg);

	if (n < 0)
		return ug_err_errno(err, "cannot ask which pages of process %d were written to",
				    p->pid);
	for (int i = 0; i < n; i++)
		v[i] = (struct ug_written){ regions[i].start, regions[i].end };
	*at = arg.walk_end;
	return n;
}
