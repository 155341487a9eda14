/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "inject/seccomp.h"
#include "process/stop.h"

enum message_kind {
	MSG_LOG = 1,
	MSG_PROGRESS,
	MSG_BLOCKER,
	MSG_DONE,
};

/* One datagram of the socket. */
struct message {
	enum message_kind kind;
	int value;			/* log: level; done: result */
	union {
		char line[512];
		struct ug_progress progress;
		struct ug_blocker blocker;
		struct {
			struct ug_report report;
			struct ug_error error;
		} done;
	};
};

/* ---- in the worker ---- */

struct channel {
	int fd;
	bool cancelled;
};

static void send_message(struct channel *ch, const struct message *msg)
{
	/* A host that is gone is noticed by the next look for a cancellation. */
	while (send(ch->fd, msg, sizeof(*msg), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void worker_log(enum ug_log_level level, const char *line, void *ctx)
{
	struct message msg = { .kind = MSG_LOG, .value = (int)level };

	(void)snprintf(msg.line, sizeof(msg.line), "%s", line);
	send_message(ctx, &msg);
}

static void worker_progress(const struct ug_progress *progress, void *ctx)
{
	struct message msg = { .kind = MSG_PROGRESS, .progress = *progress };

	send_message(ctx, &msg);
}

static void worker_blocker(const struct ug_blocker *blocker, void *ctx)
{
	struct message msg = { .kind = MSG_BLOCKER, .blocker = *blocker };

	send_message(ctx, &msg);
}

/* The host says a byte for "cancel"; the end of the stream means it has died. */
static bool worker_cancelled(void *ctx)
{
	struct channel *ch = ctx;
	char byte;
	ssize_t n;

	if (ch->cancelled)
		return true;
	n = recv(ch->fd, &byte, 1, MSG_DONTWAIT);
	ch->cancelled = n >= 0 || (errno != EAGAIN && errno != EINTR);
	return ch->cancelled;
}

/* Ctrl-C reaches the whole foreground group; the host passes it on in its own way. */
static void worker_signals(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

static _Noreturn void worker(int fd, ug_job_t job, void *arg)
{
	struct channel ch = { .fd = fd };
	struct ug_notify notify = { worker_progress, worker_blocker, worker_cancelled, &ch };
	struct message msg = { .kind = MSG_DONE };

	worker_signals();
	(void)prctl(PR_SET_NAME, "ugraft-worker");
	ug_log_set_sink(worker_log, &ch);
	ug_seccomp_spare_restarts();
	msg.value = ug_tracer_init(&msg.done.error);
	if (msg.value == 0)
		msg.value = job(arg, &notify, &msg.done.report, &msg.done.error);
	send_message(&ch, &msg);
	_exit(0);
}

/* ---- in the host ---- */

struct host {
	int fd;
	const struct ug_opts *opts;
	bool cancel_sent;
	struct ug_blocking *blocking;	/* where blockers go, or NULL */
	struct ug_report *report;
	struct ug_error *err;
};

static void pass_cancel(struct host *h)
{
	if (h->cancel_sent || !h->opts->cancel || !*h->opts->cancel)
		return;
	h->cancel_sent = send(h->fd, "c", 1, MSG_NOSIGNAL) == 1;
}

/* Without memory the list is cut; what is in it is still true. */
static void keep_blocker(struct ug_blocking *list, const struct ug_blocker *blocker)
{
	struct ug_blocker *grown = reallocarray(list->v, list->n + 1, sizeof(*grown));

	if (!grown)
		return;
	list->v = grown;
	list->v[list->n++] = *blocker;
}

/* 1: go on; else the result. */
static int handle(struct host *h, const struct message *msg)
{
	switch (msg->kind) {
	case MSG_LOG:
		if (h->opts->log)
			h->opts->log(msg->value, msg->line, h->opts->ctx);
		return 1;
	case MSG_PROGRESS:
		if (h->opts->progress)
			h->opts->progress(&msg->progress, h->opts->ctx);
		return 1;
	case MSG_BLOCKER:
		if (h->blocking)
			keep_blocker(h->blocking, &msg->blocker);
		return 1;
	case MSG_DONE:
		*h->report = msg->done.report;
		if (h->err)
			*h->err = msg->done.error;
		return msg->value;
	}
	return 1;
}

static int listen_to(struct host *h)
{
	struct pollfd pfd = { .fd = h->fd, .events = POLLIN };

	for (;;) {
		struct message msg;
		ssize_t n;
		int r;

		pass_cancel(h);
		/* A signal handler may set the flag without interrupting us: look now and then. */
		if (poll(&pfd, 1, 50) <= 0)
			continue;
		n = recv(h->fd, &msg, sizeof(msg), 0);
		/*
		 * The worker has ended with our "cancel" unread. The kernel says so once, and before it
		 * hands over what the worker has sent (net/unix/af_unix.c, unix_release_sock()).
		 */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n != (ssize_t)sizeof(msg))
			return -UG_E_WORKER;
		r = handle(h, &msg);
		if (r <= 0)
			return r;
	}
}

int ug_worker_run(ug_job_t job, void *arg, const struct ug_opts *opts, struct ug_report *report,
		  struct ug_blocking *blocking, struct ug_error *err)
{
	struct host h = { .opts = opts, .report = report, .blocking = blocking, .err = err };
	int sv[2], r, status = 0;
	pid_t pid, waited;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return ug_err_errno(err, "socketpair");
	pid = fork();
	if (pid < 0) {
		r = ug_err_errno(err, "fork");
		close(sv[0]);
		close(sv[1]);
		return r;
	}
	if (pid == 0) {
		close(sv[0]);
		worker(sv[1], job, arg);
	}
	close(sv[1]);
	h.fd = sv[0];
	r = listen_to(&h);
	close(sv[0]);
	/* Somebody's waitpid(-1) may have been quicker: the answer comes by the socket anyway. */
	while ((waited = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (r == -UG_E_WORKER)
		return ug_err(err, r, "the helper process died%s%s; the target is consistent, 'ugraft "
			      "recover' finishes or rolls back",
			      waited == pid && WIFSIGNALED(status) ? " of signal " : "",
			      waited == pid && WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) :
								     "");
	return r;
}
