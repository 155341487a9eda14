// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The relocation types of the x86-64 psABI, and which of them a patch may hold: what gcc and
 * clang emit for C in the small code model, PIC or not, with every TLS model but the
 * descriptors of -mtls-dialect=gnu2.
 */
#include "patchfile/image.h"

#define UNSUPPORTED(n) [R_X86_64_##n] = { .name = "R_X86_64_" #n }
#define SUPPORTED(n, bytes, sign, cls)                                                             \
	[R_X86_64_##n] = { "R_X86_64_" #n, true, bytes, sign, UG_PF_##cls }

static const struct ug_pf_reloc_type types[] = {
	SUPPORTED(NONE, 0, false, NONE),
	SUPPORTED(64, 8, false, ABS),
	SUPPORTED(PC32, 4, true, PC),
	UNSUPPORTED(GOT32),
	SUPPORTED(PLT32, 4, true, PLT),
	UNSUPPORTED(COPY),
	UNSUPPORTED(GLOB_DAT),
	UNSUPPORTED(JUMP_SLOT),
	UNSUPPORTED(RELATIVE),
	SUPPORTED(GOTPCREL, 4, true, GOT),
	SUPPORTED(32, 4, false, ABS),
	SUPPORTED(32S, 4, true, ABS),
	UNSUPPORTED(16),
	UNSUPPORTED(PC16),
	UNSUPPORTED(8),
	UNSUPPORTED(PC8),
	UNSUPPORTED(DTPMOD64),
	UNSUPPORTED(DTPOFF64),
	UNSUPPORTED(TPOFF64),
	SUPPORTED(TLSGD, 4, true, TLSGD),
	SUPPORTED(TLSLD, 4, true, TLSLD),
	SUPPORTED(DTPOFF32, 4, true, DTPOFF),
	SUPPORTED(GOTTPOFF, 4, true, GOTTPOFF),
	SUPPORTED(TPOFF32, 4, true, TPOFF),
	SUPPORTED(PC64, 8, true, PC),
	UNSUPPORTED(GOTOFF64),
	UNSUPPORTED(GOTPC32),
	UNSUPPORTED(GOT64),
	UNSUPPORTED(GOTPCREL64),
	UNSUPPORTED(GOTPC64),
	UNSUPPORTED(GOTPLT64),
	UNSUPPORTED(PLTOFF64),
	UNSUPPORTED(SIZE32),
	UNSUPPORTED(SIZE64),
	UNSUPPORTED(GOTPC32_TLSDESC),
	UNSUPPORTED(TLSDESC_CALL),
	UNSUPPORTED(TLSDESC),
	UNSUPPORTED(IRELATIVE),
	UNSUPPORTED(RELATIVE64),
	SUPPORTED(GOTPCRELX, 4, true, GOT),
	SUPPORTED(REX_GOTPCRELX, 4, true, GOT),
};

const struct ug_pf_reloc_type *ug_pf_reloc_type(uint32_t type)
{
	return type < UG_ARRAY_SIZE(types) && types[type].known ? &types[type] : NULL;
}

const char *ug_pf_reloc_name(uint32_t type)
{
	return type < UG_ARRAY_SIZE(types) && types[type].name ? types[type].name : "unknown";
}
