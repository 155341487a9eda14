/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the bytes of a patch file, opening, laying out and linking it ends
 * with an error or with images, never outside of a buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/driver.h"
#include "patchfile/format.h"
#include "patchfile/patch.h"

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
	for (size_t i = 0; i < ug_patch_symbols(patch); i++) {
		if (strlen(ug_patch_symbol(patch, i, &offset, &size)) > UG_FILE_STRING_MAX)
			abort();
	}
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
