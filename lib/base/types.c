/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/types.h"

#include <stdio.h>
#include <string.h>

bool ug_build_id_equal(const struct ug_build_id *a, const struct ug_build_id *b)
{
	return a->len && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

const char *ug_build_id_hex(const struct ug_build_id *id, char *buf)
{
	buf[0] = 0;
	for (int i = 0; i < id->len && i < UG_BUILD_ID_MAX; i++)
		(void)sprintf(buf + i * 2, "%02x", id->bytes[i]);
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool ug_build_id_parse(const char *hex, struct ug_build_id *ret)
{
	size_t len = strlen(hex);
	struct ug_build_id id = { 0 };

	if (len == 0 || len % 2 || len / 2 > UG_BUILD_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int hi = hex_digit(hex[i]), lo = hex_digit(hex[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		id.bytes[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	id.len = (uint8_t)(len / 2);
	*ret = id;
	return true;
}
