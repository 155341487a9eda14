/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two versions of a source, one with AFTER. */
struct item {
	int id;
	struct item *next;
#ifdef AFTER
	int more;
#endif
};

static int calls;
static const char *const names[] = { "zero", "one", "two" };

static int inner(struct item *i)
{
	static int seen;

#ifdef AFTER
	if (!i)
		return -1;
#endif
	return ++seen + i->id;
}

const char *name_of(int x)
{
	switch (x) {
	case 0: calls++; return names[0];
	case 1: return names[1];
	case 2: return names[2];
	case 3: return "three";
	case 4: calls += 2; return "four";
	}
	return "?";
}

int outer(struct item *i, int n)
{
	for (; n > 0; n--)
		i = i->next;
#ifdef AFTER
	calls--;
#endif
	return inner(i) + inner(i->next) + calls;
}
