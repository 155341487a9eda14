/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OBJECT_VICTIM_H
#define OBJECT_VICTIM_H

int other_twice(int x);			/* calls the other static twice() */
unsigned long other_twice_addr(void);

/* object_tls.c, a shared library */
unsigned long lib_tls_dynamic(void);	/* address of a variable of each model */
unsigned long lib_tls_initial(void);

#endif
