// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * .gnu_debugdata: an xz-compressed ELF file with the local function symbols of a stripped
 * object (gdb: "Debugging information in a special section").
 */
#include "object/internal.h"

#include <lzma.h>
#include <stdlib.h>

#define OUT_MAX (64UL << 20)
#define MEM_MAX (256UL << 20)

/* Twice as much each time, so that a small input that unpacks to much is stopped early. */
static bool grow(uint8_t **buf, size_t *cap, lzma_stream *strm)
{
	size_t used = *cap - strm->avail_out, new_cap = *cap ? *cap * 2 : 65536;
	uint8_t *grown = new_cap > OUT_MAX ? NULL : realloc(*buf, new_cap);

	if (!grown)
		return false;
	*buf = grown;
	*cap = new_cap;
	strm->next_out = grown + used;
	strm->avail_out = new_cap - used;
	return true;
}

static uint8_t *unpack(const uint8_t *in, size_t size, size_t *ret_size)
{
	lzma_stream strm = LZMA_STREAM_INIT;
	uint8_t *buf = NULL;
	size_t cap = 0;
	lzma_ret r;

	if (lzma_stream_decoder(&strm, MEM_MAX, 0) != LZMA_OK)
		return NULL;
	strm.next_in = in;
	strm.avail_in = size;
	do {
		r = LZMA_MEM_ERROR;
		if (!strm.avail_out && !grow(&buf, &cap, &strm))
			break;
		r = lzma_code(&strm, LZMA_FINISH);
	} while (r == LZMA_OK);
	*ret_size = cap - strm.avail_out;
	lzma_end(&strm);
	if (r == LZMA_STREAM_END)
		return buf;
	free(buf);
	return NULL;
}

uint8_t *ug_debugdata_unpack(Elf *elf, size_t *ret_size)
{
	Elf64_Shdr sh;
	Elf_Scn *scn = ug_elf_section(elf, ".gnu_debugdata", &sh);
	Elf_Data *d = scn && sh.sh_type == SHT_PROGBITS ? elf_rawdata(scn, NULL) : NULL;

	if (!d || !d->d_buf || !d->d_size)
		return NULL;
	return unpack(d->d_buf, d->d_size, ret_size);
}
