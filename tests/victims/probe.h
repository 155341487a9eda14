/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of the probe: functions whose versions must not meet. What the victim and the
 * versions of patches share.
 *
 * Two families. A: probe_a calls b, c, d, e, directly, by pointer, recursively and by tail
 * calls. B: probe_x and probe_y call each other, and A calls x. A patch replaces all of A, all
 * of B, or both: so within one activation of a function of a family every call to that
 * family must find the same version, its *generation*: 0 is the original, others are
 * the numbers of patches. Each version compares its own with that of the activation.
 *
 * A force breaks that, for the activations there are at that time and between the two
 * versions concerned only: the driver tells such an *edge* before it forces, and closes it
 * afterwards. Of an activation that began before an edge was closed, generations are legal
 * that edges lead to from the one it began with.
 */
#ifndef UG_TESTS_PROBE_VICTIM_H
#define UG_TESTS_PROBE_VICTIM_H

enum { PROBE_FAMILY_A, PROBE_FAMILY_B, PROBE_FAMILIES };

#define PROBE_NO_GEN (-1)

/* One activation: of the outermost function, and all it calls. */
struct probe_act {
	int gen[PROBE_FAMILIES];	/* last seen; PROBE_NO_GEN: not inside that family */
	int first[PROBE_FAMILIES];	/* seen first */
	unsigned long edges;		/* so many were closed before it began */
	unsigned int slot;		/* of the thread, as in the report of a mix */
	int root;			/* name of the outermost function */
	int in_b;			/* a function of B is active */
	void (*inside)(struct probe_act *act);	/* called in the middle; may sleep, call, switch */
	unsigned long param;		/* of inside */
};

typedef unsigned int probe_fn(struct probe_act *act, unsigned int n);

probe_fn probe_a, probe_b, probe_c, probe_d, probe_e, probe_x, probe_y;

/* Pointers to b, c, d, e, x. */
extern probe_fn *volatile const probe_table[5];

/* Another generation than the last seen: the first one, a forced one, or a mix. */
void probe_other(struct probe_act *act, int family, int func, int gen);

#define PROBE_ENTER(family_, func_, gen_)                                                          \
	do {                                                                                       \
		if (__builtin_expect(act->gen[family_] != (gen_), 0))                              \
			probe_other(act, family_, func_, gen_);                                    \
	} while (0)

#define PROBE_VERSIONS_A(prefix_, gen_)                                                            \
	unsigned int prefix_##a(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		unsigned int r;                                                                    \
                                                                                                   \
		PROBE_ENTER(PROBE_FAMILY_A, 'a', gen_);                                            \
		r = probe_b(act, n >> 1);                                                          \
		if (act->inside)                                                                   \
			act->inside(act);                                                          \
		return r + probe_table[n & 3](act, n >> 2) + 1;                                    \
	}                                                                                          \
	unsigned int prefix_##b(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		PROBE_ENTER(PROBE_FAMILY_A, 'b', gen_);                                            \
		return probe_c(act, n) + 1;                                                        \
	}                                                                                          \
	unsigned int prefix_##c(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		unsigned int r = 0;                                                                \
		int outer = !act->in_b;                                                            \
                                                                                                   \
		PROBE_ENTER(PROBE_FAMILY_A, 'c', gen_);                                            \
		if (n & 2) {                                                                       \
			if (outer)                                                                 \
				act->gen[PROBE_FAMILY_B] = PROBE_NO_GEN;                           \
			act->in_b = 1;                                                             \
			r = probe_table[4](act, n >> 2);                                           \
			act->in_b = !outer;                                                        \
		}                                                                                  \
		return r & 1 ? probe_d(act, n) : probe_table[2 + (n & 1)](act, n >> 1);            \
	}                                                                                          \
	unsigned int prefix_##d(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		PROBE_ENTER(PROBE_FAMILY_A, 'd', gen_);                                            \
		return n + 1;                                                                      \
	}                                                                                          \
	unsigned int prefix_##e(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		PROBE_ENTER(PROBE_FAMILY_A, 'e', gen_);                                            \
		n &= 7;                                                                            \
		return n ? probe_table[3](act, n - 1) + probe_d(act, n) : 0;                       \
	}

#define PROBE_VERSIONS_B(prefix_, gen_)                                                            \
	unsigned int prefix_##x(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		PROBE_ENTER(PROBE_FAMILY_B, 'x', gen_);                                            \
		return probe_y(act, n) + 1;                                                        \
	}                                                                                          \
	unsigned int prefix_##y(struct probe_act *act, unsigned int n)                             \
	{                                                                                          \
		PROBE_ENTER(PROBE_FAMILY_B, 'y', gen_);                                            \
		n &= 3;                                                                            \
		if (n == 3 && act->inside)                                                         \
			act->inside(act);                                                          \
		return n ? probe_x(act, n - 1) + n : 0;                                            \
	}

#endif
