/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwinder WORKERS
 *
 * A C++ program that unwinds through `through`, which is patched. Commands on standard input,
 * one answer line each:
 *
 *	throw		an exception from below it: version=N destroyed=N
 *	trace		a backtrace from below it: version=N main=N (is main in it)
 *	exit		pthread_exit from below it: destroyed=N
 *	cancel		pthread_cancel of a thread that waits below it: destroyed=N
 *	stat		of the workers, which throw all the time: thrown=N wrong=N
 *
 * `destroyed` counts the objects in frames above `through` whose destructors have run. An
 * exception that nobody can catch ends the program, which the test notices.
 */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone, noipa, used))

enum { NOTHING, THROW, TRACE, EXIT, WAIT };

extern "C" {
int through(int what);
int below(int what, int version);
}

struct carried {
	int version;
};

struct counted {
	std::atomic<int> *count;
	~counted() { ++*count; }
};

static std::atomic<int> destroyed;
static std::atomic<unsigned long> thrown, wrong;
static sem_t waiting;
static int (*volatile call)(int) = through;
static std::atomic<void *> serves;		/* return address of the one who serves */

static KEEP int in_trace(void)
{
	void *frames[64];
	int n = backtrace(frames, 64), found = 0;

	for (int i = 0; i < n; i++)
		found += frames[i] == serves.load();
	return found;
}

extern "C" KEEP int below(int what, int version)
{
	if (what == THROW)
		throw carried{ version };
	if (what == TRACE)
		return version * 100 + in_trace();
	if (what == EXIT)
		pthread_exit(nullptr);
	if (what == WAIT) {
		sem_post(&waiting);
		for (;;)
			pause();
	}
	return version;
}

extern "C" KEEP int through(int what)
{
	return below(what, 1) + 0 * getpid();
}

static KEEP int catch_one(void)
{
	counted c = { &destroyed };

	try {
		counted d = { &destroyed };

		call(THROW);
	} catch (const carried &e) {
		return e.version;
	}
	return 0;
}

static void *leave(void *arg)
{
	counted c = { &destroyed };

	call(*static_cast<int *>(arg));
	return arg;
}

static void end_thread(int what)
{
	pthread_t t;
	void *result = &t;

	destroyed = 0;
	if (pthread_create(&t, nullptr, leave, &what) != 0)
		abort();
	if (what == WAIT) {
		sem_wait(&waiting);
		pthread_cancel(t);
	}
	pthread_join(t, &result);
	printf("destroyed=%d ended=%d\n", destroyed.load(),
	       result == (what == WAIT ? PTHREAD_CANCELED : nullptr));
}

static void *work(void *)
{
	std::atomic<int> mine(0);

	for (;;) {
		int before = mine.load();

		try {
			counted c = { &mine };

			call(THROW);
			wrong++;
		} catch (const carried &e) {
			if (mine.load() != before + 1 || e.version < 1 || e.version > 3)
				wrong++;
			thrown++;
		}
		/* A thread that is never outside cannot be switched by anybody. */
		for (volatile int i = 0; i < 2000; i = i + 1)
			;
	}
	return nullptr;
}

static void command(const char *line)
{
	if (strcmp(line, "throw\n") == 0) {
		destroyed = 0;
		int version = catch_one();

		printf("version=%d destroyed=%d\n", version, destroyed.load());
	} else if (strcmp(line, "exit\n") == 0) {
		end_thread(EXIT);
	} else if (strcmp(line, "cancel\n") == 0) {
		end_thread(WAIT);
	} else {
		printf("thrown=%lu wrong=%lu\n", thrown.load(), wrong.load());
	}
}

static KEEP void serve(void)
{
	char line[64];

	serves = __builtin_return_address(0);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "trace\n") == 0) {
			int both = call(TRACE);

			printf("version=%d main=%d\n", both / 100, both % 100);
		} else {
			command(line);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t t;

	sem_init(&waiting, 0, 0);
	setvbuf(stdout, nullptr, _IOLBF, 0);
	for (int i = argc > 1 ? atoi(argv[1]) : 0; i > 0; i--)
		if (pthread_create(&t, nullptr, work, nullptr) != 0)
			return 1;
	printf("ready\n");
	serve();
	return 0;
}
