/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/victim.h"
#include "ugraft/ugraft.h"

#define complain(why, size, ...) (snprintf(why, size, __VA_ARGS__), -1)

/* On a loaded machine a stop may miss its budget; an administrator would try again as well. */
#define AGAIN_MAX 5

static unsigned long field_kb(pid_t pid, const char *file, const char *field)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtoul(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

static bool try_again(int r, unsigned int *tries, struct cycle_result *ret)
{
	if ((r != -UG_E_UNSTOPPABLE && r != -UG_E_REVERSED) || ++*tries > AGAIN_MAX)
		return false;
	ret->again++;
	return true;
}

static void account(struct cycle_result *ret, const struct ug_report *rep)
{
	ret->stops += rep->stops;
	ret->cured += rep->cured;
	ret->short_transfers += rep->short_transfers;
	if (rep->max_pause_ns > ret->max_pause_ns)
		ret->max_pause_ns = rep->max_pause_ns;
}

static int load(const struct cycle *c, const struct ug_opts *opts, struct cycle_result *ret,
		char name[UG_NAME_MAX], char *why, size_t size)
{
	struct ug_report rep = { 0 };
	struct ug_error err = { 0 };
	unsigned int tries = 0;
	int r;

	do
		r = ug_load(c->pid, c->patch, opts, &rep, &err);
	while (try_again(r, &tries, ret));
	if (r < 0)
		return complain(why, size, "load: %s: %s", ug_error_name(r), err.message);
	if (rep.outcome != UG_DONE)
		return complain(why, size, "load: outcome %d", rep.outcome);
	account(ret, &rep);
	ret->functions = rep.functions;
	ret->load_ns += rep.wall_ns;
	snprintf(name, UG_NAME_MAX, "%s", rep.patch);
	return 0;
}

static int unload(const struct cycle *c, const struct ug_opts *opts, struct cycle_result *ret,
		  const char *name, char *why, size_t size)
{
	struct ug_report rep = { 0 };
	struct ug_error err = { 0 };
	unsigned int tries = 0;
	int r;

	do
		r = ug_unload(c->pid, name, opts, &rep, &err);
	while (try_again(r, &tries, ret));
	if (r < 0)
		return complain(why, size, "unload: %s: %s", ug_error_name(r), err.message);
	if (rep.outcome != UG_DONE)
		return complain(why, size, "unload: outcome %d", rep.outcome);
	account(ret, &rep);
	ret->unload_ns += rep.wall_ns;
	return 0;
}

static int one_cycle(const struct cycle *c, struct cycle_result *ret,
		     const struct victim_state *before, char *why, size_t size)
{
	struct ug_opts opts = { .sz = sizeof(opts), .flags = c->flags };
	char name[UG_NAME_MAX];

	if (load(c, &opts, ret, name, why, size) < 0 ||
	    (c->probe && c->probe(c->ctx, true, why, size) < 0) ||
	    unload(c, &opts, ret, name, why, size) < 0 ||
	    (c->probe && c->probe(c->ctx, false, why, size) < 0))
		return -1;
	return victim_compare(c->pid, before, c->compare, why, size);
}

int cycle_run(const struct cycle *c, struct cycle_result *ret, char *why, size_t size)
{
	struct victim_state before;
	char reason[600];
	int r;

	memset(ret, 0, sizeof(*ret));
	r = victim_snapshot(c->pid, &before, why, size);
	while (r == 0 && ret->cycles < c->cycles) {
		r = one_cycle(c, ret, &before, reason, sizeof(reason));
		if (r < 0) {
			snprintf(why, size, "cycle %u: %s", ret->cycles, reason);
			break;
		}
		ret->anon_last = field_kb(c->pid, "smaps_rollup", "Anonymous:");
		ret->mapped_last = field_kb(c->pid, "status", "VmSize:");
		if (ret->cycles++ == 0) {
			ret->anon_first = ret->anon_last;
			ret->mapped_first = ret->mapped_last;
		}
	}
	victim_state_free(&before);
	return r;
}

void cycle_json(const struct cycle_result *r, char *buf, size_t size)
{
	unsigned int n = r->cycles ? r->cycles : 1;

	snprintf(buf, size,
		 "{\"cycles\":%u,\"functions\":%u,\"max_pause_us\":%llu,\"load_us\":%llu,"
		 "\"unload_us\":%llu,\"stops\":%u,\"cured\":%u,\"short_transfers\":%u,\"again\":%u,"
		 "\"anon_first_kb\":%lu,\"anon_last_kb\":%lu,\"mapped_first_kb\":%lu,"
		 "\"mapped_last_kb\":%lu}",
		 r->cycles, r->functions, (unsigned long long)r->max_pause_ns / 1000,
		 (unsigned long long)r->load_ns / n / 1000,
		 (unsigned long long)r->unload_ns / n / 1000, r->stops, r->cured,
		 r->short_transfers, r->again, r->anon_first, r->anon_last, r->mapped_first,
		 r->mapped_last);
}
