/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors of libugraft.
 *
 * Every fallible function returns an int: zero or positive is success, negative is either
 * -errno or -UG_E_*. The detail (who, where, why, what would help) travels in a struct
 * ug_error owned by the caller; nothing is allocated on an error path, nothing is printed.
 *
 * The table below is the only place where a code is defined: enum, name, process exit code,
 * errno and text are all made from it.
 */
#ifndef UGRAFT_ERROR_H
#define UGRAFT_ERROR_H

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit codes of the command line (docs: EXIT STATUS of ugraft(1)). */
enum ug_exit {
	UG_EXIT_OK = 0,		/* the desired state is reached (also when it already was) */
	UG_EXIT_FAILED = 1,	/* failed, the target is unchanged */
	UG_EXIT_USAGE = 2,
	UG_EXIT_ABSENT = 3,	/* no such process or patch */
	UG_EXIT_PENDING = 4,	/* not complete in time, the target is consistent */
	UG_EXIT_REFUSED = 5,	/* refused by a safety rule */
	UG_EXIT_PERMISSION = 6,
	UG_EXIT_PARTIAL = 7,	/* some targets done, some not */
};

/* The first own code: far above every errno, as libbpf does it. */
#define UG_E_BASE 4000

/*
 * X(name, exit code, errno, text): the errno is what the kernel's livepatch answers in the same
 * case, for programs that know those (-EBUSY: a transition runs; -EINVAL: nothing to force).
 */
#define UG_ERRORS(X)                                                                               \
	X(GONE, ABSENT, ESRCH, "the process is gone")                                              \
	X(NO_PATCH, ABSENT, ENOENT, "no such patch in the process")                                \
	X(EXISTS, OK, EEXIST, "the patch is already loaded")                                       \
	X(TRACED, REFUSED, EBUSY, "the process is traced by another one")                          \
	X(LOCKED, FAILED, EBUSY, "another controller is at work on the process")                   \
	X(TRANSITION, FAILED, EBUSY, "a transition is running in the process")                     \
	X(NO_TRANSITION, ABSENT, EINVAL, "no transition is running in the process")                \
	X(UNSTOPPABLE, FAILED, EAGAIN, "the threads could not all be stopped within the pause budget") \
	X(TIMEOUT, PENDING, ETIMEDOUT, "the transition did not complete in time")                  \
	X(REVERSED, PENDING, ETIMEDOUT, "the transition did not complete in time and was reversed") \
	X(SHARED_MM, REFUSED, EBUSY, "the memory is shared with a process outside the thread group") \
	X(VFORK, REFUSED, EAGAIN, "a thread waits for its vfork child")                            \
	X(FOREIGN_CODE, REFUSED, ENOEXEC, "32-bit code or an unsupported machine mode")            \
	X(SHADOW_STACK, REFUSED, EOPNOTSUPP, "the process uses a user shadow stack")               \
	X(SECCOMP, REFUSED, EPERM, "a seccomp filter of the process forbids a needed system call") \
	X(NO_GADGET, REFUSED, EOPNOTSUPP, "no system call instruction found that could be borrowed") \
	X(NO_THREAD, FAILED, EAGAIN, "no thread can be borrowed at the moment")                    \
	X(REMOTE_CALL, FAILED, EIO, "a system call made in the process failed")                    \
	X(NO_ROOM, FAILED, ENOMEM, "no free address range near the object")                        \
	X(LIMIT, REFUSED, ENOMEM, "a resource limit of the process leaves no room for the patch")  \
	X(UNREADABLE, FAILED, EIO, "memory of the process cannot be read")                         \
	X(UNWRITABLE, FAILED, EIO, "memory of the process cannot be written")                      \
	X(BAD_PATCH, FAILED, EINVAL, "the patch file is malformed")                                \
	X(BAD_ARCH, FAILED, ENOEXEC, "the patch file is for another machine")                      \
	X(BAD_ELF, FAILED, ENOEXEC, "an ELF file or image is malformed")                           \
	X(BAD_RELOC, FAILED, ENOEXEC, "a relocation is of an unsupported type")                    \
	X(RELOC_RANGE, FAILED, ENOEXEC, "a relocation does not reach its target")                  \
	X(NO_OBJECT, REFUSED, ENODEV, "no object of the process has the build-id the patch is made for") \
	X(NO_BUILD_ID, REFUSED, ENODEV, "the object has no build-id")                              \
	X(NO_SYMBOL, FAILED, EINVAL, "symbol not found")                                           \
	X(AMBIGUOUS, FAILED, EINVAL, "the symbol is ambiguous")                                    \
	X(NO_DEBUG, FAILED, ENOENT, "symbols or unwind tables are missing")                        \
	X(TOO_SHORT, REFUSED, EINVAL, "the function is too short to be redirected")                \
	X(ENTRY, REFUSED, EINVAL, "the entry of the function cannot be overwritten safely")        \
	X(ENTRY_BUSY, REFUSED, EBUSY, "the entry of the function is not as the patch expects it")  \
	X(PARTS, REFUSED, EINVAL, "the parts of the function cannot be bounded")                   \
	X(ALIASED, REFUSED, EINVAL, "other functions share the same code")                         \
	X(CLOBBER, REFUSED, EINVAL, "the replacement changes registers its callers rely on")       \
	X(CLONE, REFUSED, EINVAL, "the function is a compiler-made clone")                         \
	X(STACK_BUSY, PENDING, EBUSY, "a thread executes the function")                            \
	X(STACK_UNRELIABLE, PENDING, EBUSY, "the stack of a thread cannot be checked reliably")    \
	X(CONTEXTS, REFUSED, EBUSY, "the process can hold suspended contexts")                     \
	X(REGISTRY, FAILED, EINVAL, "the registry in the process is damaged or of another version") \
	X(FOREIGN_TEXT, FAILED, EBUSY, "text in memory is not what the registry says")             \
	X(COMPILE, FAILED, EINVAL, "the compiler failed")                                          \
	X(GROUP, FAILED, ECANCELED, "another process of the group stood in the way")               \
	X(INTERRUPTED, FAILED, EINTR, "interrupted")                                               \
	X(WORKER, FAILED, EIO, "the helper process died")                                          \
	X(PARTIAL, PARTIAL, EIO, "some targets done, some not")                                    \
	X(UNSUPPORTED, REFUSED, EOPNOTSUPP, "not supported")                                       \
	X(LTO, REFUSED, EOPNOTSUPP, "the object was compiled for link-time optimisation")          \
	X(CHANGE, REFUSED, EINVAL, "the change cannot be made into a patch")                       \
	X(IDENTITY, REFUSED, ENODEV, "the rebuilt program is not the one that runs")               \
	X(DIFF, FAILED, EINVAL, "the diff does not apply, or is not used by the build")            \
	X(TRANSFER, REFUSED, EAGAIN, "a thread is in a transfer which a stop could cut short")     \
	X(SOURCE_GONE, REFUSED, ENOENT, "the binary is known, but not the source it was built from") \
	X(CHROOT, FAILED, EIO, "the environment to build in cannot be made")

enum ug_error_code {
	UG_E_FIRST = UG_E_BASE,
#define X(name, exit_code, number, text) UG_E_##name,
	UG_ERRORS(X)
#undef X
	UG_E_END
};

/*
 * What went wrong. All of it is optional but the code and the message; zero and empty mean
 * "not known". Plain data: copy it as you like, there is nothing to free.
 */
struct ug_error {
	int code;		/* negative, as returned */
	pid_t pid;
	pid_t tid;
	uint64_t address;	/* in the target */
	char object[128];
	char function[128];
	char message[512];	/* one actionable sentence */
};

#ifndef UG_API
#define UG_API __attribute__((visibility("default")))
#endif

/* The text of a code (negative, either range). Never NULL; static or thread-local storage. */
UG_API const char *ug_strerror(int code);

/* The short name of a code, for JSON: "STACK_BUSY", "EPERM". Never NULL. */
UG_API const char *ug_error_name(int code);

/* The errno that fits a code best: itself for one that is an errno, 0 for codes >= 0. */
UG_API int ug_error_errno(int code);

/* The exit status (enum ug_exit) that belongs to a code; 0 for codes >= 0. */
UG_API int ug_error_exit(int code);

#endif
