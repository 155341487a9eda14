/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HUNDREDS(M): M(000) to M(499), the functions of victim_transition.c. */
#ifndef UG_BENCH_HUNDREDS_H
#define UG_BENCH_HUNDREDS_H

#define TEN(M, n)                                                                                  \
	M(n##0) M(n##1) M(n##2) M(n##3) M(n##4) M(n##5) M(n##6) M(n##7) M(n##8) M(n##9)
#define HUNDRED(M, n)                                                                              \
	TEN(M, n##0) TEN(M, n##1) TEN(M, n##2) TEN(M, n##3) TEN(M, n##4)                           \
	TEN(M, n##5) TEN(M, n##6) TEN(M, n##7) TEN(M, n##8) TEN(M, n##9)
#define HUNDREDS(M) HUNDRED(M, 0) HUNDRED(M, 1) HUNDRED(M, 2) HUNDRED(M, 3) HUNDRED(M, 4)

#endif
