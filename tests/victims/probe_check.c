/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define KEEP __attribute__((noipa, used))
#define EDGES_MAX 65536
#define MIXES_MAX 8

struct edge {
	int family, from, to;
};

struct mix {
	unsigned int slot;
	int family, func, first, last, gen, root;
	unsigned long edges;
};

struct probe_slot probe_slots[PROBE_SLOTS];
atomic_ulong probe_gates;
static atomic_uint nslots;
static struct edge edges[EDGES_MAX];
static atomic_ulong nedges, nclosed;
static struct mix mixes[MIXES_MAX];
static atomic_ulong nmixes;

static const char *const kinds[PROBE_KINDS] = {
	"plain", "signal", "park", "storm", "clone", "step", "coroutine",
};

/* ---- the originals ---- */

KEEP PROBE_VERSIONS_A(probe_, 0)
KEEP PROBE_VERSIONS_B(probe_, 0)

/* In writable memory, and some of the functions adjoin: their end is a pointer here. */
probe_fn *volatile const probe_table[5] = { probe_b, probe_c, probe_d, probe_e, probe_x };

/* ---- what is a mix ---- */

/* Generations are small numbers: a set of them is a word. */
static uint64_t legal(const struct probe_act *act, int family)
{
	unsigned long n = atomic_load(&nedges);
	uint64_t set = UINT64_C(1) << act->first[family];

	for (unsigned long i = act->edges; i < n; i++)
		if (edges[i].family == family && set >> edges[i].from & 1)
			set |= UINT64_C(1) << edges[i].to;
	return set;
}

static void keep_mix(const struct probe_act *act, int family, int func, int gen)
{
	unsigned long i = atomic_fetch_add(&nmixes, 1);

	if (i >= MIXES_MAX)
		return;
	mixes[i] = (struct mix){
		.slot = act->slot, .family = family, .func = func, .first = act->first[family],
		.last = act->gen[family], .gen = gen, .root = act->root, .edges = atomic_load(&nedges) - act->edges,
	};
}

KEEP void probe_other(struct probe_act *act, int family, int func, int gen)
{
	if (act->gen[family] == PROBE_NO_GEN)
		act->first[family] = gen;
	else if (!(legal(act, family) >> gen & 1))
		keep_mix(act, family, func, gen);
	act->gen[family] = gen;
}

/* ---- calls ---- */

struct probe_slot *probe_slot(enum probe_kind kind)
{
	unsigned int i = atomic_fetch_add(&nslots, 1);

	if (i >= PROBE_SLOTS)
		abort();
	probe_slots[i].kind = kind;
	probe_slots[i].random = i * 2654435761U + 1;
	return &probe_slots[i];
}

uint32_t probe_random(struct probe_slot *slot)
{
	uint32_t x = slot->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return slot->random = x;
}

static probe_fn *const roots[8] = {
	probe_a, probe_a, probe_a, probe_b, probe_c, probe_d, probe_e, probe_x,
};
static const char root_names[] = "aaabcdex";

void probe_call(struct probe_slot *slot, void (*inside)(struct probe_act *act),
		unsigned long param)
{
	uint32_t random = probe_random(slot);
	unsigned int which = inside ? 0 : random >> 29;
	probe_fn *root = roots[which];
	struct probe_act act = {
		.gen = { PROBE_NO_GEN, PROBE_NO_GEN },
		/* Before the call: who has passed the entry may meet any later edge. */
		.edges = atomic_load_explicit(&nclosed, memory_order_acquire),
		.slot = (unsigned int)(slot - probe_slots),
		.in_b = root == probe_x,
		.inside = inside,
		.param = param,
		.root = root_names[which],
	};

	/* A thread that is never outside cannot be switched by anybody. */
	for (volatile unsigned int i = 0; i < (random >> 8 & 31); i++)
		;
	root(&act, random);
	slot->calls++;
}

void probe_nested(struct probe_act *act, unsigned int n)
{
	void (*inside)(struct probe_act *act) = act->inside;

	act->inside = NULL;
	if (act->in_b)
		probe_x(act, n);
	if (act->gen[PROBE_FAMILY_A] != PROBE_NO_GEN)
		probe_table[n & 3](act, n >> 2);
	act->inside = inside;
}

void probe_nap_us(unsigned long us)
{
	struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
			       .tv_nsec = (long)(us % 1000000) * 1000 };
	long nr = SYS_nanosleep;

	__asm__ volatile("syscall" : "+a"(nr) : "D"(&ts), "S"(NULL) : "rcx", "r11", "memory");
}

/* ---- commands ---- */

static void print_stat(void)
{
	unsigned long calls[PROBE_KINDS] = { 0 }, all = 0;

	for (unsigned int i = 0; i < PROBE_SLOTS; i++) {
		unsigned long n = *(volatile unsigned long *)&probe_slots[i].calls;

		calls[probe_slots[i].kind] += n;
		all += n;
	}
	printf("calls=%lu mixed=%lu gates=%lu", all, atomic_load(&nmixes),
	       atomic_load(&probe_gates));
	for (unsigned int k = 0; k < PROBE_KINDS; k++)
		printf(" %s=%lu", kinds[k], calls[k]);
	printf("\n");
}

static void print_mixes(void)
{
	unsigned long n = atomic_load(&nmixes);

	for (unsigned long i = 0; i < n && i < MIXES_MAX; i++) {
		const struct mix *m = &mixes[i];

		printf("[thread %u (%s): %c of generation %d, after %d, began with %c in %d, "
		       "%lu edges] ", m->slot, kinds[probe_slots[m->slot].kind], m->func, m->gen,
		       m->last, m->root, m->first, m->edges);
	}
	printf("mixed=%lu\n", n);
}

static void add_edge(const char *line)
{
	unsigned long n = atomic_load(&nedges);
	struct edge *e = &edges[n];

	if (n == EDGES_MAX || sscanf(line, "edge %d %d %d", &e->family, &e->from, &e->to) != 3) {
		printf("refused\n");
		return;
	}
	atomic_store(&nedges, n + 1);
	printf("edges=%lu\n", n + 1);
}

static void close_edges(void)
{
	atomic_store(&nclosed, atomic_load(&nedges));
	printf("closed=%lu\n", atomic_load(&nclosed));
}

void probe_serve(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "edge", 4) == 0)
			add_edge(line);
		else if (strncmp(line, "closed", 6) == 0)
			close_edges();
		else if (strncmp(line, "mixes", 5) == 0)
			print_mixes();
		else
			print_stat();
	}
}
