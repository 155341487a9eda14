// SPDX-License-Identifier: GPL-2.0-or-later
#include "paced.h"

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

#include "bench.h"

#define CONNECTIONS_MAX 64
/* Without an answer for so long: an error. Far above anything that is a latency. */
#define PATIENCE_NS 5000000000ULL

struct connection {
	int fd;
	bool busy;
	uint64_t turn;		/* the request, in flight or next, is the turn'th of this one */
	uint64_t due, sent;
	size_t len;
	char answer[4096];
};

struct generator {
	struct paced_plan plan;
	struct paced_result *result;
	struct connection conns[CONNECTIONS_MAX];
	struct pollfd polls[CONNECTIONS_MAX];
};

int paced_connect(int port)
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
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void fail(struct generator *g, const char *why, const struct connection *c)
{
	struct paced_result *result = g->result;

	if (!result->errors++)
		snprintf(result->why, sizeof(result->why), "%s: \"%.*s\"", why,
			 (int)(c->len < 100 ? c->len : 100), c->answer);
}

/* When the turn of a connection is. Without a rate: now. */
static uint64_t due_at(const struct generator *g, size_t i, uint64_t turn, uint64_t now)
{
	uint64_t n = turn * g->plan.connections + i;

	return g->plan.rate > 0 ? g->plan.start + (uint64_t)((double)n * 1e9 / g->plan.rate) : now;
}

static void open_connection(struct generator *g, size_t i)
{
	struct connection *c = &g->conns[i];

	c->busy = false;
	c->len = 0;
	c->fd = paced_connect(g->plan.port);
	if (c->fd < 0 || (g->plan.protocol->greet && g->plan.protocol->greet(c->fd) < 0)) {
		fail(g, "cannot connect", c);
		g->result->finished = 1;
		_exit(1);
	}
	g->polls[i] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
}

static void next_turn(struct generator *g, size_t i, uint64_t now)
{
	struct connection *c = &g->conns[i];

	c->busy = false;
	c->turn++;
	c->due = due_at(g, i, c->turn, now);
}

/* What came of a request is an error: the connection is no longer good for anything. */
static void give_up(struct generator *g, size_t i, const char *why, uint64_t now)
{
	fail(g, why, &g->conns[i]);
	close(g->conns[i].fd);
	open_connection(g, i);
	next_turn(g, i, now);
}

static void send_request(struct generator *g, size_t i, uint64_t now)
{
	const struct paced_protocol *protocol = g->plan.protocol;
	struct connection *c = &g->conns[i];
	ssize_t n = send(c->fd, protocol->request, protocol->request_len, MSG_NOSIGNAL);

	c->len = 0;
	c->sent = now;
	c->busy = true;
	if (n != (ssize_t)protocol->request_len)
		give_up(g, i, "cannot send", now);
}

static void answered(struct generator *g, size_t i, enum paced_answer answer, uint64_t now)
{
	const struct connection *c = &g->conns[i];

	if (c->due >= g->plan.from && c->due < g->plan.until) {
		histogram_record(&g->result->latency, now - c->due);
		if (answer == PACED_NEW)
			g->result->new_++;
		else
			g->result->old++;
	}
	next_turn(g, i, now);
}

static void receive(struct generator *g, size_t i)
{
	struct connection *c = &g->conns[i];
	ssize_t n = recv(c->fd, c->answer + c->len, sizeof(c->answer) - c->len, MSG_DONTWAIT);
	uint64_t now = bench_now();
	enum paced_answer answer;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !c->busy) {
		give_up(g, i, n > 0 ? "answer without a request" : "connection lost", now);
		return;
	}
	c->len += (size_t)n;
	answer = g->plan.protocol->judge(c->answer, c->len);
	if (answer == PACED_WRONG || (answer == PACED_MORE && c->len == sizeof(c->answer)))
		give_up(g, i, "wrong answer", now);
	else if (answer != PACED_MORE)
		answered(g, i, answer, now);
}

/* Send what is due. Returns when to look again; 0: there is nothing left to do. */
static uint64_t send_due(struct generator *g)
{
	uint64_t next = 0;

	for (size_t i = 0; i < g->plan.connections; i++) {
		struct connection *c = &g->conns[i];
		uint64_t now = bench_now(), at;

		/* Not while an answer may be there that has not been looked at. */
		if (c->busy && now - c->sent > PATIENCE_NS && !(g->polls[i].revents & POLLIN))
			give_up(g, i, "no answer", now);
		if (!c->busy && c->due < g->plan.until && c->due <= now)
			send_request(g, i, now);
		if (!c->busy && c->due >= g->plan.until)
			continue;
		at = c->busy ? c->sent + PATIENCE_NS + 1 : c->due;
		next = !next || at < next ? at : next;
	}
	return next;
}

static void generate(struct generator *g)
{
	uint64_t next;

	for (size_t i = 0; i < g->plan.connections; i++)
		open_connection(g, i);
	for (size_t i = 0; i < g->plan.connections; i++)
		g->conns[i].due = due_at(g, i, 0, g->plan.start);
	while ((next = send_due(g))) {
		uint64_t now = bench_now(), ns = next > now ? next - now : 0;
		struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000),
				       .tv_nsec = (long)(ns % 1000000000) };

		/* Not bench_die(): what it cleans up is the parent's. */
		if (ppoll(g->polls, g->plan.connections, &ts, NULL) < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = 0; i < g->plan.connections; i++)
			if (g->polls[i].revents)
				receive(g, i);
	}
}

static _Noreturn void become_generator(const struct paced_plan *plan, struct paced_result *result)
{
	static struct generator g;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Its default of 50 us is more than some of these servers need for an answer. */
	prctl(PR_SET_TIMERSLACK, 1);
	g.plan = *plan;
	g.result = result;
	generate(&g);
	result->finished = 1;
	_exit(0);
}

void paced_start(struct paced *p, const struct paced_plan *plan)
{
	if (plan->connections > CONNECTIONS_MAX)
		bench_die("too many connections");
	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED)
		bench_die("no memory");
	fflush(NULL);
	p->pid = fork();
	if (p->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (p->pid == 0)
		become_generator(plan, p->shared);
}

void paced_end(struct paced *p, struct paced_result *ret)
{
	if (waitpid(p->pid, NULL, 0) != p->pid || !p->shared->finished)
		bench_die("the load generator has died");
	*ret = *p->shared;
	munmap(p->shared, sizeof(*p->shared));
	p->pid = 0;
}
