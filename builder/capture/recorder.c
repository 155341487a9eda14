// SPDX-License-Identifier: GPL-2.0-or-later
/* ugraft-record: the wrapper as a static program, for builds in a chroot. */
#include <stdio.h>

#include "builder/build.h"

int main(int argc, char **argv)
{
	int ret;

	if (ug_build_wrapper(argc, argv, &ret))
		return ret;
	fputs("ugraft-record stands for a compiler in builds that 'ugraft build' records\n", stderr);
	return 2;
}
