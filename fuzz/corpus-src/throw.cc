// SPDX-License-Identifier: GPL-2.0-or-later
// A function with landing pads: an LSDA.
extern "C" int caller(int);
extern "C" int thrower(int x);

struct guard {
	int *p;
	~guard() { *p = caller(*p); }
};

int thrower(int x)
{
	guard g{ &x };

	try {
		if (caller(x))
			throw x;
		return caller(x + 1);
	} catch (int y) {
		return y;
	} catch (...) {
		return caller(2);
	}
}
