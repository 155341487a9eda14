// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tells the truth about itself, one "key value" a line, then "ready", and sleeps. With
 * VICTIM_DYNAMIC it is linked to libobject-tls and glibc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>

#include "object_victim.h"

int many_names(int x);
int first_alias(int x) __attribute__((alias("many_names")));
int second_alias(int x) __attribute__((weak, alias("many_names")));
void rare(int x);
int split_me(int x);

static __thread int exe_pad[7] = { 1 };
__thread int exe_tls = 4;

static __attribute__((noinline)) int twice(int x)
{
	__asm__ volatile("" : "+r"(x));
	return 2 * x;
}

int many_names(int x)
{
	return x * 3;
}

__attribute__((cold, noinline)) void rare(int x)
{
	printf("rare %d\n", x);
	fflush(stdout);
}

int split_me(int x)
{
	if (__builtin_expect(x < 0, 0)) {
		rare(x);
		rare(x + 1);
		exit(x);
	}
	return twice(x) + 1;
}

static unsigned long thread_pointer(void)
{
	unsigned long tp;

	__asm__("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}

static void say(const char *key, unsigned long value)
{
	printf("%s %lx\n", key, value);
}

static void say_tls(const char *key, const volatile void *var)
{
	say(key, (unsigned long)var - thread_pointer());
}

#ifdef VICTIM_DYNAMIC
#include <dlfcn.h>
#include <link.h>

static int impl_a(int x)
{
	return x + 100;
}

static int (*resolve(void))(int)
{
	return impl_a;
}

int chosen(int x) __attribute__((ifunc("resolve")));

static int visit(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	if (!strstr(info->dlpi_name, "object-tls"))
		return 0;
	say("lib_bias", info->dlpi_addr);
	say("lib_tls_module", info->dlpi_tls_modid);
	say_tls("lib_tls_block", info->dlpi_tls_data);
	return 1;
}

static void say_dynamic(void)
{
	char buf[16] = "abc";
	volatile size_t n = 3;

	lib_tls_dynamic();
	lib_tls_initial();
	dl_iterate_phdr(visit, NULL);
	say_tls("errno", &errno);
	say("impl_a", (unsigned long)impl_a + (unsigned long)(chosen(1) - 101));
	memmove(buf + 1, buf, n);
	say("strlen", (unsigned long)dlsym(RTLD_DEFAULT, "strlen") + strlen(buf) - 4);
	say("time", (unsigned long)(uintptr_t)&time);
	say("memcpy", (unsigned long)dlsym(RTLD_DEFAULT, "memcpy"));
}
#else
static void say_dynamic(void)
{
}
#endif

/* A mapping that begins with an ELF header, but is no object. */
static void map_myself(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	void *p = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0);

	say("decoy", (unsigned long)p);
}

int main(int argc, char **argv)
{
	(void)argv;
	say("main", (unsigned long)main + (unsigned long)(split_me(argc) - 2 * argc - 1));
	say("twice", (unsigned long)twice);
	say("other_twice", other_twice_addr() + (unsigned long)(other_twice(0) - 2));
	say("many_names", (unsigned long)many_names);
	say("split_me", (unsigned long)split_me);
	exe_pad[0]++;
	say_tls("exe_tls", &exe_tls);
	say_dynamic();
	map_myself();
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
