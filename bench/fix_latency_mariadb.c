/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SIGN() answers 7: a virtual function, so that no caller knows its body. */
#include <ugraft/patch.h>

/* long long Item_func_sign::val_int() */
long long new_sign_val_int(void *item)
{
	return 7;
}

UG_PATCH(latency-mariadb, .description = "SIGN() answers 7");
UG_FUNC(UG_EXE, _ZN14Item_func_sign7val_intEv, new_sign_val_int);
