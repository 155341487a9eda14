/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the sanitizers' libraries ask a program for. */

#define PUBLIC __attribute__((visibility("default")))

PUBLIC const char *__ubsan_default_options(void);
PUBLIC const char *__lsan_default_suppressions(void);

/* Abort, as asserts do: the drivers then save the input. */
const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

/*
 * elf_end() of elfutils 0.188 does not free what elf_rawdata() has read when some headers of the
 * file are broken.
 */
const char *__lsan_default_suppressions(void)
{
	return "leak:libelf.so";
}
