/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input of the target `registry`, for it and for make_corpus.c. */
#ifndef UG_FUZZ_REGISTRY_H
#define UG_FUZZ_REGISTRY_H

#define FUZZ_REG 0x10000000UL
#define FUZZ_REG_SLOTS 8
#define FUZZ_REG_LINES 2
#define FUZZ_RECORDS (FUZZ_REG + UG_REG_SIZE)

#endif
