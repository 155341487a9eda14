/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The progress of a transition: one line on stderr, rewritten in place, only on a terminal
 * and only once the wait has become noticeable. Elsewhere a plain line now and then with -v.
 */
#ifndef UG_CLI_PROGRESS_H
#define UG_CLI_PROGRESS_H

#include "cli.h"

struct progress {
	const struct cli *cli;
	const char *label;		/* said first when there are several targets, or NULL */
	uint64_t start_ns;
	uint64_t shown_ns;
	bool any;			/* `last` is filled */
	struct ug_progress last;	/* for the report of a transition that was not completed */
};

void progress_start(struct progress *p, const struct cli *cli, const char *label);

/* ug_progress_fn; ctx is struct progress. */
void progress_update(const struct ug_progress *progress, void *ctx);

/* Wipe the line, if there is one. Anybody who prints on stderr calls this first. */
void progress_wipe(void);

/*
 * "tid 812 worker in parse_uri+0x41 <- handle_conn <- main", or, when it is in something the
 * function has called, "tid 812 worker below parse_uri: read+0x1d <- parse_uri+0x41 <- ...";
 * to be freed.
 */
char *progress_blocker(const struct cli *cli, const struct ug_blocker *b);

#endif
