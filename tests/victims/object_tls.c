// SPDX-License-Identifier: GPL-2.0-or-later
#include "object_victim.h"

static __thread int pad[5] = { 1 };
static __thread __attribute__((tls_model("global-dynamic"))) int dynamic_var = 2;
__thread __attribute__((tls_model("initial-exec"))) int object_tls_initial = 3;

unsigned long lib_tls_dynamic(void)
{
	return (unsigned long)&dynamic_var + (unsigned long)(pad[0] - 1);
}

unsigned long lib_tls_initial(void)
{
	return (unsigned long)&object_tls_initial;
}
