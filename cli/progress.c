/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

#define DELAY_NS UINT64_C(1000000000)		/* quick transitions print nothing */
#define REDRAW_NS UINT64_C(100000000)
#define PLAIN_NS UINT64_C(5000000000)		/* between lines where there is no terminal */

static bool line_shown;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void progress_start(struct progress *p, const struct cli *cli, const char *label)
{
	memset(p, 0, sizeof(*p));
	p->cli = cli;
	p->label = label;
	p->start_ns = now_ns();
}

void progress_wipe(void)
{
	if (!line_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	line_shown = false;
}

static size_t columns(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col < 20)
		return 79;
	return ws.ws_col - 1u;
}

char *progress_blocker(const struct cli *cli, const struct ug_blocker *b)
{
	cli_autofree char *comm = text_clean(cli, b->comm);
	cli_autofree char *function = text_clean(cli, b->function);
	cli_autofree char *chain = text_clean(cli, b->chain[0] ? b->chain : b->function);
	cli_autofree char *reason = text_clean(cli, b->reason);
	bool innermost = strncmp(chain, function, strlen(function)) == 0;

	if (b->unreliable)
		return xasprintf("tid %d %s: %s", b->tid, comm,
				 *reason ? reason : "its stack cannot be checked reliably");
	/* The function must be seen also when the end of the line is cut off. */
	if (!innermost)
		return xasprintf("tid %d %s below %s: %s", b->tid, comm, function, chain);
	return xasprintf("tid %d %s in %s", b->tid, comm, *chain ? chain : "the old code");
}

static char *sentence(const struct progress *p, const struct ug_progress *g)
{
	unsigned int left = g->threads > g->switched ? g->threads - g->switched : 0;
	char *s = xasprintf("%s%s%u/%u threads, waiting for %u", p->label ? p->label : "",
			    p->label ? ": " : "", g->switched, g->threads, left);

	for (unsigned int i = 0; i < g->nblockers && i < UG_BLOCKERS_MAX; i++) {
		cli_autofree char *before = s;
		cli_autofree char *b = progress_blocker(p->cli, &g->blockers[i]);

		s = xasprintf("%s%s %s", before, i ? ";" : ":", b);
	}
	return s;
}

void progress_update(const struct ug_progress *progress, void *ctx)
{
	struct progress *p = ctx;
	cli_autofree char *s = NULL;
	uint64_t now = now_ns();

	p->last = *progress;
	p->any = true;
	if (p->cli->verbosity < 0 || now - p->start_ns < DELAY_NS)
		return;
	if (!p->cli->progress && p->cli->verbosity < 1)
		return;
	if (now - p->shown_ns < (p->cli->progress ? REDRAW_NS : PLAIN_NS))
		return;
	p->shown_ns = now;
	s = sentence(p, progress);
	if (!p->cli->progress) {
		message(p->cli, "%s", s);
		return;
	}
	text_cut(s, columns());
	fprintf(stderr, "\r%s\033[K", s);
	fflush(stderr);
	line_shown = true;
}
