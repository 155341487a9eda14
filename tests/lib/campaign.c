/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "campaign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/scanwalk.h"
#include "lib/victim.h"

/*
 * The server touches pages of its own for the first time, and its heap may grow by a step of
 * malloc's (haproxy: 136 kB). A page leaked in each cycle would be more.
 */
#define GROWTH_KB 200

/* Threads looked at by both tiers of the stack check; $UG_TEST_SAMPLES: another number. */
#define SAMPLES 2000

struct probing {
	const struct campaign *campaign;
	int fd;
};

static unsigned int number_from(const char *variable, unsigned int otherwise)
{
	const char *number = getenv(variable);

	return number ? (unsigned int)strtoul(number, NULL, 10) : otherwise;
}

static const char *says(enum load_answer answer)
{
	return answer == LOAD_NEW ? "new" : "old";
}

static int probe(void *ctx, bool patched, char *why, size_t size)
{
	const struct probing *p = ctx;
	enum load_answer answer, wanted = patched ? LOAD_NEW : LOAD_OLD;

	if (load_ask_on(p->fd, p->campaign->probe, &answer, why, size) < 0)
		return -1;
	if (answer == wanted)
		return 0;
	snprintf(why, size, "the %s code answers, though the patch is %sloaded", says(answer),
		 patched ? "" : "not ");
	return -1;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void assert_no_growth(const struct cycle_result *r)
{
	if (r->anon_last > r->anon_first + GROWTH_KB)
		fail_msg("anonymous memory: %lu kB after the first cycle, %lu after the last",
			 r->anon_first, r->anon_last);
	if (r->mapped_last > r->mapped_first + GROWTH_KB)
		fail_msg("mapped: %lu kB after the first cycle, %lu after the last",
			 r->mapped_first, r->mapped_last);
}

static void assert_load(const struct campaign *c, const struct load_counts *before,
			const struct load_counts *after, bool settled)
{
	unsigned long answered = 0;

	for (int i = 0; i < LOAD_ANSWERS; i++)
		answered += after->answers[i] - before->answers[i];
	if (after->failed != before->failed)
		fail_msg("%lu requests failed; the first of all: %s", after->failed - before->failed,
			 after->why);
	if (!settled)
		fail_msg("the load is stuck");
	assert_true(answered >= number_from("UG_TEST_CYCLES", CAMPAIGN_CYCLES));
	if (c->probe)
		assert_true(after->answers[LOAD_NEW] > before->answers[LOAD_NEW]);
}

/* Both tiers of the stack check on its threads, which are as busy as the load makes them. */
static void compare_tiers(const struct campaign *c)
{
	struct scanwalk w;
	int r = scanwalk_run(c->pid, number_from("UG_TEST_SAMPLES", SAMPLES), &w);

	print_message("# %s: stack check: %lu samples, %lu frames, %lu not seen by the scan; "
		      "unreliable %lu%s%s\n", c->name, w.samples, w.frames, w.missed, w.unreliable,
		      w.unreliable ? ": " : "", w.why);
	if (r < 0 || w.missed)
		fail_msg("%s", w.what);
}

void campaign_run(const struct campaign *c)
{
	struct probing p = { .campaign = c, .fd = -1 };
	struct cycle cycle = {
		.pid = c->pid, .patch = c->patch, .cycles = number_from("UG_TEST_CYCLES", CAMPAIGN_CYCLES), .flags = c->flags,
		.compare = VICTIM_CLEAN, .probe = c->probe ? probe : NULL, .ctx = &p,
	};
	struct load_counts before = load_look(c->load), after;
	struct cycle_result result;
	char why[700], json[500];
	double start = now_s();
	bool settled;
	int r;

	if (c->probe && (p.fd = load_open(c->port)) < 0)
		fail_msg("cannot connect");
	compare_tiers(c);
	r = cycle_run(&cycle, &result, why, sizeof(why));
	if (p.fd >= 0)
		close(p.fd);
	settled = load_settle(c->load) == 0;
	after = load_look(c->load);
	cycle_json(&result, json, sizeof(json));
	print_message("# %s: %.1f s, requests old %lu new %lu same %lu failed %lu %s\n", c->name,
		      now_s() - start, after.answers[LOAD_OLD] - before.answers[LOAD_OLD],
		      after.answers[LOAD_NEW] - before.answers[LOAD_NEW],
		      after.answers[LOAD_SAME] - before.answers[LOAD_SAME],
		      after.failed - before.failed, json);
	if (r < 0)
		fail_msg("%s", why);
	assert_load(c, &before, &after, settled);
	assert_no_growth(&result);
}
