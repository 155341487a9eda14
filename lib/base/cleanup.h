/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scope guards for memory and descriptors of the controller. Never for anything done to a
 * target: that is undone by an explicit, ordered ladder, because there order matters and
 * each step can fail.
 */
#ifndef UG_BASE_CLEANUP_H
#define UG_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

#define ug_cleanup(f) __attribute__((cleanup(f)))

static inline void ug_free_p(void *p)
{
	free(*(void **)p);
}

static inline void ug_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void ug_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void ug_closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define ug_autofree ug_cleanup(ug_free_p)
#define ug_autoclose ug_cleanup(ug_close_p)
#define ug_autofclose ug_cleanup(ug_fclose_p)
#define ug_autoclosedir ug_cleanup(ug_closedir_p)

/* Hand a guarded pointer or descriptor over to the caller. */
#define ug_take_ptr(p)                                                                             \
	({                                                                                         \
		__typeof__(p) ug_taken_ = (p);                                                     \
		(p) = NULL;                                                                        \
		ug_taken_;                                                                         \
	})

static inline int ug_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
