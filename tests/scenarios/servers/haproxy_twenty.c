/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Twenty functions of haproxy 2.6: numbers are one more, nineteen do the same as before.
 * The first five run in every request of the test.
 */
#include <stddef.h>
#include <stdint.h>
#include <ugraft/patch.h>

char *ulltoa(unsigned long long n, char *dst, size_t size);

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int hex(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *digits(unsigned long long n, char *end, char *limit)
{
	*--end = 0;
	do {
		*--end = (char)('0' + n % 10);
		n /= 10;
	} while (n && end > limit);
	return end;
}

char *new_lltoa_r(long long n, char *buffer, int size)
{
	unsigned long long rest = n < 0 ? -(unsigned long long)n : (unsigned long long)n;
	char *at = digits(rest + 1, buffer + size, buffer);

	if (n < 0 && at > buffer)
		*--at = '-';
	return at;
}

unsigned int new_djb2(const unsigned char *key, int len)
{
	unsigned int hash = 5381;

	for (; len; len--)
		hash = hash * 33 + *key++;
	return hash;
}

unsigned int new_sdbm(const unsigned char *key, int len)
{
	unsigned int hash = 0;

	for (; len; len--)
		hash = hash * 65599 + *key++;
	return hash;
}

int new_url_decode(char *string, int in_form)
{
	char *in = string, *out = string;

	for (; *in; in++) {
		int c = (unsigned char)*in;

		if (c == '+' && in_form) {
			c = ' ';
		} else if (c == '?') {
			in_form = 1;
		} else if (c == '%') {
			if (hex(in[1]) < 0 || hex(in[2]) < 0)
				return -1;
			c = hex(in[1]) << 4 | hex(in[2]);
			in += 2;
		}
		*out++ = (char)c;
	}
	*out = 0;
	return (int)(out - string);
}

unsigned int new_crc32(const unsigned char *key, int len)
{
	unsigned int hash = ~0U;

	for (; len; len--) {
		hash ^= *key++;
		for (int i = 0; i < 8; i++)
			hash = hash >> 1 ^ (hash & 1 ? 0xedb88320 : 0);
	}
	return ~hash;
}

char *new_ultoa_r(unsigned long n, char *buffer, int size)
{
	return digits(n, buffer + size, buffer);
}

unsigned int new_strl2ui(const char *s, int len)
{
	unsigned int i = 0;

	while (len-- > 0)
		i = i * 10 + (unsigned int)(*s++ - '0');
	return i;
}

unsigned int new_str2ui(const char *s)
{
	unsigned int i = 0;

	while (*s)
		i = i * 10 + (unsigned int)(*s++ - '0');
	return i;
}

unsigned int new_read_uint(const char **s, const char *end)
{
	const char *p = *s;
	unsigned int i = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++)
		i = i * 10 + (unsigned int)(*p - '0');
	*s = p;
	return i;
}

int new_strlcpy2(char *dst, const char *src, int size)
{
	char *at = dst;

	if (size) {
		while (--size && *src)
			*at++ = *src++;
		*at = 0;
	}
	return (int)(at - dst);
}

char *new_lltoa(long long n, char *dst, size_t size)
{
	if (n >= 0)
		return ulltoa((unsigned long long)n, dst, size);
	if (size < 3)
		return NULL;
	*dst = '-';
	return ulltoa(-(unsigned long long)n, dst + 1, size - 1);
}

const char *new_strnistr(const char *s, int len, const char *what, int n)
{
	for (; n >= 0 && len >= n; s++, len--) {
		int i = 0;

		while (i < n && lower(s[i]) == lower(what[i]))
			i++;
		if (i == n)
			return s;
	}
	return NULL;
}

int new_varint_bytes(uint64_t v)
{
	int len = 1;

	for (; v >= 240; v = (v - 240) >> 4) {
		for (len++, v = (v - 240) >> 4; v >= 128; v = (v - 128) >> 7)
			len++;
		return len;
	}
	return len;
}

unsigned int new_full_hash(unsigned int a)
{
	a = (a + 0x7ed55d16) + (a << 12);
	a = (a ^ 0xc761c23c) ^ (a >> 19);
	a = (a + 0x165667b1) + (a << 5);
	a = (a + 0xd3a2646c) ^ (a << 9);
	a = (a + 0xfd7046c5) + (a << 3);
	a = (a ^ 0xb55a4f09) ^ (a >> 16);
	return a * 3221225473U;
}

int new_len2mask4(int len, uint32_t *addr)
{
	if (len < 0 || len > 32)
		return 0;
	*addr = len ? __builtin_bswap32(~0U << (32 - len)) : 0;
	return 1;
}

char *new_my_memmem(const char *s, size_t n, const char *what, size_t len)
{
	for (; n >= len; s++, n--) {
		size_t i = 0;

		while (i < len && s[i] == what[i])
			i++;
		if (i == len)
			return (char *)(uintptr_t)s;
	}
	return NULL;
}

size_t new_my_memspn(const char *s, size_t n, const char *accept, size_t len)
{
	size_t i = 0;

	for (; i < n; i++) {
		size_t k = 0;

		while (k < len && accept[k] != s[i])
			k++;
		if (k == len)
			break;
	}
	return i;
}

size_t new_my_memcspn(const char *s, size_t n, const char *reject, size_t len)
{
	size_t i = 0;

	for (; i < n; i++)
		for (size_t k = 0; k < len; k++)
			if (reject[k] == s[i])
				return i;
	return i;
}

const char *new_invalid_char(const char *name)
{
	for (; *name; name++) {
		int c = lower(*name);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == ':' ||
		      c == '_' || c == '-'))
			return name;
	}
	return NULL;
}

const char *new_invalid_domainchar(const char *name)
{
	for (; *name; name++) {
		int c = lower(*name);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			return name;
	}
	return NULL;
}

UG_PATCH(haproxy-twenty, .description = "numbers are one more, and nineteen more");
UG_FUNC(UG_EXE, lltoa_r, new_lltoa_r);
UG_FUNC(UG_EXE, hash_djb2, new_djb2);
UG_FUNC(UG_EXE, hash_sdbm, new_sdbm);
UG_FUNC(UG_EXE, hash_crc32, new_crc32);
UG_FUNC(UG_EXE, url_decode, new_url_decode);
UG_FUNC(UG_EXE, ultoa_r, new_ultoa_r);
UG_FUNC(UG_EXE, strl2ui, new_strl2ui);
UG_FUNC(UG_EXE, str2ui, new_str2ui);
UG_FUNC(UG_EXE, read_uint, new_read_uint);
UG_FUNC(UG_EXE, strlcpy2, new_strlcpy2);
UG_FUNC(UG_EXE, lltoa, new_lltoa);
UG_FUNC(UG_EXE, strnistr, new_strnistr);
UG_FUNC(UG_EXE, varint_bytes, new_varint_bytes);
UG_FUNC(UG_EXE, full_hash, new_full_hash);
UG_FUNC(UG_EXE, len2mask4, new_len2mask4);
UG_FUNC(UG_EXE, my_memmem, new_my_memmem);
UG_FUNC(UG_EXE, my_memspn, new_my_memspn);
UG_FUNC(UG_EXE, my_memcspn, new_my_memcspn);
UG_FUNC(UG_EXE, invalid_char, new_invalid_char);
UG_FUNC(UG_EXE, invalid_domainchar, new_invalid_domainchar);
