/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROTATE 8
#define ARROW "\xe2\x86\x90"	/* U+2190, what the library puts between frames */

void text_init(struct cli *cli)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");
	bool dumb = !term || strcmp(term, "dumb") == 0;

	/* Not LC_NUMERIC: options and output use the point everywhere. */
	setlocale(LC_CTYPE, "");
	cli->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	cli->color = isatty(STDOUT_FILENO) && !dumb && !(no_color && *no_color);
	cli->progress = isatty(STDERR_FILENO) && !dumb;
}

/* Length of the UTF-8 sequence at s (2..4), 0 when there is none; C1 controls count as none. */
static size_t utf8_len(const unsigned char *s)
{
	uint32_t min, c;
	size_t len;

	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		len = 2, min = 0xa0, c = s[0] & 0x1f;
	} else if ((s[0] & 0xf0) == 0xe0) {
		len = 3, min = 0x800, c = s[0] & 0x0f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		len = 4, min = 0x10000, c = s[0] & 0x07;
	} else {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

/* What a multi-byte character becomes: itself, or ASCII. Returns the bytes written. */
static size_t put_wide(char *out, const char *s, size_t len, bool utf8)
{
	if (utf8) {
		memcpy(out, s, len);
		return len;
	}
	if (len == strlen(ARROW) && memcmp(s, ARROW, len) == 0) {
		memcpy(out, "<-", 2);
		return 2;
	}
	*out = '?';
	return 1;
}

static char *clean(const char *s, bool utf8)
{
	char *ret = xcalloc(strlen(s) + 1, 1);	/* never longer than the original */
	size_t n = 0;

	while (*s) {
		size_t len = utf8_len((const unsigned char *)s);

		if (len) {
			n += put_wide(ret + n, s, len, utf8);
			s += len;
			continue;
		}
		ret[n++] = *s >= 0x20 && *s < 0x7f ? *s : '?';
		s++;
	}
	return ret;
}

char *text_clean(const struct cli *cli, const char *s)
{
	return clean(s, cli->utf8);
}

char *text_utf8(const char *s)
{
	return clean(s, true);
}

void text_cut(char *s, size_t columns)
{
	size_t n = 0;

	for (; *s; s++) {
		if ((*s & 0xc0) == 0x80)
			continue;
		if (n++ == columns) {
			*s = 0;
			return;
		}
	}
}

static char *rotating(void)
{
	static char bufs[ROTATE][32];
	static unsigned int next;

	return bufs[next++ % ROTATE];
}

const char *text_ns(uint64_t ns)
{
	char *buf = rotating();

	if (ns < 1000000)
		snprintf(buf, 32, "%u us", (unsigned int)((ns + 500) / 1000));
	else if (ns < 1000000000)
		snprintf(buf, 32, "%.2f ms", (double)ns / 1e6);
	else
		snprintf(buf, 32, "%.1f s", (double)ns / 1e9);
	return buf;
}

const char *text_bytes(uint64_t bytes)
{
	char *buf = rotating();

	if (bytes < 1024)
		snprintf(buf, 32, "%u B", (unsigned int)bytes);
	else if (bytes < 10 * 1024 * 1024)
		snprintf(buf, 32, "%.0f KiB", (double)bytes / 1024);
	else
		snprintf(buf, 32, "%.0f MiB", (double)bytes / (1024 * 1024));
	return buf;
}

const char *text_count(uint64_t n, const char *noun)
{
	char *buf = rotating();

	snprintf(buf, 32, "%llu %s%s", (unsigned long long)n, noun,
		 n == 1 ? "" : noun[strlen(noun) - 1] == 's' ? "es" : "s");
	return buf;
}

/* A plain decimal number (no sign, no exponent, no hex) and what follows it. */
static bool parse_decimal(const char *s, double *ret, const char **ret_end)
{
	size_t digits = strspn(s, "0123456789");
	size_t len = digits;
	char buf[32];

	if (s[len] == '.') {
		size_t fraction = strspn(s + len + 1, "0123456789");

		digits += fraction;
		len += 1 + fraction;
	}
	if (!digits || len >= sizeof(buf))
		return false;
	memcpy(buf, s, len);
	buf[len] = 0;
	*ret = strtod(buf, NULL);
	*ret_end = s + len;
	return true;
}

static bool in_unit(double value, double scale, double max, unsigned int *ret)
{
	double scaled = value * scale;

	if (scaled <= 0 || scaled > max)
		return false;
	*ret = (unsigned int)scaled;
	if (*ret < scaled)
		(*ret)++;
	return true;
}

bool text_parse_seconds(const char *s, unsigned int *ret_ms)
{
	const char *end;
	double value;

	if (!parse_decimal(s, &value, &end) || (*end && strcmp(end, "s") != 0))
		return false;
	return in_unit(value, 1e3, 86400e3, ret_ms);
}

bool text_parse_pause(const char *s, unsigned int *ret_us)
{
	static const struct { const char *name; double us; } units[] = {
		{ "us", 1 }, { "ms", 1e3 }, { "s", 1e6 },
	};
	const char *end;
	double value;

	if (!parse_decimal(s, &value, &end))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].name) == 0)
			return in_unit(value, units[i].us, 10e6, ret_us);
	return false;
}
