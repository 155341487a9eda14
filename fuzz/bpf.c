/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a seccomp filter, whatever is in it, comes to an end; what it asks about comes first. */
#include <stdlib.h>

#include "base/reader.h"
#include "fuzz/driver.h"
#include "inject/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seccomp_data asked;
	struct sock_filter *prog;
	struct ug_reader r;
	size_t n;

	ug_reader_init(&r, data, size);
	if (!ug_reader_next(&r, &asked, sizeof(asked)))
		return 0;
	n = (size - r.pos) / sizeof(*prog);
	if (n > BPF_MAXINSNS)
		n = BPF_MAXINSNS;
	prog = malloc(n * sizeof(*prog) + 1);
	if (!prog)
		abort();
	(void)ug_reader_next(&r, prog, n * sizeof(*prog));
	(void)ug_seccomp_run(prog, n, &asked);
	free(prog);
	return 0;
}
