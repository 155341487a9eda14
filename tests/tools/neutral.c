// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * neutral BEFORE AFTER TO
 *
 * Writes the text of AFTER to TO, with line directives that give lines which are in both files
 * the number they have in BEFORE: what the builder compiles as the changed file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "builder/capture/capture.h"

int main(int argc, char **argv)
{
	ug_autofree char *before = NULL, *after = NULL, *text = NULL;
	ug_autofclose FILE *to = NULL;
	size_t n, len;

	if (argc != 4) {
		fprintf(stderr, "usage: neutral BEFORE AFTER TO\n");
		return 2;
	}
	before = ug_load_text(argv[1], &n);
	after = ug_load_text(argv[2], &n);
	text = before && after ? ug_neutral(before, after, &len) : NULL;
	to = text ? fopen(argv[3], "we") : NULL;
	if (to && fwrite(text, 1, len, to) == len && fflush(to) == 0)
		return 0;
	fprintf(stderr, "neutral: %s\n", strerror(errno));
	return 1;
}
