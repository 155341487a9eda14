/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Version 3 of tests/victims/unwinder.cc: it throws itself, and has an object to destroy. */
#include <ugraft/patch.h>

enum { THROW = 1 };

struct carried {
	int version;
};

extern "C" {
int below(int what, int version);
int new_through(int what);
}

static int alive;

struct guard {
	guard() { __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST); }
	~guard() { __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST); }
};

static __attribute__((noinline)) int deeper(int what)
{
	guard g;

	if (what == THROW)
		throw carried{ 3 };
	return below(what, 3) + 0 * alive;
}

/* Caught here and thrown on: a handler and a cleanup of the patch have run before. */
extern "C" int new_through(int what)
{
	try {
		guard g;

		return deeper(what);
	} catch (const carried &e) {
		int before = __atomic_load_n(&alive, __ATOMIC_SEQ_CST);

		throw carried{ before < 0 ? -1 : e.version };
	}
}

UG_PATCH(unwinder-3, .unloadable = 1);
UG_FUNC(UG_EXE, through, new_through);
