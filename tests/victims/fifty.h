/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the versions of the functions of fifty.c share: the victim's and those of patches. */
#ifndef UG_TESTS_FIFTY_H
#define UG_TESTS_FIFTY_H

#define FIFTY 50
#define ORIGINAL 1

/* Each version of each function calls it. */
void rest(int how);

#define FIFTY_VERSION(name_, version_)                                                             \
	int name_(int how);                                                                        \
	int name_(int how)                                                                         \
	{                                                                                          \
		rest(how);                                                                         \
		return (version_);                                                                 \
	}

#endif
