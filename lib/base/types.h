/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UG_BASE_TYPES_H
#define UG_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An address in the target. An integer, so that it cannot be dereferenced here by accident;
 * a struct would prevent mixing it with sizes too, at the price of every addition.
 */
typedef uint64_t ug_raddr_t;

#define UG_PAGE_SIZE 4096UL

/* The largest build-id we keep; ld makes 20 bytes (SHA-1), lld 8, --build-id=0x... anything. */
#define UG_BUILD_ID_MAX 64

struct ug_build_id {
	uint8_t len;		/* 0: none */
	uint8_t bytes[UG_BUILD_ID_MAX];
};

bool ug_build_id_equal(const struct ug_build_id *a, const struct ug_build_id *b);

/* Lower-case hex, "" for none; buf must hold 2 * UG_BUILD_ID_MAX + 1 bytes. Returns buf. */
const char *ug_build_id_hex(const struct ug_build_id *id, char *buf);

/* Parse hex as ug_build_id_hex makes it; false when it is not hex or too long. */
bool ug_build_id_parse(const char *hex, struct ug_build_id *ret);

static inline uint64_t ug_align_down(uint64_t x, uint64_t a)
{
	return x & ~(a - 1);
}

static inline uint64_t ug_align_up(uint64_t x, uint64_t a)
{
	return (x + a - 1) & ~(a - 1);
}

#define UG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
