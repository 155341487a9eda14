/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jump tables, cold parts, landing pads, tail calls; built by several compilers, PIC and not,
 * stripped and not. See tests/unit/test_text.c. */
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default"), noinline))

int (*hook)(int);
struct ops {
	int (*call)(int);
};

EXPORT int outside(int x)
{
	return printf("%d\n", x);
}

static __attribute__((cold, noinline)) int rare(int x)
{
	return fprintf(stderr, "rare %d\n", x);
}

EXPORT int sw_cases(int x, int y)
{
	switch (x) {
	case 0: return outside(y) + 1;
	case 1: return outside(y * 3) + 7;
	case 2: rare(y); outside(1); return 9;
	case 3: return y * 5;
	case 4: outside(y ^ 1); outside(2); return 2;
	case 5: return outside(x) * y;
	case 6: return y / 3;
	case 7: rare(x); rare(y); return -1;
	default: return outside(x + y);
	}
}

EXPORT int sw_loop(const char *s)
{
	int sum = 0;

	for (; *s; s++) {
		switch (*s & 7) {
		case 0: sum += outside(1); break;
		case 1: sum *= 3; break;
		case 2: sum ^= outside(sum); break;
		case 3: sum -= 7; break;
		case 4: sum += rare(sum); break;
		case 5: sum <<= 1; break;
		case 6: sum = outside(sum) + outside(2); break;
		}
	}
	return sum;
}

EXPORT int cold_path(int x)
{
	int y = outside(x);

	if (__builtin_expect(y < 0, 0)) {
		rare(y);
		outside(y + 1);
		rare(x);
		return outside(5) + 1;
	}
	return y * 2;
}

EXPORT int tail_pointer(int x)
{
	return hook(x + 1);
}

EXPORT int tail_ops(const struct ops *ops, int x)
{
	outside(x);
	return ops->call(x);
}

/* Threaded code: where the jumps lead only the data of the caller says. */
EXPORT int threaded(void *const **ret, void *const *pc, int x)
{
	static void *const ops[] = { &&add, &&call, &&end };

	if (ret) {
		*ret = ops;
		return outside(x);
	}
	goto **pc++;
add:
	x += 3;
	goto **pc++;
call:
	x = outside(x);
	goto **pc++;
end:
	return x;
}

static void clean(int *p)
{
	outside(*p);
}

EXPORT int landing_pad(int x)
{
	__attribute__((cleanup(clean))) int y = x;

	return hook(y) + 1;
}

int main(void)
{
	return sw_cases(1, 2);
}
