/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ascii() of SQL answers 66, whatever it is asked. It is called through a table. */
#include <stdint.h>
#include <ugraft/patch.h>

uintptr_t new_ascii(void *call);

uintptr_t new_ascii(void *call)
{
	return 66;
}

UG_PATCH(postgres-one, .description = "ascii() answers 66");
UG_FUNC(UG_EXE, ascii, new_ascii);
