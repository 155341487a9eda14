/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: what happens to patched processes, one JSON object a line, as it happens. Processes
 * are looked at a few times a second; nothing is stopped. Every line of a process's own log
 * is one event; what the log does not say (how many threads wait, that the process has gone)
 * is found by comparison with the last look.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "targets.h"
#include "text.h"

#define LOOK_NS 200000000L

struct watched {
	pid_t pid;
	bool patched, in_transition;
	unsigned int pending;
	unsigned int log_total;
	bool seen;			/* in this round */
};

struct watch {
	const struct cli *cli;
	struct watched *v;
	size_t n;
	bool begun;			/* after the first look, whose log lines are old */
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
	stopped = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A line of its own, at once: whoever reads it acts on it. */
static void emit(json_t *event, pid_t pid, const char *what)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	json_object_set_new(event, "time_ns",
			    json_integer((json_int_t)ts.tv_sec * 1000000000 + ts.tv_nsec));
	json_object_set_new(event, "pid", json_integer(pid));
	json_object_set_new(event, "event", json_string(what));
	json_dumpf(event, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	if (fflush(stdout) != 0)
		stopped = 1;		/* nobody reads any more */
	json_decref(event);
}

static struct watched *find(struct watch *w, pid_t pid)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].pid == pid)
			return &w->v[i];
	w->v = xrealloc(w->v, w->n + 1, sizeof(*w->v));
	memset(&w->v[w->n], 0, sizeof(*w->v));
	w->v[w->n].pid = pid;
	return &w->v[w->n++];
}

static void tell_log(struct watched *one, const struct ug_status *st)
{
	unsigned int fresh = st->log_total - one->log_total;

	/* Another registry, which counts from the beginning. */
	if (st->log_total < one->log_total)
		fresh = st->log_total;
	for (size_t i = fresh < st->nlog ? st->nlog - fresh : 0; i < st->nlog; i++) {
		json_t *event = json_object();
		char *text;

		(void)strtoll(st->log[i], &text, 10);
		json_object_set_new(event, "line", json_clean(*text == ' ' ? text + 1 : text));
		emit(event, st->pid, "log");
	}
	one->log_total = st->log_total;
}

static void tell_transition(struct watched *one, const struct ug_status *st)
{
	if (st->in_transition &&
	    (!one->in_transition || one->pending != st->pending_threads)) {
		json_t *event = json_object();

		json_object_set_new(event, "patch", json_clean(st->transition_patch));
		json_object_set_new(event, "patching", json_boolean(st->transition_patching));
		json_object_set_new(event, "pending", json_integer(st->pending_threads));
		json_object_set_new(event, "threads", json_integer(st->threads));
		emit(event, st->pid, "transition");
	}
	one->in_transition = st->in_transition;
	one->pending = st->pending_threads;
}

static void tell_patched(struct watched *one, const struct ug_status *st)
{
	if (one->patched && !st->patched)
		emit(json_object(), st->pid, "unpatched");
	if (!st->patched)
		one->log_total = 0;
	one->patched = st->patched;
}

static void look(struct watch *w, pid_t pid)
{
	struct watched *one = find(w, pid);
	struct ug_status *st;
	struct ug_error err;

	if (ug_status(pid, &st, &err) < 0)
		return;			/* gone, or not ours to see: told below, once */
	one->seen = true;
	if (!w->begun)
		one->log_total = st->log_total;
	tell_log(one, st);
	tell_transition(one, st);
	tell_patched(one, st);
	ug_status_free(st);
}

static void forget_unseen(struct watch *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].seen)
			w->v[kept++] = w->v[i];
		else if (w->v[i].patched || w->v[i].log_total)
			emit(json_object(), w->v[i].pid, "gone");
	}
	w->n = kept;
}

static int look_at_all(struct watch *w, struct ug_error *err)
{
	const struct cli *cli = w->cli;
	static char all[] = "all";
	char *everything[] = { all };
	struct targets targets = { 0 };
	int rc;

	for (size_t i = 0; i < w->n; i++)
		w->v[i].seen = false;
	rc = targets_resolve(&targets, cli->nargs ? cli->args : everything,
			     cli->nargs ? cli->nargs : 1, target_is_patched, NULL, err);
	/* A pattern that matches nobody now may match somebody later. */
	if (rc < 0 && err->code == -ESRCH)
		rc = 0;
	for (size_t i = 0; rc == 0 && i < targets.n; i++)
		look(w, targets.v[i].pid);
	/* Those that just lost their last patch are no longer found by `all`. */
	for (size_t i = 0; rc == 0 && i < w->n; i++)
		if (!w->v[i].seen)
			look(w, w->v[i].pid);
	targets_free(&targets);
	if (rc == 0)
		forget_unseen(w);
	return rc;
}

int verb_watch(struct cli *cli)
{
	const struct timespec nap = { .tv_nsec = LOOK_NS };
	struct watch w = { .cli = cli };
	struct ug_error err;
	int code = UG_EXIT_OK;

	catch_signals();
	while (!stopped) {
		if (look_at_all(&w, &err) < 0) {
			code = fail(cli, &err);
			break;
		}
		w.begun = true;
		nanosleep(&nap, NULL);
	}
	free(w.v);
	return code;
}
