/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blocked.c is the process and its threads, blocked_calls.c what each of them does. */
#ifndef UG_TESTS_BLOCKED_SEAT_H
#define UG_TESTS_BLOCKED_SEAT_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define SIG_FLAG SIGUSR1	/* sets the flag of the seat that waits for it */
#define SIG_WAKE SIGUSR2	/* ends pause and sigsuspend */
#define SIG_GOT (SIGRTMIN + 1)	/* is waited for, and comes */
#define SIG_NEVER (SIGRTMIN + 2)

struct seat {
	const struct kind *kind;
	unsigned int index;
	int fd, peer, id;
	uint32_t word;
	aio_context_t aio;
	struct io_uring_params ring;
	char *submission;
	pthread_t thread;
};

struct kind {
	const char *name;		/* NULL: the end of the table */
	unsigned int ms;		/* the timeout; 0: none */
	bool class_e, jiffies, handled;	/* see blocked.h */
	bool optional;			/* not there when prepare leaves fd negative */
	bool goes_on;			/* makes its call again though it has no timeout */
	void (*prepare)(struct seat *s);
	long (*call)(struct seat *s);
	void (*wake)(struct seat *s);
	void (*remove)(struct seat *s);	/* what outlives the process */
	bool (*drain)(struct seat *s);	/* read all it writes; is that whole? */
};

extern const struct kind blocked_kinds[], blocked_transfers[];

/* Ends the process when r is negative. */
long blocked_must(long r, const char *what);

#define MUST(call_) blocked_must((long)(call_), #call_)

#endif
