/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Last-Modified says 1970, in the format of cookies. */
#include <time.h>
#include <ugraft/patch.h>

unsigned char *ngx_http_cookie_time(unsigned char *buf, time_t t);

unsigned char *new_http_time(unsigned char *buf, time_t t)
{
	return ngx_http_cookie_time(buf, 0);
}

UG_PATCH(latency-nginx, .description = "Last-Modified says 1970");
UG_FUNC(UG_EXE, ngx_http_time, new_http_time);
