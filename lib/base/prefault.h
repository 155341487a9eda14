/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that is about to be written whole. */
#ifndef UG_BASE_PREFAULT_H
#define UG_BASE_PREFAULT_H

#include <stddef.h>

/*
 * Gives new memory its pages at once: a fault for each costs more than writing it, several times
 * so in a virtual machine without nested paging. Only a hint; kernels before 5.14 do not know it.
 */
void ug_prefault(void *mem, size_t len);

#endif
