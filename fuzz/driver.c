/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzz target as a plain test:
 *
 *	fuzz-NAME [-n MUTATIONS] [-s SEED] [-l] FILE...
 *
 * Each file as it is, then that many mutations, of one file after the other. What is fed depends on
 * the arguments alone, so a failure comes again. An input that ends the process is written to
 * fuzz-NAME-crash in the working directory; fed as FILE it is a test of its own. An input that
 * takes longer than any parser should counts as endless. Leaks are looked for at the end, or, to
 * find the input that leaks, after each (-l, slow).
 */
#include <errno.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/driver.h"

#define SIZE_MAX_INPUT (1u << 20)
#define SECONDS_MAX 60		/* of one input; a busy machine with sanitizers is slow */
#define CHUNK_MAX 256

struct input {
	uint8_t *data;
	size_t size;
};

struct pool {			/* the corpus */
	struct input *v;
	size_t n;
};

static struct input current;	/* for the crash file; no data: between two inputs */
static bool look_for_leaks;

/* ---- random numbers: xorshift64* ---- */

static uint64_t state;

static void seed(uint64_t a, uint64_t b)
{
	state = (a + 1) * 0x9e3779b97f4a7c15u ^ (b + 1) * 0xbf58476d1ce4e5b9u;
	state |= 1;
}

static size_t below(size_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return n ? (size_t)((state * 0x2545f4914f6cdd1du) >> 33) % n : 0;
}

/* ---- mutations of a buffer with room for SIZE_MAX_INPUT bytes ---- */

/* Where a number of `width` bytes may be; aligned half of the time, as most numbers are. */
static size_t place(const struct input *in, size_t width)
{
	size_t at = below(in->size - width + 1);

	return below(2) ? at : at / width * width;
}

static void store_number(struct input *in, size_t at, uint64_t v, size_t width)
{
	memcpy(in->data + at, &v, width);	/* little-endian, as everything that is read */
}

static void flip(struct input *in, const struct pool *pool)
{
	in->data[below(in->size)] ^= (uint8_t)(1u << below(8));
}

static void random_byte(struct input *in, const struct pool *pool)
{
	in->data[below(in->size)] = (uint8_t)below(256);
}

/* The edges of the number types, one beside them, and what makes sums and products overflow. */
static void edge(struct input *in, const struct pool *pool)
{
	static const uint64_t edges[] = {
		0, 1, 2, 7, 8, 15, 16, 0x20, 0x40, 0x7f, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0x1001,
		0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff,
		0x100000000, 0x1fffffff, 0x20000001, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000,
		0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, 0xfffffffffffffff8,
		0xffffffffffffffff,
	};
	size_t width = (size_t)1 << below(4);

	if (in->size >= width)
		store_number(in, place(in, width), edges[below(sizeof(edges) / sizeof(edges[0]))], width);
}

static void add_little(struct input *in, const struct pool *pool)
{
	size_t width = (size_t)1 << below(4), at;
	uint64_t v = 0;

	if (in->size < width)
		return;
	at = place(in, width);
	memcpy(&v, in->data + at, width);
	store_number(in, at, v + below(33) - 16, width);
}

/* The size of the input, or what of it is left at that place, and one beside: for bounds. */
static void size_number(struct input *in, const struct pool *pool)
{
	size_t width = (size_t)1 << below(4), at;

	if (in->size < width)
		return;
	at = place(in, width);
	store_number(in, at, in->size - (below(2) ? at : 0) + below(3) - 1, width);
}

static void truncate_it(struct input *in, const struct pool *pool)
{
	in->size = below(in->size) + 1;
}

static void erase(struct input *in, const struct pool *pool)
{
	size_t len = below(CHUNK_MAX) + 1, at;

	if (in->size <= len)
		return;
	at = below(in->size - len);
	memmove(in->data + at, in->data + at + len, in->size - at - len);
	in->size -= len;
}

static void insert_chunk(struct input *in, size_t at, const uint8_t *chunk, size_t len)
{
	if (len > SIZE_MAX_INPUT - in->size)
		return;
	memmove(in->data + at + len, in->data + at, in->size - at);
	memcpy(in->data + at, chunk, len);
	in->size += len;
}

/* A piece of any file of the corpus, put in or put over. */
static void chunk(struct input *in, const struct pool *pool)
{
	const struct input *from = &pool->v[below(pool->n)];
	size_t len, src, at = below(in->size);

	if (!from->size)
		return;
	len = below(from->size < CHUNK_MAX ? from->size : CHUNK_MAX) + 1;
	src = below(from->size - len + 1);
	if (below(3) == 0)
		insert_chunk(in, at, from->data + src, len);
	else
		memcpy(in->data + at, from->data + src, len < in->size - at ? len : in->size - at);
}

static void repeat_byte(struct input *in, const struct pool *pool)
{
	uint8_t bytes[CHUNK_MAX];
	size_t len = below(CHUNK_MAX) + 1;

	memset(bytes, below(2) ? 0 : (int)below(256), len);
	insert_chunk(in, below(in->size), bytes, len);
}

/* The beginning of this, the end of another one. */
static void join(struct input *in, const struct pool *pool)
{
	const struct input *from = &pool->v[below(pool->n)];
	size_t at = below(in->size), src = below(2) ? at : below(from->size);

	if (src >= from->size)
		return;
	memcpy(in->data + at, from->data + src, from->size - src < SIZE_MAX_INPUT - at ?
	       from->size - src : SIZE_MAX_INPUT - at);
	in->size = at + from->size - src < SIZE_MAX_INPUT ? at + from->size - src : SIZE_MAX_INPUT;
}

/* Those that move everything behind them are rare: most formats are full of offsets. */
static void mutate(struct input *in, const struct pool *pool)
{
	static void (*const kinds[])(struct input *, const struct pool *) = {
		flip, flip, flip, random_byte, random_byte, edge, edge, edge, edge, add_little, add_little,
		size_number, chunk, chunk, join, truncate_it, erase, repeat_byte,
	};

	for (size_t n = (size_t)1 << below(4); n && in->size; n--)
		kinds[below(sizeof(kinds) / sizeof(kinds[0]))](in, pool);
}

/* ---- feeding ---- */

static void save_crash(void)
{
	char name[256];
	int fd;

	if (!current.data)
		return;
	snprintf(name, sizeof(name), "%s-crash", program_invocation_short_name);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, current.data, current.size) != (ssize_t)current.size)
		fprintf(stderr, "%s: cannot write %s\n", program_invocation_short_name, name);
	else
		fprintf(stderr, "%s: the input is in %s\n", program_invocation_short_name, name);
}

static void give_up(int signal)
{
	fprintf(stderr, "%s: no end after %d s\n", program_invocation_short_name, SECONDS_MAX);
	save_crash();
	_exit(1);
}

static void on_abort(int signal)
{
	save_crash();
}

/* A block of exactly its size, so that reading behind it is seen. */
static void feed(const struct input *in)
{
	current.size = in->size;
	current.data = malloc(in->size ? in->size : 1);
	if (!current.data)
		abort();
	if (in->size)
		memcpy(current.data, in->data, in->size);
	alarm(SECONDS_MAX);
	(void)LLVMFuzzerTestOneInput(current.data, current.size);
	alarm(0);
	if (look_for_leaks && __lsan_do_recoverable_leak_check())
		abort();
	free(current.data);
	current.data = NULL;
}

static void feed_mutations(const struct pool *pool, unsigned long n, unsigned long first)
{
	struct input in = { malloc(SIZE_MAX_INPUT), 0 };

	if (!in.data)
		abort();
	for (unsigned long i = 0; i < n; i++) {
		const struct input *from = &pool->v[i % pool->n];

		seed(first, i);
		in.size = from->size;
		memcpy(in.data, from->data, from->size);
		mutate(&in, pool);
		feed(&in);
	}
	free(in.data);
}

static int load(const char *path, struct input *ret)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	ret->data = malloc(SIZE_MAX_INPUT);
	if (!ret->data)
		abort();
	ret->size = fread(ret->data, 1, SIZE_MAX_INPUT, f);
	return fclose(f);
}

static int load_all(char **paths, size_t n, struct pool *ret)
{
	ret->v = calloc(n, sizeof(*ret->v));
	if (!ret->v)
		abort();
	for (; ret->n < n; ret->n++) {
		if (load(paths[ret->n], &ret->v[ret->n]) < 0) {
			perror(paths[ret->n]);
			return -1;
		}
	}
	return 0;
}

static void pool_free(struct pool *pool)
{
	for (size_t i = 0; i < pool->n; i++)
		free(pool->v[i].data);
	free(pool->v);
}

int main(int argc, char **argv)
{
	unsigned long mutations = 3000, first = 0;
	struct pool pool = { 0 };
	int c, ok;

	while ((c = getopt(argc, argv, "n:s:l")) > 0) {
		if (c == '?')
			return 2;
		if (c == 'l')
			look_for_leaks = true;
		else
			*(c == 'n' ? &mutations : &first) = strtoul(optarg, NULL, 0);
	}
	if (optind == argc) {
		fprintf(stderr, "usage: %s [-n MUTATIONS] [-s SEED] [-l] FILE...\n", argv[0]);
		return 2;
	}
	signal(SIGALRM, give_up);
	signal(SIGABRT, on_abort);
	__sanitizer_set_death_callback(save_crash);
	ok = load_all(argv + optind, (size_t)(argc - optind), &pool) == 0;
	for (size_t i = 0; ok && i < pool.n; i++)
		feed(&pool.v[i]);
	if (ok)
		feed_mutations(&pool, mutations, first);
	pool_free(&pool);
	return ok ? 0 : 1;
}
