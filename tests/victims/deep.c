/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two threads that wait inside patched functions. Commands on standard input, one answer line
 * each:
 *
 *	park 0|1		thread calls `target`, which waits: parked
 *	release 0|1		let it go on; answers when the call has returned: version=N
 *	other			other=N
 *	plant target|other	what the next call of `plant` leaves behind: planted
 *
 * `plant` is for patches: it leaves a word on the caller's stack which looks like a return
 * address, as calls that have returned do. Of target: into the version that last called
 * `note`. Addresses are kept as complements, so that no other word looks so.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KEEP __attribute__((noinline, noclone, noipa, used))

int target(void);
int other(int n);
void wait_inside(void);
void note(void);
void plant(uintptr_t *words, size_t n);

struct thread {
	atomic_int go_in, parked, go_out, done;
	int version;
};

static struct thread threads[2];
static _Thread_local struct thread *me;
static atomic_ulong noted, planted;
static int (*volatile call_target)(void) = target;
static int (*volatile call_other)(int) = other;
static volatile int sink;

KEEP int target(void)
{
	wait_inside();
	return 0;
}

KEEP int other(int n)
{
	for (int i = 0; i < n; i++)
		sink += i;
	return sink - sink;
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

static void await(atomic_int *flag)
{
	while (!atomic_load(flag))
		nap();
	atomic_store(flag, 0);
}

KEEP void wait_inside(void)
{
	atomic_store(&me->parked, 1);
	await(&me->go_out);
}

KEEP void note(void)
{
	atomic_store(&noted, ~(unsigned long)__builtin_return_address(0));
}

KEEP void plant(uintptr_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = ~atomic_load(&planted);
}

static void *stay(void *arg)
{
	me = arg;
	for (;;) {
		await(&me->go_in);
		me->version = call_target();
		atomic_store(&me->done, 1);
	}
	return NULL;
}

static void command(const char *line)
{
	unsigned int i;

	if (sscanf(line, "park %u", &i) == 1 && i < 2) {
		atomic_store(&threads[i].go_in, 1);
		await(&threads[i].parked);
		printf("parked\n");
	} else if (sscanf(line, "release %u", &i) == 1 && i < 2) {
		atomic_store(&threads[i].go_out, 1);
		await(&threads[i].done);
		printf("version=%d\n", threads[i].version);
	} else if (strcmp(line, "other\n") == 0) {
		printf("other=%d\n", call_other(3));
	} else {
		/* Behind the first instructions, before the end: inside, and no call is before it. */
		atomic_store(&planted, strcmp(line, "plant other\n") == 0 ?
			     ~((unsigned long)other + 9) : atomic_load(&noted));
		printf("planted\n");
	}
}

int main(void)
{
	char line[64];
	pthread_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&t, NULL, stay, &threads[i]) != 0)
			return 1;
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}
