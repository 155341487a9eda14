/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzz target is one function, fed with arbitrary bytes: libFuzzer and AFL++ look for its name.
 * Without a fuzzer driver.c feeds it: the corpus as it is, and a fixed series of mutations.
 */
#ifndef UG_FUZZ_DRIVER_H
#define UG_FUZZ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What a header says of a parser's result. */
static inline void promise(bool kept)
{
	if (!kept)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
