/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text for people. Names of processes, symbols and patches are chosen by somebody else:
 * before they reach a terminal or a JSON document control characters and bytes that are not
 * UTF-8 are replaced by '?'; on a terminal without UTF-8 arrows become ASCII and every other
 * foreign character a '?'.
 */
#ifndef UG_CLI_TEXT_H
#define UG_CLI_TEXT_H

#include "cli.h"

/* Once, at start: locale, terminals, NO_COLOR. */
void text_init(struct cli *cli);

/* A clean copy, to be freed: for the terminal, and for JSON (always UTF-8). */
char *text_clean(const struct cli *cli, const char *s);
char *text_utf8(const char *s);

/* Shorten in place to at most `columns` characters, never inside one. */
void text_cut(char *s, size_t columns);

/* "423 us", "1.24 ms", "3.1 s"; "4 KiB". Static storage of a few rotating buffers. */
const char *text_ns(uint64_t ns);
const char *text_bytes(uint64_t bytes);

/* "1 thread", "2 threads" in a rotating buffer. */
const char *text_count(uint64_t n, const char *noun);

/* Parse "1.5" (seconds) into milliseconds, "10ms", "500us", "0.5s" into microseconds.
 * False when it is not such a thing, zero, or more than a day / ten seconds. */
bool text_parse_seconds(const char *s, unsigned int *ret_ms);
bool text_parse_pause(const char *s, unsigned int *ret_us);

#endif
