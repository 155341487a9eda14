/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/scenario.h"

/* No answer after that is a failure: far above any pause. */
#define PATIENCE_MS 5000

struct connection {
	int fd;
	size_t request;
	size_t len;
	long long since;
	char buf[4096];
};

/* ---- patterns ---- */

enum match { MATCH_NO, MATCH_MORE, MATCH_YES };

/* Has data, which may go on, the form of the pattern? */
static enum match match(const char *pattern, const char *data, size_t len)
{
	bool any = false;

	for (;;) {
		size_t n = strcspn(pattern, LOAD_ANY);
		size_t have = len < n ? len : n;

		if (any) {
			const char *at = n ? memmem(data, len, pattern, n) : data;

			if (!at)
				return MATCH_MORE;
			len -= (size_t)(at - data);
			data = at;
		} else if (memcmp(data, pattern, have) != 0) {
			return MATCH_NO;
		} else if (have < n) {
			return MATCH_MORE;
		}
		data += n;
		len -= n;
		if (!pattern[n])
			return len ? MATCH_NO : MATCH_YES;
		pattern += n + 1;
		any = true;
	}
}

static enum match judge(const struct load_request *r, const struct connection *c,
			enum load_answer *ret)
{
	enum match old = match(r->old, c->buf, c->len), new_ = MATCH_NO;

	if (r->new_)
		new_ = match(r->new_, c->buf, c->len);
	*ret = !r->new_ ? LOAD_SAME : new_ == MATCH_YES ? LOAD_NEW : LOAD_OLD;
	if (old == MATCH_YES || new_ == MATCH_YES)
		return MATCH_YES;
	return old == MATCH_MORE || new_ == MATCH_MORE ? MATCH_MORE : MATCH_NO;
}

/* ---- connections ---- */

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

int load_open(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int send_request(struct connection *c, const struct load_request *r)
{
	size_t n = strlen(r->send);

	c->len = 0;
	c->since = now_ms();
	return send(c->fd, r->send, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* Reads what is there. MATCH_NO: why. */
static enum match receive(struct connection *c, const struct load_request *r, enum load_answer *ret,
			  char *why, size_t size)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len, 0);
	enum match m;

	if (n <= 0) {
		snprintf(why, size, "%s in the answer to \"%.40s\"",
			 n ? strerror(errno) : "end of file", r->send);
		return MATCH_NO;
	}
	c->len += (size_t)n;
	c->buf[c->len] = 0;
	m = judge(r, c, ret);
	if (m == MATCH_NO || (m == MATCH_MORE && c->len == sizeof(c->buf) - 1)) {
		snprintf(why, size, "\"%.40s\" is answered by \"%.200s\"", r->send, c->buf);
		return MATCH_NO;
	}
	return m;
}

/* For an answer that does not come, or not the rest of it, or is one that nobody expects. */
static void say_missing(const struct connection *c, const struct load_request *r, char *why,
			size_t size)
{
	if (c->len)
		snprintf(why, size, "\"%.40s\" is answered by neither: \"%.200s\"", r->send, c->buf);
	else
		snprintf(why, size, "no answer to \"%.40s\"", r->send);
}

int load_ask_on(int fd, const struct load_request *request, enum load_answer *ret, char *why,
		size_t size)
{
	struct connection c = { .fd = fd };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	enum match m = MATCH_MORE;

	if (send_request(&c, request) < 0) {
		snprintf(why, size, "send: %s", strerror(errno));
		return -1;
	}
	while (m == MATCH_MORE) {
		if (poll(&p, 1, PATIENCE_MS) == 0) {
			say_missing(&c, request, why, size);
			return -1;
		}
		m = receive(&c, request, ret, why, size);
	}
	return m == MATCH_YES ? 0 : -1;
}

int load_ask(int port, const struct load_request *request, enum load_answer *ret, char *why,
	     size_t size)
{
	int fd = load_open(port), r;

	if (fd < 0) {
		snprintf(why, size, "connect: %s", strerror(errno));
		return -1;
	}
	r = load_ask_on(fd, request, ret, why, size);
	close(fd);
	return r;
}

/* ---- the generator ---- */

struct generator {
	int port;
	const struct load_request *requests;
	size_t nrequests;
	struct connection *conns;
	struct pollfd *polls;
	unsigned int n;
	struct load_counts *counts;
};

static void count_failure(struct generator *g, const char *why)
{
	if (!g->counts->failed)
		snprintf(g->counts->why, sizeof(g->counts->why), "%s", why);
	__atomic_add_fetch(&g->counts->failed, 1, __ATOMIC_RELAXED);
}

/* What cannot be sent is not counted here: the connection is dead, and recv() will say why. */
static void next_request(struct generator *g, struct connection *c)
{
	c->request = (c->request + 1) % g->nrequests;
	send_request(c, &g->requests[c->request]);
}

/* A new connection, again and again: the server may be gone for good. */
static void reconnect(struct generator *g, struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	while ((c->fd = load_open(g->port)) < 0) {
		count_failure(g, "cannot connect");
		usleep(20000);
	}
	g->polls[c - g->conns] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	next_request(g, c);
}

/* polled: when poll() was called that found these events. */
static void serve(struct generator *g, struct connection *c, short events, long long polled)
{
	const struct load_request *r = &g->requests[c->request];
	enum load_answer answer;
	char why[300];

	if (!events) {
		/*
		 * Not the time now: we may have lost the processor for seconds since poll(), and
		 * the answer may be there.
		 */
		if (polled - c->since < PATIENCE_MS)
			return;
		say_missing(c, r, why, sizeof(why));
		count_failure(g, why);
		reconnect(g, c);
		return;
	}
	switch (receive(c, r, &answer, why, sizeof(why))) {
	case MATCH_NO:
		count_failure(g, why);
		reconnect(g, c);
		break;
	case MATCH_YES:
		__atomic_add_fetch(&g->counts->answers[answer], 1, __ATOMIC_RELAXED);
		next_request(g, c);
		break;
	case MATCH_MORE:
		break;
	}
}

static void publish_oldest(struct generator *g)
{
	long long oldest = g->conns[0].since;

	for (unsigned int i = 1; i < g->n; i++)
		if (g->conns[i].since < oldest)
			oldest = g->conns[i].since;
	__atomic_store_n(&g->counts->oldest_ms, oldest, __ATOMIC_RELEASE);
}

static void __attribute__((noreturn)) generate(struct generator *g)
{
	long long polled;

	/* Load takes the processors it can get, but not those the patcher needs. */
	if (nice(LOAD_NICE) < 0)
		_exit(1);
	for (unsigned int i = 0; i < g->n; i++) {
		g->conns[i].fd = -1;
		g->conns[i].request = i % g->nrequests;
		reconnect(g, &g->conns[i]);
	}
	for (;;) {
		publish_oldest(g);
		polled = now_ms();
		if (poll(g->polls, g->n, 1000) < 0)
			_exit(1);
		for (unsigned int i = 0; i < g->n; i++)
			serve(g, &g->conns[i], g->polls[i].revents, polled);
	}
}

void load_start(struct load *l, int port, const struct load_request *requests, size_t n,
		unsigned int connections)
{
	struct generator g = {
		.port = port, .requests = requests, .nrequests = n, .n = connections,
	};
	pid_t parent = getpid();

	l->shared = mmap(NULL, sizeof(*l->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g.conns = calloc(connections, sizeof(*g.conns));
	g.polls = calloc(connections, sizeof(*g.polls));
	if (l->shared == MAP_FAILED || !g.conns || !g.polls)
		scenario_die("load: no memory");
	g.counts = l->shared;
	fflush(NULL);
	l->pid = fork();
	if (l->pid < 0)
		scenario_die("fork: %s", strerror(errno));
	if (l->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		generate(&g);
	}
	free(g.conns);
	free(g.polls);
}

int load_settle(const struct load *l)
{
	long long start = now_ms();

	while (__atomic_load_n(&l->shared->oldest_ms, __ATOMIC_ACQUIRE) <= start) {
		if (now_ms() - start > 4 * PATIENCE_MS)
			return -1;
		usleep(1000);
	}
	return 0;
}

struct load_counts load_look(const struct load *l)
{
	return *l->shared;
}

void load_stop(struct load *l)
{
	if (!l->pid)
		return;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	munmap(l->shared, sizeof(*l->shared));
	memset(l, 0, sizeof(*l));
}
