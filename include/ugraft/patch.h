/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UGRAFT_PATCH_H
#define UGRAFT_PATCH_H
/* filled in by the author's path */
#endif
