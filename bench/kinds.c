// SPDX-License-Identifier: GPL-2.0-or-later
/* redis, nginx and mariadb: how to start them, what to ask, what the answer means. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "server.h"

#define TEXT(s) (s), sizeof(s) - 1

static bool equal(const char *answer, size_t len, const char *text, size_t text_len)
{
	return len == text_len && memcmp(answer, text, len) == 0;
}

/* ---- redis ---- */

#define TEN_X "xxxxxxxxxx"
#define HUNDRED_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X

static void redis_start(struct server *s)
{
	char port[16];
	const char *const args[] = { "--bind", "127.0.0.1", "--port", port, "--save", "",
				     "--appendonly", "no", "--daemonize", "no", NULL };

	snprintf(port, sizeof(port), "%d", s->port);
	server_run(s, args);
}

static void redis_fill(const struct server *s)
{
	int fd = paced_connect(s->port);

	if (fd < 0 || server_talk(fd, TEXT("SET key " HUNDRED_X "\r\n"), TEXT("+OK\r\n")) < 0)
		bench_die("redis does not take a value");
	close(fd);
}

static enum paced_answer redis_judge(const char *answer, size_t len)
{
	static const char old[] = "$100\r\n" HUNDRED_X "\r\n", new_[] = ":100\r\n";

	if (equal(answer, len, TEXT(old)))
		return PACED_OLD;
	if (equal(answer, len, TEXT(new_)))
		return PACED_NEW;
	return len < sizeof(old) - 1 ? PACED_MORE : PACED_WRONG;
}

/* ---- nginx ---- */

#define PAGE "it works\n"

static const char nginx_conf[] =
	"daemon off;\n"
	"worker_processes 2;\n"
	"pid nginx.pid;\n"
	"error_log error.log;\n"
	"events { worker_connections 256; }\n"
	"http {\n"
	"	access_log off;\n"
	"	sendfile on;\n"
	"	tcp_nopush on;\n"
	"	keepalive_requests 1000000000;\n"
	"	client_body_temp_path body;\n"
	"	proxy_temp_path proxy;\n"
	"	fastcgi_temp_path fastcgi;\n"
	"	uwsgi_temp_path uwsgi;\n"
	"	scgi_temp_path scgi;\n"
	"	server { listen 127.0.0.1:%d reuseport; root .; }\n"
	"}\n";

static void nginx_start(struct server *s)
{
	const char *const args[] = { "-p", s->dir, "-c", "nginx.conf", "-e", "error.log", NULL };
	struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	char page[128];

	server_write(s, "nginx.conf", nginx_conf, s->port);
	server_write(s, "page.txt", PAGE);
	snprintf(page, sizeof(page), "%s/page.txt", s->dir);
	if (utimensat(AT_FDCWD, page, times, 0) < 0)
		bench_die("%s: %s", page, strerror(errno));
	server_run(s, args);
}

/* Between the first line and the page stand the date of the day and other things. */
static enum paced_answer nginx_judge(const char *answer, size_t len)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n", end[] = "\r\n\r\n" PAGE;
	static const char old[] = "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
	static const char new_[] = "Last-Modified: Thu, 01-Jan-70 00:00:00 GMT\r\n";
	size_t tail = sizeof(end) - 1;

	if (len < sizeof(ok) - 1 + tail)
		return PACED_MORE;
	if (memcmp(answer, ok, sizeof(ok) - 1) != 0)
		return PACED_WRONG;
	if (memcmp(answer + len - tail, end, tail) != 0)
		return PACED_MORE;
	if (memmem(answer, len, TEXT(old)))
		return PACED_OLD;
	return memmem(answer, len, TEXT(new_)) ? PACED_NEW : PACED_WRONG;
}

/* ---- mariadb: its client/server protocol, as far as it is needed ---- */

/* A packet is its length in three bytes, a sequence number, and what it carries. */
#define HEADER 4
/* What the first byte of an answer says. */
#define SAYS_OK '\0'
#define SAYS_EOF '\xfe'
#define SAYS_ERROR '\xff'

/* COM_QUERY is the command 3; one that begins a conversation has the sequence number 0. */
#define COM_QUERY "\3"
#define SQL "SELECT SIGN(v) FROM bench.t WHERE id = 500"
static const char mariadb_query[] = "\x2b\0\0\0" COM_QUERY SQL;
_Static_assert(sizeof(COM_QUERY SQL) - 1 == 0x2b, "the length in front of it");

/* Protocol 4.1, packets up to 16 MiB, utf8mb4, user "bench" without a password. */
#define NULS_23 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
static const char mariadb_login[] = "\x27\0\0\1"
				    "\x01\x82\0\0" "\0\0\0\1" "\x2d" NULS_23 "bench\0";
_Static_assert(sizeof(mariadb_login) - HEADER == 0x27, "the length in front of it");

static void mariadb_start(struct server *s)
{
	char data[96], sock[96], port[32];
	const char *const args[] = {
		"--no-defaults", data, sock, port, "--bind-address=127.0.0.1", "--skip-grant-tables",
		"--skip-name-resolve", "--pid-file=pid", "--innodb-buffer-pool-size=64M",
		"--innodb-log-file-size=8M", NULL,
	};

	snprintf(data, sizeof(data), "--datadir=%s", s->dir);
	snprintf(sock, sizeof(sock), "--socket=%s/sock", s->dir);
	snprintf(port, sizeof(port), "--port=%d", s->port);
	server_run(s, args);
}

/* The length of the packet with its header, 0 when it is not complete. */
static size_t packet(const char *p, size_t len)
{
	size_t size;

	if (len < HEADER)
		return 0;
	size = HEADER + ((size_t)(unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8 |
			 (size_t)(unsigned char)p[2] << 16);
	return size <= len ? size : 0;
}

/* Waits for one packet; what it says first, or SAYS_ERROR when nothing comes. */
static char read_packet(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[1024];
	size_t have = 0;

	while (have < sizeof(buf) && poll(&p, 1, 10000) == 1) {
		ssize_t n = recv(fd, buf + have, sizeof(buf) - have, 0);

		if (n <= 0)
			return SAYS_ERROR;
		have += (size_t)n;
		if (packet(buf, have) > HEADER)
			return buf[HEADER];
	}
	return SAYS_ERROR;
}

static int mariadb_greet(int fd)
{
	if (read_packet(fd) == SAYS_ERROR)
		return -1;
	/* With the NUL at its end: the password, of no bytes. */
	if (send(fd, mariadb_login, sizeof(mariadb_login), MSG_NOSIGNAL) < 0)
		return -1;
	return read_packet(fd) == SAYS_OK ? 0 : -1;
}

static void mariadb_tell(int fd, const char *sql)
{
	char buf[256] = { (char)(1 + strlen(sql)) };
	int len = snprintf(buf + HEADER, sizeof(buf) - HEADER, COM_QUERY "%s", sql);

	if (send(fd, buf, HEADER + (size_t)len, MSG_NOSIGNAL) < 0 || read_packet(fd) != SAYS_OK)
		bench_die("mariadb does not execute '%s'", sql);
}

static void mariadb_fill(const struct server *s)
{
	int fd = paced_connect(s->port);

	if (fd < 0 || mariadb_greet(fd) < 0)
		bench_die("mariadb does not let us in");
	mariadb_tell(fd, "CREATE DATABASE bench");
	mariadb_tell(fd, "USE bench");
	mariadb_tell(fd, "CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=InnoDB");
	mariadb_tell(fd, "INSERT INTO t SELECT seq, seq FROM seq_1_to_1000");
	close(fd);
}

/* A row of one column: the length of its text in a byte, and the text. */
static enum paced_answer mariadb_row(const char *row, size_t len)
{
	if (equal(row, len, TEXT("\1" "1")))
		return PACED_OLD;
	return equal(row, len, TEXT("\1" "7")) ? PACED_NEW : PACED_WRONG;
}

/* The number of columns, the columns, an EOF, the rows, an EOF. */
static enum paced_answer mariadb_judge(const char *answer, size_t len)
{
	const char *row = NULL;
	unsigned int ends = 0;
	size_t row_len = 0, n;

	for (size_t at = 0; (n = packet(answer + at, len - at)); at += n) {
		const char *p = answer + at + HEADER;
		size_t size = n - HEADER;

		if (!size || *p == SAYS_ERROR)
			return PACED_WRONG;
		if (*p == SAYS_EOF && ++ends == 2)
			return row && at + n == len ? mariadb_row(row, row_len) : PACED_WRONG;
		if (*p == SAYS_EOF || !ends)
			continue;
		if (row)
			return PACED_WRONG;
		row = p;
		row_len = size;
	}
	return PACED_MORE;
}

/* ---- all ---- */

const struct server_kind server_kinds[] = {
	{
		.name = "redis", .program = "redis-server",
		.source = "fix_latency_redis.c", .patch = "latency-redis",
		.protocol = { NULL, TEXT("GET key\r\n"), redis_judge },
		.start = redis_start, .fill = redis_fill,
	},
	{
		.name = "nginx", .program = "nginx", .workers = 2,
		.source = "fix_latency_nginx.c", .patch = "latency-nginx",
		.protocol = {
			NULL, TEXT("GET /page.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"), nginx_judge,
		},
		.start = nginx_start,
	},
	{
		.name = "mariadb", .program = "mariadbd",
		.source = "fix_latency_mariadb.c", .patch = "latency-mariadb",
		.protocol = { mariadb_greet, TEXT(mariadb_query), mariadb_judge },
		.start = mariadb_start, .fill = mariadb_fill,
	},
};

const unsigned int server_nkinds = sizeof(server_kinds) / sizeof(server_kinds[0]);
