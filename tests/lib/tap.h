/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UG_TESTS_TAP_H
#define UG_TESTS_TAP_H

/*
 * cmocka (1.1.5) writes "not ok 4 # SKIP name" for a test that has called skip(), which TAP and
 * meson take for a failure. Call this first in main(): from then on it reads
 * "ok 4 - name # SKIP". Say why with print_message() before skip().
 */
void tap_correct_skips(void);

#endif
