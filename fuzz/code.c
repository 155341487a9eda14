/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/code.h"

#include "base/reader.h"
#include "object/code.h"

static const char *const names[FUZZ_SYMBOLS] = {
	"f0", "f0.cold", "f1", "f1.part.0", "f2", "f3", "f4", "_start",
};

bool fuzz_code_open(const uint8_t *data, size_t size, struct fuzz_code *ret, struct ug_object **ret_obj,
		    const uint8_t **ret_stack)
{
	struct ug_code_symbol symbols[FUZZ_SYMBOLS];
	struct ug_code code = { .name = "fuzz", .start = FUZZ_CODE, .symbols = symbols };
	struct ug_reader r;

	ug_reader_init(&r, data, size);
	if (!ug_reader_next(&r, ret, sizeof(*ret)))
		return false;
	/* The places of what follows are the input's; what there is not is cut off. */
	if (ret->len > size - r.pos)
		ret->len = (uint32_t)(size - r.pos);
	if (ret->text_len > ret->len)
		ret->text_len = ret->len;
	if (ret->stack_len > size - r.pos - ret->len)
		ret->stack_len = (uint32_t)(size - r.pos - ret->len);
	for (size_t i = 0; i < FUZZ_SYMBOLS; i++) {
		if (!ret->sym[i].off && !ret->sym[i].size && i)
			continue;
		symbols[code.nsymbols++] = (struct ug_code_symbol){
			.name = names[i], .addr = FUZZ_CODE + ret->sym[i].off, .size = ret->sym[i].size,
		};
	}
	code.bytes = data + r.pos;
	code.len = ret->len;
	code.text_len = ret->text_len;
	code.eh_frame = ret->eh_frame;
	code.eh_frame_len = ret->eh_frame_len;
	*ret_stack = code.bytes + ret->len;
	return ug_object_of_code(&code, ret_obj, NULL) == 0;
}
