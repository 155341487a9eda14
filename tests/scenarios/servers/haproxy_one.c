/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers become text by a function that adds one. */
#include <ugraft/patch.h>

char *new_lltoa_r(long long n, char *buffer, int size)
{
	unsigned long long rest = n < 0 ? -(unsigned long long)n : (unsigned long long)n;
	char *at = buffer + size - 1;

	*at = 0;
	rest++;
	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest && at > buffer);
	if (n < 0 && at > buffer)
		*--at = '-';
	return at;
}

UG_PATCH(haproxy-one, .description = "numbers are one more");
UG_FUNC(UG_EXE, lltoa_r, new_lltoa_r);
