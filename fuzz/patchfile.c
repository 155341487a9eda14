/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the bytes of a patch file, opening, laying out and linking it ends
 * with an error or with images, never outside of a buffer.
 *
 *	clang -fsanitize=fuzzer,address,undefined -DUG_LIBFUZZER ...	libFuzzer, AFL++
 *
 * Without UG_LIBFUZZER it is a plain test: each file of the corpus given as an argument, and
 * a fixed series of mutations of it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchfile/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int address(void *ctx, const struct ug_patch_ref *ref, ug_raddr_t *ret, struct ug_error *err)
{
	if (ref->weak)
		return ug_err(err, -UG_E_NO_SYMBOL, "weak");
	*ret = 0x20001000;
	return 0;
}

static ug_raddr_t entry(void *ctx, size_t func)
{
	return 0x20002000 + func * 16;
}

static int tls(void *ctx, const struct ug_patch_ref *ref, uint64_t *ret_module,
	       uint64_t *ret_module_offset, int64_t *ret_tp_offset, struct ug_error *err)
{
	if (ret_module) {
		*ret_module = 1;
		*ret_module_offset = 64;
	}
	if (ret_tp_offset)
		*ret_tp_offset = -64;
	return 0;
}

static void walk_ranges(const struct ug_patch *patch)
{
	uint64_t offset, size;
	bool jumped;

	for (size_t f = 0; f < patch->nfuncs; f++) {
		for (size_t i = 0; i < ug_patch_func_ranges(patch, f); i++)
			ug_patch_func_range(patch, f, i, &offset, &size, &jumped);
	}
	for (size_t i = 0; i < ug_patch_other_ranges(patch); i++)
		ug_patch_other_range(patch, i, &offset, &size);
	(void)ug_patch_eh_frame(patch, &offset, &size);
}

static void try_link(struct ug_patch *patch)
{
	static const struct ug_resolver resolver = { address, entry, tls, NULL };
	struct ug_patch_layout layout;
	struct ug_error err;
	uint8_t *rx, *rw;

	if (ug_patch_layout(patch, &layout, &err) < 0 ||
	    layout.rx_size + layout.rw_size > (16u << 20))
		return;
	/* two buffers, so that running over one is seen */
	rx = malloc(layout.rx_size + 1);
	rw = malloc(layout.rw_size + 1);
	if (rx && rw && ug_patch_link(patch, &resolver, 0x20000000, rx, rw, &err) == 0)
		walk_ranges(patch);
	free(rx);
	free(rw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ug_patch *patch = NULL;
	struct ug_error err;

	if (ug_patch_parse(data, size, &patch, &err) < 0)
		return 0;
	try_link(patch);
	ug_patch_close(patch);
	return 0;
}

#ifndef UG_LIBFUZZER
#define MUTATIONS 3000

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void mutate(const uint8_t *data, size_t size, uint32_t seed)
{
	static const uint8_t interesting[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint8_t *copy = malloc(size);
	uint32_t x = seed * 2654435761u + 1;

	if (!copy)
		return;
	memcpy(copy, data, size);
	for (uint32_t n = next_random(&x) % 4 + 1; n; n--) {
		size_t at = next_random(&x) % size;

		if (next_random(&x) & 1)
			copy[at] = interesting[next_random(&x) % sizeof(interesting)];
		else
			copy[at] ^= (uint8_t)(1u << (next_random(&x) & 7));
	}
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f)
		return -1;
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	(void)LLVMFuzzerTestOneInput(data, size);
	for (uint32_t i = 0; size && i < MUTATIONS; i++)
		mutate(data, size, i);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (run_file(argv[i]) < 0) {
			perror(argv[i]);
			return 1;
		}
	}
	return argc < 2;
}
#endif
