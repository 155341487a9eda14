/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Twenty functions of nginx 1.22: Last-Modified says 1970, nineteen do the same as before.
 * The pool allocators and the two for TCP_CORK run in every request.
 */
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <ugraft/patch.h>

typedef unsigned char u_char;

struct ngx_str {
	size_t len;
	u_char *data;
};

u_char *ngx_http_cookie_time(u_char *buf, time_t t);
void *ngx_pnalloc(void *pool, size_t size);
void *ngx_palloc(void *pool, size_t size);
uintptr_t ngx_hash_key(u_char *data, size_t len);

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

u_char *new_http_time(u_char *buf, time_t t)
{
	return ngx_http_cookie_time(buf, 0);
}

void *new_palloc(void *pool, size_t size)
{
	uintptr_t p = (uintptr_t)ngx_pnalloc(pool, size + 7);

	return (void *)((p + 7) & ~(uintptr_t)7);
}

void *new_pcalloc(void *pool, size_t size)
{
	volatile u_char *p = ngx_palloc(pool, size);

	for (size_t i = 0; p && i < size; i++)
		p[i] = 0;
	return (void *)p;
}

void new_strlow(u_char *dst, u_char *src, size_t n)
{
	while (n--)
		*dst++ = (u_char)lower(*src++);
}

size_t new_strnlen(u_char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i])
		i++;
	return i;
}

u_char *new_cpystrn(u_char *dst, u_char *src, size_t n)
{
	if (!n)
		return dst;
	while (--n && *src)
		*dst++ = *src++;
	*dst = 0;
	return dst;
}

intptr_t new_rstrncmp(u_char *a, u_char *b, size_t n)
{
	while (n--)
		if (a[n] != b[n])
			return a[n] - b[n];
	return 0;
}

intptr_t new_rstrncasecmp(u_char *a, u_char *b, size_t n)
{
	while (n--)
		if (lower(a[n]) != lower(b[n]))
			return lower(a[n]) - lower(b[n]);
	return 0;
}

intptr_t new_memn2cmp(u_char *a, u_char *b, size_t na, size_t nb)
{
	for (size_t i = 0; i < na && i < nb; i++)
		if (a[i] != b[i])
			return a[i] - b[i];
	return na == nb ? 0 : na < nb ? -1 : 1;
}

intptr_t new_atoi(u_char *line, size_t n)
{
	intptr_t value = 0;

	if (!n)
		return -1;
	for (; n; n--, line++) {
		if (*line < '0' || *line > '9' || value > (INTPTR_MAX - 9) / 10)
			return -1;
		value = value * 10 + (*line - '0');
	}
	return value;
}

uintptr_t new_hash_key(u_char *data, size_t len)
{
	uintptr_t key = 0;

	while (len--)
		key = key * 31 + *data++;
	return key;
}

uintptr_t new_hash_key_lc(u_char *data, size_t len)
{
	uintptr_t key = 0;

	while (len--)
		key = key * 31 + (uintptr_t)lower(*data++);
	return key;
}

intptr_t new_filename_cmp(u_char *a, u_char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		u_char ca = *a == '/' ? 0 : *a, cb = *b == '/' ? 0 : *b;

		if (!*a || !*b || ca != cb)
			return ca - cb;
	}
	return 0;
}

int new_nonblocking(int s)
{
	int on = 1;

	return ioctl(s, FIONBIO, &on);
}

int new_blocking(int s)
{
	int on = 0;

	return ioctl(s, FIONBIO, &on);
}

int new_tcp_nopush(int s)
{
	int on = 1;

	return setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

int new_tcp_push(int s)
{
	int on = 0;

	return setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

void new_libc_localtime(time_t t, struct tm *tm)
{
	localtime_r(&t, tm);
}

void new_libc_gmtime(time_t t, struct tm *tm)
{
	gmtime_r(&t, tm);
}

u_char *new_pstrdup(void *pool, const struct ngx_str *src)
{
	u_char *dst = ngx_pnalloc(pool, src->len);

	for (size_t i = 0; dst && i < src->len; i++)
		((volatile u_char *)dst)[i] = src->data[i];
	return dst;
}

UG_PATCH(nginx-twenty, .description = "Last-Modified says 1970, and nineteen more");
UG_FUNC(UG_EXE, ngx_http_time, new_http_time);
UG_FUNC(UG_EXE, ngx_palloc, new_palloc);
UG_FUNC(UG_EXE, ngx_pcalloc, new_pcalloc);
UG_FUNC(UG_EXE, ngx_strlow, new_strlow);
UG_FUNC(UG_EXE, ngx_strnlen, new_strnlen);
UG_FUNC(UG_EXE, ngx_cpystrn, new_cpystrn);
UG_FUNC(UG_EXE, ngx_rstrncmp, new_rstrncmp);
UG_FUNC(UG_EXE, ngx_rstrncasecmp, new_rstrncasecmp);
UG_FUNC(UG_EXE, ngx_memn2cmp, new_memn2cmp);
UG_FUNC(UG_EXE, ngx_atoi, new_atoi);
UG_FUNC(UG_EXE, ngx_hash_key, new_hash_key);
UG_FUNC(UG_EXE, ngx_hash_key_lc, new_hash_key_lc);
UG_FUNC(UG_EXE, ngx_filename_cmp, new_filename_cmp);
UG_FUNC(UG_EXE, ngx_nonblocking, new_nonblocking);
UG_FUNC(UG_EXE, ngx_blocking, new_blocking);
UG_FUNC(UG_EXE, ngx_tcp_nopush, new_tcp_nopush);
UG_FUNC(UG_EXE, ngx_tcp_push, new_tcp_push);
UG_FUNC(UG_EXE, ngx_libc_localtime, new_libc_localtime);
UG_FUNC(UG_EXE, ngx_libc_gmtime, new_libc_gmtime);
UG_FUNC(UG_EXE, ngx_pstrdup, new_pstrdup);
