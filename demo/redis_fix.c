/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fix for a running, stock redis-server: no more Lua scripts from clients.
 *
 * CVE-2025-49844 lets a client with a crafted script run code in the server (a use after free
 * in the Lua parser). Until the fixed version can be installed, EVAL and EVALSHA answer with
 * an error; EVAL_RO and EVALSHA_RO, which redis implements by a jump to them, do so as well.
 *
 * Both functions are called through redis' command table, by pointer, so that no compiler has
 * tied a caller to their old bodies. The direct calls that `ugraft build` warns of are the two
 * jumps just mentioned, which rely on nothing.
 */
#include <ugraft/patch.h>

/* Redis' own type and function, declared only: they are the ones in the process. */
struct client;
void addReplyError(struct client *c, const char *err);

static void refuse(struct client *c)
{
	addReplyError(c, "Lua scripts are disabled (live patch for CVE-2025-49844)");
}

static void new_eval(struct client *c)
{
	refuse(c);
}

static void new_evalsha(struct client *c)
{
	refuse(c);
}

/* addReplyError copies the text, so no address of ours stays behind: .unloadable. */
UG_PATCH(redis-no-lua,
	 .unloadable = 1,
	 .description = "EVAL and EVALSHA answer with an error",
	 .cves = "CVE-2025-49844");

UG_FUNC(UG_EXE, evalCommand, new_eval);
UG_FUNC(UG_EXE, evalShaCommand, new_evalsha);
