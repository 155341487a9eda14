// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench-victim-load: twenty functions to be patched, and a few threads that sleep.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define THREADS 4

#define FUNC(n)                                                                                    \
	int func_##n(int x);                                                                       \
	__attribute__((noipa)) int func_##n(int x)                                                 \
	{                                                                                          \
		return x > n ? func_##n(x - 1) + n : x * (n + 3);                                  \
	}

FUNC(0) FUNC(1) FUNC(2) FUNC(3) FUNC(4) FUNC(5) FUNC(6) FUNC(7) FUNC(8) FUNC(9)
FUNC(10) FUNC(11) FUNC(12) FUNC(13) FUNC(14) FUNC(15) FUNC(16) FUNC(17) FUNC(18) FUNC(19)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *idle(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;)
		pthread_cond_wait(&never, &lock);
	return NULL;
}

int main(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, idle, NULL) != 0)
			return 1;
	}
	printf("ready\n");
	fflush(stdout);
	idle(NULL);
}
