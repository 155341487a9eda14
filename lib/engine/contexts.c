/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/contexts.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>

#include "base/log.h"
#include "engine/search.h"
#include "process/writes.h"

/* ---- who can create contexts ---- */

static const char *const creators[] = {
	"makecontext", "swapcontext", "setcontext",
	"make_fcontext", "jump_fcontext", "ontop_fcontext",	/* Boost.Context */
	"coro_transfer", "co_create", "lthread_create",
};

static const char *const alternate[] = { "sigaltstack" };
static const char *const setjmps[] = { "__sigsetjmp", "sigsetjmp", "_setjmp", "setjmp" };
static const char *const longjmps[] = {
	"siglongjmp", "longjmp", "_longjmp", "__longjmp_chk",
};

static const char *const openssl_async[] = {
	"ASYNC_start_job", "ASYNC_init_thread", "SSL_get_all_async_fds", "SSL_waiting_for_async",
};

static bool in_list(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static bool section_imports(Elf *elf, Elf_Scn *scn, const char *const *list, size_t n)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Shdr shdr;
	GElf_Sym sym;

	if (!data || !gelf_getshdr(scn, &shdr) || !shdr.sh_entsize)
		return false;
	for (size_t i = 1; i < shdr.sh_size / shdr.sh_entsize && gelf_getsym(data, (int)i, &sym); i++) {
		const char *name;

		if (sym.st_shndx != SHN_UNDEF)
			continue;
		name = elf_strptr(elf, shdr.sh_link, sym.st_name);
		if (name && in_list(name, list, n))
			return true;
	}
	return false;
}

static bool imports(const struct ug_object *obj, const char *const *list, size_t n)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while (obj->elf && (scn = elf_nextscn(obj->elf, scn)))
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_DYNSYM)
			return section_imports(obj->elf, scn, list, n);
	return false;
}

/*
 * A handler on an alternate stack leaves a context behind by setjmp, and is jumped back into:
 * how QEMU, GNU Pth and others make coroutines without makecontext. An object that imports all
 * three for other reasons is switched at once in vain.
 */
static bool jumps_between_stacks(const struct ug_object *obj)
{
	return imports(obj, alternate, UG_ARRAY_SIZE(alternate)) &&
	       imports(obj, setjmps, UG_ARRAY_SIZE(setjmps)) &&
	       imports(obj, longjmps, UG_ARRAY_SIZE(longjmps));
}

static bool named(const struct ug_object *obj, const char *prefix)
{
	return strncmp(obj->name, prefix, strlen(prefix)) == 0;
}

static bool uses_openssl_async(const struct ug_target *t)
{
	for (size_t i = 0; i < t->objects.n; i++) {
		const struct ug_object *obj = t->objects.v[i];

		if (!named(obj, "libssl.so") && !named(obj, "libcrypto.so") &&
		    imports(obj, openssl_async, UG_ARRAY_SIZE(openssl_async)))
			return true;
	}
	return false;
}

static const struct ug_object *find_creator(const struct ug_target *t)
{
	for (size_t i = 0; i < t->objects.n; i++) {
		const struct ug_object *obj = t->objects.v[i];

		if (jumps_between_stacks(obj))
			return obj;
		if (!imports(obj, creators, UG_ARRAY_SIZE(creators)))
			continue;
		if (!named(obj, "libcrypto.so") || uses_openssl_async(t))
			return obj;
	}
	return NULL;
}

static int check_size(struct ug_target *t, const char *who, struct ug_error *err)
{
	if (ug_search_fits(t) || ug_writes_known())
		return 0;
	return ug_err(err, -UG_E_CONTEXTS, "%s can create suspended contexts (coroutines), the process "
		      "has more than %u MiB of memory to search for them, and this kernel does not tell "
		      "what is written to meanwhile: assert --contexts=none if it uses none", who,
		      UG_SEARCH_MAX >> 20);
}

int ug_contexts_possible(struct ug_target *t, struct ug_error *err)
{
	const struct ug_object *creator = find_creator(t);
	const char *who = creator ? creator->name : "the program";
	int r;

	if (!creator && !(t->reg.addr && t->reg.h.contexts))
		return 0;
	if (t->flags & UG_OPT_CONTEXTS_NONE) {
		ug_log_notice("%s can create suspended contexts; the administrator asserts that "
			      "there are none", who);
		return 0;
	}
	r = check_size(t, who, err);
	if (r < 0)
		return r;
	ug_log_debug("%s can create suspended contexts: all threads are switched at once", who);
	return 1;
}

/* ---- seen in a stop ---- */

/* A raw clone has its creator's thread pointer, and a stack of its own all its life. */
static bool shares_pointer(const struct ug_run *run, const struct ug_thread_rec *rec)
{
	ug_vec_for_each(&run->threads, other)
		if (other != rec && other->seen && other->pointer == rec->pointer)
			return true;
	return false;
}

static const struct ug_thread_rec *find_foreign(const struct ug_run *run)
{
	ug_vec_for_each(&run->threads, rec)
		if (rec->seen && rec->foreign && !shares_pointer(run, rec))
			return rec;
	return NULL;
}

int ug_contexts_notice(struct ug_run *run, struct ug_error *err)
{
	struct ug_target *t = run->t;
	const struct ug_thread_rec *rec;
	int r;

	if (run->at_once || (t->flags & UG_OPT_CONTEXTS_NONE))
		return 0;
	rec = find_foreign(run);
	if (!rec)
		return 0;
	ug_log_notice("thread %d runs on a stack of its own making: the process has contexts that "
		      "can be suspended, all its threads are switched at once", rec->tid);
	run->at_once = true;
	r = ug_registry_note_contexts(&t->proc, &t->reg, err);
	if (r == 0)
		r = check_size(t, "the program", &run->unsearchable);
	if (r == -UG_E_CONTEXTS && err)
		*err = run->unsearchable;
	return r;
}
