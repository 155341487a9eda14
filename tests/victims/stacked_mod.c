/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A shared object with a function to patch: the kernel's "function of a module". */
#include "stacked.h"

__attribute__((noipa)) STACKED_LEAF(m, 0)
