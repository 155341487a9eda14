/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the wrapper (wrapper.c) is told through its environment (record.c). */
#ifndef UG_BUILDER_CAPTURE_WRAPPER_H
#define UG_BUILDER_CAPTURE_WRAPPER_H

#define UG_RECORD_LOG "UGRAFT_RECORD_LOG"	/* file to append to */
#define UG_RECORD_DIR "UGRAFT_RECORD_DIR"	/* where the wrappers are: not the real compiler */

#endif
