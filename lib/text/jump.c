/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encoding of the two jumps an entry can hold. */
#include "text/text.h"

#include <string.h>

int ug_text_jump5(ug_raddr_t at, ug_raddr_t dest, uint8_t buf[5], struct ug_error *err)
{
	int64_t dist = (int64_t)(dest - (at + 5));
	int32_t rel = (int32_t)dist;

	if (dist != rel)
		return ug_err(err, -UG_E_NO_ROOM, "0x%llx is out of reach of a jump at 0x%llx",
			      (unsigned long long)dest, (unsigned long long)at);
	buf[0] = 0xe9;
	memcpy(buf + 1, &rel, 4);
	return 0;
}

int ug_text_jump2(ug_raddr_t at, ug_raddr_t dest, uint8_t buf[2], struct ug_error *err)
{
	int64_t dist = (int64_t)(dest - (at + 2));

	if (dist < INT8_MIN || dist > INT8_MAX)
		return ug_err(err, -UG_E_NO_ROOM,
			      "0x%llx is out of reach of a short jump at 0x%llx",
			      (unsigned long long)dest, (unsigned long long)at);
	buf[0] = 0xeb;
	buf[1] = (uint8_t)dist;
	return 0;
}
