/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A little of all that lib/object looks at: versions, clones, TLS, an IFUNC. */
__thread int counter = 3;
static __thread long hidden;

static int helper(int x) __attribute__((noinline));
static int helper(int x)
{
	return x + counter;
}

int exported(int x)
{
	hidden += x;
	return helper(x) + (int)hidden;
}

int old_exported(int x)
{
	return helper(x);
}

static int fast(int x)
{
	return x;
}

static int (*resolve(void))(int)
{
	return fast;
}

int chosen(int x) __attribute__((ifunc("resolve")));

#ifdef PROGRAM
void _start(void)
{
	exported(chosen(1));
	for (;;)
		;
}
#else
__asm__(".symver old_exported, exported@TINY_1");
__asm__(".symver exported, exported@@TINY_2");
int uses(int x)
{
	return chosen(x) + exported(x);
}
#endif
