/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls through a gate of our own. With the word at ALL or NULL a gate is never seen from
 * outside: the engine publishes and retires these words inside a stop, so that running code
 * meets them only after a controller has died. Hence their cost is measured here.
 */
#ifndef UG_BENCH_GATECALL_H
#define UG_BENCH_GATECALL_H

enum gate_word {
	GATE_NONE,	/* no gate: the function itself */
	GATE_ALL,
	GATE_NULL,
	GATE_TABLE,	/* of one other thread */
};

/* Nanoseconds per call. */
double gatecall_time(enum gate_word word);

#endif
