/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Landing pads: code of a function that is reached only by the unwinder. The table is
 * described with gcc's except.c and LLVM's EHStreamer: header {LPStart encoding, [LPStart],
 * TType encoding, [uleb TType offset], call-site encoding, uleb call-site bytes}, then call
 * sites {start, length, landing pad, uleb action}; a pad of 0 means none.
 */
#include "base/cleanup.h"
#include "base/reader.h"
#include "text/text_priv.h"

#define LSDA_MAX 65536
#define ENC_OMIT 0xff
#define ENC_FORMAT 0x0f
#define ENC_RELATIVE 0x70
#define ENC_PCREL 0x10

static bool uleb(struct ug_reader *r, uint64_t *ret)
{
	uint64_t value = 0;
	uint8_t byte;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (!ug_reader_next(r, &byte, 1))
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* An encoded number; `at` is the address of the reader's first byte. */
static bool encoded(struct ug_reader *r, uint8_t enc, ug_raddr_t at, uint64_t *ret)
{
	ug_raddr_t here = at + r->pos;
	uint64_t u = 0;
	int32_t s4;
	bool ok;

	switch (enc & ENC_FORMAT) {
	case 0x00: ok = ug_reader_next(r, &u, 8); break;	/* absptr */
	case 0x01: ok = uleb(r, &u); break;
	case 0x02: ok = ug_reader_next(r, &u, 2); break;
	case 0x03: ok = ug_reader_next(r, &u, 4); break;
	case 0x04: case 0x0c: ok = ug_reader_next(r, &u, 8); break;
	case 0x0b:
		ok = ug_reader_next(r, &s4, 4);
		u = ok ? (uint64_t)(int64_t)s4 : 0;
		break;
	default: return false;
	}
	if (!ok || ((enc & ENC_RELATIVE) != 0 && (enc & ENC_RELATIVE) != ENC_PCREL))
		return false;
	*ret = (enc & ENC_RELATIVE) == ENC_PCREL && u ? u + here : u;
	return true;
}

static bool header(struct ug_reader *r, ug_raddr_t at, ug_raddr_t *lpstart, uint8_t *cs_enc,
		   size_t *end, uint64_t bias)
{
	uint64_t value;
	uint8_t enc;

	if (!ug_reader_next(r, &enc, 1))
		return false;
	if (enc != ENC_OMIT) {
		if (!encoded(r, enc, at, &value))
			return false;
		*lpstart = (enc & ENC_RELATIVE) ? value : value + bias;
	}
	if (!ug_reader_next(r, &enc, 1) || (enc != ENC_OMIT && !uleb(r, &value)))
		return false;
	if (!ug_reader_next(r, cs_enc, 1) || !uleb(r, &value) || value > r->size - r->pos)
		return false;
	*end = r->pos + value;
	return true;
}

static bool parse(struct ug_flow *flow, struct ug_reader *r, const struct ug_fde *fde)
{
	uint64_t start, len, pad, action;
	ug_raddr_t lpstart = fde->start;
	uint8_t enc;
	size_t end;

	if (!header(r, fde->lsda, &lpstart, &enc, &end, flow->text->obj->bias))
		return false;
	while (r->pos < end) {
		if (!encoded(r, enc, fde->lsda, &start) || !encoded(r, enc, fde->lsda, &len) ||
		    !encoded(r, enc, fde->lsda, &pad) || !uleb(r, &action))
			return false;
		if (pad != 0)
			ug_flow_target(flow, lpstart + pad, true);
	}
	return true;
}

/* How much of the file there is from addr on, at most LSDA_MAX. */
static size_t available(const struct ug_object *obj, ug_raddr_t addr)
{
	for (size_t i = 0; i < obj->nsegs; i++) {
		const struct ug_segment *s = &obj->segs[i];

		if (addr >= s->start && addr - s->start < s->filesz) {
			uint64_t n = s->filesz - (addr - s->start);

			return n < LSDA_MAX ? n : LSDA_MAX;
		}
	}
	return 0;
}

void ug_flow_lsda(struct ug_flow *flow, const struct ug_fde *fde)
{
	size_t size = available(flow->text->obj, fde->lsda);
	ug_autofree uint8_t *buf = malloc(size + 1);
	struct ug_reader r;

	if (!buf) {
		flow->nomem = true;
		return;
	}
	ug_reader_init(&r, buf, size);
	if (size == 0 ||
	    ug_object_read_file(flow->text->obj, fde->lsda, buf, size, NULL) < 0 ||
	    !parse(flow, &r, fde))
		ug_flow_doubt(flow, fde->start, "its table of landing pads is malformed");
}
