/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For authors of patches: one C file with the new functions, and what they replace.
 *
 *	#include <ugraft/patch.h>
 *
 *	extern int limit;				// a variable of the target, static or not
 *	int parse_header(const char *line, int len);	// a function of the target
 *
 *	int new_check_uri(const char *uri)
 *	{
 *		return parse_header(uri, limit) == 0;
 *	}
 *
 *	UG_PATCH(uri-fix, .description = "refuse bad URIs", .cves = "CVE-2026-1234");
 *	UG_FUNC(UG_EXE, check_uri, new_check_uri);
 *
 *	$ ugraft build --source fix.c --target /usr/sbin/server -o fix.ugp
 *	$ ugraft load fix.ugp PID
 *
 * What the target has is used by a plain `extern` declaration, also when it is `static`
 * there. A name that exists several times in one object, or in several objects, is chosen by
 * UG_SYMBOL_POS or UG_SYMBOL_AS. A name no --target has is looked for in all objects of the
 * process when the patch is loaded (a libc function, say).
 *
 * Rules
 *
 *  1. The new function has the same type and calling convention as the old one. Structures
 *     and global variables keep their layout: old code goes on using them.
 *  2. The new function's name means the function in the target: a call of new_check_uri from
 *     inside the patch, its recursion and its address all go through the entry of check_uri,
 *     so that a later patch takes over, and a comparison with a pointer the target has stored
 *     holds. (A recursion the compiler makes a loop of stays in its version.) The old body
 *     cannot be called.
 *  3. New static and global variables are fine; they begin with their initial values at load
 *     and vanish with unload. There are no constructors or destructors, no new thread-local
 *     variables, no indirect functions (ifunc).
 *  4. A patch whose code gives away the address of something of its own (stores a pointer to
 *     one of its functions, passes a string literal or a static buffer on) stays mapped after
 *     unload, because nothing can prove that the address is not kept somewhere. Set
 *     .unloadable = 1 when you know that no such pointer survives an unload.
 *     Make helpers and variables of the patch static: access to a global one goes through its
 *     address.
 *  5. Compilers look into a function when they compile its direct callers. `ugraft build`
 *     compares the registers old and new version change (gcc -fipa-ra) and refuses when a
 *     caller could notice. It cannot see this one, in a caller compiled together with the old
 *     function:
 *
 *		g = a; r = leaf(a); g = r;
 *
 *     The first store may have been deleted, because the old leaf() does not read g (gcc
 *     ipa-modref, ipa-reference; clang alike). A replacement that reads g sees a stale value.
 *     Likewise a caller may rely on the old function not writing a variable, not keeping a
 *     pointer it got, always returning some constant or never returning. So let a replacement
 *     read and write only what the old function (with its callees) read and wrote, unless all
 *     its callers reach it through a pointer (a command table, a callback) or across objects.
 *     Clones (f.isra.0, f.constprop.0, f.part.0) have another ABI than f and are refused; so
 *     a function all of whose calls were inlined or cloned cannot be patched by its name.
 *  6. Several names at one address (aliases, identical code folding): name them all, or say
 *     .aliases_ok = 1 when the change is right for all of them.
 *
 * gcc is the compiler of choice. With clang a new function must not be static.
 */
#ifndef UGRAFT_PATCH_H
#define UGRAFT_PATCH_H

/* The object argument: the executable itself; a shared object is named by its soname. */
#define UG_EXE ""

struct ug_author_patch_options {
	int replace;		/* take over from all older patches of the process */
	int unloadable;		/* rule 4 */
	char description[256];
	char cves[256];		/* "CVE-2026-1234 CVE-2026-1235" */
};

struct ug_author_func_options {
	int aliases_ok;		/* rule 6 */
};

/* The records below are read by `ugraft build`; they do not become part of the patch. */
struct ug_author_patch {
	char magic[8];
	char name[72];
	struct ug_author_patch_options options;
};

struct ug_author_func {
	char magic[8];
	char object[128];
	char old_name[264];
	unsigned int position;
	struct ug_author_func_options options;
	const void *new_func;
};

struct ug_author_symbol {
	char magic[8];
	char object[128];
	char name[264];
	unsigned int position;
	char symbol[264];
};

#define UG_AUTHOR_MAGIC { 'U', 'G', 'R', 'E', 'C', '0', '0', '1' }

#define UG_AUTHOR_RECORD_(section_) __attribute__((section(section_), used, aligned(8)))
#define UG_AUTHOR_PASTE2_(a, b) a##b
#define UG_AUTHOR_PASTE_(a, b) UG_AUTHOR_PASTE2_(a, b)
#define UG_AUTHOR_NAME_ UG_AUTHOR_PASTE_(ug_author_record_, __COUNTER__)

/*
 * Callers inside the patch may assume nothing of the body: see rule 2. clang has no such
 * attribute; there it takes a function that is not static and -fsemantic-interposition.
 */
#ifdef __clang__
#define UG_AUTHOR_OPAQUE_(func_)
#else
#define UG_AUTHOR_OPAQUE_(func_) extern __typeof__(func_) func_ __attribute__((noipa));
#endif

/*
 * UG_PATCH(name, .replace = 1, .unloadable = 1, .description = "...", .cves = "...")
 * Exactly one a patch. The name is 1 to 63 characters of A-Za-z0-9_.+- with or without quotes.
 */
#define UG_PATCH(name_, ...)                                                                       \
	static const struct ug_author_patch UG_AUTHOR_NAME_ UG_AUTHOR_RECORD_(                     \
		".ugraft.in.patch") = { .magic = UG_AUTHOR_MAGIC, .name = #name_,                  \
					.options = { __VA_ARGS__ } }

/* UG_FUNC(object, old_name, new_func [, .aliases_ok = 1]) */
#define UG_FUNC(object_, old_name_, new_func_, ...)                                                \
	UG_AUTHOR_FUNC_(object_, #old_name_, 0, new_func_, __VA_ARGS__)

/*
 * UG_FUNC_POS(object, old_name, position, new_func [, .aliases_ok = 1])
 * The position chooses among several functions of that name: 1 is the one at the lowest
 * address. 0: the name must be unique.
 */
#define UG_FUNC_POS(object_, old_name_, position_, new_func_, ...)                                 \
	UG_AUTHOR_FUNC_(object_, #old_name_, position_, new_func_, __VA_ARGS__)

#define UG_AUTHOR_FUNC_(object_, old_name_, position_, new_func_, ...)                             \
	UG_AUTHOR_OPAQUE_(new_func_)                                                               \
	static const struct ug_author_func UG_AUTHOR_NAME_ UG_AUTHOR_RECORD_(                      \
		".ugraft.in.funcs") = { .magic = UG_AUTHOR_MAGIC, .object = object_,               \
					.old_name = old_name_, .position = position_,              \
					.options = { __VA_ARGS__ },                                \
					.new_func = (const void *)(new_func_) }

/* Where an extern declaration of this file is to be found: in that object. */
#define UG_SYMBOL(object_, name_) UG_AUTHOR_SYMBOL_(object_, #name_, 0, #name_)

/* The same, by position, for a name that exists several times in the object. */
#define UG_SYMBOL_POS(object_, name_, position_)                                                   \
	UG_AUTHOR_SYMBOL_(object_, #name_, position_, #name_)

/*
 * The same, declared here by another name: two static `state` variables can be used as
 *	extern int state_a, state_b;
 *	UG_SYMBOL_AS(UG_EXE, state, 1, state_a);
 *	UG_SYMBOL_AS(UG_EXE, state, 2, state_b);
 */
#define UG_SYMBOL_AS(object_, name_, position_, here_)                                             \
	UG_AUTHOR_SYMBOL_(object_, #name_, position_, #here_)

#define UG_AUTHOR_SYMBOL_(object_, name_, position_, here_)                                        \
	static const struct ug_author_symbol UG_AUTHOR_NAME_ UG_AUTHOR_RECORD_(                    \
		".ugraft.in.symbols") = { .magic = UG_AUTHOR_MAGIC, .object = object_,             \
					  .name = name_, .position = position_, .symbol = here_ }

#endif
