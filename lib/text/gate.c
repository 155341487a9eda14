/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gate instances from the templates of rt/gate.S. */
#include "text/gate.h"

#include <string.h>

extern const uint8_t ug_rt_gate_rdfsbase[UG_GATE_SIZE];
extern const uint8_t ug_rt_gate_fs0[UG_GATE_SIZE];
/* Pairs {offset, bytes pushed from there on}, 0xff ends. */
extern const uint8_t ug_rt_gate_depth[];

void ug_gate_encode(const struct ug_gate *gate, bool rdfsbase, uint8_t buf[UG_GATE_SIZE])
{
	memcpy(buf, rdfsbase ? ug_rt_gate_rdfsbase : ug_rt_gate_fs0, UG_GATE_SIZE);
	memcpy(buf + UG_GATE_LIT_WORD, &gate->word, 8);
	memcpy(buf + UG_GATE_LIT_FROM, &gate->from, 8);
	memcpy(buf + UG_GATE_LIT_TO, &gate->to, 8);
	memcpy(buf + UG_GATE_LIT_BEFORE, &gate->before, 8);
}

bool ug_gate_decode(const uint8_t buf[UG_GATE_SIZE], struct ug_gate *ret)
{
	if (memcmp(buf, ug_rt_gate_rdfsbase, UG_GATE_LITERALS) != 0 &&
	    memcmp(buf, ug_rt_gate_fs0, UG_GATE_LITERALS) != 0)
		return false;
	memcpy(&ret->word, buf + UG_GATE_LIT_WORD, 8);
	memcpy(&ret->from, buf + UG_GATE_LIT_FROM, 8);
	memcpy(&ret->to, buf + UG_GATE_LIT_TO, 8);
	memcpy(&ret->before, buf + UG_GATE_LIT_BEFORE, 8);
	return true;
}

uint64_t ug_gate_cfa_offset(size_t offset)
{
	uint64_t pushed = 0;

	if (offset >= UG_GATE_LITERALS)
		return 0;
	for (const uint8_t *d = ug_rt_gate_depth; d[0] != 0xff && d[0] <= offset; d += 2)
		pushed = d[1];
	return 8 + pushed;
}
