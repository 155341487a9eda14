// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ugraft build --source, step by step. Everything temporary is in one private directory; the
 * output appears at once and whole, by rename.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "builder/build.h"
#include "builder/compile.h"
#include "builder/maker.h"
#include "builder/output.h"
#include "builder/resolve.h"

struct build {
	const struct ug_build_source_opts *opts;
	struct ug_build_report *report;
	struct ug_error *err;
	char dir[256];			/* "" : none */
	struct ug_objfile o;
	struct ug_author author;
	struct ug_targets targets;
	struct ug_resolution res;
	ug_string_vec flags;		/* of the compile, for the patch to say */
	uint8_t *file;
	size_t size;
};

void ug_build_warn(struct ug_build_report *report, const char *fmt, ...)
{
	va_list ap;

	if (report->nwarnings++ >= UG_BUILD_WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(report->warnings[report->nwarnings - 1], sizeof(report->warnings[0]), fmt, ap);
	va_end(ap);
}

/* ---- the private directory ---- */

static void path_in(const struct build *b, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", b->dir, name);
}

static int make_dir(struct build *b)
{
	const char *tmp = getenv("TMPDIR");
	char path[320];

	snprintf(b->dir, sizeof(b->dir), "%s/ugraft-build-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(b->dir)) {
		int rc = ug_err_errno(b->err, "cannot make a temporary directory");

		b->dir[0] = 0;
		return rc;
	}
	path_in(b, "ugraft", path, sizeof(path));
	if (mkdir(path, 0700) < 0)
		return ug_err_errno(b->err, "cannot create %s", path);
	path_in(b, "ugraft/patch.h", path, sizeof(path));
	return ug_output_create(path, ug_compile_patch_h, strlen(ug_compile_patch_h), b->err);
}

static void remove_dir(const struct build *b)
{
	static const char *const names[] = { "ugraft/patch.h", "patch.o" };
	char path[320];

	if (!b->dir[0])
		return;
	for (size_t i = 0; i < UG_ARRAY_SIZE(names); i++) {
		path_in(b, names[i], path, sizeof(path));
		unlink(path);
	}
	path_in(b, "ugraft", path, sizeof(path));
	rmdir(path);
	rmdir(b->dir);
}

/* ---- the steps ---- */

static int compile(struct build *b, const char *extra)
{
	size_t n = b->opts->ncflags;
	ug_autofree const char **cflags = calloc(n + 1, sizeof(*cflags));
	struct ug_compile job = { .compiler = b->opts->compiler, .source = b->opts->source,
				  .include_dir = b->dir, .cflags = cflags, .ncflags = n + 1 };
	char object[320];
	int rc;

	if (!cflags)
		return ug_err(b->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		cflags[i] = b->opts->cflags[i];
	cflags[n] = extra;
	path_in(b, "patch.o", object, sizeof(object));
	job.object = object;
	rc = ug_compile_run(&job, b->report->compiler_output, sizeof(b->report->compiler_output),
			    b->err);
	ug_strings_free(&b->flags);
	if (rc == 0 && !ug_compile_flags(&job, &b->flags))
		rc = ug_err(b->err, -ENOMEM, "out of memory");
	return rc < 0 ? rc : ug_objfile_read(object, &b->o, b->err);
}

/* clang cannot be told that a local function may be replaced: see UG_AUTHOR_OPAQUE_. */
static int check_locals(const struct build *b)
{
	if (!ug_compile_is_clang(b->opts->compiler))
		return 0;
	ug_vec_for_each(&b->author.funcs, f) {
		if (ELF64_ST_BIND(b->o.syms[f->symbol].st_info) == STB_LOCAL)
			return ug_err(b->err, -UG_E_UNSUPPORTED, "the new function for %s is static; with "
				      "clang it must not be", f->rec.old_name);
	}
	return 0;
}

/*
 * A statically linked program need not have __tls_get_addr. When all thread-local variables
 * the patch uses are the executable's, their offsets are fixed and nothing has to be called.
 */
static bool wants_static_tls(const struct build *b)
{
	bool dynamic = false;

	ug_vec_for_each(&b->res.refs, ref) {
		const char *label = ref->anywhere ? "?" : b->targets.groups.v[ref->group].label;

		if (!strcmp(ref->name, "__tls_get_addr"))
			dynamic = true;
		else if (ELF64_ST_TYPE(b->o.syms[ref->symbol].st_info) == STT_TLS && label[0])
			return false;
	}
	return dynamic;
}

static void forget_object(struct build *b)
{
	ug_resolution_free(&b->res);
	ug_author_free(&b->author);
	ug_objfile_free(&b->o);
	b->author = (struct ug_author){ 0 };
	b->report->nwarnings = 0;
}

static int examine(struct build *b)
{
	int rc;

	rc = ug_author_read(&b->o, &b->author, b->err);
	if (rc == 0)
		rc = check_locals(b);
	if (rc < 0)
		return rc;
	b->res = (struct ug_resolution){ .o = &b->o, .author = &b->author, .targets = &b->targets };
	return ug_resolve(&b->res, b->report, b->err);
}

static int compile_and_examine(struct build *b)
{
	int rc = compile(b, "");

	if (rc == 0)
		rc = examine(b);
	if (rc < 0 || !wants_static_tls(b))
		return rc;
	forget_object(b);
	rc = compile(b, "-ftls-model=initial-exec");
	return rc < 0 ? rc : examine(b);
}

/* Objects nothing of which is used are left out: *map gives the new index of a group. */
static size_t used_groups(const struct build *b, struct ug_pack_object *objects, uint32_t *map)
{
	size_t n = 0;

	for (size_t g = 0; g < b->targets.groups.n; g++) {
		const struct ug_target_group *group = &b->targets.groups.v[g];
		bool used = false;

		ug_vec_for_each(&b->res.funcs, f)
			used |= f->group == g;
		ug_vec_for_each(&b->res.refs, r)
			used |= !r->anywhere && r->group == g;
		if (!used)
			continue;
		map[g] = (uint32_t)n;
		objects[n++] = (struct ug_pack_object){ group->label, group->builds.v,
							group->builds.n };
	}
	return n;
}

static struct ug_pack_func pack_func(const struct build *b, const struct ug_resolved_func *f,
				     const uint32_t *map)
{
	const struct ug_author_func *rec = &f->decl->rec;
	uint32_t flags = 0;

	if (rec->options.aliases_ok)
		flags |= UG_FILE_FUNC_ALIASES_OK;
	if (b->opts->assume_abi)
		flags |= UG_FILE_FUNC_ASSUME_ABI;
	return (struct ug_pack_func){ .object = map[f->group], .old_name = rec->old_name,
				      .pos = rec->position, .flags = flags,
				      .symbol = (uint32_t)f->decl->symbol, .pins = f->pins.v,
				      .npins = f->pins.n };
}

static struct ug_pack_ref pack_ref(const struct ug_resolved_ref *r, const uint32_t *map)
{
	return (struct ug_pack_ref){ .symbol = (uint32_t)r->symbol, .name = r->name, .pos = r->pos,
				     .object = r->anywhere ? UG_FILE_ANY_OBJECT : map[r->group],
				     .pins = r->pins.v, .npins = r->pins.n };
}

static int pack(struct build *b)
{
	const struct ug_author_patch_options *o = &b->author.patch.options;
	size_t ngroups = b->targets.groups.n, nfuncs = b->res.funcs.n, nrefs = b->res.refs.n;
	ug_autofree struct ug_pack_object *objects = calloc(ngroups + 1, sizeof(*objects));
	ug_autofree struct ug_pack_func *funcs = calloc(nfuncs + 1, sizeof(*funcs));
	ug_autofree struct ug_pack_ref *refs = calloc(nrefs + 1, sizeof(*refs));
	ug_autofree uint32_t *map = calloc(ngroups + 1, sizeof(*map));
	char compiler[256];
	struct ug_pack_unit unit = { .object = UG_FILE_ANY_OBJECT, .source = basename(b->opts->source),
				     .compiler = compiler, .flags = (const char *const *)b->flags.v,
				     .nflags = b->flags.n };
	struct ug_pack p = { .elf = b->o.data, .elf_size = b->o.r.size, .name = b->author.patch.name,
			     .description = o->description, .cves = o->cves, .objects = objects,
			     .funcs = funcs, .nfuncs = nfuncs, .refs = refs, .nrefs = nrefs,
			     .units = &unit, .nunits = 1 };

	ug_maker_comment(&b->o, compiler, sizeof(compiler));
	if (!compiler[0])
		unit.compiler = "unknown";
	if (!objects || !funcs || !refs || !map)
		return ug_err(b->err, -ENOMEM, "out of memory");
	p.flags = (o->replace ? UG_FILE_REPLACE : 0) | (o->unloadable ? UG_FILE_UNLOADABLE : 0);
	p.nobjects = used_groups(b, objects, map);
	for (size_t i = 0; i < nfuncs; i++)
		funcs[i] = pack_func(b, &b->res.funcs.v[i], map);
	for (size_t i = 0; i < nrefs; i++)
		refs[i] = pack_ref(&b->res.refs.v[i], map);
	return ug_pack_write(&p, &b->file, &b->size, b->err);
}

/* What `load` would refuse is refused now: the file is read back the way it reads it. */
static int verify(struct build *b)
{
	struct ug_patch *patch;
	int rc;

	rc = ug_patch_parse(b->file, b->size, &patch, b->err);
	if (rc < 0)
		return rc;
	snprintf(b->report->name, sizeof(b->report->name), "%s", patch->name);
	b->report->functions = patch->nfuncs;
	b->report->references = patch->nrefs;
	b->report->pins_memory = (patch->flags & UG_PATCH_ESCAPES) &&
				 !(patch->flags & UG_PATCH_UNLOADABLE);
	ug_patch_close(patch);
	return 0;
}

static int run(struct build *b)
{
	int rc;

	rc = make_dir(b);
	if (rc == 0)
		rc = ug_targets_open(b->opts->targets, b->opts->ntargets, &b->targets, b->err);
	if (rc == 0)
		rc = compile_and_examine(b);
	if (rc == 0)
		rc = pack(b);
	if (rc == 0)
		rc = verify(b);
	if (rc == 0)
		rc = ug_check_abi(&b->res, b->opts->assume_abi, b->report, b->err);
	return rc < 0 ? rc : ug_output_publish(b->opts->output, b->file, b->size, b->err);
}

int ug_build_source(const struct ug_build_source_opts *opts, struct ug_build_report *report,
		    struct ug_error *err)
{
	struct build b = { .opts = opts, .report = report, .err = err };
	int rc;

	memset(report, 0, sizeof(*report));
	rc = run(&b);
	ug_resolution_free(&b.res);
	ug_author_free(&b.author);
	ug_objfile_free(&b.o);
	ug_targets_close(&b.targets);
	remove_dir(&b);
	ug_strings_free(&b.flags);
	free(b.file);
	return rc;
}
