/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests/victims/twenty.c and its patches share. */
#ifndef UG_TESTS_TWENTY_H
#define UG_TESTS_TWENTY_H

#define OLD 1
#define NEW 1000
#define EXTRA_OLD 7
#define EXTRA_NEW 8

#define STEPS(X)                                                                                   \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)     \
	X(17) X(18) X(19)
#define STEPS_SUM 190

int extra(int x);
int all(int x);
#define DECLARE_STEP(i_) int step_##i_(int x);
STEPS(DECLARE_STEP)

#endif
