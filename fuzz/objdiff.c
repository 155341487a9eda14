/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: two compiles of one source, whatever the compiler has written: they are refused or
 * compared. The input is the size of the first, 4 bytes, and then both.
 */
#include <string.h>
#include <unistd.h>

#include "builder/diff/diff.h"
#include "fuzz/driver.h"
#include "fuzz/fake_file.h"

static void compare(const char *before, const char *after)
{
	static const struct ug_diff_opts opts = { 0 };
	struct ug_diff *diff, *left = NULL;

	if (ug_diff_open(before, after, &opts, &diff, NULL) < 0)
		return;
	(void)ug_diff_changes_code(diff);
	(void)ug_diff_refused(diff);
	if (ug_diff_open_left(diff, &left, NULL) == 0 && left)
		ug_diff_close(left);
	ug_diff_close(diff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char before[32], after[32];
	uint32_t first;
	int b, a;

	if (size < sizeof(first))
		return 0;
	memcpy(&first, data, sizeof(first));
	data += sizeof(first);
	size -= sizeof(first);
	if (first > size)
		first = (uint32_t)size;
	b = fake_file(data, first);
	a = fake_file(data + first, size - first);
	compare(fake_path(b, before), fake_path(a, after));
	close(b);
	close(a);
	return 0;
}
