/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a change cannot become a patch, or what its reader should know. One table: the name is
 * what `ugraft build --explain` takes.
 */
#ifndef UG_BUILDER_REASON_H
#define UG_BUILDER_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/vec.h"

/* X(name, refuses, what it is, what to do) */
#define UG_REASONS(X)                                                                              \
	X(DATA_CHANGED, true, "the initial value of a variable or table has changed",              \
	  "The running program's variable has a life of its own by now, and other code may have "  \
	  "read or copied it: a patch does not overwrite it. Leave the data as it is and change "  \
	  "the code that reads it, for example by testing for the one entry that is different.")   \
	X(DATA_SIZE, true, "a variable has another size or type",                                  \
	  "The running program has the old one, and unchanged code uses it. Give the new one "     \
	  "another name, and move over what it must keep in the functions that use it.")           \
	X(SECTION_KIND, true, "a variable has moved between constant and writable data",           \
	  "The page it is in cannot change its protection under a running program. Keep the "      \
	  "const as it was, or give the new variable another name.")                               \
	X(TLS_CHANGED, true, "the initial value of a thread-local variable has changed",           \
	  "Threads that run have their copy already. Set the value in code.")                      \
	X(TLS_NEW, true, "new code uses a new thread-local variable",                              \
	  "The program's threads have no room for it. Use an ordinary variable, or "               \
	  "pthread_getspecific().")                                                                \
	X(STATIC_LOCAL, true, "a static local variable cannot be told from others of its name",    \
	  "Which of the running program's variables is meant must be certain. Rename the new "     \
	  "one.")                                                                                  \
	X(STATIC_GONE, false, "a static local variable is gone and a new one has come",            \
	  "If it was renamed, the new one starts from its initial value, not from the old one's: " \
	  "keep the name.")                                                                        \
	X(LAYOUT, true, "the layout of a structure has changed",                                   \
	  "The running program's objects have the old layout, and code that is not in the patch "  \
	  "uses it. Keep the fields where they are and put the new one elsewhere: in a table "     \
	  "keyed by the object's address, or in a field that is free. When no object of the type " \
	  "outlives a call of the changed functions, --layout-ok=NAME accepts it.")                \
	X(ENUM, true, "the value of an enumeration constant has changed",                          \
	  "The running program's variables hold the old numbers. Add new constants at the end.")   \
	X(ASM, true, "assembler code has changed",                                                 \
	  "Code outside of functions with a known size cannot be taken over by itself. Put the "   \
	  "change into a C function.")                                                             \
	X(STARTUP, true, "the change is in code that has already run",                             \
	  "main() and constructors do not run a second time, and main() never leaves the stack. "  \
	  "Put the change into a function that is called later; mark a static one that became "    \
	  "part of main() noinline.")                                                              \
	X(CONSTRUCTOR, true, "the list of constructors or destructors has changed",                \
	  "What they would have done must be done by a function that still runs.")                 \
	X(SECTION_ENTRY, true, "an entry of a table made by the linker has come or gone",          \
	  "The program has walked that section at its start. Register the entry in code.")         \
	X(IFUNC, true, "an indirect function (IFUNC) has changed",                                 \
	  "Its resolver has run. Patch the implementation it chose.")                              \
	X(OLD_CODE, false, "a function that is gone was reached by a jump",                        \
	  "A thread may be in it without its caller on the stack. Its old code goes into the "     \
	  "patch as a version of its own, so that the transition waits for such a thread.")        \
	X(RELOCATION, true, "code needs a relocation a patch cannot have",                     \
	  "Compile the object for the small code model.")                                          \
	X(CONST_COPIED, false, "a constant has changed; the patched functions have their own copy",\
	  "Pointers to the old one that are kept elsewhere still lead to the old one.")            \
	X(NOT_THERE, true, "new code uses something the program does not have",                    \
	  "It is in neither the target nor a library given as --target. If a library has it, name "\
	  "that library.")                                                                         \
	X(FAR_DATA, true, "new code uses a variable of a library that the program has no copy of", \
	  "Code of an executable expects a library's variables near it: the linker gives the "     \
	  "program a copy of each that it uses, and this one it does not use. With "               \
	  "'#pragma weak NAME' in the diff the compiler takes its address from a table instead, "  \
	  "where it compiles for a PIE; for other programs, let dlsym() say where it is.")         \
	X(UNREAD, true, "no compile of the build has read a file of the diff",                     \
	  "Then its change is not in what was compared, and \"no change\" would be a guess. If it "\
	  "is documentation or a test, --ignore=FILE leaves it out; if it is read by a generator, "\
	  "put the generated file into the diff.")                                                 \
	X(NEW_VARIABLE, false, "a variable is new",                                                \
	  "It begins with its initial value when the patch is loaded, whatever the program has "   \
	  "done before, and is gone when the patch is unloaded.")                                  \
	X(VARIABLE_GONE, false, "a variable is gone",                                              \
	  "The running program's stays where it is; code that is not in the patch goes on using "  \
	  "it. That is no error when nothing has to take over its value.")                         \
	X(ENUM_GROWS, false, "an enumeration has new constants at its end",                        \
	  "Code that is not in the patch, and tables with an entry for each constant, do not know "\
	  "them.")                                                                                 \
	X(SIGNATURE, false, "the signature of a function has changed",                             \
	  "All its callers change with it and are switched at the same moment. Pointers to it "    \
	  "that the program has stored call the new one with the old arguments: then give the new "\
	  "one another name.")                                                                     \
	X(HEADER_INLINE, false, "a function in a header has changed",                              \
	  "It is compiled into whoever uses it: all of those become part of the patch.")           \
	X(HEADER_MACRO, false, "a macro in a header has changed",                                  \
	  "Functions that use it become part of the patch; what it says of layouts and initial "   \
	  "values cannot.")                                                                        \
	X(START_ONLY, false, "a function seems to be called by main() only",                       \
	  "It may have run already and not run again, or never return, like a main loop. Then the "\
	  "patch has no effect, or cannot complete: put the change into a function that is called "\
	  "again and again.")                                                                      \
	X(LONG_RUNNING, false, "a changed function has a loop without an end",                     \
	  "A thread that stays in it never leaves the old code. Put the change into a function "   \
	  "that the loop calls.")                                                                  \
	X(LOCKS, false, "a changed function takes or releases other locks",                        \
	  "Order and meaning of locks are not judged. While threads leave the old code, old and "  \
	  "new run side by side: both must keep the same order, and none may release what only "   \
	  "the other has taken.")                                                                  \
	X(ASM_INLINE, false, "a changed function has assembler in it",                             \
	  "Labels and addresses in it may need a relocation that a patch cannot have.")            \
	X(CONDITION, false, "a condition for the preprocessor, or a pragma, has changed",          \
	  "What it switches is known only after a build.")                                         \
	X(UNCLEAR, false, "something has changed that this look does not understand",              \
	  "Nothing is compiled here: the build will tell.")                                        \
	X(COMPILER, true, "another compiler, or other flags, made the running program",            \
	  "Both are named: what the program's debug information (or its section .comment) says of " \
	  "the functions to be replaced, and what this build has used. Build with that compiler "   \
	  "and those flags: --deb takes those of the distribution; else put the compiler first in " \
	  "PATH, or name it as the build wants it (CC=gcc-12, CFLAGS). The old code is compared "   \
	  "instruction by instruction in any case; when the difference is known to be harmless, "   \
	  "as between two builds of one release of a compiler, --compiler-ok accepts it.")          \
	X(LTO, true, "an object was compiled for link-time optimisation",                          \
	  "The program's code was made when it was linked, from all objects at once: no compile "  \
	  "of one of them gives it again. Install a build made with -fno-lto, and patch that; for "\
	  "a Debian package --deb-env=DEB_CFLAGS_APPEND=-fno-lto and the same for LDFLAGS.")       \
	X(DIFFERENT, true, "the rebuilt program is not the one that runs",                         \
	  "A function to be replaced differs from what the source, the compiler and the flags of " \
	  "this build give. Use the source and tools the running binary was made with.")

enum ug_reason {
#define X(name, refuses, text, advice) UG_REASON_##name,
	UG_REASONS(X)
#undef X
	UG_REASONS_END
};

struct ug_finding {
	enum ug_reason reason;
	unsigned int line;		/* 0: not known */
	char file[128];
	char what[256];			/* "struct client: field flags is at 40, before at 36" */
};

typedef UG_VEC(struct ug_finding) ug_finding_vec;

const char *ug_reason_name(enum ug_reason r);
const char *ug_reason_text(enum ug_reason r);
const char *ug_reason_advice(enum ug_reason r);
bool ug_reason_refuses(enum ug_reason r);
bool ug_reason_find(const char *name, enum ug_reason *ret);

/* False: out of memory. The same finding twice is kept once. */
bool ug_finding_add(ug_finding_vec *v, enum ug_reason reason, const char *file, unsigned int line,
		    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
